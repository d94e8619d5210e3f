//! Both kinds of stores, each for itself and empty.
#![allow(dead_code, unused_macros, unused_imports, clippy::allow_attributes, reason = "no test needs all of it")]

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use slarouter_testkit::{Database, Postgres};
use tempfile::TempDir;

/// Where a store of a test is; it goes with this.
pub(crate) enum Place {
    File(TempDir),
    Server(Database),
}

impl Place {
    pub(crate) fn file() -> Self {
        Self::File(TempDir::new().unwrap())
    }

    pub(crate) fn server() -> Self {
        Self::Server(Postgres::shared().database())
    }

    /// An empty one of the same kind.
    pub(crate) fn another(&self) -> Self {
        if matches!(self, Self::File(_)) { Self::file() } else { Self::server() }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("sqlite://{}", folder.path().join("log.db").display()),
            Self::Server(database) => database.url(),
        }
    }

    /// What would be left if the process that has it were killed now: a copy of the files; a database on a server is left as it is, without its
    /// connections.
    pub(crate) fn left_by_a_kill(&self) -> Option<Self> {
        let Self::File(folder) = self else {
            self.run("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
            return None;
        };
        let next = TempDir::new().unwrap();
        for ending in ["", "-wal"] {
            let name = format!("log.db{ending}");
            if folder.path().join(&name).exists() {
                std::fs::copy(folder.path().join(&name), next.path().join(&name)).unwrap();
            }
        }
        Some(Self::File(next))
    }

    /// What another program does to the database.
    pub(crate) fn run(&self, sql: &str) {
        match self {
            Self::File(folder) => Connection::open(folder.path().join("log.db")).unwrap().execute_batch(sql).unwrap(),
            Self::Server(database) => drop(database.run(sql)),
        }
    }

    /// The rows of a query, their values with bars between them.
    pub(crate) fn rows(&self, query: &str) -> Vec<String> {
        let Self::File(folder) = self else {
            let Self::Server(database) = self else { return Vec::new() };
            return database.run(query).lines().map(str::to_owned).collect();
        };
        let connection = Connection::open(folder.path().join("log.db")).unwrap();
        let mut statement = connection.prepare(query).unwrap();
        let columns = statement.column_count();
        let cell = |value: ValueRef<'_>| match value {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            other => other.as_str().unwrap().to_owned(),
        };
        let rows = statement.query_map([], |row| {
            Ok((0..columns).map(|place| cell(row.get_ref(place).unwrap())).collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// One text or the other, by the dialect of the database.
    pub(crate) fn pick<T>(&self, sqlite: T, postgres: T) -> T {
        if matches!(self, Self::File(_)) { sqlite } else { postgres }
    }
}

/// Runs each of these tests, which take a [`Place`], once for either kind of store.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&super::stores::Place::file()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&super::stores::Place::server()).await;
            })*
        }
    };
}

pub(crate) use on_both_stores;
