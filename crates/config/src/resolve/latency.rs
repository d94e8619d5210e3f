//! `upstream.hedge` and `models.health_check`: what is done about upstreams that are slow or silent.

use url::Url;

use crate::problems::Problems;
use crate::raw::{self, Text};
use crate::settings::{HealthCheck, Hedge, HedgeTo};
use crate::values::{Env, count, number, seconds, text};

pub(super) fn hedge(raw: raw::Hedge, env: Env<'_>, problems: &mut Problems<'_>) -> Hedge {
    // Below the median every other request would be sent twice.
    let share = |quantile: f64| (0.5..1.0).contains(&quantile);
    let to = raw.to.as_ref().map_or(Some(HedgeTo::Same), |word| match text(word, env, problems)?.as_str() {
        "same" => Some(HedgeTo::Same),
        "next" => Some(HedgeTo::Next),
        _ => {
            problems.add(Some(word.span()), "to must be \"same\" or \"next\"");
            None
        }
    });
    Hedge {
        quantile: number(Some(raw.quantile), 0.95, share, "from 0.5 to below 1", problems),
        to: to.unwrap_or(HedgeTo::Same),
        min: seconds(raw.min_s, 0.1, problems),
    }
}

/// `None` where the path is no path.
pub(super) fn health_check(
    raw: raw::HealthCheck,
    base_url: &str,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<HealthCheck> {
    let interval = seconds(raw.interval_s, 10.0, problems);
    let timeout = seconds(raw.timeout_s, 2.0, problems);
    let mut times = |given, standard| u32::try_from(count(given, standard, problems)).unwrap_or(u32::MAX);
    let (unhealthy_after, healthy_after) = (times(raw.unhealthy_after, 3), times(raw.healthy_after, 2));
    let url = url(&raw.path, base_url, env, problems)?;
    Some(HealthCheck { url, interval, timeout, unhealthy_after, healthy_after })
}

/// The path at the upstream: from its root if it begins with a slash, else below `base_url`.
fn url(path: &Text, base_url: &str, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let value = text(path, env, problems)?;
    // Whose mistakes are reported where it stands.
    let base = Url::parse(&format!("{}/", base_url.trim_end_matches('/'))).ok()?;
    // Nothing but a path, as the model's key goes with it.
    let same = |url: &Url| url.origin() == base.origin() && url.username() == base.username();
    match base.join(&value) {
        Ok(url) if !value.is_empty() && same(&url) && url.fragment().is_none() => Some(url.into()),
        _ => {
            let what = "path must be a path at the model's base_url: \"/health\" from the root of the host, \"models\" below base_url";
            problems.add(Some(path.span()), what);
            None
        }
    }
}
