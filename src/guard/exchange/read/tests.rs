use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::{LOOK, decoded};

fn gzip(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap().into()
}

fn coding(name: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_ENCODING, http::HeaderValue::from_static(name))])
}

#[test]
fn gzip_is_seen_through_up_to_the_limit() {
    let content = br#"{"enabled":true}"#;
    assert_eq!(
        decoded(&coding("GZip"), gzip(content)).unwrap(),
        &content[..]
    );
    assert!(decoded(&coding("gzip"), gzip(&vec![b' '; LOOK])).is_some());
    assert_eq!(decoded(&coding("gzip"), gzip(&vec![b' '; LOOK + 1])), None);
}

#[test]
fn what_cannot_be_read_is_not_known() {
    assert_eq!(decoded(&coding("br"), Bytes::from_static(b"{}")), None);
    assert_eq!(decoded(&coding("gzip"), Bytes::from_static(b"{}")), None);
    assert_eq!(
        decoded(&HeaderMap::new(), Bytes::from_static(b"{}")).unwrap(),
        "{}"
    );
}
