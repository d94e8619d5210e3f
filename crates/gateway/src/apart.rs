//! Work that takes long, apart from the requests that wait on the same thread.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// A text of so many bytes is gone through apart. A shorter one takes less than the change of threads brings.
const LONG: usize = 128 << 10;

/// Goes through a text of so many bytes, about a millisecond for each hundred kilobytes. While it is a long one, another thread takes over the
/// other requests of this one.
pub(crate) fn apart<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    // There is no other thread in a runtime of one.
    let has_others = || Handle::try_current().is_ok_and(|held| held.runtime_flavor() == RuntimeFlavor::MultiThread);
    if bytes >= LONG && has_others() { block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// There is one thread, and the other request is in its queue.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_long_text_keeps_nobody_waiting() {
        let both = tokio::spawn(async {
            let (say, said) = channel();
            let other = tokio::spawn(async move { say.send(7) });
            let heard = apart(LONG, || said.recv());
            assert!(other.await.is_ok());
            heard
        });
        assert_eq!(both.await.unwrap(), Ok(7));
        assert_eq!(apart(LONG - 1, || 7), 7);
    }

    #[tokio::test]
    async fn where_there_is_one_thread_it_is_the_one() {
        assert_eq!(apart(LONG, || 7), 7);
    }
}
