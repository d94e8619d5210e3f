//! A configuration against the world that it is for: files, system, database, upstreams. Changes nothing and asks no model anything.

mod database;
mod files;
mod system;
mod upstreams;

use serde::Serialize;

use crate::clock::Clock;
use slarouter_config::Config;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It will not work.
    Fail,
}

/// One thing that was looked at. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it; nothing if all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Ok, found: found.into(), mend: None }
    }

    /// It works.
    pub fn warn(name: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Warn, found: found.into(), mend: Some(mend.into()) }
    }

    /// It does not.
    pub fn fail(name: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Fail, found: found.into(), mend: Some(mend.into()) }
    }
}

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
