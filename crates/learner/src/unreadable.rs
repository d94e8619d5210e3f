//! Rows of the log that could not be read, and are not learnt from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Of so many it is kept which they are.
const MOST: usize = 100;

/// How many rows there are, and the first of them. A function of the log like all that is learnt, and saved with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// All of them.
    pub count: u64,
    /// The first hundred.
    pub rows: Vec<UnreadableRow>,
}

/// One row: `SELECT * FROM <table> WHERE seq = <row>` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableRow {
    /// The table that it is in.
    pub table: String,
    /// Its number in the log.
    pub seq: u64,
    /// Which column cannot be read, and why; that of its decision, if that is what cannot be read.
    pub what: String,
}

impl Unreadable {
    pub(crate) fn add(&mut self, row: UnreadableRow) {
        self.count += 1;
        // Nor does the log of the process need to name a million of them.
        if self.rows.len() < MOST {
            let UnreadableRow { table, seq, what } = &row;
            tracing::error!(table, row = seq, what, "a row of the log cannot be read: learning goes on without it");
            self.rows.push(row);
        }
    }
}

/// `decisions 7, feedback 9 and 3 more`.
impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for (place, row) in self.rows.iter().take(SHOWN).enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", row.table, row.seq)?;
        }
        match self.count.saturating_sub(SHOWN as u64) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_counted_and_the_first_are_named() {
        let mut unreadable = Unreadable::default();
        for seq in 1..=1_000 {
            unreadable.add(UnreadableRow { table: "feedback".to_owned(), seq, what: String::new() });
            match seq {
                2 => assert_eq!(unreadable.to_string(), "feedback 1, feedback 2"),
                11 => assert!(unreadable.to_string().ends_with("feedback 10 and 1 more")),
                _ => {}
            }
        }
        assert_eq!((unreadable.count, unreadable.rows.len()), (1_000, MOST));
    }
}
