//! The database, the disk under it, and what was learnt so far.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use slarouter_config::{Config, Route};
use slarouter_core::{Learner, Policy, PolicySpec, Recent, Router, Status, Thrift, Timestamp};
use slarouter_learner::{Learning, Unreadable, UnreadableRow};
use slarouter_store::{Content, Inspection};

use super::check::Check;
use super::{gateways, server};

const MIB: u64 = 1 << 20;
/// The log needs room to grow, and SQLite to merge its write-ahead log.
const LITTLE: u64 = 1_024 * MIB;
const TOO_LITTLE: u64 = 64 * MIB;
const HOUR_MS: u64 = 3_600_000;

/// The checks, and what was seen.
pub(super) async fn checks(config: &Config, now: Timestamp) -> (Vec<Check>, Option<Inspection>) {
    let name = "database";
    let inspection = match slarouter_store::inspect(&config.store.url).await {
        Ok(inspection) => inspection,
        Err(error) => {
            let mend = "set store.url to a database of SLARouter, or restore it from a backup";
            let place = slarouter_store::shown(&config.store.url);
            return (vec![Check::fail(name, format!("{place}: {error}"), mend)], None);
        }
    };
    let checks = match (&inspection.path, &inspection.server) {
        (Some(path), _) => {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
                _ => PathBuf::from("."),
            };
            vec![file(&inspection, path, &folder, now), space(&folder)]
        }
        (None, Some(facts)) => {
            let mut checks = vec![database(&inspection, now)];
            checks.extend(server::checks(facts, now, inspection.content.is_some()));
            checks.extend(inspection.content.iter().flat_map(gateways::checks));
            checks
        }
        (None, None) => vec![database(&inspection, now)],
    };
    (checks, Some(inspection))
}

fn file(inspection: &Inspection, path: &Path, folder: &Path, now: Timestamp) -> Check {
    if let Err(error) = writable(inspection, path, folder) {
        let mend = "make the folder and all in it writable for the user of the gateway, or set store.url elsewhere";
        return Check::fail("database", format!("{} cannot be written: {error}", path.display()), mend);
    }
    database(inspection, now)
}

/// What is in a database, of either kind.
fn database(inspection: &Inspection, now: Timestamp) -> Check {
    let (name, path) = ("database", &inspection.place);
    let used = if inspection.in_use { ", in use by a gateway" } else { "" };
    match &inspection.content {
        None => Check::ok(name, format!("{path} will be made at the start")),
        Some(content) if content.version > inspection.newest => Check::fail(
            name,
            format!(
                "{path} is of a newer release: version {}, and this one knows {}",
                content.version, inspection.newest
            ),
            "run the release that wrote it, or newer",
        ),
        Some(content) if content.version < inspection.newest => {
            let found =
                format!("{path} is of version {}: the next start makes it {}", content.version, inspection.newest);
            Check::warn(name, found, "back it up first: older releases cannot read it after that")
        }
        Some(Content { bytes, version, latest, .. }) => {
            let since = latest.map_or_else(
                || ", no decision yet".to_owned(),
                |latest| format!(", last decision {} h ago", now.0.saturating_sub(latest.0) / HOUR_MS),
            );
            Check::ok(name, format!("{path}: version {version}, {} MiB{since}{used}", bytes.div_ceil(MIB)))
        }
    }
}

