//! The overview, and one route.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use slarouter_core::policy::Window;
use slarouter_core::{
    Account, Certificate, Policy, PolicySpec, Router, Status, Thrift, told_count, told_money, told_percent,
};
use slarouter_learner::Snapshot;
use slarouter_pages::{Badge, Claim, Gauge, ModelRow, Overview, RouteCard, RouteView, Signal, Tile, budget, sentence};
use slarouter_store::{Observed, Point, Step};
use tokio::time::Instant;

use super::page::{Visitor, frame, page, problem};
use super::{charts, href, observed};
use crate::alerts::AlertLine;
use crate::api::series::{self, RANGES};
use crate::app::App;
use crate::error::ApiError;
use crate::upstream::Circuit;

/// Events that the learner may be behind without anybody noticing.
const BEHIND: u64 = 2_000;

/// A route as it stands.
pub(super) struct Standing<'a> {
    router: &'a Router,
    thrift: Option<Thrift>,
    status: Option<Status>,
    certificate: Option<Certificate>,
}

impl<'a> Standing<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, route: &str) -> Option<Self> {
        let router = snapshot.routes.get(route)?;
        let (status, thrift) = (snapshot.status(route), snapshot.thrift.get(route).copied());
        Some(Self { router, thrift, status, certificate: router.certificate() })
    }

    pub(super) fn badge(&self) -> Badge {
        Badge::of(self.status)
    }

    /// Whether there is enough evidence to show an estimate.
    fn is_telling(&self) -> bool {
        !matches!(self.status, None | Some(Status::Insufficient))
    }

    fn sentence(&self) -> String {
        let account = self.router.account();
        sentence(&Claim {
            status: self.status,
            alpha: self.router.alpha(),
            assurance: self.certified().map_or(0.0, |(assurance, _)| assurance),
            certificate: self.certificate,
            labels: account.labels,
            serves: self.router.spec().is_observed().then(|| self.fallback()),
        })
    }

    /// The model with which savings are compared.
    fn fallback(&self) -> &str {
        let spec = self.router.spec();
        &spec.zoo.models()[spec.fallback()].name
    }

    /// Every text of this route that changes, by the names that pages have for it.
    pub(super) fn figures(&self) -> BTreeMap<String, String> {
        let mut figures: BTreeMap<_, _> = facts(self).into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        figures.insert("sentence".to_owned(), self.sentence());
        for Tile { name, value, note } in tiles(self) {
            figures.insert(format!("{name}, the figure"), value);
            figures.insert(format!("{name}, its note"), note);
        }
        figures
    }

    fn gauge(&self) -> Option<Gauge> {
        let certificate = self.certificate.as_ref()?;
        Some(Gauge::of(certificate, self.router.alpha(), self.badge(), self.is_telling()))
    }

    /// Assurance and window of the promise.
    fn certified(&self) -> Option<(f64, Window)> {
        match &self.router.spec().policy {
            PolicySpec::Certified(params) => Some((params.assurance, params.window)),
            _ => None,
        }
    }
}

/// All configured routes, worst state first.
pub(super) async fn overview(State(app): State<Arc<App>>, Extension(visitor): Extension<Visitor>) -> Response {
    let snapshot = app.published.load();
    let mut standings: Vec<_> =
        app.config.routes.keys().filter_map(|name| Some((name, Standing::of(&snapshot, name)?))).collect();
    // What promises nothing comes last.
    standings.sort_by_key(|(name, standing)| (standing.status.is_none(), standing.status, *name));
    let mut routes: Vec<_> = standings.iter().map(|(name, standing)| card(name, standing)).collect();
    for (card, (name, _)) in routes.iter_mut().zip(&standings) {
        // The others are shown all the same.
        if let Ok(Some(found)) = series::observed_of_late(&app, name).await {
            card.facts.push(("Would save", observed::glance(&found)));
        }
    }
    let view = Overview {
        frame: frame(&visitor, "overview", "Overview"),
        problems: problems(&app, &snapshot),
        summary: summary(&standings),
        routes,
        report_href: href::report(&visitor.calendar, app.clock.now()),
    };
    page(StatusCode::OK, &view)
}

