use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};

use super::{FRAMES, Replay, Seen};

/// One frame, or what went wrong.
type Next = Result<Frame<Bytes>, &'static str>;

fn chunked(frames: Vec<Next>) -> Replay<impl Body<Data = Bytes, Error = &'static str> + Unpin> {
    Replay::pass(StreamBody::new(stream(frames)))
}

/// A stream of what is there already.
fn stream(frames: Vec<Next>) -> impl futures_core::Stream<Item = Next> + Unpin {
    struct Iter(std::vec::IntoIter<Next>);
    impl futures_core::Stream for Iter {
        type Item = Next;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Next>> {
            std::task::Poll::Ready(self.0.next())
        }
    }
    Iter(frames.into_iter())
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn what_was_peeked_is_sent_on_frame_by_frame_with_its_trailers() {
    let trailers = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("x-sum"),
        http::HeaderValue::from_static("1"),
    )]);
    let mut body = chunked(vec![
        Ok(data("ab")),
        Ok(data("cd")),
        Ok(Frame::trailers(trailers.clone())),
    ]);
    assert_eq!(body.peek(10).await, Seen::All);
    assert_eq!(body.read(), "abcd");
    assert_eq!(body.size_hint().exact(), None, "chunked stays chunked");
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "ab"
    );
    let rest = body.collect().await.unwrap();
    assert_eq!(rest.trailers(), Some(&trailers));
    assert_eq!(rest.to_bytes(), "cd");
}

#[tokio::test]
async fn peeking_stops_at_the_limit_and_the_rest_follows() {
    let mut body = chunked(vec![Ok(data("abc")), Ok(data("def")), Ok(data("ghi"))]);
    assert_eq!(body.peek(4).await, Seen::TooMuch);
    assert_eq!(body.read(), "abcdef");
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdefghi");
}

#[tokio::test]
async fn many_small_frames_do_not_pile_up() {
    let mut body = chunked((0..5000).map(|_| Ok(data("a"))).collect());
    assert_eq!(body.peek(5000).await, Seen::All);
    assert!(body.front.len() <= FRAMES, "{}", body.front.len());
    assert_eq!(body.collect().await.unwrap().to_bytes(), "a".repeat(5000));
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_at_the_same_place() {
    let mut body = chunked(vec![Ok(data("abc")), Err("broken")]);
    assert_eq!(body.peek(10).await, Seen::Broken);
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "abc"
    );
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "broken");
}

#[tokio::test]
async fn a_known_length_stays_known() {
    let mut body = Replay::pass(http_body_util::Full::new(Bytes::from_static(b"abc")));
    assert_eq!(body.peek(10).await, Seen::All);
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(!body.is_end_stream());
    drop(body.frame().await);
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.is_end_stream());
    assert!(Replay::<http_body_util::Full<Bytes>>::of(Bytes::new()).is_end_stream());
}
