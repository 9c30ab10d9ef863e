//! Frames by hand: what no library would send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::transparency::{Gateway, PATIENCE};

pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const GOAWAY: u8 = 7;

const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A client's connection.
pub(super) struct Raw(TcpStream);

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) payload: Vec<u8>,
}

/// A field as a literal that is never indexed: [RFC 7541
/// §6.2.3](https://www.rfc-editor.org/rfc/rfc7541#section-6.2.3), without Huffman's code.
fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0x10);
    for text in [name, value] {
        let mut rest = text.len();
        if rest < 127 {
            block.push(u8::try_from(rest).unwrap());
        } else {
            block.push(127);
            rest -= 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
        block.extend_from_slice(text.as_bytes());
    }
}

// === impl Raw ===

impl Raw {
    pub(super) async fn to(gateway: &Gateway) -> Self {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let mut raw = Self(stream);
        raw.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        raw.frame(SETTINGS, 0, 0, &[]).await;
        raw.frame(SETTINGS, ACK, 0, &[]).await;
        raw
    }

    /// Writes a frame. A connection that is gone is no error: the test says what it expects.
    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        let _ = self.0.write_all(&frame).await;
    }

    /// A request with these fields, the pseudo-header fields among them; it ends here.
    pub(super) async fn request(&mut self, stream: u32, fields: &[(&str, &str)]) {
        let mut block = Vec::new();
        for (name, value) in fields {
            literal(&mut block, name, value);
        }
        let flags = END_STREAM | END_HEADERS;
        self.frame(HEADERS, flags, stream, &block).await;
    }

    /// A request, and a body that ends here.
    pub(super) async fn with_body(&mut self, stream: u32, fields: &[(&str, &str)], body: &str) {
        let mut block = Vec::new();
        for (name, value) in fields {
            literal(&mut block, name, value);
        }
        self.frame(HEADERS, END_HEADERS, stream, &block).await;
        self.frame(DATA, END_STREAM, stream, body.as_bytes()).await;
    }

    pub(super) async fn reset(&mut self, stream: u32) {
        let cancel = 8_u32.to_be_bytes();
        self.frame(RST_STREAM, 0, stream, &cancel).await;
    }

    /// The next frame; `None` at the end of the connection.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind: head[3],
                payload,
            })
        };
        timeout(PATIENCE, reading).await.expect("a frame comes")
    }

    /// The next frame of one of `kinds`.
    pub(super) async fn one_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }
}
