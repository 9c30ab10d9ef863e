//! Whether the homeserver can say of anybody who they are, asked when it failed at some credentials.
//!
//! One question is under way at a time, whoever wants to know, and its answer holds for a second: an
//! outage, or a flood of odd credentials, costs the homeserver about one request a second more. So for a
//! second after it went away its failure may be taken for one at these credentials alone, and for a
//! second after it came back the reverse.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// For how long an answer holds.
const HOLDS: Duration = Duration::from_secs(1);

/// The last question.
#[derive(Default)]
pub(super) struct Doubt(Mutex<Option<watch::Receiver<Option<Answer>>>>);

/// What was found out, and when.
#[derive(Clone, Copy)]
struct Answer {
    can_say: bool,
    at: Instant,
}

// === impl Doubt ===

impl Doubt {
    /// Whether the homeserver can say of anybody who they are. `ask` finds that out, within a deadline
    /// of its own; it is not called when the answer is known or on its way.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub(super) async fn can_say<F>(&self, ask: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let mut question = self.question(ask);
        // An error: it ended without an answer.
        let answered = question.wait_for(Option::is_some).await;
        answered.is_ok_and(|answer| answer.is_some_and(|answer| answer.can_say))
    }

    /// The question under way, or the one whose answer holds, or a new one.
    fn question<F>(&self, ask: impl FnOnce() -> F) -> watch::Receiver<Option<Answer>>
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = &*last
            && is_of_use(question)
        {
            return question.clone();
        }
        let (tell, question) = watch::channel(None);
        let asking = ask();
        // On its own: others go on waiting for it when whoever began it has given up.
        tokio::spawn(async move {
            let can_say = asking.await;
            tell.send_replace(Some(Answer {
                can_say,
                at: Instant::now(),
            }));
        });
        *last = Some(question.clone());
        question
    }
}

/// Whether an answer will come, or has come and holds.
fn is_of_use(question: &watch::Receiver<Option<Answer>>) -> bool {
    let answer = *question.borrow();
    answer.map_or_else(
        || question.has_changed().is_ok(),
        |answer| answer.at.elapsed() < HOLDS,
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(5);

    /// Asks, with an answer that takes `time`, and counts the times that it was asked for.
    async fn ask(doubt: &Doubt, asked: &Arc<AtomicU32>, time: Duration, can_say: bool) -> bool {
        let asked = Arc::clone(asked);
        let ask = || async move {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(time).await;
            can_say
        };
        doubt.can_say(ask).await
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_while_the_question_is_under_way_gets_its_answer() {
        let (doubt, asked) = (Arc::new(Doubt::default()), Arc::default());
        let many = (0..100).map(|_| {
            let (doubt, asked) = (Arc::clone(&doubt), Arc::clone(&asked));
            tokio::spawn(async move { ask(&doubt, &asked, LONG, true).await })
        });
        for one in many.collect::<Vec<_>>() {
            assert!(one.await.unwrap());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_second_whichever_it_is() {
        for can_say in [true, false] {
            let (doubt, asked) = (Doubt::default(), Arc::default());
            for expected in [1, 1, 2, 2, 3] {
                assert_eq!(ask(&doubt, &asked, Duration::ZERO, can_say).await, can_say);
                assert_eq!(asked.load(Ordering::Relaxed), expected);
                tokio::time::advance(HOLDS * 6 / 10).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_question_goes_on_when_whoever_began_it_gives_up() {
        let (doubt, asked) = (Doubt::default(), Arc::default());
        let first = tokio::time::timeout(LONG / 2, ask(&doubt, &asked, LONG, true));
        assert!(first.await.is_err());
        assert!(
            ask(&doubt, &asked, LONG, false).await,
            "the first one's answer"
        );
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_broke_off_is_asked_again() {
        let doubt = Doubt::default();
        let breaks = || async { panic!("as a homeserver's own router may") };
        assert!(!doubt.can_say(breaks).await);
        assert!(ask(&doubt, &Arc::default(), Duration::ZERO, true).await);
    }
}
