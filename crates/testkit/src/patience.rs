//! Waiting that ends, and says what it waited for.

use std::panic::Location;
use std::time::Duration;

use tokio::time::timeout;

/// A guard against a hang, not a measure: debug builds on a busy machine are far faster.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is yes. `what` says what is waited for, as in "the circuit is open".
///
/// # Panics
/// After a minute, with `what`.
#[track_caller]
pub fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let asked = Location::caller();
    async move {
        let asking = async {
            while !holds().await {
                tokio::task::yield_now().await;
            }
        };
        within(asked, what, asking).await;
    }
}

/// Waits for `waiting` to end, for a minute at most.
#[expect(clippy::panic, reason = "a test that waits for ever says less than one that fails")]
pub(crate) async fn within<T>(asked: &Location<'_>, what: &str, waiting: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, waiting).await {
        Ok(ended) => ended,
        Err(_) => panic!("{asked}: waited {} s in vain until {what}", PATIENCE.as_secs()),
    }
}
