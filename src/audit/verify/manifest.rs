//! What an export says of itself in its last line.

use serde::Deserialize;
use serde_json::{Value, json};

/// The format of exports.
pub(super) const EXPORT_FORMAT: &str = "key-backup-gateway/export/v1";
/// The format of proofs.
pub const PROOF_FORMAT: &str = "key-backup-gateway/proof/v1";

/// The last line of an export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LastLine {
    pub(super) manifest: Manifest,
}

/// See `deploy/proof.md`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: String,
    #[serde(rename = "exported_at")]
    _exported_at: String,
    pub(super) filter: Option<Value>,
    pub(super) records: u64,
    pub(super) sealed: u64,
    pub(super) complete_up_to: u64,
    pub(super) checkpoint: Option<String>,
    pub(super) checkpoints: Vec<String>,
}

/// What an export was made of.
pub struct Exported<'a> {
    /// When, RFC 3339.
    pub exported_at: &'a str,
    /// The filters; `None` for a whole export.
    pub filter: Option<Value>,
    /// How many lines there are.
    pub records: u64,
    /// How many of them have a leaf index.
    pub sealed: u64,
    /// The size of the checkpoint.
    pub complete_up_to: u64,
    /// The newest checkpoint.
    pub checkpoint: Option<&'a str>,
    /// Older ones, the newest first.
    pub checkpoints: &'a [String],
}

// === impl Exported ===

impl Exported<'_> {
    /// The last line of the export, without its end.
    #[must_use]
    pub fn manifest(&self) -> String {
        let manifest = json!({
            "format": EXPORT_FORMAT,
            "exported_at": self.exported_at,
            "filter": self.filter,
            "records": self.records,
            "sealed": self.sealed,
            "complete_up_to": self.complete_up_to,
            "checkpoint": self.checkpoint,
            "checkpoints": self.checkpoints,
        });
        json!({ "manifest": manifest }).to_string()
    }
}
