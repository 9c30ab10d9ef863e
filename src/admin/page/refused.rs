//! What people see who may not see what they asked for.

use askama::Template;
use axum::response::Html;

#[derive(Template)]
#[template(path = "refused.html", config = ".ci/askama.toml")]
struct Page {
    why: &'static str,
}

/// A page that says `why`.
pub(crate) fn html(why: &'static str) -> Html<String> {
    Html(Page { why }.render().unwrap_or_else(|error| {
        // Text that is written into memory.
        tracing::error!(%error, "a refusal could not be written");
        why.to_owned()
    }))
}
