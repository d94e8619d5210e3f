//! A hash of the log, by which it is known to be the same, in whatever database it is.

use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::columns::{Cells, Value};

/// What goes in, table after table.
pub(crate) const TABLES: [&str; 6] = ["route_configs", "decisions", "reroutes", "outcomes", "feedback", ROLLBACKS];

const ROLLBACKS: &str = "rollbacks";

/// A hash in the making.
#[derive(Default)]
pub(crate) struct Fingerprint {
    hash: Sha256,
    /// The last zoo that a decision has.
    last_zoo: i64,
}

impl Fingerprint {
    /// Begins with the last event of what is gone, 0 if nothing is: a log that was shortened is another one.
    pub(crate) fn begin(gone: i64) -> Self {
        let mut fingerprint = Self::default();
        if gone > 0 {
            fingerprint.hash.update("shortened");
            fingerprint.value(1, &gone.to_be_bytes());
        }
        fingerprint
    }

    /// Begins the rows of a table.
    pub(crate) fn table(&mut self, name: &str) {
        // The hash of a log without any is what it was before there was this table.
        if name != ROLLBACKS {
            self.hash.update(name);
        }
    }

    /// Takes a row in, of which these are the columns, in the order of SQLite's tables. Prompts are left out: they may be erased.
    pub(crate) fn row<'n>(
        &mut self,
        row: &dyn Cells,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), StoreError> {
        for (place, name) in names.into_iter().enumerate().filter(|(_, name)| *name != "prompt") {
            match row.value(place)? {
                Value::Null => self.value(0, &[]),
                Value::Integer(number) => {
                    if name == "zoo" {
                        self.last_zoo = self.last_zoo.max(number);
                    }
                    self.value(1, &number.to_be_bytes());
                }
                Value::Real(number) => self.value(2, &number.to_bits().to_be_bytes()),
                Value::Text(text) => self.value(3, &text),
                Value::Blob(bytes) => self.value(4, bytes),
            }
        }
        Ok(())
    }

    /// The last of the zoos whose rows go in at the end, as the decisions name them by their numbers.
    pub(crate) fn last_zoo(&self) -> i64 {
        self.last_zoo
    }

    /// Of all that was taken in.
    pub(crate) fn finish(self) -> [u8; 32] {
        self.hash.finalize().into()
    }

    /// With its type and length, so that no value runs into the next.
    fn value(&mut self, kind: u8, bytes: &[u8]) {
        self.hash.update([kind]);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }
}

/// The events up to this one in stretches that are read in one go.
pub(crate) fn stretches(until: u64) -> impl Iterator<Item = (u64, u64)> {
    const LENGTH: usize = 65_536;
    (0..until).step_by(LENGTH).map(move |from| (from, until.min(from + LENGTH as u64)))
}
