//! Work gathered while the work before it is under way, so that many callers share one round trip and one commit.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, task::yield_now, time::timeout};

use super::fault::{self, Fault};
use crate::{defaults, store::StoreError};

/// What is done with a batch: one answer an item, in their order.
pub(super) trait Work: Send + Sync + 'static {
    type Item: Send + Sync + 'static;
    type Answer: Send + 'static;

    /// How many bytes an item adds to a batch.
    fn weight(item: &Self::Item) -> usize;

    fn run<'a>(&'a self, items: &'a [Self::Item], asked: &'a Asked) -> Running<'a, Self::Answer>;
}

pub(super) type Running<'a, T> = Pin<Box<dyn Future<Output = Result<Vec<T>, Fault>> + Send + 'a>>;

/// Told when the server is asked: from then on nobody knows whether it has committed, until it answers.
pub(super) struct Asked(Vec<Arc<AtomicBool>>);

impl Asked {
    pub(super) fn tell(&self) {
        for asked in &self.0 {
            asked.store(true, Ordering::Release);
        }
    }
}

struct Waiting<W: Work> {
    item: W::Item,
    asked: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<W::Answer, StoreError>>,
}

struct Gathered<W: Work> {
    waiting: VecDeque<Waiting<W>>,
    under_way: usize,
}

pub(super) struct Batches<W: Work> {
    work: W,
    budget: Duration,
    gathered: Mutex<Gathered<W>>,
}

impl<W: Work> fmt::Debug for Batches<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gathered = self.gathered();
        f.debug_struct("Batches")
            .field("waiting", &gathered.waiting.len())
            .field("under_way", &gathered.under_way)
            .finish_non_exhaustive()
    }
}

impl<W: Work> Batches<W> {
    pub(super) fn new(work: W, budget: Duration) -> Arc<Self> {
        let gathered = Mutex::new(Gathered { waiting: VecDeque::new(), under_way: 0 });
        Arc::new(Self { work, budget, gathered })
    }

    /// Does `item` with others. A caller that leaves cancels it only while the server has not been asked.
    pub(super) async fn submit(self: &Arc<Self>, item: W::Item) -> Result<W::Answer, StoreError> {
        let (answer, mut answered) = oneshot::channel();
        let asked = Arc::new(AtomicBool::new(false));
        self.add(Waiting { item, asked: Arc::clone(&asked), answer })?;
        let patience = defaults::POSTGRES_PATIENCE.min(self.budget);
        let mut outcome = timeout(patience, &mut answered).await;
        if outcome.is_err() {
            if !asked.load(Ordering::Acquire) {
                self.start(self.gathered());
            }
            outcome = timeout(self.budget - patience, answered).await;
        }
        match outcome {
            Ok(Ok(answer)) => answer,
            // The runtime of the one who took it shuts down.
            Ok(Err(_)) => Err(fault::uncertain("the batch was dropped")),
            Err(_) if asked.load(Ordering::Acquire) => {
                Err(fault::uncertain(format_args!("no answer within {:?}", self.budget)))
            }
            Err(_) => Err(StoreError::Slow { budget: self.budget }),
        }
    }

    fn add(self: &Arc<Self>, waiting: Waiting<W>) -> Result<(), StoreError> {
        let mut gathered = self.gathered();
        if gathered.waiting.len() >= defaults::POSTGRES_WAITING {
            return Err(fault::unavailable("too many wait for the batch before theirs"));
        }
        gathered.waiting.push_back(waiting);
        if gathered.under_way == 0 || gathered.waiting.len() >= defaults::POSTGRES_BESIDE {
            self.start(gathered);
        }
        Ok(())
    }

    /// Has a task of its own work off what waits, unless enough do.
    fn start(self: &Arc<Self>, mut gathered: MutexGuard<'_, Gathered<W>>) {
        if gathered.under_way < defaults::POSTGRES_BATCHES {
            gathered.under_way += 1;
            let batches = Arc::clone(self);
            drop(gathered);
            tokio::spawn(Turn { batches, counted: true }.work_off());
        }
    }

    /// Waits while others come: whoever was answered with the batch before is about to bring the next item, and would
    /// else find a batch of one or two under way. Ends when everybody who was ready has run and nobody new has come.
    async fn gather(&self) {
        let mut seen = 0;
        while seen < defaults::POSTGRES_BATCH {
            yield_now().await;
            let waiting = self.gathered().waiting.len();
            if waiting <= seen {
                break;
            }
            seen = waiting;
        }
    }

    /// The next batch; the turn is over when it is empty.
    fn next(&self) -> Vec<Waiting<W>> {
        let mut gathered = self.gathered();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(first) = gathered.waiting.front() {
            bytes += W::weight(&first.item);
            let full = batch.len() >= defaults::POSTGRES_BATCH || bytes > defaults::POSTGRES_BATCH_BYTES;
            if full && !batch.is_empty() {
                break;
            }
            // Whoever left before the server was asked wants nothing any more.
            batch.extend(gathered.waiting.pop_front().filter(|waiting| !waiting.answer.is_closed()));
        }
        if batch.is_empty() {
            gathered.under_way -= 1;
        }
        batch
    }

