//! Sums of what the log holds after what is counted already.

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::Timestamp;

use super::super::params::one;
use super::super::read::last_seq;
use super::super::readers::View;
use super::super::row::{cells, parsed};
use super::read::calendar;
use crate::StoreError;
use crate::rollup::{
    By, COUNTED_AT_ONCE, Calendar, Group, ParseCounted, RouteCertificate, Selection, Tally, Totals, ended, rated,
};

/// The first outcome counts, as in the view `decisions_readable`.
const ENDED: &str = "SELECT o.seq, d.time, d.route, z.key, z.tenant, o.model, o.ok, o.status, o.input_tokens, o.cached_tokens, \
     o.output_tokens, o.cost, d.model, z.fallback, d.reason, d.reason, d.zoo, d.candidates, d.decision \
     FROM outcomes o JOIN decisions d ON d.id = o.decision_id LEFT JOIN zoos z ON z.number = d.zoo \
     WHERE o.seq > $1 AND o.seq <= $2 \
     AND NOT EXISTS (SELECT 1 FROM outcomes e WHERE e.decision_id = o.decision_id AND e.seq < o.seq)";

/// What a rater says counts in place of what the same rater said before. A verdict that is no label is no rating either.
const RATED: &str = "SELECT f.seq, d.time, d.route, z.key, z.tenant, coalesce((SELECT r.model FROM reroutes r \
     WHERE r.decision_id = f.decision_id AND r.seq < f.seq ORDER BY r.seq DESC LIMIT 1), d.model), f.source = 'audit', f.rating, \
     (SELECT g.rating FROM feedback g WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = f.source \
     AND g.receipt <> 'expired' AND g.seq < f.seq ORDER BY g.seq DESC LIMIT 1), \
     d.audit_rate, z.fallback, d.reason, d.zoo, d.candidates, d.decision \
     FROM feedback f JOIN decisions d ON d.id = f.decision_id LEFT JOIN zoos z ON z.number = d.zoo \
     WHERE f.seq > $1 AND f.seq <= $2 AND f.receipt <> 'expired' AND f.source <> 'judge'";

/// Counts what comes after what is counted. A row that cannot be read is left out, as the learner leaves it out and tells of it.
pub(crate) async fn count(
    view: &View,
    calendar: Calendar,
    certificates: Vec<RouteCertificate>,
) -> Result<Tally, StoreError> {
    let row = view.row("SELECT r.seq, h.epoch FROM rolled r, head h", &[]).await?;
    let mut row = cells(&row);
    let (from, epoch): (i64, i64) = (row.next()?, row.next()?);
    let last = last_seq(view).await?.cast_signed();
    let to = last.min(from + COUNTED_AT_ONCE);
    let range = (from.cast_unsigned(), to.cast_unsigned());
    let mut tally = Tally::new(range, calendar, certificates, to < last);
    tally.epoch = epoch;
    each(view, range, |time, group, totals| tally.add(time, group, totals)).await?;
    Ok(tally)
}

/// Sums these requests by the events after `from` up to `to` alone.
pub(crate) async fn recount(
    view: &View,
    range: (u64, u64),
    selection: &Selection,
    by: &[By],
) -> Result<BTreeMap<Vec<Arc<str>>, Totals>, StoreError> {
    let calendar = calendar(view).await?;
    let mut sums: BTreeMap<Vec<Arc<str>>, Totals> = BTreeMap::new();
    each(view, range, |time, group, totals| {
        if (selection.from..selection.to).contains(&time) && group.is_of(selection) {
            let names = by.iter().map(|by| group.name(*by, time, &calendar)).collect();
            *sums.entry(names).or_default() += totals;
        }
    })
    .await?;
    Ok(sums)
}

/// What each event after `from` up to `to` adds, and where.
async fn each(
    view: &View,
    (from, to): (u64, u64),
    mut take: impl FnMut(Timestamp, Group, Totals) + Send,
) -> Result<(), StoreError> {
    for (query, parse) in [(ENDED, ended as ParseCounted), (RATED, rated)] {
        for row in &view.rows(query, &[one(&from.cast_signed()), one(&to.cast_signed())]).await? {
            match parsed(row, view.zoos(), parse) {
                Ok((time, group, totals)) => take(time, group, totals),
                Err(StoreError::Row { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
