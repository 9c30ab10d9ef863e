//! What people see who may not see what they asked for.

use axum::response::Html;

/// A page that says `why`.
pub(crate) fn html(why: &'static str) -> Html<String> {
    Html(format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Not done · Key-backup audit</title></head><body><main><h1>Not done</h1>\
         <p>{why}</p><p><a href=\"/audit/\">Back to the overview</a></p></main></body></html>"
    ))
}
