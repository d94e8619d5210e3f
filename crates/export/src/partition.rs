//! Where a row belongs: its route and its day, which are folders, named as Hive names them.

use std::collections::HashMap;
use std::sync::Arc;

use slarouter_core::Timestamp;
use slarouter_store::Calendar;

use crate::tables::moment;

/// Most bytes of the name of a folder: file systems take 255.
const LONGEST_NAME: usize = 240;
const DAY_MS: u64 = 86_400_000;
/// What Hive calls a folder of what has no value.
const NOWHERE: &str = "__HIVE_DEFAULT_PARTITION__";

/// A route and a day in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Partition {
    route: Arc<str>,
    day: Arc<str>,
}

/// The partitions of rows, each looked up once a day and route.
#[derive(Default)]
pub(crate) struct Partitions {
    known: HashMap<(Arc<str>, u64), Result<Partition, String>>,
}

impl Partition {
    /// Of what was decided then.
    ///
    /// # Errors
    /// What is wrong: a moment that is none, or a route whose name is too long for a folder.
    pub(crate) fn new(route: &Arc<str>, time: Timestamp) -> Result<Self, String> {
        if moment(time).is_none() {
            return Err(format!("time: {} is beyond the year 9999", time.0));
        }
        let partition = Self { route: route.clone(), day: Calendar::default().date(time).into() };
        if folder("route", route).len() > LONGEST_NAME {
            return Err(format!("route: a name of {} bytes is too long for a folder", route.len()));
        }
        Ok(partition)
    }

    /// Of nothing: where the file of a table without rows lies, so that tools find its columns.
    pub(crate) fn nowhere() -> Self {
        Self { route: "".into(), day: "".into() }
    }

    /// Empty where a model outside of all routes was named.
    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    /// As `2026-11-29`.
    pub(crate) fn day(&self) -> &str {
        &self.day
    }

    /// Its folder below that of a table.
    pub(crate) fn folder(&self) -> String {
        format!("{}/{}", folder("route", &self.route), folder("day", &self.day))
    }
}

/// A folder as Hive names it: what is neither a letter, a digit nor one of `-_.` is written as %XX.
fn folder(name: &str, value: &str) -> String {
    let mut folder = format!("{name}=");
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => folder.push(byte.into()),
            _ => folder += &format!("%{byte:02X}"),
        }
    }
    if value.is_empty() { folder + NOWHERE } else { folder }
}

impl Partitions {
    /// That of what was decided on this route then.
    ///
    /// # Errors
    /// As [`Partition::new`].
    pub(crate) fn of(&mut self, route: &Arc<str>, time: Timestamp) -> Result<Partition, String> {
        let key = (route.clone(), time.0 / DAY_MS);
        self.known.entry(key).or_insert_with(|| Partition::new(route, time)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_tools_read_them() {
        let at = |route: &str, ms| Partition::new(&route.into(), Timestamp(ms)).map(|partition| partition.folder());
        assert_eq!(at("default", 0).unwrap(), "route=default/day=1970-01-01");
        assert_eq!(at("a/b", DAY_MS).unwrap(), "route=a%2Fb/day=1970-01-02");
        assert_eq!(at("../é\0", DAY_MS - 1).unwrap(), "route=..%2F%C3%A9%00/day=1970-01-01");
        assert_eq!(at("", 0).unwrap(), format!("route={NOWHERE}/day=1970-01-01"));
        assert!(at("r", u64::MAX).unwrap_err().contains("year 9999"));
        assert!(at(&"/".repeat(100), 0).unwrap_err().contains("a name of 100 bytes"));
    }
}
