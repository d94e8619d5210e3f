//! Streams of HTTP/2, each of which ends when its client has not read it for too long.
//!
//! The times of a connection do not bound them: other streams keep that busy. And hyper, while a stream may not send, does not ask its
//! body for anything, so that the body cannot end it.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task_local;
use tokio::time::{Instant, sleep};

task_local! {
    /// Since when the client of this task's stream has not read.
    static UNREAD: Cell<Option<Instant>>;
}

/// Runs each stream as a task of its own.
#[derive(Clone)]
pub(super) struct Streams {
    /// How long a client may not read.
    pub(super) idle: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(UNREAD.scope(Cell::new(None), until_unread(stream, self.idle)));
    }
}

/// Notes in the task of a stream since when its client has not read; elsewhere nothing.
pub(super) fn unread(since: Option<Instant>) {
    // Without a stream it is HTTP/1, whose answers the connection's own times bound.
    let _ = UNREAD.try_with(|unread| unread.set(since));
}

/// To its end, or until it has gone unread for `idle`: dropped, it is reset, and what it had buffered is freed.
async fn until_unread(stream: impl Future<Output = ()>, idle: Duration) {
    let mut stream = pin!(stream);
    let mut late = pin!(sleep(idle));
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = UNREAD.with(Cell::get) else { return Poll::Pending };
        late.as_mut().reset(since + idle);
        late.as_mut().poll(cx)
    })
    .await;
}
