//! What an export says of itself.

use std::sync::Arc;

use serde::Serialize;

/// Version of the tables and of their columns. It goes up when a column is taken away or means something else; columns may be added to one.
pub const SCHEMA_VERSION: u32 = 1;

/// The file `manifest.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of the release that wrote it.
    pub slarouter: &'static str,
    /// `parquet` or `csv`.
    pub format: &'static str,
    /// The part of the log.
    pub log: LogRange,
    /// Whether the messages are in it, where they were kept.
    pub prompts: bool,
    /// Whether raters' own words are in it.
    pub comments: bool,
    /// Its tables.
    pub tables: Vec<TableEntry>,
    /// Its files, in the order of their paths.
    pub files: Vec<FileEntry>,
    /// The configurations of routes that the log holds up to there.
    pub configurations: Vec<Configuration>,
    /// Rows that cannot be read and are in no table; of very many the first.
    pub unreadable: Vec<UnreadableEntry>,
    /// How many these are in all.
    pub unreadable_rows: u64,
}

/// From where to where the log was exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogRange {
    /// The last event that counts.
    pub seq: u64,
    /// SHA-256 of the log up to that event, as reports say it.
    pub sha256: String,
    /// Decisions from here on, in milliseconds since 1970, and what came of them.
    pub from_ms: u64,
    /// And before there; `None` for all.
    pub to_ms: Option<u64>,
    /// Decisions of before there have been shortened and are left out; 0 while none have been.
    pub whole_since_ms: u64,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableEntry {
    /// The name of its folder.
    pub name: &'static str,
    /// How many rows all of its files have.
    pub rows: u64,
    /// Names and types of its columns, in their order. CSV has no lists.
    pub columns: Vec<(&'static str, &'static str)>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileEntry {
    /// From the folder of the export.
    pub path: String,
    /// How many rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Of its content.
    pub sha256: String,
    /// The number in the log of its first row.
    pub first: u64,
    /// And of its last one.
    pub last: u64,
}

/// A configuration of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Configuration {
    /// Its number in the log: it was in force for what was decided on a later state.
    pub seq: u64,
    /// The route.
    pub route: Arc<str>,
    /// SHA-256 of its text, by which versions are told apart.
    pub sha256: String,
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnreadableEntry {
    /// Its number in the log.
    pub seq: u64,
    /// The table of the database.
    pub table: &'static str,
    /// Which column, and what is wrong with it.
    pub what: String,
}
