//! A body of which the beginning has been read, and is sent on all the same.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

/// How many frames are kept apart: one of a single byte takes a hundred.
const FRAMES: usize = 256;

/// A body, frame by frame as it came (many small ones are joined): first what the guard has read,
/// then the rest.
///
/// Nothing is lost by looking: data, trailers, errors, and whether the length was known beforehand,
/// which decides the framing.
#[derive(Debug)]
pub struct Replay<B: Body> {
    front: VecDeque<Result<Frame<Bytes>, B::Error>>,
    rest: Option<B>,
    /// What is left, if the length was known beforehand.
    exact: Option<u64>,
}

/// Nothing in it is ever pinned but the rest.
impl<B: Body + Unpin> Unpin for Replay<B> {}

/// What [`Replay::peek`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// All of the body.
    All,
    /// The limit was passed before the end.
    TooMuch,
    /// The body broke off.
    Broken,
}

// === impl Replay ===

impl<B: Body<Data = Bytes>> Replay<B> {
    /// `body`, of which nothing has been read.
    pub fn pass(body: B) -> Self {
        let exact = body.size_hint().exact();
        Self {
            front: VecDeque::new(),
            rest: Some(body),
            exact,
        }
    }

    /// A body of our own.
    pub fn of(bytes: Bytes) -> Self {
        let exact = Some(bytes.len() as u64);
        let front = if bytes.is_empty() {
            VecDeque::new()
        } else {
            VecDeque::from([Ok(Frame::data(bytes))])
        };
        Self {
            front,
            rest: None,
            exact,
        }
    }

    /// The data that has been read and not yet sent on, in one piece.
    pub(super) fn read(&self) -> Bytes {
        let mut data = self
            .front
            .iter()
            .filter_map(|frame| frame.as_ref().ok()?.data_ref());
        match (data.next(), data.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            (Some(first), Some(second)) => {
                let mut all = BytesMut::from(&first[..]);
                all.extend_from_slice(second);
                data.for_each(|more| all.extend_from_slice(more));
                all.freeze()
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Replay<B> {
    /// Makes one frame of all data that has been read.
    fn join(&mut self) {
        let data = self.read();
        self.front
            .retain(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
        self.front.push_front(Ok(Frame::data(data)));
    }

    /// Reads on until the end, or until more than `limit` bytes of data have been read. May be
    /// dropped at any time: what was read stays.
    pub(super) async fn peek(&mut self, limit: usize) -> Seen {
        let mut length: usize = self
            .front
            .iter()
            .filter_map(|frame| frame.as_ref().ok()?.data_ref())
            .map(Bytes::len)
            .sum();
        while length <= limit {
            let Some(rest) = &mut self.rest else {
                return Seen::All;
            };
            match poll_fn(|context| Pin::new(&mut *rest).poll_frame(context)).await {
                Some(Ok(frame)) => {
                    length += frame.data_ref().map_or(0, Bytes::len);
                    self.front.push_back(Ok(frame));
                    if self.front.len() >= FRAMES {
                        self.join();
                    }
                }
                Some(Err(error)) => {
                    self.front.push_back(Err(error));
                    self.rest = None;
                    return Seen::Broken;
                }
                None => self.rest = None,
            }
        }
        Seen::TooMuch
    }
}

impl<B: Body<Data = Bytes>> Default for Replay<B> {
    fn default() -> Self {
        Self::of(Bytes::new())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Replay<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let frame = match (this.front.pop_front(), &mut this.rest) {
            (Some(frame), _) => Some(frame),
            (None, Some(rest)) => ready!(Pin::new(rest).poll_frame(context)),
            (None, None) => None,
        };
        if let (Some(Ok(frame)), Some(exact)) = (&frame, &mut this.exact) {
            *exact = exact.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // A body without a known length has an end of its own: a last chunk.
        self.front.is_empty()
            && self
                .rest
                .as_ref()
                .map_or(self.exact.is_some(), Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (self.exact, &self.rest) {
            (Some(exact), _) => SizeHint::with_exact(exact),
            (None, Some(rest)) if self.front.is_empty() => rest.size_hint(),
            (None, _) => SizeHint::new(),
        }
    }
}

#[cfg(test)]
mod tests;
