//! `GET /admin/routes/{route}/series`: what became of a route, step by step, for charts, notebooks and tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};
use slarouter_core::{Timestamp, told_usd};
use slarouter_store::{By, Observed, Point, Row, Selection, Step, StoreError, Totals};

use crate::api::decisions::unreadable;
use crate::api::marks::marks;
use crate::api::{fields, table};
use crate::app::App;
use crate::error::ApiError;

/// Points of a series whose step is not given.
const POINTS: usize = 240;
/// Labels below which no estimate is told.
const ENOUGH: u64 = 50;
const MINUTE_MS: u64 = 60_000;
/// Answers of late.
const THOUSAND: i64 = 1_000;
const NAMES: [&str; 5] = ["range", "from", "to", "step", "format"];
/// The ranges that have names, and their lengths in minutes.
pub(crate) const RANGES: [(&str, u64); 6] =
    [("1h", 60), ("6h", 360), ("1d", 1_440), ("7d", 10_080), ("30d", 43_200), ("90d", 129_600)];
/// The range that is shown if none is asked for.
pub(crate) const USUAL: &str = "1d";
/// The range of what is told of an observed route where no range is asked for.
const OF_LATE: &str = "30d";

/// Which stretch of time, in which steps, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    from: Timestamp,
    to: Timestamp,
    step: Option<u64>,
    csv: bool,
    /// Whether it is a range with a name, of which only the part is told in which there is something.
    is_named: bool,
}

/// Tells a route's sums and certificate step by step
///
/// The columns are lists of one length; `time_ms` is where each step begins. What is not known is null. With `format=csv` it is a table.
/// `marks` are changes of configuration, prices and circuits. A `range` is told from the route's first decision in it on. `observed` is what the plan of a route that is only observed would have given in the whole range, with intervals that take the steps for
/// alike.
#[utoipa::path(
    get, path = "/admin/routes/{route}/series", tag = "Administration",
    params(
        ("route" = String, Path, description = "Its name; a slash in it as `%2F`"),
        ("range" = Option<String>, Query, description = "The last `1h`, `6h`, `1d` (if left out), `7d`, `30d` or `90d`, from where there is something"),
        ("from" = Option<u64>, Query, description = "In place of `range`: milliseconds since 1970"),
        ("to" = Option<u64>, Query, description = "Now, if left out"),
        ("step" = Option<u64>, Query, description = "Minutes; such that there are 240 points at most, if left out"),
        ("format" = Option<String>, Query, description = "`json` or `csv`"),
    ),
    responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn series(
    State(app): State<Arc<App>>,
    Path(route): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match told(&app, &route, query.as_deref().unwrap_or_default()).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn told(app: &App, route: &str, query: &str) -> Result<Response, ApiError> {
    if !app.config.routes.contains_key(route) {
        let message = "no route of that name is configured: GET /v1/models lists those that are";
        return Err(ApiError::invalid("route", "route_not_found", message).with_status(StatusCode::NOT_FOUND));
    }
    let mut asked = parse(query, app.clock.now())?;
    if asked.is_named {
        (asked.from, asked.to) = told_part(app, route, (asked.from, asked.to)).await;
    }
    let step = asked.step.map_or_else(|| Step::at_most(POINTS, asked.from, asked.to), Step::Minutes);
    let points = points(app, route, (asked.from, asked.to), step).await?;
    let columns = columns(&points);
    let observed = slarouter_store::observed(&points.iter().map(|point| point.totals).collect::<Vec<_>>());
    if asked.csv {
        return Ok(table::answer(csv(&columns)));
    }
    let named: Map<String, Value> =
        columns.into_iter().map(|(name, values)| (name.to_owned(), json!(values))).collect();
    let marks = marks(app, route, (asked.from, asked.to)).await;
    let told = json!({ "route": route, "columns": named, "observed": observed, "marks": marks });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(told)).into_response())
}

/// What became of a route in this stretch of time.
pub(crate) async fn points(
    app: &App,
    route: &str,
    (from, to): (Timestamp, Timestamp),
    step: Step,
) -> Result<Vec<Point>, ApiError> {
    let selection = Selection { from, to, route: Some(route.into()), ..Selection::default() };
    app.store.series(selection, step).await.map_err(|error| match error {
        StoreError::Gone { .. } => unreadable(error),
        StoreError::Range(_) => ApiError::invalid("step", "range_too_fine", error.to_string()),
        error => {
            tracing::error!(%error, "a series cannot be read");
            ApiError::unavailable("store_unavailable", "the log could not be read: ask again")
        }
    })
}

