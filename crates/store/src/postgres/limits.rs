//! What gateways use of limits per minute, each of all.

use std::borrow::Cow;
use std::sync::Arc;

use super::params::{many, text};
use super::readers::View;
use super::row::cells;
use crate::{LimitUsage, StoreError, Together};

/// What was used up has come back since in part. A clock that went back gives nothing back.
const ADD: &str = "INSERT INTO limit_usage AS u (account, requests_s, tokens_s, time) \
     SELECT a.account, a.requests_s, a.tokens_s, now() FROM unnest($1, $2, $3) AS a (account, requests_s, tokens_s) \
     ON CONFLICT (account) DO UPDATE SET time = excluded.time, \
     requests_s = excluded.requests_s + \
     greatest(0, u.requests_s - greatest(0, extract(epoch FROM excluded.time - u.time)::double precision)), \
     tokens_s = excluded.tokens_s + \
     greatest(0, u.tokens_s - greatest(0, extract(epoch FROM excluded.time - u.time)::double precision))";

/// A gateway says every three seconds that it is there.
const GATEWAYS: &str = "SELECT count(*) FROM streams WHERE ended IS NULL AND seen > now() - interval '10 seconds'";

/// What is of a time to come was written before the clock went back: it says nothing of now.
const USED: &str = "SELECT account, greatest(0, requests_s - age), greatest(0, tokens_s - age) FROM \
     (SELECT *, greatest(0, extract(epoch FROM now() - time)::double precision) AS age FROM limit_usage \
      WHERE time < now() + interval '1 second') u WHERE greatest(requests_s, tokens_s) > age";

/// Adds what this gateway has used, and says how it stands with all of them.
pub(super) async fn share(view: &View, mut used: Vec<LimitUsage>) -> Result<Together, StoreError> {
    if !used.is_empty() {
        // In one order everywhere, so that nobody waits for one who waits for him.
        used.sort_by(|a, b| a.account.cmp(&b.account));
        let accounts: Vec<Cow<'_, str>> = used.iter().map(|used| text(&used.account)).collect();
        let (requests, tokens): (Vec<f64>, Vec<f64>) = used.iter().map(|used| (used.requests_s, used.tokens_s)).unzip();
        view.rows(ADD, &[many(&accounts), many(&requests), many(&tokens)]).await?;
    }
    let gateways: i64 = cells(&view.row(GATEWAYS, &[]).await?).next()?;
    let usage = view.rows(USED, &[]).await?;
    let usage = usage.iter().map(|row| {
        let mut row = cells(row);
        Ok(LimitUsage { account: row.next::<Arc<str>>()?, requests_s: row.next()?, tokens_s: row.next()? })
    });
    let usage = usage.collect::<Result<_, StoreError>>()?;
    Ok(Together { gateways: u32::try_from(gateways).unwrap_or(u32::MAX).max(1), usage })
}
