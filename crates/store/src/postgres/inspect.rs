//! A server and a database on it, looked at from outside.

use std::time::Duration;

use slarouter_core::Timestamp;
use tokio::time::Instant;
use tokio_postgres::{Client, Row};

use super::readers::{KnownZoos, Readers};
use super::server::Server;
use super::{read, tables};
use crate::{Content, GatewaySeen, Inspection, ServerFacts, StoreError};

const FACTS: &str = "SELECT current_setting('server_version'), current_setting('server_version_num')::integer, \
     (extract(epoch FROM clock_timestamp()) * 1000)::bigint, current_setting('port')::integer, \
     current_setting('synchronous_commit'), current_setting('max_connections')::integer, \
     (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
     (SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::double precision FROM pg_stat_activity \
      WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()), \
     has_schema_privilege(current_schema(), 'CREATE')";

const CONTENT: &str = "SELECT pg_database_size(current_database()), coalesce((SELECT time FROM decisions ORDER BY seq DESC LIMIT 1), \
     (SELECT time FROM archive ORDER BY seq DESC LIMIT 1)), \
     EXISTS (SELECT 1 FROM api_keys)";

const IN_USE: &str = "SELECT holder IS NOT NULL AND expires > now() FROM head";

/// Who says every three seconds that he is there and has not for ten is gone.
const GATEWAYS: &str = "SELECT s.host, s.version, coalesce(h.expires > now(), false), s.ended IS NOT NULL, \
     greatest(0, extract(epoch FROM now() - s.seen))::double precision, s.sent - coalesce(t.n, 0) \
     FROM streams s LEFT JOIN taken t ON t.stream = s.stream LEFT JOIN head h ON h.holder = s.boot \
     WHERE (s.ended IS NULL AND s.seen > now() - interval '10 seconds') OR s.sent > coalesce(t.n, 0) ORDER BY s.stream";

/// Looks at the database with this URL; nothing is made.
///
/// # Errors
/// [`StoreError`] if there is no way there, or it is another program's.
pub(crate) async fn inspect(url: &str) -> Result<Inspection, StoreError> {
    let server = Server::new(url)?.or_standby();
    let shown = server.shown();
    let client = server.connect().await?;
    let facts = facts(&client, &server).await?;
    let (version, newest) = (tables::version(&client, &shown).await?, tables::newest());
    let mut inspection =
        Inspection { place: shown, path: None, in_use: false, newest, content: None, server: Some(facts) };
    if version == 0 {
        return Ok(inspection);
    }
    inspection.in_use = client.query_typed_one(IN_USE, &[]).await?.try_get(0)?;
    let row = client.query_typed_one(CONTENT, &[]).await?;
    let (bytes, latest): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let mut content = Content {
        bytes: bytes.cast_unsigned(),
        version,
        latest: latest.map(|time| Timestamp(time.max(0).cast_unsigned())),
        has_keys: row.try_get(2)?,
        snapshots: Vec::new(),
        gateways: Vec::new(),
        waiting: 0,
    };
    if version == newest {
        content.gateways =
            client.query_typed(GATEWAYS, &[]).await?.iter().map(seen).collect::<Result<_, StoreError>>()?;
        let waiting: i64 = client.query_typed_one("SELECT count(*) FROM waiting", &[]).await?.try_get(0)?;
        content.waiting = waiting.cast_unsigned();
        let view = Readers::new(server, KnownZoos::default()).view().await?;
        content.snapshots = read::snapshots(&view, u64::MAX).await?;
        view.end();
    }
    inspection.content = Some(content);
    Ok(inspection)
}

fn seen(row: &Row) -> Result<GatewaySeen, StoreError> {
    Ok(GatewaySeen {
        host: row.try_get(0)?,
        version: row.try_get(1)?,
        is_holder: row.try_get(2)?,
        has_ended: row.try_get(3)?,
        unseen: Duration::try_from_secs_f64(row.try_get(4)?).unwrap_or_default(),
        unlogged: row.try_get::<_, i64>(5)?.max(0).cast_unsigned(),
    })
}

async fn facts(client: &Client, server: &Server) -> Result<ServerFacts, StoreError> {
    let asked = Instant::now();
    let row = client.query_typed_one(FACTS, &[]).await?;
    let number = |place: usize| row.try_get::<_, i32>(place).map(i64::from);
    Ok(ServerFacts {
        version: row.try_get(0)?,
        version_number: number(1)?,
        clock: Timestamp(row.try_get::<_, i64>(2)?.cast_unsigned()),
        round_trip: asked.elapsed(),
        is_forwarded: !server.ports().contains(&u16::try_from(number(3)?).unwrap_or_default()),
        synchronous_commit: row.try_get(4)?,
        most_connections: number(5)?,
        connections: row.try_get(6)?,
        oldest_transaction_s: row.try_get(7)?,
        may_make_tables: row.try_get::<_, Option<bool>>(8)?.unwrap_or(false),
    })
}
