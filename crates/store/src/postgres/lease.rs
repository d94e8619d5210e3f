//! Who may append, the row `head`; and how far each process is, its row of `streams`.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::params::{one, text};
use crate::StoreError;
use crate::replica::Claim;

/// For how long the log stays a process's own after its last word, by the database's clock: another has it within ten seconds.
const TERM: Duration = Duration::from_secs(9);
/// How often one that has nothing to write says that it is there.
pub(super) const RENEW: Duration = Duration::from_secs(3);
/// How often one that waits for it looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Takes the row, or has it anew: whatever an older connection of this process still has under way fails from then on, as it waits for the row
/// and finds another epoch. One that is beyond all that this process has seen: a database that has lost commits would give some out again.
const TAKE: &str = "WITH taken AS (UPDATE head SET epoch = greatest(epoch, $4) + 1, holder = $1, host = $2, \
     expires = now() + make_interval(secs => $3) WHERE holder = $1 OR holder IS NULL OR expires < now() RETURNING epoch, seq), \
     noted AS (INSERT INTO terms (epoch, term, seq) SELECT epoch, $5, seq FROM taken) SELECT epoch FROM taken";

const HOLDER: &str = "SELECT host, expires::text FROM head";

/// Whatever an older connection of this process has under way in its own stream fails from then on, in the same way.
const STREAM: &str = "INSERT INTO streams (boot, host, version, session) VALUES ($1, $2, $3, $4 + 1) \
     ON CONFLICT (boot) DO UPDATE SET session = greatest(streams.session, $4) + 1, seen = now(), ended = NULL RETURNING stream, session, written, sent";

/// Asked after the others: they may have waited for a transaction that changed it.
const TAKEN: &str = "SELECT coalesce((SELECT n FROM taken WHERE stream = $1), 0), seq, epoch FROM head";

/// The end of each transaction: it fails by a division by zero if the log is another's, or if the database has lost what this process wrote before.
const ADVANCE: &str = "WITH mine AS (UPDATE head SET seq = $1, expires = now() + make_interval(secs => $2) WHERE epoch = $3 AND holder = $5 RETURNING 1), \
     stream AS (UPDATE streams SET written = $4, seen = now() WHERE boot = $5 AND written = $6 AND EXISTS (SELECT 1 FROM mine) RETURNING 1) \
     SELECT 1 / count(*) FROM stream";

/// The end of each transaction of one that sends: it fails in the same way if the process has a newer connection, or if the database has lost what
/// it sent before.
const SENT: &str = "WITH mine AS (UPDATE streams SET written = $1, sent = $2, seen = now() WHERE boot = $3 AND session = $4 AND written = $5 RETURNING 1) \
     SELECT 1 / count(*) FROM mine";

/// The last event, and whether whoever comes may take the log.
const LOOK: &str = "SELECT seq, holder IS NULL OR expires < now() FROM head";

const SEEN: &str = "UPDATE streams SET seen = now() WHERE boot = $1";

const END: &str = "UPDATE streams SET ended = now() WHERE boot = $1";

const RELEASE: &str = "WITH mine AS (UPDATE head SET holder = NULL WHERE epoch = $1 AND holder = $2 RETURNING 1) \
     UPDATE streams SET ended = now() WHERE boot = $2 AND EXISTS (SELECT 1 FROM mine)";

/// Takes the log. `seen`: the newest epoch and session that this process has seen.
///
/// # Errors
/// [`StoreError::InUse`] if another process has it.
pub(super) async fn take(client: &Client, boot: Uuid, seen: (i64, i64), shown: &str) -> Result<Claim, StoreError> {
    let claim = claim(client, boot, seen, true).await?;
    if claim.epoch.is_none() {
        let (host, _) = holder(&client.query_typed_one(HOLDER, &[]).await?)?;
        return Err(StoreError::InUse(format!("{shown} (on {host})")));
    }
    Ok(claim)
}

/// Takes the log if nobody has it, and says in either case how far this process is.
pub(super) async fn join(client: &Client, boot: Uuid, seen: (i64, i64)) -> Result<Claim, StoreError> {
    claim(client, boot, seen, false).await
}

