//! Work beside the requests, bounded in number and in bytes: what does not fit is not begun, and nobody waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use slarouter_core::DecisionId;
use tokio::sync::watch;
use tokio::time::timeout;

/// Bytes that all work holds which waits or is under way.
const MOST_BYTES: usize = 64 << 20;

/// Work that waits, that of the oldest decision first, and how much is under way.
#[derive(Default)]
pub(crate) struct Aside {
    waiting: Mutex<Waiting>,
    /// It is begun by [`Aside::settle`] alone.
    held: bool,
    /// How much work may still be offered.
    expected: watch::Sender<usize>,
    /// How many workers there are.
    working: watch::Sender<usize>,
    /// That what is under way is to end.
    stop: watch::Sender<bool>,
}

#[derive(Default)]
struct Waiting {
    work: BTreeMap<DecisionId, Work>,
    /// Also those of what is under way.
    bytes: usize,
    closed: bool,
}

struct Work {
    bytes: usize,
    run: BoxFuture<'static, ()>,
}

/// How much may wait, and how much be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) waiting: usize,
    pub(crate) at_once: usize,
}

/// Work may be offered as long as this lives.
pub(crate) struct Expected(Arc<Aside>);

/// A worker, for as long as it lives: it may end with a panic.
struct Working<'a>(&'a Aside);

/// Bytes of work under way, likewise.
struct Held<'a>(&'a Aside, usize);

impl Aside {
    /// Work is begun by [`Aside::settle`] alone, so that a simulation has it done at the same point each time.
    pub(crate) fn held() -> Self {
        Self { held: true, ..Self::default() }
    }

