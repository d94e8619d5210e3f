//! The facts of a report.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::Serialize;
use slarouter_core::{Agreement, Timestamp};
use slarouter_store::{By, Calendar, Observed, Row, Selection, Store, Totals, observed, saving};

use crate::error::ReportError;
use crate::incident::Incident;
use crate::judge::Judge;
use crate::promise::{Promise, Verdict};
use crate::verify::Terms;

/// All that a report says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// From what it was made, and can be made again.
    #[serde(flatten)]
    pub terms: Terms,
    /// SHA-256 of the log up to that event.
    pub log_sha256: String,
    /// The calendar months of the period in which something was asked.
    pub months: Vec<Month>,
    /// What changed, broke or was decided without learning.
    pub incidents: Vec<Incident>,
    /// Events that cannot be read or make no sense: they are in no bounds.
    pub refused: u64,
}

/// A calendar month, or the part of one that is in the period.
#[derive(Clone, Debug, Serialize)]
pub struct Month {
    /// As `2026-11`.
    pub name: String,
    /// Each route that was asked, in the order of the names.
    pub routes: Vec<Route>,
    /// What each key and tenant has to pay.
    pub bills: Vec<Bill>,
    /// Its days.
    pub days: Vec<Day>,
}

/// A route in a month.
#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// What became of its promise.
    pub verdict: Verdict,
    /// The promise and the evidence; `None` if its policy certifies nothing.
    pub promise: Option<Promise>,
    /// Requests that ended.
    pub requests: i64,
    /// Those that got no whole answer.
    pub errors: i64,
    /// Those whose clients named the model.
    pub pinned: i64,
    /// Those that another model had to answer.
    pub rerouted: i64,
    /// Ratings of users in force.
    pub ratings: i64,
    /// Audits in force.
    pub audits: i64,
    /// Mean of the ratings; those who rate need not be like those who do not.
    pub rated_satisfaction: Option<f64>,
    /// Charged.
    pub cost_usd: f64,
    /// With what it is compared.
    pub baseline: Option<Arc<str>>,
    /// What that would have cost more.
    pub saved_usd: f64,
    /// About 95 %.
    pub saved_interval_usd: Option<(f64, f64)>,
    /// For which share of requests the baseline could have been drawn; for the others its cost is predicted.
    pub saving_supported: f64,
    /// How often its judge and people said the same of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// What it would have given while it was only observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
}

/// What a payer owes for a month.
#[derive(Clone, Debug, Serialize)]
pub struct Bill {
    /// Name of the key; empty without one.
    pub key: Arc<str>,
    /// The tenant; empty without one.
    pub tenant: Arc<str>,
    /// Requests that ended.
    pub requests: i64,
    /// Charged.
    pub cost_usd: f64,
}

/// A day.
#[derive(Clone, Debug, Serialize)]
pub struct Day {
    /// As `2026-11-29`.
    pub date: Arc<str>,
    /// Requests that ended.
    pub requests: i64,
    /// Those that got no whole answer.
    pub errors: i64,
    /// Those that another model had to answer.
    pub rerouted: i64,
    /// Those that were left to the fallback.
    pub fallbacks: i64,
    /// Charged.
    pub cost_usd: f64,
}

/// The report of what was decided in this period, by the log up to the event `until`: ratings that came later are not in it.
///
/// Reads the log up to there three times.
///
/// # Errors
/// [`ReportError`]
pub async fn report(store: &dyn Store, period: Range<Timestamp>, until: u64) -> Result<Report, ReportError> {
    let calendar = store.calendar().await?;
    let months = months(&period, &calendar);
    let judge = Judge::hear(store, &calendar, &months, until).await?;
    let mut report = Report {
        terms: Terms::new(&period, until, &calendar),
        log_sha256: HEXLOWER.encode(&store.fingerprint(until).await?),
        months: Vec::new(),
        incidents: judge.incidents.clone(),
        refused: judge.refused,
    };
    let selection = Selection { from: period.start, to: period.end, ..Selection::default() };
    let rows = store.recount(selection, until, &[By::Month, By::Route, By::Key, By::Tenant, By::Day]).await?;
    for rows in rows.chunk_by(|a, b| a.names[0] == b.names[0]) {
        let name = rows[0].names[0].to_string();
        let days = days(rows);
        report.incidents.extend(days.iter().filter_map(trouble));
        let place = months.iter().position(|month| calendar.date(month.start).starts_with(&name)).unwrap_or_default();
        let routes = routes(rows).into_iter().map(|(name, days)| judge.route(place, name, &days)).collect();
        report.months.push(Month { name, routes, bills: bills(rows), days });
    }
    report.incidents.sort_by(|a, b| (&a.date, &a.route).cmp(&(&b.date, &b.route)));
    Ok(report)
}

