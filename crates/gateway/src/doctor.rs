//! A configuration against the world that it is for: files, system, database, upstreams. Changes nothing and asks no model anything.

mod check;
mod database;
mod files;
mod gateways;
mod listing;
mod server;
mod system;
mod upstreams;

use slarouter_config::Config;

use crate::clock::Clock;
pub use check::{Check, Level};
pub use listing::{ListedModel, Provider, list_models};

/// Makes all checks. Takes as long as the slowest upstream, 10 s at most each way of asking it.
pub async fn examine(config: &Config) -> Vec<Check> {
    let now = Clock::default().now();
    let (upstreams, dates) = upstreams::checks(config).await;
    let (database, inspection) = database::checks(config, now).await;
    let features = files::features(config);
    let mut checks = vec![system::clock(now, &dates, inspection.as_ref())];
    checks.extend(database);
    checks.extend(files::checks(config, now, &features));
    checks.extend(system::checks(config, inspection.as_ref()));
    checks.extend(upstreams);
    checks.extend(database::routes(config, inspection));
    checks
}