    async fn run(&self, batch: Vec<Waiting<W>>) {
        let mut items = Vec::with_capacity(batch.len());
        let mut callers = Vec::with_capacity(batch.len());
        for waiting in batch {
            items.push(waiting.item);
            callers.push((waiting.asked, waiting.answer));
        }
        let asked = Asked(callers.iter().map(|(asked, _)| Arc::clone(asked)).collect());
        match self.work.run(&items, &asked).await {
            Ok(answers) => {
                for ((_, caller), answer) in callers.into_iter().zip(answers) {
                    let _ = caller.send(Ok(answer));
                }
            }
            // One that cannot be stored must not keep the others from it.
            Err(fault) if fault.one_of_many && items.len() > 1 => {
                for (item, (asked, caller)) in items.iter().zip(callers) {
                    if caller.is_closed() {
                        continue;
                    }
                    let alone = self.work.run(std::slice::from_ref(item), &Asked(vec![asked])).await;
                    let answer = alone.map_err(StoreError::from).and_then(|mut answers| {
                        answers.pop().ok_or_else(|| fault::uncertain("the server answered nothing"))
                    });
                    let _ = caller.send(answer);
                }
            }
            Err(fault) => {
                for (_, caller) in callers {
                    let _ = caller.send(Err(fault.error.clone()));
                }
            }
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered<W>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One task's turn to work batches off until nothing waits. When its runtime drops it half way, the next caller starts
/// another.
struct Turn<W: Work> {
    batches: Arc<Batches<W>>,
    counted: bool,
}

impl<W: Work> Turn<W> {
    async fn work_off(mut self) {
        loop {
            self.batches.gather().await;
            let batch = self.batches.next();
            if batch.is_empty() {
                self.counted = false;
                return;
            }
            self.batches.run(batch).await;
        }
    }
}

impl<W: Work> Drop for Turn<W> {
    fn drop(&mut self) {
        if self.counted {
            self.batches.gathered().under_way -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers each item with the size of its batch, once it is let.
    struct Held(Arc<Semaphore>);

    impl Work for Held {
        type Item = ();
        type Answer = usize;

        fn weight((): &()) -> usize {
            1
        }

        fn run<'a>(&'a self, items: &'a [()], asked: &'a Asked) -> Running<'a, usize> {
            Box::pin(async move {
                asked.tell();
                self.0.acquire().await.expect("it stays open").forget();
                Ok(vec![items.len(); items.len()])
            })
        }
    }

    type Answered = tokio::task::JoinHandle<Result<usize, StoreError>>;

    fn submitted(batches: &Arc<Batches<Held>>, count: usize) -> Vec<Answered> {
        (0..count)
            .map(|_| {
                let batches = Arc::clone(batches);
                tokio::spawn(async move { batches.submit(()).await })
            })
            .collect()
    }

    async fn sizes(answered: Vec<Answered>) -> Vec<usize> {
        let mut sizes = Vec::new();
        for task in answered {
            sizes.push(task.await.expect("it ends").expect("it is answered"));
        }
        sizes
    }

    fn held(permits: usize) -> (Arc<Semaphore>, Arc<Batches<Held>>) {
        let gate = Arc::new(Semaphore::new(permits));
        (Arc::clone(&gate), Batches::new(Held(gate), Duration::from_secs(3)))
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_come_together_share_a_batch() {
        let (_gate, batches) = held(1);
        assert_eq!(sizes(submitted(&batches, 10)).await, [10; 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_wait_for_the_batch_before_theirs_and_go_together() {
        let (gate, batches) = held(0);
        let first = submitted(&batches, 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let few = submitted(&batches, 10);
        tokio::time::sleep(Duration::from_millis(1)).await;
        gate.add_permits(2);
        assert_eq!(sizes(first).await, [1]);
        assert_eq!(sizes(few).await, [10; 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_do_not_wait_for_the_batch_before_theirs() {
        let (gate, batches) = held(0);
        let first = submitted(&batches, 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let many = submitted(&batches, defaults::POSTGRES_BESIDE);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(batches.gathered().under_way, 2);
        gate.add_permits(2);
        assert_eq!(sizes(first).await, [1]);
        assert_eq!(sizes(many).await, [defaults::POSTGRES_BESIDE; defaults::POSTGRES_BESIDE]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_a_batch_that_is_stuck() {
        let (gate, batches) = held(0);
        let stuck = submitted(&batches, 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let next = submitted(&batches, 1);
        tokio::time::sleep(defaults::POSTGRES_PATIENCE + Duration::from_millis(1)).await;
        assert_eq!(batches.gathered().under_way, 2);
        gate.add_permits(2);
        assert_eq!(sizes(next).await, [1]);
        assert_eq!(sizes(stuck).await, [1]);
    }
}
