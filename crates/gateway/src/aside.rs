//! Work beside the requests, bounded in number and in bytes: what does not fit is not begun, and nobody waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;

/// Bytes that all work holds which waits or is under way.
const MOST_BYTES: usize = 64 << 20;

/// A queue of work, and how much of it is under way.
pub(crate) struct Aside {
    waiting: Mutex<Waiting>,
    /// How many workers there are.
    working: watch::Sender<usize>,
    /// That what is under way is to end.
    stop: watch::Sender<bool>,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<Work>,
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

/// A worker, for as long as it lives: it may end with a panic.
struct Working<'a>(&'a Aside);

/// Bytes of work under way, likewise.
struct Held<'a>(&'a Aside, usize);

impl Default for Aside {
    fn default() -> Self {
        Self { waiting: Mutex::default(), working: watch::Sender::new(0), stop: watch::Sender::new(false) }
    }
}

impl Aside {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has this done when its turn comes, unless too much is waiting already. Whether it is taken on. It is dropped unfinished if the gateway
    /// stops first.
    pub(crate) fn offer(
        self: &Arc<Self>,
        bounds: Bounds,
        bytes: usize,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> bool {
        let mut waiting = self.waiting();
        let held = waiting.bytes.saturating_add(bytes);
        if waiting.closed || waiting.work.len() >= bounds.waiting || held > MOST_BYTES {
            return false;
        }
        waiting.bytes = held;
        waiting.work.push_back(Work { bytes, run: Box::pin(run) });
        // While the lock is held: a worker that finds nothing to do ends under it too.
        let begins = *self.working.borrow() < bounds.at_once;
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
                let Some(work) = waiting.work.pop_front() else {
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

    /// Takes on no more and drops what waits; what is under way has this long to end. Returns how much waited.
    pub(crate) async fn close(&self, grace: Duration) -> usize {
        let dropped: VecDeque<Work> = {
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
        assert!(aside.offer(BOUNDS, 1, work()));
        begins.wait_for(|count| *count == 1).await.unwrap();
        assert!(!aside.offer(BOUNDS, MOST_BYTES, work()), "it is too large");
        assert!(aside.offer(BOUNDS, 1, work()) && aside.offer(BOUNDS, 1, work()));
        assert!(!aside.offer(BOUNDS, 1, work()), "two wait already");
        gate.add_permits(2);
        begins.wait_for(|count| *count == 3).await.unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 2, "one after the other");
        assert!(aside.offer(BOUNDS, 1, work()));
        gate.add_permits(2);
        aside.working.subscribe().wait_for(|count| *count == 0).await.unwrap();
        assert_eq!((done.load(Ordering::Relaxed), aside.waiting().bytes), (4, 0));
    }

    #[tokio::test]
    async fn closing_drops_what_waits_and_ends_what_takes_too_long() {
        let aside = Arc::new(Aside::default());
        let (began, mut begins) = watch::channel(false);
        assert!(aside.offer(BOUNDS, 1, async move {
            began.send_replace(true);
            std::future::pending::<()>().await;
        }));
        begins.wait_for(|began| *began).await.unwrap();
        assert!(aside.offer(BOUNDS, 1, async {}));
        assert_eq!(aside.close(Duration::from_millis(1)).await, 1);
        assert!(!aside.offer(BOUNDS, 1, async {}), "it is closed");
    }

    #[tokio::test]
    async fn a_panic_leaves_room_for_others() {
        let aside = Arc::new(Aside::default());
        assert!(aside.offer(BOUNDS, 1, async { panic!("as in a fault of ours") }));
        aside.working.subscribe().wait_for(|count| *count == 0).await.unwrap();
        let (done, mut is_done) = watch::channel(false);
        assert!(aside.offer(BOUNDS, 1, async move {
            done.send_replace(true);
        }));
        is_done.wait_for(|done| *done).await.unwrap();
        aside.working.subscribe().wait_for(|count| *count == 0).await.unwrap();
        assert_eq!(aside.waiting().bytes, 0);
    }
}
