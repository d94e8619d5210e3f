//! The server of the database, where it is PostgreSQL.

use slarouter_core::Timestamp;
use slarouter_store::ServerFacts;

use super::check::Check;

/// The oldest that the tables are made for.
const OLDEST: i64 = 140_000;
/// What two clocks may differ by before the feedback window and budgets are seen to differ.
const SKEW_MS: u64 = 2_000;
/// Readers and the writer of one gateway, and a command beside it.
const NEEDED: i64 = 12;
/// Behind a transaction that has been open for so long no room is taken back, and copies of the database wait.
const LONG_S: f64 = 600.0;

/// `is_made`: the tables are there.
pub(super) fn checks(facts: &ServerFacts, now: Timestamp, is_made: bool) -> Vec<Check> {
    let mut checks = vec![version(facts), clock(facts, now), connections(facts), durability(facts)];
    if !is_made && !facts.may_make_tables {
        let mend = "GRANT CREATE ON SCHEMA … TO the user of store.url, or give it a schema of its own: docs/postgresql.md#set-up";
        checks.push(Check::fail("database rights", "the user may not make the tables", mend));
    }
    checks.extend(transactions(facts));
    checks
}

fn version(facts: &ServerFacts) -> Check {
    let (name, found) = ("database server", format!("PostgreSQL {}", facts.version));
    let way = if facts.is_forwarded { ", behind a pooler or a forwarded port" } else { "" };
    if facts.version_number < OLDEST {
        return Check::fail(name, found, "run PostgreSQL 14 or later");
    }
    let answered = format!("{found}{way}, answers within {:.1} ms", facts.round_trip.as_secs_f64() * 1e3);
    if facts.round_trip.as_millis() > 50 {
        let mend = "ratings wait for some answers of it: put the gateway near to the database";
        return Check::warn(name, answered, mend);
    }
    Check::ok(name, answered)
}

fn clock(facts: &ServerFacts, now: Timestamp) -> Check {
    let name = "database clock";
    let skew = facts.clock.0.abs_diff(now.0);
    // The question itself took some time.
    if skew > SKEW_MS + u64::try_from(facts.round_trip.as_millis()).unwrap_or(u64::MAX) {
        let way = if facts.clock > now { "ahead of" } else { "behind" };
        let mend =
            "let NTP set both clocks: who has the log is found out by the database's, everything else by this one";
        return Check::warn(name, format!("{skew} ms {way} this machine's"), mend);
    }
    Check::ok(name, "agrees with this machine's")
}

fn connections(facts: &ServerFacts) -> Check {
    let name = "database connections";
    let free = facts.most_connections - facts.connections;
    let found = format!("{} of {} in use", facts.connections, facts.most_connections);
    if free < NEEDED {
        return Check::warn(name, found, "raise max_connections, or put a pooler in between");
    }
    Check::ok(name, found)
}

fn durability(facts: &ServerFacts) -> Check {
    let (name, found) = ("database durability", format!("synchronous_commit = {}", facts.synchronous_commit));
    match facts.synchronous_commit.as_str() {
        "off" => Check::warn(name, found, "ratings are acknowledged that a failure of the server loses: set it to on"),
        _ => Check::ok(name, found),
    }
}

fn transactions(facts: &ServerFacts) -> Option<Check> {
    let oldest = facts.oldest_transaction_s.filter(|oldest| *oldest > LONG_S)?;
    let mend = "see pg_stat_activity, and set idle_in_transaction_session_timeout: no room is taken back meanwhile";
    Some(Check::warn("database transactions", format!("one has been open for {oldest:.0} s"), mend))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::check::Level;
    use super::*;

    fn facts() -> ServerFacts {
        ServerFacts {
            version: "15.8".to_owned(),
            version_number: 150_008,
            clock: Timestamp(1_000_000),
            round_trip: Duration::from_millis(1),
            is_forwarded: false,
            synchronous_commit: "on".to_owned(),
            most_connections: 100,
            connections: 3,
            oldest_transaction_s: None,
            may_make_tables: true,
        }
    }

    #[test]
    fn each_trouble_of_a_server_is_told_with_what_mends_it() {
        let level = |facts: &ServerFacts, is_made| {
            let checks = checks(facts, Timestamp(1_000_000), is_made);
            checks.iter().find(|check| check.level != Level::Ok).map(|check| (check.level, check.name.to_string()))
        };
        let warn = |name: &str| Some((Level::Warn, name.to_owned()));
        let fail = |name: &str| Some((Level::Fail, name.to_owned()));
        assert_eq!(level(&facts(), false), None);
        assert_eq!(level(&ServerFacts { version_number: 130_012, ..facts() }, true), fail("database server"));
        assert_eq!(
            level(&ServerFacts { round_trip: Duration::from_millis(80), ..facts() }, true),
            warn("database server")
        );
        assert_eq!(level(&ServerFacts { clock: Timestamp(1_003_000), ..facts() }, true), warn("database clock"));
        assert_eq!(level(&ServerFacts { connections: 95, ..facts() }, true), warn("database connections"));
        assert_eq!(
            level(&ServerFacts { synchronous_commit: "off".to_owned(), ..facts() }, true),
            warn("database durability")
        );
        assert_eq!(level(&ServerFacts { may_make_tables: false, ..facts() }, false), fail("database rights"));
        assert_eq!(level(&ServerFacts { may_make_tables: false, ..facts() }, true), None);
        assert_eq!(
            level(&ServerFacts { oldest_transaction_s: Some(4_000.0), ..facts() }, true),
            warn("database transactions")
        );
    }
}