/// The calendar months of a period, the first and the last as far as they are in it.
fn months(period: &Range<Timestamp>, calendar: &Calendar) -> Vec<Range<Timestamp>> {
    let mut months = Vec::new();
    let mut from = period.start;
    while from < period.end {
        let to = calendar.month(from).end.min(period.end);
        months.push(from..to);
        from = to;
    }
    months
}

/// The sums of what `name` says is one.
fn by<K: Ord>(rows: &[Row], name: impl Fn(&[Arc<str>]) -> K) -> BTreeMap<K, Totals> {
    let mut sums: BTreeMap<K, Totals> = BTreeMap::new();
    for row in rows {
        *sums.entry(name(&row.names)).or_default() += row.totals;
    }
    sums
}

/// Each route with the sums of its days. What was asked of a model in no route promises nothing, and stands among the bills.
fn routes(rows: &[Row]) -> BTreeMap<Arc<str>, Vec<Totals>> {
    let mut routes: BTreeMap<Arc<str>, Vec<Totals>> = BTreeMap::new();
    for ((route, _), totals) in by(rows, |names| (names[1].clone(), names[4].clone())) {
        if !route.is_empty() {
            routes.entry(route).or_default().push(totals);
        }
    }
    routes
}

fn bills(rows: &[Row]) -> Vec<Bill> {
    let bill = |((key, tenant), totals): ((Arc<str>, Arc<str>), Totals)| Bill {
        key,
        tenant,
        requests: totals.requests,
        cost_usd: totals.cost_usd(),
    };
    by(rows, |names| (names[2].clone(), names[3].clone())).into_iter().map(bill).collect()
}

fn days(rows: &[Row]) -> Vec<Day> {
    let day = |(date, totals): (Arc<str>, Totals)| Day {
        date,
        requests: totals.requests,
        errors: totals.errors,
        rerouted: totals.rerouted,
        fallbacks: totals.fallbacks,
        cost_usd: totals.cost_usd(),
    };
    by(rows, |names| names[4].clone()).into_iter().map(day).collect()
}

/// A day on which more went wrong than one request in a hundred.
fn trouble(day: &Day) -> Option<Incident> {
    let told: Vec<_> = [(day.errors, "got no whole answer"), (day.rerouted, "had to be answered by another model")]
        .into_iter()
        .filter(|(count, _)| count * 100 > day.requests)
        .map(|(count, what)| format!("{count} of {} requests {what}", day.requests))
        .collect();
    (!told.is_empty()).then(|| Incident { date: day.date.to_string(), route: "".into(), what: told.join("; ") })
}

impl Judge<'_> {
    fn route(&self, month: usize, name: Arc<str>, days: &[Totals]) -> Route {
        let mut all = Totals::default();
        days.iter().for_each(|day| all += *day);
        let saved = saving(days);
        let promise = self.promise(month, &name);
        Route {
            verdict: promise.as_ref().map_or(Verdict::NoPromise, Promise::verdict),
            promise,
            requests: all.requests,
            errors: all.errors,
            pinned: all.pinned,
            rerouted: all.rerouted,
            ratings: all.ratings,
            audits: all.audits,
            rated_satisfaction: all.satisfaction(),
            cost_usd: all.cost_usd(),
            baseline: self.baseline(&name),
            saved_usd: saved.usd,
            saved_interval_usd: saved.interval,
            saving_supported: saved.supported,
            agreement: self.agreement(month, &name),
            observed: observed(days),
            name,
        }
    }
}