/// The same in steps that make a chart, from where there is something to show.
pub(crate) async fn within(app: &App, route: &str, range: (Timestamp, Timestamp)) -> Result<Vec<Point>, ApiError> {
    let (from, to) = told_part(app, route, range).await;
    points(app, route, (from, to), Step::at_most(POINTS, from, to)).await
}

/// The part of a stretch of time from the route's first decision in it on; all of it, if there is none. A chart of a day on which a route
/// began a minute ago would be empty.
async fn told_part(app: &App, route: &str, (from, to): (Timestamp, Timestamp)) -> (Timestamp, Timestamp) {
    let first = app.store.first(route, from).await.ok().flatten();
    (first.filter(|first| *first < to).unwrap_or(from), to)
}

/// What the plan of a route would have given in the last 30 days, if it is observed now.
pub(crate) async fn observed_of_late(app: &App, route: &str) -> Result<Option<Observed>, ApiError> {
    let is_observed = app.published.load().routes.get(route).is_some_and(|router| router.spec().is_observed());
    let Some(late) = range(OF_LATE, app.clock.now()).filter(|_| is_observed) else { return Ok(None) };
    let blocks = within(app, route, late).await?;
    Ok(slarouter_store::observed(&blocks.iter().map(|block| block.totals).collect::<Vec<_>>()))
}

/// The sums of each of the last 30 days, by route.
///
/// # Errors
/// If they cannot be read.
pub(crate) async fn of_late(app: &App) -> Result<BTreeMap<Arc<str>, Vec<Totals>>, StoreError> {
    let Some((from, to)) = range(OF_LATE, app.clock.now()) else { return Ok(BTreeMap::new()) };
    let late = Selection { from, to, ..Selection::default() };
    let mut days: BTreeMap<Arc<str>, Vec<Totals>> = BTreeMap::new();
    for Row { names, totals } in app.store.totals(late, &[By::Route, By::Day]).await? {
        days.entry(names[0].clone()).or_default().push(totals);
    }
    Ok(days)
}

/// What became of a route's answers of late.
#[derive(Default)]
pub(crate) struct Late {
    /// Those of the last hour.
    pub(crate) hour: Totals,
    /// The last thousand, and a few more as minutes are whole; fewer, if there were no more in 30 days.
    pub(crate) thousand: Totals,
}

/// What became of a route's answers of late.
pub(crate) async fn late(app: &App, route: &str) -> Result<Late, ApiError> {
    let now = app.clock.now();
    let Some(hour) = range("1h", now) else { return Ok(Late::default()) };
    let points = points(app, route, hour, Step::Minutes(1)).await?;
    let mut late = Late { hour: last(i64::MAX, &points), thousand: last(THOUSAND, &points) };
    for longer in ["1d", OF_LATE].into_iter().filter_map(|name| range(name, now)) {
        if late.thousand.requests < THOUSAND {
            late.thousand = last(THOUSAND, &within(app, route, longer).await?);
        }
    }
    Ok(late)
}

/// The sums of the last points that have so many requests.
fn last(requests: i64, points: &[Point]) -> Totals {
    let mut sum = Totals::default();
    for point in points.iter().rev() {
        if sum.requests >= requests {
            break;
        }
        sum += point.totals;
    }
    sum
}

/// The stretch of time with this name that ends now.
pub(crate) fn range(name: &str, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let minutes = RANGES.iter().find(|(known, _)| *known == name)?.1;
    Some((Timestamp(now.0.saturating_sub(minutes * MINUTE_MS)), now))
}

fn parse(query: &str, now: Timestamp) -> Result<Asked, ApiError> {
    let (from, to) = range(USUAL, now).unwrap_or((Timestamp(0), now));
    let mut asked = Asked { from, to, step: None, csv: false, is_named: true };
    for (name, value) in fields::parameters(query, &NAMES)? {
        let refuse = |what: &str| ApiError::invalid(name, "invalid_parameter", format!("`{name}` must be {what}"));
        let number = || value.parse::<u64>().ok().filter(|value| *value > 0);
        match name {
            "range" => {
                let words = "`1h`, `6h`, `1d`, `7d`, `30d` or `90d`";
                (asked.from, asked.to) = range(&value, now).ok_or_else(|| refuse(words))?;
            }
            "from" => {
                asked.from = Timestamp(number().ok_or_else(|| refuse("milliseconds since 1970"))?);
                asked.is_named = false;
            }
            "to" => asked.to = Timestamp(number().ok_or_else(|| refuse("milliseconds since 1970"))?),
            "step" => asked.step = Some(number().ok_or_else(|| refuse("a number of minutes"))?),
            _ => {
                asked.csv = match &*value {
                    "csv" => true,
                    "json" => false,
                    _ => return Err(refuse("`json` or `csv`")),
                }
            }
        }
    }
    if asked.from >= asked.to {
        return Err(ApiError::invalid("from", "invalid_parameter", "`from` must lie before `to`"));
    }
    Ok(asked)
}

