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

/// Tasks that do the same again and again.
struct Load<E> {
    over: Arc<AtomicBool>,
    tasks: JoinSet<Result<(), E>>,
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
    let load = Load::start(in_flight, work);
    tokio::time::sleep(warm_up).await;
    let (before, started) = (count()?, Instant::now());
    tokio::time::sleep(window).await;
    let (after, took) = (count()?, started.elapsed());
    load.end().await?;
    let records = after - before;
    Ok(Rate { records, took })
}

/// The same until `is_over`, which is asked every `pause`.
///
/// # Errors
///
/// The first that `work` or `is_over` says.
pub(crate) async fn until<E, F>(
    in_flight: u32,
    work: impl Fn(u64) -> F + Clone + Send + 'static,
    mut is_over: impl FnMut() -> Result<bool, E>,
    pause: Duration,
) -> Result<(), E>
where
    E: Send + 'static,
    F: Future<Output = Result<(), E>> + Send,
{
    let load = Load::start(in_flight, work);
    while !is_over()? {
        tokio::time::sleep(pause).await;
    }
    load.end().await
}

// === impl Load ===

impl<E: Send + 'static> Load<E> {
    fn start<F>(in_flight: u32, work: impl Fn(u64) -> F + Clone + Send + 'static) -> Self
    where
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
        Self { over, tasks }
    }

    async fn end(self) -> Result<(), E> {
        self.over.store(true, Ordering::Relaxed);
        for done in self.tasks.join_all().await {
            done?;
        }
        Ok(())
    }
}

/// The median, in seconds; of nothing, 0.
pub(crate) fn median(values: Vec<Duration>) -> f64 {
    percentile(values, 50)
}

/// What `percent` of the values are less than, in seconds; of nothing, 0.
pub(crate) fn percentile(mut values: Vec<Duration>, percent: usize) -> f64 {
    values.sort_unstable();
    values
        .get(values.len() * percent / 100)
        .copied()
        .unwrap_or_default()
        .as_secs_f64()
}
