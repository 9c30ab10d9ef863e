//! The proof of one exchange.

use serde::Deserialize;

use super::check::Check;
use super::export::judge_alone;
use super::line::Line;
use super::manifest::PROOF_FORMAT;
use super::{Error, Report, lines, outside};
use crate::audit::record::leaf::LeafHasher;
use crate::audit::seal::Verifiers;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofFile<'a> {
    #[serde(borrow)]
    proof: Proof<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof<'a> {
    format: String,
    checkpoint: String,
    #[serde(borrow)]
    records: Vec<Line<'a>>,
}

/// Verifies the proof in `text`, by the keys `verifiers`; `outside` are notes from elsewhere.
///
/// # Errors
///
/// If it is no proof.
pub fn proof(
    text: &str,
    verifiers: &Verifiers,
    outside: &[(String, String)],
) -> Result<Report, Error> {
    let file: ProofFile<'_> = serde_json::from_str(text).map_err(|error| {
        Error::Format(format!(
            "it is no proof as `audit prove` writes it: {error}"
        ))
    })?;
    let proof = file.proof;
    if proof.format != PROOF_FORMAT {
        let format = proof.format;
        return Err(Error::Format(format!(
            "it is a proof of the format `{format}`, which this version does not know"
        )));
    }
    if proof.records.is_empty() {
        return Err(Error::Format(
            "it proves nothing: it has no records".to_owned(),
        ));
    }
    let mut check = Check::part();
    let head = check.marks.add(
        "the checkpoint of the proof",
        &proof.checkpoint,
        None,
        verifiers,
    );
    for (place, text) in outside {
        outside::take(&mut check.marks, place, text, verifiers)?;
    }
    let mut hasher = LeafHasher::new();
    let mut first: Option<super::Finding> = None;
    for line in &proof.records {
        let item = lines::item(Some(line), head.as_ref(), &mut hasher);
        if item.leaf_index.is_none() {
            check.unsealed(item.record_id.unwrap_or_default(), &item.told);
            continue;
        }
        check.alone(&item.told);
        let found = judge_alone(&item);
        let is_earlier = |found: &super::Finding| {
            first
                .as_ref()
                .is_none_or(|first| found.leaf_index < first.leaf_index)
        };
        if found.as_ref().is_some_and(is_earlier) {
            first = found;
        }
    }
    let mut report = check.finish_part(None);
    report.finding = first.or(report.finding);
    Ok(report)
}
