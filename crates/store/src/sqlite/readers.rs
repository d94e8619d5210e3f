//! Connections that read beside the writer, as WAL allows.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection::Options;
use crate::StoreError;

/// Reads at a time; more wait.
const READERS: u32 = 4;

pub(super) struct Readers {
    options: Options,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(options: Options) -> Self {
        Self { options, idle: Arc::default(), places: Arc::new(Semaphore::new(READERS as usize)) }
    }

    /// Does this with a connection, on a thread that may wait for the disk.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (options, idle) = (self.options.clone(), self.idle.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match kept {
                Some(connection) => connection,
                None => options.reader()?,
            };
            let found = work(&mut connection);
            // One that failed may be at fault itself.
            if found.is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            drop(place);
            found
        });
        // It ends early only by a panic, or with the runtime.
        reading.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits for reads under way; later ones fail.
    pub(super) async fn close(&self) {
        // It fails if it is closed already.
        let all = self.places.acquire_many(READERS).await;
        self.places.close();
        drop(all);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
