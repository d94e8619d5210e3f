//! Connections that read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::{Client, Row};

use super::params::{Param, many};
use super::row::Zoos;
use super::server::Server;
use crate::StoreError;

/// Reads at a time; more wait.
const READERS: u32 = 4;
/// All of a view sees one commit, and none of its statements takes longer. With the transaction, as a pooler may give the next one to
/// another connection of the server.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '60s'; \
     SET LOCAL idle_in_transaction_session_timeout = '60s'";
/// Of what is written beside the log.
const BEGIN_CHANGE: &str = "BEGIN; SET LOCAL statement_timeout = '5s'; \
     SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// Longer than the server itself lets a statement take: then it is the network that is gone.
const UNANSWERED: Duration = Duration::from_secs(65);

pub(super) struct Readers {
    server: Server,
    idle: Arc<Mutex<Vec<Client>>>,
    places: Arc<Semaphore>,
    zoos: KnownZoos,
}

/// What is known of the models of decisions. A number means another zoo only where a database has lost commits.
#[derive(Clone, Default)]
pub(super) struct KnownZoos(Arc<Mutex<Arc<Zoos>>>);

impl KnownZoos {
    fn held(&self) -> Arc<Zoos> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins anew: it may be another database than the one in which they were read.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }
}

/// A query and its parameters.
pub(super) type Query<'a> = (&'a str, &'a [Param<'a>]);

/// The database as it is at one moment.
pub(super) struct View {
    client: Client,
    idle: Arc<Mutex<Vec<Client>>>,
    zoos: Arc<Zoos>,
    _place: OwnedSemaphorePermit,
}

impl Readers {
    pub(super) fn new(server: Server, zoos: KnownZoos) -> Self {
        Self { server, idle: Arc::default(), places: Arc::new(Semaphore::new(READERS as usize)), zoos }
    }

    /// As [`KnownZoos::forget`].
    pub(super) fn forget(&self) {
        self.zoos.forget();
    }

    /// Begins to read. What is not [`View::end`]ed costs its connection.
    ///
    /// # Errors
    /// [`StoreError`] if the server cannot be reached.
    pub(super) async fn view(&self) -> Result<View, StoreError> {
        self.begin(BEGIN).await
    }

    /// The same to write a little beside the log; what need not be durable is no loss if the server fails a moment later.
    ///
    /// # Errors
    /// As [`Readers::view`].
    pub(super) async fn change(&self, is_durable: bool) -> Result<View, StoreError> {
        let view = self.begin(BEGIN_CHANGE).await?;
        if !is_durable {
            view.client.batch_execute("SET LOCAL synchronous_commit = off").await?;
        }
        Ok(view)
    }

    async fn begin(&self, begin: &str) -> Result<View, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        // One that was idle may have been closed by the server, a pooler or the network meanwhile.
        while let Some(client) = self.kept() {
            if client.batch_execute(begin).await.is_ok() {
                return Ok(self.of(client, place));
            }
        }
        let client = self.server.connect().await?;
        self.zoos.forget();
        client.batch_execute(begin).await?;
        Ok(self.of(client, place))
    }

    fn kept(&self) -> Option<Client> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|client| !client.is_closed());
        idle.pop()
    }

    fn of(&self, client: Client, place: OwnedSemaphorePermit) -> View {
        View { client, idle: self.idle.clone(), zoos: self.zoos.held(), _place: place }
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

impl View {
    /// The rows of a query, and all that is needed to read decisions in them.
    pub(super) async fn rows(&self, query: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let rows = self.ask(query, params).await?;
        self.prepare(&rows).await?;
        Ok(rows)
    }

    /// The rows of several queries, which are sent at once: on a long way to the server all of them take no longer than one. To read decisions
    /// in them they have to be prepared for.
    pub(super) async fn ask_all(&self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, StoreError> {
        try_join_all(queries.iter().map(|(query, params)| self.ask(query, params))).await
    }

    /// Fetches what is needed to read decisions in these rows.
    pub(super) async fn prepare(&self, rows: &[Row]) -> Result<(), StoreError> {
        let unknown = self.zoos.unknown(rows)?;
        if !unknown.is_empty() {
            let zoos = "SELECT number, models FROM zoos WHERE number = ANY ($1)";
            self.zoos.learn(&self.ask(zoos, &[many(&unknown)]).await?)?;
        }
        Ok(())
    }

    /// The only row of a query.
    pub(super) async fn row(&self, query: &str, params: &[Param<'_>]) -> Result<Row, StoreError> {
        let row = self.rows(query, params).await?.into_iter().next();
        row.ok_or_else(|| StoreError::Tables("a row is missing that is always there".to_owned()))
    }

    async fn ask(&self, query: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let asked = tokio::time::timeout(UNANSWERED, self.client.query_typed(query, params)).await;
        Ok(asked.map_err(|_| StoreError::Server("it does not answer".to_owned()))??)
    }

    pub(super) fn zoos(&self) -> &Zoos {
        &self.zoos
    }

    /// Gives the connection back, once the server has said so: what was read is read, and nobody waits for that. One that fails now is given up.
    pub(super) fn end(self) {
        tokio::spawn(async move { drop(self.commit().await) });
    }

    /// Commits what was written, and gives the connection back.
    ///
    /// # Errors
    /// If it may not be committed.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.client.batch_execute("COMMIT").await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.client);
        Ok(())
    }
}
