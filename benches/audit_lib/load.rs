//! Load, and what it comes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// How much was done, and in which time.
pub(crate) struct Rate {
    pub(crate) records: u64,
    pub(crate) took: Duration,
}

/// `in_flight` tasks that do `work` again and again, each the next number; `count` says before and
/// after the `window` how much is done.
///
/// # Errors
///
/// The first that `work` or `count` says.
pub(crate) async fn closed_loop<E, F>(
    in_flight: u32,
    warm_up: Duration,
    window: Duration,
    work: impl Fn(u64) -> F + Clone + Send + 'static,
    count: impl Fn() -> Result<u64, E>,
) -> Result<Rate, E>
where
    E: Send + 'static,
    F: Future<Output = Result<(), E>> + Send,
{
    let over = Arc::new(AtomicBool::new(false));
    let numbers = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (work, over, numbers) = (work.clone(), Arc::clone(&over), Arc::clone(&numbers));
        tasks.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                work(numbers.fetch_add(1, Ordering::Relaxed)).await?;
            }
            Ok(())
        });
    }
    tokio::time::sleep(warm_up).await;
    let (before, started) = (count()?, Instant::now());
    tokio::time::sleep(window).await;
    let (after, took) = (count()?, started.elapsed());
    over.store(true, Ordering::Relaxed);
    for done in tasks.join_all().await {
        done?;
    }
    let records = after - before;
    Ok(Rate { records, took })
}

/// The median, in seconds; of nothing, 0.
pub(crate) fn median(mut values: Vec<Duration>) -> f64 {
    values.sort_unstable();
    values
        .get(values.len() / 2)
        .copied()
        .unwrap_or_default()
        .as_secs_f64()
}