/// The columns by name.
pub(crate) fn columns(points: &[Point]) -> Vec<(&'static str, Vec<Option<f64>>)> {
    let column = |value: &dyn Fn(&Point) -> Option<f64>| points.iter().map(value).collect();
    let held = |value: fn(&slarouter_core::Certificate) -> f64| -> Vec<Option<f64>> {
        column(&|point| point.certificate.as_ref().map(|held| value(&held.certificate)))
    };
    let sum = |value: fn(&slarouter_store::Totals) -> i64| -> Vec<Option<f64>> {
        column(&|point| Some(value(&point.totals) as f64))
    };
    let estimate = |point: &Point| {
        let held = point.certificate.as_ref().filter(|held| held.certificate.labels >= ENOUGH)?;
        Some(held.certificate.estimate)
    };
    vec![
        ("time_ms", column(&|point| Some(point.start.0 as f64))),
        ("alpha", column(&|point| point.certificate.as_ref().map(|held| held.alpha))),
        ("lower", held(|held| held.lower)),
        ("estimate", column(&estimate)),
        ("upper", held(|held| held.upper)),
        ("requests", sum(|totals| totals.requests)),
        ("errors", sum(|totals| totals.errors)),
        ("explored", sum(|totals| totals.explored)),
        ("ratings", sum(|totals| totals.ratings)),
        ("up", sum(|totals| totals.up)),
        ("down", sum(|totals| totals.down)),
        ("audits", sum(|totals| totals.audits)),
        ("cost_usd", column(&|point| Some(told_usd(point.totals.cost_usd())))),
        ("baseline_usd", column(&|point| Some(told_usd(point.totals.baseline_usd())))),
        ("plan_usd", column(&|point| point.totals.plan_usd().map(told_usd))),
    ]
}

fn csv(columns: &[(&str, Vec<Option<f64>>)]) -> Vec<u8> {
    let names = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let row = |row: usize| columns.iter().map(|(_, values)| table::known(values[row])).collect();
    let count = columns.first().map_or(0, |(_, values)| values.len());
    table::lines(std::iter::once::<Vec<String>>(names).chain((0..count).map(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(10_000_000_000);

    #[test]
    fn ranges_have_names_and_mistakes_are_told() {
        let day = Asked { from: Timestamp(NOW.0 - 86_400_000), to: NOW, step: None, csv: false, is_named: true };
        assert_eq!(parse("", NOW).unwrap(), day);
        let read = parse("range=1h&step=5&format=csv", NOW).unwrap();
        assert_eq!(read, Asked { from: Timestamp(NOW.0 - 3_600_000), step: Some(5), csv: true, ..day });
        assert_eq!(
            parse("from=5&to=9", NOW).unwrap(),
            Asked { from: Timestamp(5), to: Timestamp(9), is_named: false, ..day }
        );
        for (query, param) in [
            ("range=2h", "range"),
            ("from=x", "from"),
            ("from=9&to=9", "from"),
            ("step=0", "step"),
            ("format=xml", "format"),
        ] {
            assert_eq!(parse(query, NOW).unwrap_err().param, Some(param), "{query}");
        }
    }

    #[test]
    fn the_last_thousand_are_those_of_the_last_points_that_have_as_many() {
        let point = |requests: i64| {
            let totals = Totals { requests, ratings: requests / 10, ..Totals::default() };
            Point { start: NOW, totals, certificate: None }
        };
        let found =
            |requests: &[i64]| last(THOUSAND, &requests.iter().map(|requests| point(*requests)).collect::<Vec<_>>());
        assert_eq!(found(&[5_000, 700, 0, 400]).ratings, 110);
        assert_eq!(found(&[5_000, 1_000]).requests, 1_000);
        assert_eq!(found(&[7, 8]).requests, 15, "all that there are");
        assert_eq!(found(&[]), Totals::default());
    }

    #[test]
    fn a_table_has_a_line_for_each_step_and_nothing_where_nothing_is_known() {
        let columns = vec![("time_ms", vec![Some(60_000.0), Some(120_000.0)]), ("lower", vec![None, Some(0.875)])];
        assert_eq!(csv(&columns), b"time_ms,lower\n60000,\n120000,0.875\n");
    }
}
