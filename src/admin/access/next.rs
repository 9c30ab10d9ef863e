//! Where a visitor goes after the log-in: to the page they wanted, and never to another site.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::token;

/// A place on the auditor's page: a path under `/audit/`, and its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next(String);

/// The first page.
pub(crate) const HOME: &str = "/audit/";
/// Where visitors log in.
pub(crate) const LOG_IN: &str = "/audit/login";
/// Where they log out.
const LOG_OUT: &str = "/audit/logout";

/// Longer ones are no address that anybody had from us.
const LONGEST: usize = 4096;

/// What is written as `%XX` in a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

// === impl Next ===

impl Next {
    /// `text` if it is such a place, else the first page. Browsers read a `\` as `/`, leave out tabs and line
    /// ends, and go up at `..` and `%2e%2e`: what could be read as anything else is none. Nor is an address with a
    /// token in it, which somebody put there by mistake: it goes no further.
    pub(crate) fn parse(text: &str) -> Self {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let goes_up = |segment: &str| {
            let decoded = percent_decode_str(segment).collect::<Vec<_>>();
            matches!(&decoded[..], b"." | b"..")
        };
        let is_ours = path.starts_with(HOME)
            && !path.contains("//")
            && !path.split('/').any(goes_up)
            && path != LOG_IN
            && path != LOG_OUT
            && !token::looks_like_one(text);
        if is_ours && is_plain && text.len() <= LONGEST {
            Self(text.to_owned())
        } else {
            Self(HOME.to_owned())
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The log-in that leads there.
    pub(crate) fn log_in(&self) -> String {
        if self.0 == HOME {
            return LOG_IN.to_owned();
        }
        format!("{LOG_IN}?next={}", utf8_percent_encode(&self.0, ESCAPED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_ours_are_taken_as_they_are() {
        for text in [
            "/audit/",
            "/audit/search?user=%40alice%3Aexample.org&before=1",
            "/audit/user?user=@a:b//..",
            "/audit/exchange/0198#outcome",
        ] {
            assert_eq!(Next::parse(text).as_str(), text);
        }
    }

    #[test]
    fn nothing_leads_to_another_site_or_out_of_the_page() {
        for text in [
            "",
            "/",
            "/audit",
            "/auditor/",
            "//evil.example/audit/",
            "https://evil.example/audit/",
            "/audit//evil.example",
            "/audit/../metrics",
            "/audit/%2e%2E/metrics",
            "/audit/.%2e",
            "/audit/..\\evil",
            "/\\evil.example",
            "/audit/\r\nSet-Cookie: a=b",
            "/audit/\t",
            "/audit/ä",
            "/audit/login?next=/audit/",
            "/audit/logout",
            "javascript:alert(1)",
            "/audit/search?token=kbg_x",
            &format!("/audit/{}", "x".repeat(LONGEST)),
        ] {
            assert_eq!(Next::parse(text).as_str(), HOME, "{text:?}");
        }
    }

    #[test]
    fn the_log_in_leads_back() {
        assert_eq!(Next::parse("/audit/").log_in(), "/audit/login");
        assert_eq!(
            Next::parse("/audit/search?user=a&verdict=refuse").log_in(),
            "/audit/login?next=/audit/search%3Fuser%3Da%26verdict%3Drefuse"
        );
    }
}