/// Where it `must` have the log and has not, no row says that this process was there.
async fn claim(client: &Client, boot: Uuid, seen: (i64, i64), must: bool) -> Result<Claim, StoreError> {
    let (host, version) = (host(), env!("CARGO_PKG_VERSION").to_owned());
    let term = TERM.as_secs_f64();
    // Not the name of the process, under which another may go on after it, with what it has seen forgotten.
    let id = Uuid::now_v7();
    let params = [one(&boot), one(&host), one(&term), one(&seen.0), one(&id)];
    let taken = client.query_typed_opt(TAKE, &params).await?;
    let epoch = taken.map(|row| row.try_get::<_, i64>(0)).transpose()?;
    if must && epoch.is_none() {
        return Ok(Claim { epoch, newest: 0, seq: 0, stream: 0, session: 0, written: 0, sent: 0, taken: 0 });
    }
    let row = client.query_typed_one(STREAM, &[one(&boot), one(&host), one(&version), one(&seen.1)]).await?;
    let (stream, session) = (row.try_get(0)?, row.try_get(1)?);
    let (written, sent) = (row.try_get(2)?, row.try_get(3)?);
    let row = client.query_typed_one(TAKEN, &[one(&stream)]).await?;
    let (taken, seq, newest): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(Claim { epoch, newest, seq: seq.cast_unsigned(), stream, session, written, sent, taken })
}

/// Takes the log as soon as nobody has it: a process that was killed has it until its term is over, one that lives says so meanwhile.
///
/// # Errors
/// [`StoreError::InUse`] if another process has it, and lives.
pub(super) async fn wait(client: &Client, boot: Uuid, shown: &str) -> Result<Claim, StoreError> {
    let (_, term) = holder(&client.query_typed_one(HOLDER, &[]).await?)?;
    let patience = Instant::now() + TERM.saturating_mul(2);
    let mut told = false;
    loop {
        match take(client, boot, (0, 0), shown).await {
            Err(error @ StoreError::InUse(_)) => {
                let (_, now) = holder(&client.query_typed_one(HOLDER, &[]).await?)?;
                if now != term || Instant::now() > patience {
                    return Err(error);
                }
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(
                        database = shown,
                        "waiting for the log: the process that had it did not leave it, or still runs"
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
            taken => return taken,
        }
    }
}

fn holder(row: &Row) -> Result<(String, String), StoreError> {
    Ok((row.try_get::<_, Option<String>>(0)?.unwrap_or_default(), row.try_get(1)?))
}

/// Says how far the log is, within the transaction that brings it there, and that this process lives; the transaction is `written`, and the last one
/// of this process was `after`.
///
/// # Errors
/// [`StoreError::InUse`] if the log is another's by now.
pub(super) async fn advance(
    client: &Client,
    boot: Uuid,
    epoch: i64,
    seq: u64,
    (after, written): (i64, i64),
    shown: &str,
) -> Result<(), StoreError> {
    let (seq, term) = (seq.cast_signed(), TERM.as_secs_f64());
    let params = [one(&seq), one(&term), one(&epoch), one(&written), one(&boot), one(&after)];
    match client.query_typed_one(ADVANCE, &params).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => Err(StoreError::InUse(shown.to_owned())),
        Err(error) => Err(error.into()),
    }
}

/// Says within the transaction that sends them how many items this process has sent; as [`advance`].
///
/// # Errors
/// [`StoreError::InUse`] if the process has a newer connection.
pub(super) async fn sent(
    client: &Client,
    boot: Uuid,
    session: i64,
    sent: i64,
    (after, written): (i64, i64),
) -> Result<(), StoreError> {
    let params = [one(&written), one(&sent), one(&boot), one(&session), one(&after)];
    match client.query_typed_one(SENT, &params).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
            Err(StoreError::InUse("the stream of this process".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The last event of the log, and whether it is to be had.
pub(super) async fn look(client: &Client) -> Result<(u64, bool), StoreError> {
    let row = client.query_typed_one(LOOK, &[]).await?;
    Ok((row.try_get::<_, i64>(0)?.cast_unsigned(), row.try_get(1)?))
}

/// Says that this process is there, while it has nothing to say.
pub(super) async fn here(client: &Client, boot: Uuid) -> Result<(), StoreError> {
    client.execute_typed(SEEN, &[one(&boot)]).await?;
    Ok(())
}

/// Says that this process sends nothing more.
pub(super) async fn end(client: &Client, boot: Uuid) -> Result<(), StoreError> {
    client.execute_typed(END, &[one(&boot)]).await?;
    Ok(())
}

/// Leaves the log to whoever comes.
pub(super) async fn release(client: &Client, boot: Uuid, epoch: i64) -> Result<(), StoreError> {
    client.execute_typed(RELEASE, &[one(&epoch), one(&boot)]).await?;
    Ok(())
}

/// The name of this machine, for people.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = if name.trim().is_empty() { "a machine without a name" } else { name.trim() };
    text(&format!("{name}, process {}", std::process::id())).into_owned()
}
