//! `deploy/vectors.json`: records with their leaves, for whoever writes a verifier.

use serde_json::Value;

use super::Line;
use crate::audit::record::leaf::LeafHasher;
use crate::audit::seal::leaf_hash;

const VECTORS: &str = include_str!("../../../../deploy/vectors.json");

#[test]
fn every_record_has_the_leaf_that_the_page_says() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let mut hasher = LeafHasher::new();
    for vector in &vectors {
        let text = vector["record"].to_string();
        let line: Line<'_> = serde_json::from_str(&text).unwrap();
        let summary = line.summary(&mut hasher).unwrap();
        assert_eq!((summary.unfit, summary.erased), (None, None), "{text}");
        let bytes = line.leaf_bytes(&mut hasher).unwrap();
        assert_eq!(hex::encode(&bytes), vector["leaf_bytes"], "{text}");
        assert_eq!(
            hex::encode(leaf_hash(&bytes)),
            vector["leaf_hash"],
            "{text}"
        );
        assert_eq!(hex::encode(summary.hash), vector["leaf_hash"], "{text}");
        assert_eq!(line.leaf_hash(), Some(summary.hash), "{text}");
    }
    assert!(vectors.len() >= 6);
}
