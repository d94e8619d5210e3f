//! A file of which a hash is taken while it is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// What is known of a file once it is whole and on the disk.
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

/// A new file, of which a hash is taken.
pub(crate) struct Hashed {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Hashed {
    /// A file that is not there yet.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create_new(path)?, hash: Sha256::new(), bytes: 0 })
    }

    /// Waits for the disk.
    pub(crate) fn close(self) -> io::Result<Written> {
        self.file.sync_all()?;
        Ok(Written { bytes: self.bytes, sha256: HEXLOWER.encode(&self.hash.finalize()) })
    }
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
