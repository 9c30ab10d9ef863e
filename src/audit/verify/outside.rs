//! Checkpoints that were kept elsewhere.

use super::Error;
use super::marks::Marks;
use crate::audit::seal::{Verifiers, notes_in};

/// Takes the notes in `text`, which was found at `place`: one, or many as a file of checkpoints has them.
pub(super) fn take(
    marks: &mut Marks,
    place: &str,
    text: &str,
    verifiers: &Verifiers,
) -> Result<(), Error> {
    // As the log has them: one line, its ends escaped.
    let unescaped = text.replace("\\n", "\n");
    let notes = notes_in(&unescaped);
    if notes.is_empty() {
        return Err(Error::Format(format!("{place} holds no checkpoint")));
    }
    for note in notes {
        let _ = marks.add(
            &format!("the checkpoint in {place}"),
            &note,
            None,
            verifiers,
        );
    }
    Ok(())
}
