//! The log as requests write to it: what it cannot take is counted, and fails nobody.

use std::sync::Arc;

use slarouter_store::{Entry, Store, StoreError};

use crate::metrics::Metrics;

/// Appends to the store's log, and counts what is lost.
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Journal {
    pub(crate) fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    /// Appends to the log. A log that is full or gone never fails a request: it is counted and said.
    pub(crate) fn log(&self, entry: Entry) {
        if let Err(error) = self.store.log(entry) {
            self.metrics.unlogged();
            tracing::error!(%error, "not logged: this request will not be learnt from");
        }
    }

    /// Whether the log cannot be written.
    pub(crate) fn is_failing(&self) -> bool {
        self.store.is_failing()
    }

    /// Waits until all that was appended is on disk.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        self.store.flush().await
    }
}
