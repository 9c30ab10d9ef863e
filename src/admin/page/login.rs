//! The log-in.

use askama::Template;
use axum::response::Html;

use crate::admin::access::next::Next;

#[derive(Template)]
#[template(path = "login.html", config = ".ci/askama.toml")]
struct Page<'a> {
    next: &'a str,
    wrong: Option<&'a str>,
}

/// The log-in that leads to `next`; with what was wrong, if it was tried before.
pub(crate) fn html(next: &Next, wrong: Option<&str>) -> Html<String> {
    let page = Page {
        next: next.as_str(),
        wrong,
    };
    Html(page.render().unwrap_or_else(|error| {
        // Text that is written into memory.
        tracing::error!(%error, "the log-in could not be written");
        String::new()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_breaks_the_page() {
        let next = Next::parse("/audit/search?user=\"><script>&amp;'");
        let Html(page) = html(&next, None);
        assert!(page.contains("user=&#34;&#62;&#60;script&#62;"), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }
}
