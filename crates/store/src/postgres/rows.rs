//! The log table by table.

use slarouter_core::Timestamp;

use super::params::{bound, one, text};
use super::read;
use super::readers::View;
use super::row::parsed;
use crate::parse::{ParseRow, configuration_row, decision_row, feedback_row, outcome_row, span_certificate};
use crate::{LogRow, LogTable, RowQuery, SpanCertificate, StoreError};

/// Bytes of messages after which a page ends, however few rows it has.
const MOST_TEXT: usize = 8 << 20;
/// Decisions with messages that are fetched in one go, as the server sends all that was asked for.
const FEW: i64 = 256;

const CONFIGURATIONS: &str =
    "SELECT seq, time, route, spec FROM route_configs WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";

const OUTCOMES: &str = "SELECT o.seq, o.decision_id, o.time, o.model, o.status, o.ok, o.streamed, o.attempts, o.input_tokens, \
     o.cached_tokens, o.cache_write_tokens, o.output_tokens, o.reasoning_tokens, o.cost, o.latency_ms, o.ttft_ms, o.error, \
     d.seq, d.time, d.route, \
     NOT EXISTS (SELECT 1 FROM outcomes e WHERE e.decision_id = o.decision_id AND e.seq < o.seq) \
     FROM outcomes o JOIN decisions d ON d.id = o.decision_id \
     WHERE o.seq > $1 AND o.seq <= $2 ORDER BY o.seq LIMIT $3";

const FEEDBACK: &str = "SELECT f.seq, f.time, f.source, f.rater, f.rating, f.receipt, f.comment, d.seq, d.time, d.route, \
     f.rating IS NOT NULL AND f.receipt <> 'expired' AND NOT EXISTS (SELECT 1 FROM feedback g \
     WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = f.source AND g.receipt <> 'expired' \
     AND g.seq > f.seq AND g.seq <= $2) \
     FROM feedback f JOIN decisions d ON d.id = f.decision_id \
     WHERE f.seq > $1 AND f.seq <= $2 ORDER BY f.seq LIMIT $3";

const CERTIFICATES: &str = "SELECT start, span, route, alpha, requests, labels, lower, estimate, upper FROM certificates \
     WHERE (span, route, start) > ($1, $2 COLLATE \"C\", $3) ORDER BY span, route, start LIMIT $4";

/// The next rows of a table, in the order of their numbers; none if there are no more. A row that cannot be read stands in its place.
pub(super) async fn after(view: &View, query: RowQuery) -> Result<Vec<LogRow>, StoreError> {
    let mut most = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let (after, until) = (bound(Timestamp(query.after)), bound(Timestamp(query.until)));
    let (table, select, parse): (_, _, ParseRow) = match query.table {
        LogTable::Configurations => ("route_configs", CONFIGURATIONS, configuration_row),
        LogTable::Decisions => ("decisions", "", decision_row),
        LogTable::Outcomes => ("outcomes", OUTCOMES, outcome_row),
        LogTable::Feedback => ("feedback", FEEDBACK, feedback_row),
    };
    let rows = if query.table == LogTable::Decisions {
        most = if query.prompts { most.min(FEW) } else { most };
        let select = read::decisions("d.seq > $1 AND d.seq <= $2 ORDER BY d.seq LIMIT $4");
        view.rows(&select, &[one(&after), one(&until), one(&query.prompts), one(&most)]).await?
    } else {
        view.rows(select, &[one(&after), one(&until), one(&most)]).await?
    };
    let (mut found, mut bytes) = (Vec::new(), 0);
    for row in &rows {
        if bytes >= MOST_TEXT {
            break;
        }
        let row = match parsed(row, view.zoos(), parse) {
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
pub(super) async fn certificates(
    view: &View,
    after: Option<&SpanCertificate>,
    limit: usize,
) -> Result<Vec<SpanCertificate>, StoreError> {
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let (span, route, start) = after.map_or((-1, String::new(), 0), |after| {
        let held = &after.certificate;
        (after.span as i64, text(&held.route).into_owned(), bound(held.time))
    });
    let rows = view.rows(CERTIFICATES, &[one(&span), one(&route), one(&start), one(&most)]).await?;
    rows.iter().map(|row| parsed(row, view.zoos(), span_certificate)).collect()
}
