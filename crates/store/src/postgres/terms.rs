//! Who has held the log, and whether it still holds what somebody has learnt from it.

use slarouter_core::Timestamp;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::events;
use super::params::{bound, one};
use super::readers::View;
use crate::replica::is_another;
use crate::{Following, StoreError, Term};

/// Under whom an event was appended.
const OF: &str = "SELECT epoch, term FROM terms WHERE seq < $1 ORDER BY seq DESC, epoch DESC LIMIT 1";

/// The last event, and the last one of those that the log does not tell any more.
const ENDS: &str = "SELECT h.seq, s.seq FROM head h, shortened s";

/// All that the events after one were appended under, and the one itself.
const SINCE: &str = "SELECT seq, epoch, term FROM terms WHERE seq < (SELECT seq FROM head) \
     AND epoch >= coalesce((SELECT epoch FROM terms WHERE seq < $1 ORDER BY seq DESC, epoch DESC LIMIT 1), 0) ORDER BY epoch";

/// Those that are before all that the log still tells.
pub(super) const FORGET: &str = "DELETE FROM terms WHERE epoch < \
     (SELECT t.epoch FROM terms t, shortened s WHERE t.seq < s.seq ORDER BY t.seq DESC, t.epoch DESC LIMIT 1)";

/// What comes after the event `seq` for one who has learnt it as of the term `by`; see [`crate::Store::following`].
pub(super) async fn following(view: &View, seq: u64, by: Option<Term>, limit: usize) -> Result<Following, StoreError> {
    let (from, most) = (bound(Timestamp(seq)), i64::try_from(limit).unwrap_or(i64::MAX));
    let (since, after) = ([one(&from)], [one(&from), one(&most)]);
    let queries = events::queries(&after);
    let (ends, terms, rows) = tokio::try_join!(view.row(ENDS, &[]), view.rows(SINCE, &since), view.ask_all(&queries))?;
    let [last, shortened_to] = [0, 1].map(|place| ends.try_get::<_, i64>(place).map(i64::cast_unsigned));
    let (last, shortened_to) = (last?, shortened_to?);
    let terms = terms.iter().map(|row| Ok((row.try_get::<_, i64>(0)?.cast_unsigned(), term(row, 1)?)));
    let terms = terms.collect::<Result<_, StoreError>>()?;
    let following = Following { events: Vec::new(), terms, is_another: false };
    // Who appended what is gone is not told any more: that it is gone is for [`crate::is_lost`].
    let by = by.filter(|_| seq >= shortened_to);
    // Before anything is made of the events: in another log the same numbers may stand for other models.
    if is_another((seq, by), last, following.by(seq)) {
        return Ok(Following { is_another: true, ..following });
    }
    Ok(Following { events: events::merged(view, rows, limit).await?, ..following })
}

/// Under whom an event was appended, if the log tells.
pub(super) async fn of(view: &View, seq: u64) -> Result<Option<Term>, StoreError> {
    view.rows(OF, &[one(&seq.cast_signed())]).await?.first().map(|row| term(row, 0)).transpose()
}

/// Whether the log, as it is within this transaction and goes to `last`, does not hold what was learnt; it does as far as is known where nobody knows
/// who appended that.
pub(super) async fn lacks(client: &Client, last: u64, (seq, by): (u64, Option<Term>)) -> Result<bool, StoreError> {
    if by.is_none() {
        return Ok(false);
    }
    let found = client.query_typed_opt(OF, &[one(&seq.cast_signed())]).await?;
    Ok(is_another((seq, by), last, found.map(|row| term(&row, 0)).transpose()?))
}

fn term(row: &Row, place: usize) -> Result<Term, StoreError> {
    Ok(Term { epoch: row.try_get(place)?, id: row.try_get::<_, Uuid>(place + 1)?.as_u128() })
}
