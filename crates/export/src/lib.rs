//! The log as files that analysts' tools read: Parquet, or CSV.
//!
//! An export is a pure function of the log up to one event, of what is asked for, and of the release, the certificates aside: what is
//! exported twice is the same to the byte. It is written beside its folder and gets its name when all of it is on the disk.

mod column;
mod error;
mod export;
mod file;
mod folder;
mod manifest;
mod partition;
mod parts;
mod tables;

pub use error::ExportError;
pub use export::{Order, export};
pub use file::Form;
pub use manifest::{Configuration, FileEntry, LogRange, Manifest, SCHEMA_VERSION, TableEntry, UnreadableEntry};
