//! Standard output, whose reader may have seen enough.

use std::io::{self, ErrorKind, StdoutLock, Write};

/// Prints. That the reader goes away before the end, as `head` does, is no failure.
pub(crate) fn print(write: impl FnOnce(&mut StdoutLock<'static>) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