fn summary(standings: &[(&Arc<str>, Standing<'_>)]) -> String {
    // Those of one state stand next to each other.
    let alike = standings.chunk_by(|(_, one), (_, other)| one.status == other.status);
    let states: Vec<_> = alike.map(|alike| format!("{} {}", alike.len(), alike[0].1.badge().word)).collect();
    let accounts = || standings.iter().map(|(_, standing)| standing.router.account());
    let requests: u64 = accounts().map(|account| account.requests).sum();
    let (cost, most) =
        accounts().fold((0.0, 0.0), |(cost, most), account| (cost + account.cost, most + account.most_expensive_cost));
    let routes = if standings.len() == 1 { "1 route".to_owned() } else { format!("{} routes", standings.len()) };
    let saved = saving(cost, most)
        .map(|(share, _)| format!(", {share} less than the most expensive models"))
        .unwrap_or_default();
    format!("{routes}: {}. {} requests for {}{saved}.", states.join(", "), told_count(requests), told_money(cost))
}

/// What was saved against the most expensive model on every request, as a share and in USD; `None` if nothing was.
fn saving(cost: f64, most_expensive: f64) -> Option<(String, String)> {
    let saved = most_expensive - cost;
    (saved > 0.0).then(|| (format!("{:.0} %", saved / most_expensive * 100.0), told_money(saved)))
}

/// What is to be seen of a route at a glance.
fn facts(standing: &Standing<'_>) -> Vec<(&'static str, String)> {
    let account = standing.router.account();
    let mut facts = vec![
        ("Requests", told_count(account.requests)),
        ("Ratings", told_count(account.labels)),
        ("Cost", told_money(account.cost)),
    ];
    if let Some((share, usd)) = saving(account.cost, account.most_expensive_cost) {
        facts.push(("Saved", format!("{share}, {usd}")));
    }
    facts
}

fn card(name: &str, standing: &Standing<'_>) -> RouteCard {
    RouteCard {
        name: name.to_owned(),
        href: href::route(name),
        badge: standing.badge(),
        sentence: standing.sentence(),
        gauge: standing.gauge(),
        facts: facts(standing),
    }
}

fn problems(app: &App, snapshot: &Snapshot) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(trouble) = app.trouble() {
        problems
            .push(format!("The {trouble} is in trouble: requests are answered, but what is shown may be out of date."));
    }
    let firing = app.alerts.lines(app.clock.now()).into_iter().filter(|alert| alert.fires && alert.route.is_none());
    problems.extend(firing.map(|alert| format!("{}: {}", alert.name, alert.summary)));
    if snapshot.unreadable.count > 0 {
        problems.push(format!("Rows of the log cannot be read: {}; see slarouter doctor.", snapshot.unreadable));
    }
    problems
}

/// One route.
pub(super) async fn route(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = query.as_deref().and_then(|query| query.strip_prefix("range=")).unwrap_or(series::USUAL);
    let (points, found) = match points(&app, &name, asked).await {
        Ok(found) => found,
        Err(error) => return problem(&visitor, &error),
    };
    let snapshot = app.published.load();
    let Some(standing) = Standing::of(&snapshot, &name) else {
        return problem(&visitor, &no_such_route());
    };
    let view = RouteView {
        frame: frame(&visitor, "overview", &name),
        name: &name,
        badge: standing.badge(),
        sentence: standing.sentence(),
        tiles: tiles(&standing),
        gauge: standing.gauge(),
        observed: found.map(|found| observed::card(&found, standing.fallback(), standing.router.spec().is_observed())),
        ranges: RANGES
            .map(|(range, _)| (range, format!("{}?range={range}", href::route(&name)), range == asked))
            .into(),
        series_href: href::series(&name, asked),
        charts: charts::charts(&points, &visitor.calendar),
        models: models(&app, &name, &standing),
        signals: signals(&app, &snapshot, &name, &standing),
        tables_href: href::tables(&name),
        decisions_href: href::decisions(&[("route", &name)]),
    };
    page(StatusCode::OK, &view)
}

/// What became of a route within the range of this name, and what would have been had it not only been observed.
async fn points(app: &App, route: &str, range: &str) -> Result<(Vec<Point>, Option<Observed>), ApiError> {
    if !app.config.routes.contains_key(route) {
        return Err(no_such_route());
    }
    let Some((from, to)) = series::range(range, app.clock.now()) else {
        let message = "There is no such range: choose one of those on the page of the route.";
        return Err(ApiError::invalid("range", "invalid_parameter", message));
    };
    let points = series::points(app, route, (from, to), Step::at_most(charts::LINES, from, to)).await?;
    let was_observed = points.iter().any(|point| point.totals.observed > 0);
    let found = if was_observed { series::observed(app, route, (from, to)).await? } else { None };
    Ok((points, found))
}

pub(super) fn no_such_route() -> ApiError {
    let message = "No route of that name is configured. The overview lists those that are.";
    ApiError::invalid("", "route_not_found", message).with_status(StatusCode::NOT_FOUND)
}

/// What a route saves of late against its fallback alone, and what stands in the way where that is little.
fn thrift(thrift: &Thrift) -> Tile {
    let note = match thrift.obstacle {
        Some(obstacle) => {
            format!("of what the fallback alone would cost: {}. {}.", obstacle.cause(), capital(obstacle.remedy()))
        }
        None => "of what the fallback alone was predicted to cost for the last thousand or so requests".to_owned(),
    };
    Tile { name: "Saved of late", value: told_percent(thrift.saving), note }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn tiles(standing: &Standing<'_>) -> Vec<Tile> {
    let (router, account) = (standing.router, standing.router.account());
    let mut tiles = vec![Tile { name: "Objective", value: told_percent(router.alpha()), note: objective(standing) }];
    if let Some(certificate) = &standing.certificate {
        tiles.extend(evidence(standing, certificate));
    }
    let each =
        if account.finished > 0 { told_money(account.cost / account.finished as f64) } else { "nothing".to_owned() };
    let note = format!("{each} per request, {} requests", told_count(account.requests));
    tiles.push(Tile { name: "Cost", value: told_money(account.cost), note });
    tiles.extend(saving(account.cost, account.most_expensive_cost).map(|(share, usd)| {
        let most = told_money(account.most_expensive_cost);
        let note =
            format!("{usd} of the {most} that the most expensive model was predicted to cost on the same requests");
        Tile { name: "Saved", value: share, note }
    }));
    tiles.extend(standing.thrift.as_ref().map(thrift));
    tiles.push(explored(account));
    tiles
}

fn objective(standing: &Standing<'_>) -> String {
    let Some((assurance, window)) = standing.certified() else {
        return "of the answers are to satisfy; this policy does not certify it".to_owned();
    };
    let window = match window {
        Window::Run => "over the whole run".to_owned(),
        Window::Requests(count) => format!("over the last {} requests", told_count(count)),
        Window::Period(ms) => format!("in every {} hours", told_count(ms / 3_600_000)),
    };
    format!("of the answers are to satisfy, {window}, with {} assurance", told_percent(assurance))
}

fn evidence(standing: &Standing<'_>, certificate: &Certificate) -> [Tile; 2] {
    let Certificate { requests, labels, estimate, lower, upper } = *certificate;
    let alpha = standing.router.alpha();
    let between = format!("between {:.1} and {}", lower * 100.0, told_percent(upper));
    let ratings = format!("{} ratings", told_count(labels));
    if !standing.is_telling() {
        let note = format!("{between} so far, by {ratings}: too few for a point");
        let reserve = "shown once there is enough evidence".to_owned();
        return [("Satisfaction", note), ("Reserve", reserve)].map(|(name, note)| Tile {
            name,
            value: "–".to_owned(),
            note,
        });
    }
    let ((points, share), (least, _), (most, _)) =
        (budget(estimate, alpha), budget(lower, alpha), budget(upper, alpha));
    let answers = (estimate - alpha) * requests as f64;
    let note = format!(
        "from {least} to {most}; {share} of what may fail, about {answers:+.0} answers. The policy spends what is not needed: \
         a small reserve that is proven costs least"
    );
    [
        Tile { name: "Satisfaction", value: told_percent(estimate), note: format!("{between}, by {ratings}") },
        Tile { name: "Reserve", value: format!("{points} points"), note },
    ]
}

fn explored(account: &Account) -> Tile {
    let share = if account.requests > 0 { account.explored as f64 / account.requests as f64 } else { 0.0 };
    let note = "of the requests were drawn away from the best choice, to learn or to mix".to_owned();
    Tile { name: "Drawn", value: told_percent(share), note }
}

fn models(app: &App, route: &str, standing: &Standing<'_>) -> Vec<ModelRow> {
    let account = standing.router.account();
    let health: BTreeMap<_, _> =
        app.health.view(Instant::now()).map(|(name, circuit, error)| (name.to_owned(), (circuit, error))).collect();
    let fallback = match &standing.router.spec().policy {
        PolicySpec::Certified(params) => params.fallback.clone(),
        _ => None,
    };
    let row = |model: &slarouter_core::ModelSpec| {
        let own = account.models.get(&model.name).cloned().unwrap_or_default();
        let share = if account.requests > 0 { own.requests as f64 / account.requests as f64 } else { 0.0 };
        let (circuit, trouble) = health.get(&*model.name).cloned().unwrap_or((Circuit::Closed, None));
        ModelRow {
            name: model.name.to_string(),
            href: href::decisions(&[("route", route), ("model", &model.name)]),
            is_fallback: fallback.as_deref() == Some(&*model.name),
            share: told_percent(share),
            width: format!("{:.1}", share * 100.0),
            ratings: if own.labels > 0 {
                format!("{:.0} of {}", own.satisfied, told_count(own.labels))
            } else {
                "–".to_owned()
            },
            cost: told_money(own.cost),
            cost_each: if own.requests > 0 { told_money(own.cost / own.requests as f64) } else { "–".to_owned() },
            circuit: match circuit {
                Circuit::Closed => Badge::good("answers"),
                Circuit::HalfOpen => Badge::warn("being probed"),
                Circuit::Open => Badge::bad("left alone"),
            },
            trouble,
        }
    };
    standing.router.zoo().models().iter().map(row).collect()
}

/// The alerts of a route that are pending or fire.
fn alerts(app: &App, route: &str) -> Vec<Signal> {
    let own = app.alerts.lines(app.clock.now()).into_iter().filter(|alert| alert.route.as_deref() == Some(route));
    let calendar = app.calendar();
    let signal = |alert: AlertLine| Signal {
        name: alert.name,
        now: format!("{} (since {})", alert.summary, calendar.told(alert.since)),
        badge: match (alert.fires, alert.severity) {
            (false, _) => Badge::calm("pending"),
            (true, "critical") => Badge::bad("fires"),
            (true, _) => Badge::warn("fires"),
        },
    };
    let signals: Vec<_> = own.map(signal).collect();
    if signals.is_empty() {
        let now = "none fires, and none is about to".to_owned();
        return vec![Signal { name: "Alerts", now, badge: Badge::good("quiet") }];
    }
    signals
}

pub(super) fn signals(app: &App, snapshot: &Snapshot, route: &str, standing: &Standing<'_>) -> Vec<Signal> {
    let mut signals = alerts(app, route);
    let behind = app.store.committed().borrow().saturating_sub(snapshot.seq);
    signals.extend([
        Signal {
            name: "Learner",
            now: format!("{} of the log's events not read yet", told_count(behind)),
            badge: if behind > BEHIND { Badge::warn("behind") } else { Badge::good("up to date") },
        },
        Signal {
            name: "Log",
            now: format!("{} entries lost", told_count(app.store.dropped())),
            badge: if app.store.is_failing() { Badge::bad("cannot be written") } else { Badge::good("written") },
        },
    ]);
    if let Some(feasible) = standing.router.policy().is_feasible() {
        signals.push(Signal {
            name: "Reach of the models",
            now: "by what is predicted of them".to_owned(),
            badge: if feasible { Badge::good("can meet the target") } else { Badge::bad("cannot meet the target") },
        });
    }
    let aside = snapshot.set_aside.get(route).copied().unwrap_or_default();
    signals.push(Signal {
        name: "Ratings set aside",
        now: format!("{} beyond the limit or the share of their rater", told_count(aside)),
        badge: if aside > 0 { Badge::warn("some raters rate very often") } else { Badge::good("none") },
    });
    signals
}
