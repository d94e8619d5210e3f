//! What a database looks like from outside.

use std::path::PathBuf;
use std::time::Duration;

use slarouter_core::Timestamp;

use crate::Snapshot;

/// What a database looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Its file, or who, where and which database on a server, without the password.
    pub place: String,
    /// Its file; `None` for a database on a server.
    pub path: Option<PathBuf>,
    /// Another process has it open.
    pub in_use: bool,
    /// Of the newest version of its tables that this release knows.
    pub newest: i64,
    /// What is in it; `None` if there is no database yet, or none of our tables in it.
    pub content: Option<Content>,
    /// What its server says of itself; `None` for a file.
    pub server: Option<ServerFacts>,
}

/// What a server of PostgreSQL says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerFacts {
    /// As people write it.
    pub version: String,
    /// As in `150018` for 15.18.
    pub version_number: i64,
    /// What its clock showed.
    pub clock: Timestamp,
    /// How long it took to answer.
    pub round_trip: Duration,
    /// It listens on another port than was connected to: there is a pooler in between, or a forwarded port.
    pub is_forwarded: bool,
    /// `off` and `local` lose what was acknowledged when a machine fails.
    pub synchronous_commit: String,
    /// Connections that it takes at most.
    pub most_connections: i64,
    /// Connections that it has.
    pub connections: i64,
    /// For how many seconds the oldest transaction of others has been open; `None` if there is none, or the user may not know.
    pub oldest_transaction_s: Option<f64>,
    /// The user may make tables where they would be made.
    pub may_make_tables: bool,
}

/// What is in a database.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Size of the file.
    pub bytes: u64,
    /// Version of its tables; 0 if it has none yet, as one that was made and never used.
    pub version: i64,
    /// When the last decision was made.
    pub latest: Option<Timestamp>,
    /// Whether there ever was a key.
    pub has_keys: bool,
    /// The newest saved states; none if the tables are of an older version.
    pub snapshots: Vec<Snapshot>,
    /// Gateways that share the log: those that live, and those that have sent what is not in it yet. None of a file.
    pub gateways: Vec<GatewaySeen>,
    /// Ratings that wait for their decisions. None of a file.
    pub waiting: u64,
}

/// A gateway, by what it left in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySeen {
    /// Its machine and process.
    pub host: String,
    /// Its release.
    pub version: String,
    /// It holds the log.
    pub is_holder: bool,
    /// It was stopped, and has said so.
    pub has_ended: bool,
    /// When it was last there was so long ago, by the clock of the database.
    pub unseen: Duration,
    /// Entries of its that are not in the log yet.
    pub unlogged: u64,
}
