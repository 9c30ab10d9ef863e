//! Text made safe to store, and to print.

/// The longest text of a column, in bytes.
pub(super) const LIMIT: usize = 255;
/// The longest user agent, in bytes.
pub(super) const USER_AGENT_LIMIT: usize = 512;
/// The most hops of a client chain.
pub(super) const CHAIN_LIMIT: usize = 32;

/// What stands at the end of text that was cut.
const MARK: &str = "…";

/// `text` with control characters escaped as `\u{…}`, at most `limit` bytes, cut with a mark.
///
/// Postgres takes no NUL, a terminal no escape sequences.
pub(in crate::audit) fn made_safe(text: &str, limit: usize) -> String {
    let mut safe = String::with_capacity(text.len().min(limit));
    for char in text.chars() {
        let before = safe.len();
        if acts_on_terminals(char) {
            safe.extend(char.escape_unicode());
        } else {
            safe.push(char);
        }
        if safe.len() > limit {
            safe.truncate(before);
            while safe.len() + MARK.len() > limit {
                safe.pop();
            }
            safe.push_str(MARK);
            break;
        }
    }
    safe
}

/// The same for text that is mostly safe as it is, and stays where it is then.
pub(super) fn make_safe(text: &mut String, limit: usize) {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    if text.len() > limit || !text.bytes().all(is_plain) {
        *text = made_safe(text, limit);
    }
}

/// Whether `char` does something to a terminal other than to stand there.
pub(in crate::audit) fn acts_on_terminals(char: char) -> bool {
    char.is_control() || is_bidi_control(char)
}

/// Characters that reorder the text around them: they could make a line of the trail read as
/// another.
fn is_bidi_control(char: char) -> bool {
    matches!(
        char,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}
