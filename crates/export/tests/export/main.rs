//! What is exported is what the log holds, and nothing is left of what could not be.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod log;
mod read;
mod refused;
mod round_trip;

use std::path::Path;

use slarouter_core::Timestamp;
use slarouter_export::{ExportError, Form, Manifest, Order, export};

/// Everything, as Parquet.
fn order(folder: &Path) -> Order {
    Order {
        folder: folder.to_owned(),
        form: Form::Parquet,
        period: Timestamp(0)..Timestamp(u64::MAX),
        until: None,
        prompts: false,
        comments: false,
    }
}

/// All that is logged by now, through a store that only reads, as the command does.
async fn exported(log: &log::Log, order: &Order) -> Result<Manifest, ExportError> {
    log.store.flush().await.unwrap();
    let reading = slarouter_store::open_to_read(&log.url).await.unwrap();
    let made = export(reading.as_ref(), order).await;
    reading.close().await;
    made
}

/// How many rows the manifest says that a table has.
fn rows(manifest: &Manifest, table: &str) -> u64 {
    manifest.tables.iter().find(|entry| entry.name == table).unwrap().rows
}
