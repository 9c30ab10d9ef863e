//! Which client a `User-Agent` names.

/// What every browser says it is, and engines: none of them is the client if anything else is named.
const DISGUISES: [&str; 11] = [
    "Mozilla",
    "AppleWebKit",
    "KHTML",
    "Gecko",
    "Version",
    "Mobile",
    "Safari",
    "Chrome",
    "Electron",
    "Firefox",
    "Edg",
];

/// Browsers, the most telling first: `Edg` says that it is Chrome, and Chrome that it is Safari.
const BROWSERS: [&str; 4] = ["Edg", "Firefox", "Chrome", "Safari"];

/// What a name, and what a version, is cut to, in characters.
const LONGEST: usize = 64;

/// Name and version of the client that says `user_agent` (RFC 9110, section 10.1.5); empty where it says none.
///
/// Matrix clients have spaces in their names, as in `Element X/1.9.0 (iPhone15,2; iOS 17.0)`, and those that are made of a
/// browser stand among what all browsers say.
#[must_use]
pub fn client(user_agent: Option<&str>) -> (String, String) {
    let text = without_comments(user_agent.unwrap_or_default());
    let products = products(&text);
    let telling = products.iter().find(|(name, _)| !DISGUISES.contains(name));
    let browser = || {
        let named = |browser| products.iter().find(move |(name, _)| *name == browser);
        BROWSERS.into_iter().find_map(named)
    };
    let (name, version) = telling
        .or_else(browser)
        .or(products.first())
        .copied()
        .unwrap_or_default();
    (cut(name), cut(version))
}

/// A name with all its words, and what follows its `/`.
fn products(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('/') {
        let (version, next) = after.split_once(' ').unwrap_or((after, ""));
        found.push((name.trim(), version));
        rest = next.trim_start();
    }
    if found.is_empty() && !rest.is_empty() {
        found.push((rest, ""));
    }
    found
}

fn without_comments(text: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(char),
            _ => {}
        }
    }
    kept
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::client;

    #[test]
    fn clients_are_known_by_what_they_say() {
        for (said, name, version) in [
            (
                "Element X/1.9.0 (iPhone15,2; iOS 17.0; Scale/3.00)",
                "Element X",
                "1.9.0",
            ),
            (
                "Element X/25.01.0 (Google Pixel 8; Android 14; Sdk abc)",
                "Element X",
                "25.01.0",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Element/1.12.4 Chrome/140.0.0.0 Electron/38.2.0 Safari/537.36",
                "Element",
                "1.12.4",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                "Chrome",
                "120.0.0.0",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox",
                "140.0",
            ),
            ("matrix-rust-sdk", "matrix-rust-sdk", ""),
            ("curl/7.88.1", "curl", "7.88.1"),
            ("", "", ""),
            ("(only a comment", "", ""),
            ("/", "", ""),
        ] {
            assert_eq!(
                client(Some(said)),
                (name.to_owned(), version.to_owned()),
                "{said}"
            );
        }
        assert_eq!(client(None), (String::new(), String::new()));
        assert_eq!(client(Some(&"a".repeat(1000))).0.len(), 64);
    }
}
