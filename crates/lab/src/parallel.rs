//! Work spread over threads, results in the order of the work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Runs `work(0) … work(jobs − 1)` on `threads` threads and returns the results in that order, whatever the number of threads.
/// `done` is called on the caller's thread as each finishes; when it returns false, no new work is begun and the results are
/// those that there are.
pub(crate) fn parallel<T: Send>(
    threads: usize,
    jobs: usize,
    work: impl Fn(usize) -> T + Sync,
    mut done: impl FnMut(usize, &T) -> bool,
) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    // Without a buffer, so that no thread is more than one job ahead of what `done` has seen.
    let (sender, receiver) = mpsc::sync_channel(0);
    let mut results: Vec<Option<T>> = (0..jobs).map(|_| None).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.max(1)) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs || sender.send((job, work(job))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        while let Ok((job, result)) = receiver.recv() {
            if !done(job, &result) {
                next.store(jobs, Ordering::Relaxed);
            }
            results[job] = Some(result);
        }
    });
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        for threads in [1, 2, 7] {
            let squares = parallel(threads, 50, |job| job * job, |_, _| true);
            assert!(squares.into_iter().enumerate().all(|(job, square)| square == Some(job * job)));
        }
        assert!(parallel(3, 0, |job| job, |_, _| true).is_empty());
    }

    #[test]
    fn stopping_leaves_the_rest_undone() {
        let results = parallel(1, 10_000, |job| job, |_, _| false);
        assert_eq!(results[0], Some(0));
        assert!(results[2..].iter().all(Option::is_none), "the thread is at most one job ahead");
    }
}
