//! The overview.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use slarouter_core::{told_count, told_money};
use slarouter_learner::Snapshot;
use slarouter_pages::{Overview, RouteCard};
use slarouter_store::Totals;

use super::page::{Visitor, frame, page};
use super::standing::Standing;
use super::{href, observed, tiles};
use crate::api::series;
use crate::app::App;

/// What is decided from is as old only where something is wrong.
const LONG_S: u64 = 60;

/// All configured routes, worst state first.
pub(super) async fn overview(State(app): State<Arc<App>>, Extension(visitor): Extension<Visitor>) -> Response {
    let (snapshot, now) = (app.published.load(), app.clock.now());
    let mut standings: Vec<_> =
        app.config.routes.keys().filter_map(|name| Some((name, Standing::of(&snapshot, name, now)?))).collect();
    // What promises nothing comes last.
    standings.sort_by_key(|(name, standing)| (standing.status.is_none(), standing.status, *name));
    // Without the sums the rest is shown all the same.
    let late = series::of_late(&app).await.unwrap_or_default();
    let routes = standings.iter().map(|(name, standing)| card(name, standing, late.get(*name))).collect();
    let view = Overview {
        frame: frame(&visitor, "overview", "Overview"),
        problems: problems(&app, &snapshot),
        summary: summary(&standings, &late) + &shared(&app),
        routes,
        report_href: href::report(&visitor.calendar, now),
    };
    page(StatusCode::OK, &view)
}

fn summary(standings: &[(&Arc<str>, Standing<'_>)], late: &BTreeMap<Arc<str>, Vec<Totals>>) -> String {
    // Those of one state stand next to each other.
    let alike = standings.chunk_by(|(_, one), (_, other)| one.status == other.status);
    let states: Vec<_> = alike.map(|alike| format!("{} {}", alike.len(), alike[0].1.badge().word)).collect();
    let routes = if standings.len() == 1 { "1 route".to_owned() } else { format!("{} routes", standings.len()) };
    let mut all = Totals::default();
    standings.iter().filter_map(|(name, _)| late.get(*name)).flatten().for_each(|day| all += *day);
    let (requests, saved) = (told_count(all.requests.max(0).cast_unsigned()), all.baseline_usd() - all.cost_usd());
    let saved =
        if saved > 0.0 { format!(", {} less than the fallbacks alone", told_money(saved)) } else { String::new() };
    format!(
        "{routes}: {}. {requests} requests in 30 days for {}{saved}.",
        states.join(", "),
        told_money(all.cost_usd())
    )
}

/// Said where several gateways share the log.
fn shared(app: &App) -> String {
    let (gateways, role) = (app.auth.meters.gateways(), app.store.role().borrow().as_str());
    if gateways > 1 { format!(" {gateways} gateways share the log; this one is its {role}.") } else { String::new() }
}

/// What is to be seen of a route at a glance, and changes by itself.
pub(super) fn facts(standing: &Standing<'_>) -> Vec<(&'static str, String)> {
    let account = standing.router.account();
    vec![("Requests", told_count(account.requests)), ("Ratings", told_count(account.labels))]
}

/// What a route cost and saved in the last 30 days, given by the day; what it would have saved, where it is only observed.
fn costs(standing: &Standing<'_>, days: &[Totals]) -> Vec<(&'static str, String)> {
    let mut all = Totals::default();
    days.iter().for_each(|day| all += *day);
    let mut facts = vec![("Cost in 30 days", told_money(all.cost_usd()))];
    if let Some(found) = standing.router.spec().is_observed().then(|| slarouter_store::observed(days)).flatten() {
        facts.push(("Would save", observed::glance(&found)));
    } else if let Some(saved) = tiles::saved(days) {
        facts.push(("Saved against the fallback", saved));
    }
    facts
}

fn card(name: &str, standing: &Standing<'_>, days: Option<&Vec<Totals>>) -> RouteCard {
    let mut facts = facts(standing);
    facts.extend(days.into_iter().flat_map(|days| costs(standing, days)));
    RouteCard {
        name: name.to_owned(),
        href: href::route(name),
        badge: standing.badge(),
        sentence: standing.sentence(),
        gauge: standing.gauge(),
        facts,
    }
}

fn problems(app: &App, snapshot: &Snapshot) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(trouble) = app.trouble() {
        problems
            .push(format!("The {trouble} is in trouble: requests are answered, but what is shown may be out of date."));
    }
    let age = app.state_age().as_secs();
    if age >= LONG_S {
        problems
            .push(format!("This gateway has not known all of the log for {age} s: it decides by what it knew before."));
    }
    let firing = app.alerts.lines(app.clock.now()).into_iter().filter(|alert| alert.fires && alert.route.is_none());
    problems.extend(firing.map(|alert| format!("{}: {}", alert.name, alert.summary)));
    if snapshot.unreadable.count > 0 {
        problems.push(format!("Rows of the log cannot be read: {}; see slarouter doctor.", snapshot.unreadable));
    }
    problems
}