    /// [`Aside::settle`] waits until what this gives is dropped.
    pub(crate) fn expect(self: &Arc<Self>) -> Expected {
        self.expected.send_modify(|count| *count += 1);
        Expected(self.clone())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has this done when its turn comes, unless too much is waiting already. Whether it is taken on; there is one piece of work for a decision
    /// at most. It is dropped unfinished if the gateway stops first.
    pub(crate) fn offer(
        self: &Arc<Self>,
        bounds: Bounds,
        decision: DecisionId,
        bytes: usize,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> bool {
        let mut waiting = self.waiting();
        let held = waiting.bytes.saturating_add(bytes);
        let is_full = waiting.work.len() >= bounds.waiting || held > MOST_BYTES;
        if waiting.closed || is_full || waiting.work.contains_key(&decision) {
            return false;
        }
        waiting.bytes = held;
        waiting.work.insert(decision, Work { bytes, run: Box::pin(run) });
        // While the lock is held: a worker that finds nothing to do ends under it too.
        let begins = !self.held && *self.working.borrow() < bounds.at_once;
        if begins {
            self.working.send_modify(|count| *count += 1);
        }
        drop(waiting);
        if begins {
            let aside = self.clone();
            tokio::spawn(async move { aside.work().await });
        }
        true
    }

    async fn work(&self) {
        let working = Working(self);
        let mut stop = self.stop.subscribe();
        loop {
            let Work { bytes, run } = {
                let mut waiting = self.waiting();
                let Some((_, work)) = waiting.work.pop_first() else {
                    drop(working);
                    return;
                };
                work
            };
            let _held = Held(self, bytes);
            tokio::select! {
                () = run => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Does what waits, one after the other, once no more is expected; how much it was.
    pub(crate) async fn settle(&self) -> usize {
        // The sender is `self`'s own, so it does not go away.
        let _ = self.expected.subscribe().wait_for(|count| *count == 0).await;
        let mut done = 0;
        loop {
            let next = self.waiting().work.pop_first();
            let Some((_, Work { bytes, run })) = next else { return done };
            let _held = Held(self, bytes);
            run.await;
            done += 1;
        }
    }

    /// Takes on no more and drops what waits; what is under way has this long to end. Returns how much waited.
    pub(crate) async fn close(&self, grace: Duration) -> usize {
        let dropped = {
            let mut waiting = self.waiting();
            waiting.closed = true;
            std::mem::take(&mut waiting.work)
        };
        let mut working = self.working.subscribe();
        if timeout(grace, working.wait_for(|count| *count == 0)).await.is_err() {
            self.stop.send_replace(true);
            // Each ends at its next step.
            let _ = working.wait_for(|count| *count == 0).await;
        }
        dropped.len()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.expected.send_modify(|count| *count -= 1);
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.working.send_modify(|count| *count -= 1);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.waiting().bytes -= self.1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const BOUNDS: Bounds = Bounds { waiting: 2, at_once: 1 };

    #[tokio::test]
    async fn what_does_not_fit_is_not_begun_and_the_rest_has_its_turn() {
        let (aside, gate, done) =
            (Arc::new(Aside::default()), Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (began, mut begins) = watch::channel(0);
        let began = Arc::new(began);
        let work = || {
            let (gate, done, began) = (gate.clone(), done.clone(), began.clone());
            async move {
                began.send_modify(|count| *count += 1);
                gate.acquire().await.unwrap().forget();
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        assert!(aside.offer(BOUNDS, DecisionId(1), 1, work()));
        begins.wait_for(|count| *count == 1).await.unwrap();
        assert!(!aside.offer(BOUNDS, DecisionId(2), MOST_BYTES, work()), "it is too large");
        assert!(aside.offer(BOUNDS, DecisionId(3), 1, work()) && aside.offer(BOUNDS, DecisionId(4), 1, work()));
        assert!(!aside.offer(BOUNDS, DecisionId(5), 1, work()), "two wait already");
        gate.add_permits(2);
        begins.wait_for(|count| *count == 3).await.unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 2, "one after the other");
        assert!(aside.offer(BOUNDS, DecisionId(6), 1, work()));
        gate.add_permits(2);
        aside.working.subscribe().wait_for(|count| *count == 0).await.unwrap();
        assert_eq!((done.load(Ordering::Relaxed), aside.waiting().bytes), (4, 0));
    }

    #[tokio::test]
    async fn closing_drops_what_waits_and_ends_what_takes_too_long() {
        let aside = Arc::new(Aside::default());
        let (began, mut begins) = watch::channel(false);
        assert!(aside.offer(BOUNDS, DecisionId(7), 1, async move {
            began.send_replace(true);
            std::future::pending::<()>().await;
        }));
        begins.wait_for(|began| *began).await.unwrap();
        assert!(aside.offer(BOUNDS, DecisionId(8), 1, async {}));
        assert_eq!(aside.close(Duration::from_millis(1)).await, 1);
        assert!(!aside.offer(BOUNDS, DecisionId(9), 1, async {}), "it is closed");
    }

    #[tokio::test]
    async fn a_panic_leaves_room_for_others() {
        let aside = Arc::new(Aside::default());
        assert!(aside.offer(BOUNDS, DecisionId(10), 1, async { panic!("as in a fault of ours") }));
        aside.working.subscribe().wait_for(|count| *count == 0).await.unwrap();
        let (done, mut is_done) = watch::channel(false);
        assert!(aside.offer(BOUNDS, DecisionId(11), 1, async move {
            done.send_replace(true);
        }));
        is_done.wait_for(|done| *done).await.unwrap();
        aside.working.subscribe().wait_for(|count| *count == 0).await.unwrap();
        assert_eq!(aside.waiting().bytes, 0);
    }

    #[tokio::test]
    async fn held_work_is_done_in_the_order_of_decisions_once_no_more_is_expected() {
        let (aside, done) = (Arc::new(Aside::held()), Arc::new(Mutex::new(Vec::new())));
        let work = |n: u128| {
            let done = done.clone();
            async move { done.lock().unwrap().push(n) }
        };
        let bounds = Bounds { waiting: 9, at_once: 9 };
        let expected = aside.expect();
        for n in [3, 1] {
            assert!(aside.offer(bounds, DecisionId(n), 1, work(n)));
        }
        assert!(!aside.offer(bounds, DecisionId(1), 1, work(1)), "there is one for a decision");
        let settling = tokio::spawn({
            let aside = aside.clone();
            async move { aside.settle().await }
        });
        tokio::task::yield_now().await;
        assert!(done.lock().unwrap().is_empty(), "more is expected");
        assert!(aside.offer(bounds, DecisionId(2), 1, work(2)));
        drop(expected);
        assert_eq!(settling.await.unwrap(), 3);
        assert_eq!(*done.lock().unwrap(), [1, 2, 3]);
        assert_eq!((aside.settle().await, aside.waiting().bytes), (0, 0));
    }
}
