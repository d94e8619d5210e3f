//! Who may append: the row `head`.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::params::{one, text};
use crate::StoreError;

/// For how long the log stays a process's own after its last word, by the database's clock.
const TERM: Duration = Duration::from_secs(10);
/// How often one that has nothing to write says that it is there.
pub(super) const RENEW: Duration = Duration::from_secs(3);
/// How often one that waits looks.
const LOOK: Duration = Duration::from_millis(250);

/// Takes the row, or has it anew: whatever an older connection of this process still has under way fails from then on, as it waits for the row
/// and finds another epoch.
const TAKE: &str = "UPDATE head SET epoch = epoch + 1, holder = $1, host = $2, expires = now() + make_interval(secs => $3) \
     WHERE holder = $1 OR holder IS NULL OR expires < now() RETURNING epoch, seq";

const HOLDER: &str = "SELECT host, expires::text FROM head";

const STREAM: &str = "INSERT INTO streams (boot, host, version) VALUES ($1, $2, $3) \
     ON CONFLICT (boot) DO UPDATE SET ended = NULL RETURNING written";

/// The end of each transaction: it fails by a division by zero if the log is another's.
const ADVANCE: &str = "WITH mine AS (UPDATE head SET seq = $1, expires = now() + make_interval(secs => $2) WHERE epoch = $3 RETURNING 1), \
     stream AS (UPDATE streams SET written = $4 WHERE boot = $5 AND EXISTS (SELECT 1 FROM mine) RETURNING 1) \
     SELECT 1 / count(*) FROM stream";

const RELEASE: &str = "WITH mine AS (UPDATE head SET holder = NULL WHERE epoch = $1 RETURNING 1) \
     UPDATE streams SET ended = now() WHERE boot = $2 AND EXISTS (SELECT 1 FROM mine)";

/// The claim of this process, for as long as one connection lives.
pub(super) struct Claim {
    pub(super) epoch: i64,
    /// The last event in the log.
    pub(super) seq: u64,
    /// The last transaction of this process that is in it.
    pub(super) written: i64,
}

/// Takes the log.
///
/// # Errors
/// [`StoreError::InUse`] if another process has it.
pub(super) async fn take(client: &Client, boot: Uuid, shown: &str) -> Result<Claim, StoreError> {
    let host = host();
    let term = TERM.as_secs_f64();
    let Some(row) = client.query_typed_opt(TAKE, &[one(&boot), one(&host), one(&term)]).await? else {
        let (host, _) = holder(&client.query_typed_one(HOLDER, &[]).await?)?;
        return Err(StoreError::InUse(format!("{shown} (on {host})")));
    };
    let (epoch, seq): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let stream = client.query_typed_one(STREAM, &[one(&boot), one(&host), one(&version)]).await?;
    Ok(Claim { epoch, seq: seq.cast_unsigned(), written: stream.try_get(0)? })
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
        match take(client, boot, shown).await {
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
                tokio::time::sleep(LOOK).await;
            }
            taken => return taken,
        }
    }
}

fn holder(row: &Row) -> Result<(String, String), StoreError> {
    Ok((row.try_get::<_, Option<String>>(0)?.unwrap_or_default(), row.try_get(1)?))
}

/// Says how far the log is, within the transaction that brings it there, and that this process lives.
///
/// # Errors
/// [`StoreError::InUse`] if the log is another's by now.
pub(super) async fn advance(
    client: &Client,
    boot: Uuid,
    epoch: i64,
    seq: u64,
    written: i64,
    shown: &str,
) -> Result<(), StoreError> {
    let (seq, term) = (seq.cast_signed(), TERM.as_secs_f64());
    let params = [one(&seq), one(&term), one(&epoch), one(&written), one(&boot)];
    match client.query_typed_one(ADVANCE, &params).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => Err(StoreError::InUse(shown.to_owned())),
        Err(error) => Err(error.into()),
    }
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