/// # Errors
/// What the system says against it. Leaves nothing behind.
fn writable(inspection: &Inspection, path: &Path, folder: &Path) -> std::io::Result<()> {
    if inspection.content.is_some() {
        OpenOptions::new().append(true).open(path)?;
    }
    // SQLite makes files beside its own.
    let probe = folder.join(format!(".slarouter-doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    std::fs::remove_file(&probe)
}

fn space(folder: &Path) -> Check {
    let name = "disk";
    match rustix::fs::statvfs(folder) {
        Ok(disk) => room(disk.f_bavail.saturating_mul(disk.f_frsize), &folder.display().to_string()),
        Err(error) => Check::warn(name, format!("{}: {error}", folder.display()), "see what `df` says"),
    }
}

fn room(free: u64, folder: &str) -> Check {
    let (name, found) = ("disk", format!("{} MiB free in {folder}", free / MIB));
    let mend = "make room: without it nothing more is learnt, and ratings are refused";
    match free {
        ..TOO_LITTLE => Check::fail(name, found, mend),
        TOO_LITTLE..LITTLE => Check::warn(name, found, mend),
        _ => Check::ok(name, found),
    }
}

/// Of each route: whether it can choose, who serves until it knows something, and whether α is in reach of what it knows.
pub(super) fn routes(config: &Config, inspection: Option<Inspection>) -> Vec<Check> {
    let saved = inspection.and_then(|held| held.content).map(|content| content.snapshots).unwrap_or_default();
    let mut checks = Vec::new();
    let learning = Learning::restore(saved).unwrap_or_else(|error| {
        let mend = "nothing: the next start learns anew from the log, which takes a while; or restore a backup";
        checks.push(Check::warn("state", error.to_string(), mend));
        Learning::empty()
    });
    let unreadable = learning.unreadable();
    checks.extend(unreadable.rows.first().map(|first| unread(unreadable, first)));
    for (name, settings) in &config.routes {
        let learner = learning.learners().get(name);
        checks.push(route(name, settings, learner));
        let known = learner.map(Learner::router).filter(|router| router.spec() == &settings.spec);
        checks.extend(known.and_then(|router| missing_fallback(name, router)));
        checks.extend(
            known.zip(learning.recent().get(name)).and_then(|(router, recent)| little_saved(name, router, recent)),
        );
    }
    checks
}

/// Named where the fallback is believed to miss α: what is promised rests on it.
fn missing_fallback(route: &str, router: &Router) -> Option<Check> {
    let believed = router.fallback_believed().filter(|_| router.fallback_misses(false))?;
    let name = &router.zoo().models()[router.policy().fallback()?].name;
    let found = format!(
        "the fallback {name} is believed to satisfy {:.3}, at most {:.3}, and α = {}: no promise can rest on it",
        believed.mean,
        believed.upper(),
        router.alpha()
    );
    Some(Check::warn(format!("route {route}"), found, "name a better fallback, or lower sla.satisfaction"))
}

/// Said where little is saved.
fn little_saved(route: &str, router: &Router, recent: &Recent) -> Option<Check> {
    let Thrift { saving, obstacle } = router.thrift(recent.costs(), None)?;
    let obstacle = obstacle?;
    let found = format!("saves {:.1} % of what its fallback alone would cost: {}", 100.0 * saving, obstacle.cause());
    Some(Check::warn(format!("route {route}"), found, obstacle.remedy()))
}

fn unread(unreadable: &Unreadable, first: &UnreadableRow) -> Check {
    let UnreadableRow { table, seq, what } = first;
    let found = format!("{} rows cannot be read: {unreadable}. In the first of them {what}", unreadable.count);
    let mend = format!(
        "look at it with `SELECT * FROM {table} WHERE seq = {seq}`; docs/failures.md#rows-that-cannot-be-read says what it means"
    );
    Check::warn("log", found, mend)
}

fn route(route: &str, settings: &Route, learner: Option<&Learner>) -> Check {
    let name = format!("route {route}");
    let spec = &settings.spec;
    let (alpha, models) = (spec.alpha.get(), spec.zoo.models());
    if let [only] = models {
        let found = format!("{} is its only model: there is nothing to choose", only.name);
        return Check::warn(name, found, "add a cheaper or a better model to it");
    }
    let prices = || models.iter().map(|model| (model.price.input, model.price.output));
    if prices().all(|price| Some(price) == prices().next()) {
        let found = "all its models have the same price: nothing can be saved";
        return Check::warn(name, found, "set models.price to what the provider bills, or what the machine costs");
    }
    let PolicySpec::Certified(params) = &spec.policy else {
        return Check::ok(name, format!("policy {}, which promises nothing of α = {alpha}", spec.policy));
    };
    let fallback = params.fallback.as_deref().unwrap_or("the most expensive model");
    let labels = learner.map_or(0, |learner| learner.account().labels);
    let Some(learner) = learner.filter(|_| labels > 0) else {
        return Check::ok(name, format!("nothing learnt yet: {fallback} serves until there is feedback; α = {alpha}"));
    };
    let router = learner.router();
    if router.spec() != spec {
        // What is in reach was worked out for the route as it was.
        let found =
            format!("changed since its {labels} labels; fallback {fallback}; α = {alpha}, and was {}", router.alpha());
        return Check::ok(name, found);
    }
    match router.status(None) {
        Some(Status::Unreachable) => {
            let found = format!("by {labels} labels its models cannot reach α = {alpha}");
            Check::warn(name, found, "add a better model, or lower sla.satisfaction")
        }
        Some(Status::Broken) => {
            let upper = router.certificate().map_or(1.0, |held| held.upper);
            let found =
                format!("by {labels} labels the SLA is broken: satisfaction is below {upper:.3}, and α = {alpha}");
            Check::warn(name, found, "see docs/guarantees.md: what came before counts until the window is over")
        }
        _ => Check::ok(name, format!("α = {alpha} is in reach by {labels} labels; fallback {fallback}")),
    }
}

#[cfg(test)]
mod tests {
    use slarouter_core::{Context, Decision, DecisionId, Feedback, Rater, Rating, Reason, Source, decision_rng};

    use super::super::check::Level;
    use super::*;

    const FILE: &str = "[[models]]\nname = \"small\"\nbase_url = \"http://h/v1\"\nprice = { input = 0.1, output = 0.1 }\n\
                        [[models]]\nname = \"large\"\nbase_url = \"http://h/v1\"\nprice = { input = 1, output = 1 }\n\
                        [routes.default]\nmodels = [\"small\", \"large\"]\nsla = { satisfaction = 0.9 }\n";

    fn context() -> Context<'static> {
        Context { features: &[1.0], input_tokens: 100.0, excluded: &[] }
    }

    /// Decides and rates the `n`th answer.
    fn rate(learner: &mut Learner, n: u64, rating: f64) {
        let (id, at) = (DecisionId(u128::from(n)), Timestamp(n));
        let decision = learner.router().decide(&context(), &mut decision_rng(1, id)).unwrap();
        learner.decided(&decision, at);
        let feedback = Feedback {
            decision: id,
            decided_at: at,
            model: &decision.choice().model,
            reason: decision.reason,
            features: &[1.0],
            predicted: decision.choice().satisfaction,
            source: Source::User,
            rater: Rater(0),
            rating: Some(Rating::new(rating).unwrap()),
            order: n,
        };
        learner.observe(&feedback, at).unwrap();
    }

    #[test]
    fn what_was_learnt_is_held_against_the_alpha_of_the_file() {
        let settings = |alpha: &str| {
            let config = Config::parse(&FILE.replace("0.9", alpha), &|_| None).unwrap();
            config.routes["default"].clone()
        };
        let looked = |alpha: &str, learner: &Learner| route("default", &settings(alpha), Some(learner));
        // Two of three are satisfied.
        let learnt = |alpha: &str| {
            let mut learner = Learner::new(settings(alpha).spec, 1, 1).unwrap();
            assert!(looked(alpha, &learner).found.starts_with("nothing learnt yet: large serves"));
            for n in 0..1_200_u64 {
                rate(&mut learner, n, if n % 3 == 0 { 0.0 } else { 1.0 });
            }
            learner
        };
        let beyond = learnt("0.9");
        let found = looked("0.9", &beyond);
        assert!(found.level == Level::Warn && found.found.contains("1200 labels"), "{found:?}");
        let found = looked("0.5", &beyond);
        assert!(found.level == Level::Ok && found.found.contains("α = 0.5, and was 0.9"), "{found:?}");
        let found = looked("0.5", &learnt("0.5"));
        assert!(found.level == Level::Ok && found.found.contains("in reach"), "{found:?}");
        let mut same = settings("0.9");
        same.spec.zoo = slarouter_core::Zoo::new(same.spec.zoo.models()[..1].to_vec()).unwrap();
        assert!(route("default", &same, None).found.contains("only model"));
    }

    #[test]
    fn a_fallback_that_misses_alpha_is_named_and_so_is_what_stands_in_the_way_of_saving() {
        let config = Config::parse(FILE, &|_| None).unwrap();
        let spec = config.routes["default"].spec.clone();
        let (mut learner, mut recent) = (Learner::new(spec.clone(), 1, 1).unwrap(), Recent::new(&spec));
        assert!(missing_fallback("default", learner.router()).is_none(), "nobody has said anything");
        for n in 0..1_200_u64 {
            rate(&mut learner, n, if n % 3 == 0 { 0.0 } else { 1.0 });
            let pinned = learner.router().pinned("large", &context()).unwrap();
            recent.decided(&Decision { reason: Reason::Exploit, ..pinned }, Timestamp(n));
        }
        let found = missing_fallback("default", learner.router()).unwrap();
        assert!(found.level == Level::Warn && found.found.contains("the fallback large"), "{found:?}");
        let found = little_saved("default", learner.router(), &recent).unwrap();
        assert!(found.found.contains("saves 0.0 %") && found.mend.is_some(), "{found:?}");
    }

    #[test]
    fn a_full_disk_fails_before_the_log_does() {
        let level = |free| room(free, "f").level;
        assert_eq!([level(0), level(TOO_LITTLE - 1)], [Level::Fail; 2]);
        assert_eq!([level(TOO_LITTLE), level(LITTLE - 1)], [Level::Warn; 2]);
        assert_eq!([level(LITTLE), level(u64::MAX)], [Level::Ok; 2]);
    }
}
