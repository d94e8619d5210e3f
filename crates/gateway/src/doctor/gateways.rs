//! The gateways that share a log on PostgreSQL.

use std::collections::BTreeSet;
use std::time::Duration;

use slarouter_store::{Content, GatewaySeen};

use super::check::Check;

/// One that has not been there for so long does not come back with what it has sent.
const GONE: Duration = Duration::from_secs(60);
/// One that lives says so every three seconds.
const THERE: Duration = Duration::from_secs(10);

/// Nothing is said where no gateway runs and none has left anything.
pub(super) fn checks(content: &Content) -> Vec<Check> {
    let living: Vec<_> =
        content.gateways.iter().filter(|gateway| !gateway.has_ended && gateway.unseen <= THERE).collect();
    let mut checks = Vec::new();
    if !living.is_empty() {
        checks.push(who(&living));
        checks.extend(versions(&living));
    }
    checks.extend(left(&content.gateways));
    checks.extend(waiting(content.waiting));
    checks
}

fn who(living: &[&GatewaySeen]) -> Check {
    let (name, mut shown) = ("gateways", Vec::new());
    for gateway in living {
        let GatewaySeen { host, version, is_holder, unseen, unlogged, .. } = gateway;
        let does = if *is_holder { "holds the log" } else { "follows" };
        let sent = if *unlogged > 0 { format!(", {unlogged} entries not in the log yet") } else { String::new() };
        shown.push(format!("{host} ({version}) {does}, seen {} s ago{sent}", unseen.as_secs()));
    }
    let shown = shown.join("; ");
    if living.iter().any(|gateway| gateway.is_holder) {
        return Check::ok(name, shown);
    }
    let mend =
        "look again: another takes it within ten seconds if it reaches the database; docs/replicas.md says who may";
    Check::warn(name, format!("{shown}; nobody holds the log"), mend)
}

fn versions(living: &[&GatewaySeen]) -> Option<Check> {
    let versions: BTreeSet<_> = living.iter().map(|gateway| &*gateway.version).collect();
    let shown = versions.iter().copied().collect::<Vec<_>>().join(" and ");
    let mend = "bring all to one release: until then the routes of whichever holds the log are in force, and what a newer one sends may wait for one like it";
    (versions.len() > 1).then(|| Check::warn("gateway releases", shown, mend))
}

fn left(gateways: &[GatewaySeen]) -> Option<Check> {
    let left: Vec<_> = gateways.iter().filter(|gateway| gateway.unlogged > 0 && gateway.unseen > GONE).collect();
    let first = left.first()?;
    let entries: u64 = left.iter().map(|gateway| gateway.unlogged).sum();
    let found = format!(
        "{entries} entries of gateways that are gone are not in the log, the first of {} ({})",
        first.host, first.version
    );
    let mend = "start a gateway of the newest release that ran here: it takes them into the log";
    Some(Check::warn("gateways that are gone", found, mend))
}

fn waiting(words: u64) -> Option<Check> {
    let mend = "nothing, if it is another number the next time: each counts once its decision is in the log. Those of answers whose gateway was killed before it could log them go when the window for feedback is over";
    (words > 0).then(|| {
        Check::warn("ratings that wait", format!("{words} are of decisions that are not in the log yet"), mend)
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;

    fn seen(host: &str, is_holder: bool) -> GatewaySeen {
        GatewaySeen {
            host: host.to_owned(),
            version: "1.0".to_owned(),
            is_holder,
            has_ended: false,
            unseen: Duration::from_secs(2),
            unlogged: 0,
        }
    }

    fn content(gateways: Vec<GatewaySeen>, waiting: u64) -> Content {
        Content { bytes: 0, version: 1, latest: None, has_keys: false, snapshots: Vec::new(), gateways, waiting }
    }

    #[test]
    fn what_is_wrong_among_gateways_is_told_and_nothing_else() {
        let warned = |gateways, waiting| {
            let checks = checks(&content(gateways, waiting)).into_iter().filter(|check| check.level != Level::Ok);
            checks.map(|check| check.name.to_string()).collect::<Vec<_>>()
        };
        let (a, b) = (seen("a", true), seen("b", false));
        assert!(checks(&content(Vec::new(), 0)).is_empty());
        assert_eq!(warned(vec![a.clone(), b.clone()], 0), [""; 0]);
        assert_eq!(warned(vec![b.clone()], 0), ["gateways"]);
        let newer = GatewaySeen { version: "1.1".to_owned(), ..b.clone() };
        assert_eq!(warned(vec![a.clone(), newer], 0), ["gateway releases"]);
        let busy = GatewaySeen { unlogged: 7, ..b.clone() };
        assert_eq!(warned(vec![a.clone(), busy.clone()], 0), [""; 0], "it is on its way");
        let gone = GatewaySeen { unseen: Duration::from_secs(600), ..busy };
        assert_eq!(warned(vec![a, gone.clone()], 3), ["gateways that are gone", "ratings that wait"]);
        assert_eq!(warned(vec![GatewaySeen { has_ended: true, ..gone }], 0), ["gateways that are gone"]);
    }
}
