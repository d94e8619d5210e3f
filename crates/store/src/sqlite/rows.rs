//! The log table by table.

use rusqlite::{Connection, params};

use super::read;
use super::row::Zoos;
use crate::columns::Columns;
use crate::parse::{ParseRow, configuration_row, decision_row, feedback_row, outcome_row, span_certificate};
use crate::{LogRow, LogTable, RouteCertificate, RowQuery, SpanCertificate, StoreError};

/// Bytes of messages after which a page ends, however few rows it has.
const MOST_TEXT: usize = 8 << 20;

const CONFIGURATIONS: &str =
    "SELECT seq, time, route, spec FROM route_configs WHERE seq > ?1 AND seq <= ?2 ORDER BY seq";

const OUTCOMES: &str = "SELECT o.seq, o.decision_id, o.time, o.model, o.status, o.ok, o.streamed, o.attempts, o.input_tokens, \
     o.cached_tokens, o.cache_write_tokens, o.output_tokens, o.reasoning_tokens, o.cost, o.latency_ms, o.ttft_ms, o.error, \
     d.seq, d.time, d.route, \
     NOT EXISTS (SELECT 1 FROM outcomes e WHERE e.decision_id = o.decision_id AND e.seq < o.seq) \
     FROM outcomes o JOIN decisions d ON d.id = o.decision_id \
     WHERE o.seq > ?1 AND o.seq <= ?2 ORDER BY o.seq";

const FEEDBACK: &str = "SELECT f.seq, f.time, f.source, f.rater, f.rating, f.receipt, f.comment, d.seq, d.time, d.route, \
     f.rating IS NOT NULL AND f.receipt <> 'expired' AND NOT EXISTS (SELECT 1 FROM feedback g \
     WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = f.source AND g.receipt <> 'expired' \
     AND g.seq > f.seq AND g.seq <= ?2) \
     FROM feedback f JOIN decisions d ON d.id = f.decision_id \
     WHERE f.seq > ?1 AND f.seq <= ?2 ORDER BY f.seq";

const CERTIFICATES: &str = "SELECT start, span, route, alpha, requests, labels, lower, estimate, upper FROM certificates \
     WHERE (span, route, start) > (?1, ?2, ?3) ORDER BY span, route, start";

/// The next rows of a table, in the order of their numbers; none if there are no more. A row that cannot be read stands in its place.
pub(super) fn after(connection: &Connection, query: RowQuery) -> Result<Vec<LogRow>, StoreError> {
    let (table, select, parse): (_, _, ParseRow) = match query.table {
        LogTable::Configurations => ("route_configs", CONFIGURATIONS.to_owned(), configuration_row),
        LogTable::Decisions => {
            ("decisions", read::decisions("d.seq > ?1 AND d.seq <= ?2 ORDER BY d.seq"), decision_row)
        }
        LogTable::Outcomes => ("outcomes", OUTCOMES.to_owned(), outcome_row),
        LogTable::Feedback => ("feedback", FEEDBACK.to_owned(), feedback_row),
    };
    let most = i64::try_from(query.limit).unwrap_or(i64::MAX);
    // As a parameter, SQLite would plan the query anew each time the limit is bound.
    let mut statement = connection.prepare_cached(&format!("{select} LIMIT {most}"))?;
    let number = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
    let (after, until) = (number(query.after), number(query.until));
    let mut rows = match query.table {
        LogTable::Decisions => statement.query(params![after, until, query.prompts])?,
        _ => statement.query(params![after, until])?,
    };
    let (zoos, mut found, mut bytes) = (Zoos::new(connection), Vec::new(), 0);
    while bytes < MOST_TEXT
        && let Some(row) = rows.next()?
    {
        let row = match parse(&mut Columns::of(row, &zoos)?) {
            Err(StoreError::Row { seq, what }) => LogRow::Unreadable { seq, table, what },
            row => row?,
        };
        if let LogRow::Decision(decision) = &row {
            bytes += decision.record.prompt.as_ref().map_or(0, String::len);
        }
        found.push(row);
    }
    Ok(found)
}

/// The next certificates after this one, in the order of span, route and time; none if there are no more.
pub(super) fn certificates(
    connection: &Connection,
    after: Option<&SpanCertificate>,
    limit: usize,
) -> Result<Vec<SpanCertificate>, StoreError> {
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&format!("{CERTIFICATES} LIMIT {most}"))?;
    let place = |after: &SpanCertificate| {
        let RouteCertificate { route, time, .. } = &after.certificate;
        (after.span as i64, route.to_string(), i64::try_from(time.0).unwrap_or(i64::MAX))
    };
    let mut rows = statement.query(after.map_or((-1, String::new(), 0), place))?;
    let (zoos, mut found) = (Zoos::new(connection), Vec::new());
    while let Some(row) = rows.next()? {
        found.push(span_certificate(&mut Columns::of(row, &zoos)?)?);
    }
    Ok(found)
}
