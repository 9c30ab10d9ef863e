//! The log-in.

use axum::response::Html;

use crate::admin::access::next::{LOG_IN, Next};

/// The log-in that leads to `next`; with what was wrong, if it was tried before.
pub(crate) fn html(next: &Next, wrong: Option<&str>) -> Html<String> {
    let wrong = wrong.map_or(String::new(), |wrong| {
        format!("<p id=\"wrong\" role=\"alert\">{wrong}</p>")
    });
    // Quotes, ampersands and angle brackets are all that could end the attribute.
    let next = next
        .as_str()
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    Html(format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Log in · Key-backup audit</title></head><body><main><h1>Log in</h1>\
         {wrong}<form method=\"post\" action=\"{LOG_IN}\"><input type=\"hidden\" name=\"next\" value=\"{next}\">\
         <p><label for=\"token\">Token</label> <input id=\"token\" name=\"token\" type=\"password\" \
         autocomplete=\"off\" required autofocus></p><p><button>Log in</button></p></form></main></body></html>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_breaks_the_page() {
        let next = Next::parse("/audit/search?user=\"><script>&amp;'");
        let Html(page) = html(&next, None);
        assert!(
            page.contains("user=&quot;&gt;&lt;script&gt;&amp;amp;'"),
            "{page}"
        );
        assert!(!page.contains("<script"), "{page}");
    }
}
