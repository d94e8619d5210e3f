//! The machine: clock, ports, open files, keys to the door.

use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, getrlimit};
use slarouter_config::Config;
use slarouter_core::Timestamp;
use slarouter_store::Inspection;

use super::check::{Check, Dated};

/// 2026-01-01: no clock that is right says less.
const BUILT_MS: u64 = 1_767_225_600_000;
/// What two clocks on the network may differ by; the header has whole seconds.
const SKEW_MS: u64 = 30_000;
/// Descriptors beside those of connections: database, logs, listeners.
const OTHER_FILES: u64 = 64;

/// Ids, budgets, expiry of keys and the feedback window go by the clock.
pub(super) fn clock(now: Timestamp, dates: &[Dated], database: Option<&Inspection>) -> Check {
    let name = "clock";
    let mend = "let NTP set the clock: expiry, budgets and the feedback window go by it";
    if now.0 < BUILT_MS {
        return Check::fail(name, "the clock is years behind", mend);
    }
    let latest = database.and_then(|held| held.content.as_ref()?.latest);
    if let Some(ahead) = latest.and_then(|latest| latest.0.checked_sub(now.0)).filter(|ahead| *ahead > SKEW_MS) {
        let found = format!("the last decision in the database is {} s ahead of the clock", ahead / 1_000);
        return Check::warn(name, found, mend);
    }
    let worst = dates.iter().max_by_key(|dated| dated.said.0.abs_diff(dated.at.0));
    match worst {
        None => Check::ok(name, "later than the last decision; no upstream said what time it is there"),
        Some(dated) => {
            let (skew, host) = (dated.said.0.abs_diff(dated.at.0), &dated.host);
            if skew > SKEW_MS {
                let way = if dated.said > dated.at { "behind" } else { "ahead of" };
                Check::warn(name, format!("{} s {way} that of {host}", skew / 1_000), mend)
            } else {
                Check::ok(name, format!("agrees with that of {host}"))
            }
        }
    }
}

pub(super) fn checks(config: &Config, database: Option<&Inspection>) -> Vec<Check> {
    let server = &config.server;
    let runs = database.is_some_and(|held| held.in_use);
    let mut checks = vec![port("listen", server.listen, runs)];
    checks.extend(server.admin_listen.map(|addr| port("admin_listen", addr, runs)));
    checks.push(open_files(getrlimit(Resource::Nofile).current, server.max_connections as u64));
    checks.push(keys(config, database));
    checks
}

/// `runs`: a gateway has the database.
fn port(name: &str, addr: SocketAddr, runs: bool) -> Check {
    let error = match TcpListener::bind(addr) {
        Ok(_) => return Check::ok(name, format!("{addr} is free")),
        Err(error) => error,
    };
    match error.kind() {
        std::io::ErrorKind::AddrInUse if runs => {
            Check::ok(name, format!("{addr} is taken, by the gateway that has the database as it seems"))
        }
        std::io::ErrorKind::AddrInUse => {
            let mend = format!(
                "stop what listens there (`ss -ltnp` shows it; systemd is meant to, with a socket unit), or set server.{name} to another port"
            );
            Check::fail(name, format!("{addr} is taken"), mend)
        }
        std::io::ErrorKind::PermissionDenied => {
            let mend = format!("set server.{name} to a port from 1024, or give the service CAP_NET_BIND_SERVICE");
            Check::fail(name, format!("{addr}: this user may not listen there"), mend)
        }
        _ => Check::fail(name, format!("{addr}: {error}"), format!("set server.{name} to an address of this machine")),
    }
}

/// A connection may have one to an upstream behind it.
fn open_files(limit: Option<u64>, connections: u64) -> Check {
    let (name, wanted) = ("open files", connections.saturating_mul(2).saturating_add(OTHER_FILES));
    match limit {
        Some(limit) if limit < wanted => Check::warn(
            name,
            format!(
                "the limit of {limit} is enough for some {} connections, and server.max_connections is {connections}",
                limit.saturating_sub(OTHER_FILES) / 2
            ),
            format!("raise it to {wanted} (LimitNOFILE of systemd, `ulimit -n`), or lower server.max_connections"),
        ),
        Some(limit) => Check::ok(name, format!("{limit} for {connections} connections")),
        None => Check::ok(name, "no limit"),
    }
}

fn keys(config: &Config, database: Option<&Inspection>) -> Check {
    let (name, server) = ("keys", &config.server);
    let stored = database.is_some_and(|held| held.content.as_ref().is_some_and(|content| content.has_keys));
    let clients = server.api_keys.len() + config.keys.len();
    let reached = !server.listen.ip().is_loopback();
    if clients > 0 || stored {
        let more = if stored { ", and more in the database" } else { "" };
        return Check::ok(name, format!("{clients} of clients in the file{more}"));
    }
    let mend = "make one with `slarouter keys create`, or set server.api_keys or [[keys]]";
    match (reached, server.allow_unauthenticated, server.admin_keys.is_empty()) {
        (true, true, _) => Check::warn(name, "none: anybody who reaches the gateway may spend your money", mend),
        (true, false, true) => Check::fail(name, "none, and others reach the address: `serve` will not start", mend),
        (_, false, false) => Check::warn(name, "none of clients: nobody may ask yet", mend),
        (false, ..) => Check::ok(name, "none: anybody on this machine may ask"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;

    #[test]
    fn the_clock_is_held_against_others() {
        let now = Timestamp(BUILT_MS + 1_000_000);
        let dated = |said: u64| Dated { host: "h".to_owned(), said: Timestamp(said), at: now };
        let level = |now, dates: &[Dated]| clock(now, dates, None).level;
        assert_eq!(level(Timestamp(0), &[]), Level::Fail);
        assert_eq!(level(now, &[]), Level::Ok);
        assert_eq!(level(now, &[dated(now.0 - SKEW_MS), dated(now.0 + SKEW_MS)]), Level::Ok);
        for wrong in [now.0 - SKEW_MS - 1, now.0 + SKEW_MS + 1, 0, u64::MAX] {
            assert_eq!(level(now, &[dated(now.0), dated(wrong)]), Level::Warn, "{wrong}");
        }
        let behind = clock(now, &[dated(now.0 + 90_000)], None);
        assert_eq!(behind.found, "90 s behind that of h");
    }

    #[test]
    fn open_files_are_counted_for_both_sides() {
        assert_eq!(open_files(None, 10).level, Level::Ok);
        assert_eq!(open_files(Some(1_024), 480).level, Level::Ok);
        let few = open_files(Some(1_024), 481);
        assert_eq!(few.level, Level::Warn);
        assert!(few.found.contains("480 connections") && few.mend.unwrap().contains("1026"));
        assert_eq!(open_files(Some(1), u64::MAX).level, Level::Warn);
    }
}
