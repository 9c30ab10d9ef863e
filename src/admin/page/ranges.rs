//! The choice of a range of time, as it stands above what depends on it.

use askama::Template;

use crate::admin::query::{RANGES, Range, link};

/// The choice of a range of time.
#[derive(Template)]
#[template(path = "ranges.html", config = ".ci/askama.toml")]
pub(super) struct Ranges {
    /// The page.
    path: &'static str,
    /// Address, name, and whether it is the one.
    all: Vec<(String, &'static str, bool)>,
    from: String,
    to: String,
}

// === impl Ranges ===

impl Ranges {
    /// The choice on the page at `path`, where `range` is shown.
    pub(super) fn new(path: &'static str, range: &Range) -> Self {
        let all = RANGES.into_iter().filter(|name| *name != "chosen");
        Self {
            path,
            all: all
                .map(|name| (link(path, [("range", name)]), name, name == range.name))
                .collect(),
            from: range.from.to_string(),
            to: range.to.to_string(),
        }
    }
}
