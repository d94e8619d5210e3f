//! `slarouter check`.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use slarouter_config::{Config, ConfigErrors, VerdictUse, utc};
use slarouter_core::{PolicySpec, RouteSpec, Timestamp};
use slarouter_learner::{FeaturesId, WarmStart, first_belief};

use crate::print::print;

/// EX_USAGE of sysexits: the configuration is at fault, not the program.
pub(crate) const BAD_CONFIG: u8 = 64;

#[derive(clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    match examine(&config) {
        Ok(said) => print(|out| out.write_all(&said))?,
        Err(error) => {
            writeln!(io::stderr(), "{}: {error}", args.config.display())?;
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What there is to say of a configuration in which no mistake was found so far. Reads what it names: encoder and warm starts.
///
/// # Errors
/// What is wrong with these.
pub(crate) fn examine(config: &Config) -> anyhow::Result<Vec<u8>> {
    let features = slarouter_gateway::identify(&config.features).map_err(|error| anyhow!("[features]: {error}"))?;
    let mut said = Vec::new();
    summary(&mut said, config, &features)?;
    for (name, route) in &config.routes {
        let warm_start = route.warm_start.as_ref().map(|path| WarmStart::read(path, &features)).transpose()?;
        if let Some(doubt) = doubt(name, &route.spec, first_belief(&route.spec, &features, warm_start.as_ref())) {
            writeln!(said, "  {doubt}")?;
        }
    }
    said.extend(judged(config));
    Ok(said)
}

/// What there is to say of the judge, and against it.
fn judged(config: &Config) -> Vec<u8> {
    let Some(judge) = &config.judge else { return Vec::new() };
    let counts = match judge.counts_as {
        VerdictUse::Audit => "whose verdicts are audits: what is promised is promised by it".to_owned(),
        VerdictUse::Prediction { rate } => format!("of {rate} of the answers, as predictions of what people will say"),
    };
    let mut said = format!("  judge: {}, {counts}; at most {} USD a day\n", judge.model, judge.usd_per_day);
    let own = config.routes.iter().filter(|(_, route)| route.spec.zoo.position(&judge.model).is_some());
    for (name, _) in own {
        said += &format!(
            "  warning: {name}: {} judges its own answers here, and models favour what they have written: name another judge, or trust only \
             what people say\n",
            judge.model
        );
    }
    said.into_bytes()
}

/// What there is to say against a fallback that is believed to miss α from the beginning.
fn doubt(route: &str, spec: &RouteSpec, believed: Option<(Arc<str>, f64)>) -> Option<String> {
    let alpha = spec.alpha.get();
    let (fallback, most) = believed.filter(|(_, most)| *most < alpha)?;
    Some(format!(
        "warning: {route}: its fallback {fallback} is believed to satisfy {most:.3} at most, by its prior or warm start, which is below {alpha}: no \
         promise can rest on it. Name a better fallback, or lower sla.satisfaction"
    ))
}

fn summary(out: &mut impl Write, config: &Config, features: &FeaturesId) -> io::Result<()> {
    writeln!(out, "ok: {} models, {} routes", config.models.len(), config.routes.len())?;
    let FeaturesId { encoder, version, dim } = features;
    writeln!(out, "  features: encoder {encoder}, version {version}, {dim} dimensions")?;
    if let Some(export) = &config.telemetry.export {
        writeln!(out, "  traces: to {} as {}", export.url, export.service_name)?;
    }
    let server = &config.server;
    let keys = server.api_keys.len() + server.admin_keys.len() + config.keys.len();
    let reached = reached(server.listen.ip(), server.admin_listen.as_ref().map(|addr| addr.ip()));
    match keys {
        0 if server.allow_unauthenticated || server.listen.ip().is_loopback() => {
            writeln!(out, "  keys: none in this file: unless the database has one, anybody may call; {reached}")?;
        }
        0 => {
            writeln!(out, "  keys: none in this file: `serve` refuses to start unless the database has one; {reached}")?
        }
        _ => writeln!(out, "  keys: {keys} in this file; {reached}")?,
    }
    for model in &config.models {
        if !model.prices.is_known() {
            writeln!(
                out,
                "  price of {} unknown: it is taken to be as dear as the most expensive that is known",
                model.name
            )?;
        }
        let changes = std::iter::successors(model.prices.next_change(Timestamp(0)), |at| model.prices.next_change(*at));
        for at in changes.filter(|_| model.prices.is_known()) {
            let (name, prices) = (&model.name, model.prices.at(at));
            writeln!(out, "  price of {name} from {} on: {} in, {} out", utc(at), prices.input, prices.output)?;
        }
    }
    for (name, route) in &config.routes {
        let models: Vec<_> = route.spec.zoo.models().iter().map(|model| &*model.name).collect();
        let auto = if *name == config.default_route { " (auto)" } else { "" };
        let details = match &route.spec.policy {
            PolicySpec::Certified(params) => {
                let fallback = params.fallback.as_deref().unwrap_or("the most expensive");
                let observed = if params.observe { ", only observed: the fallback serves" } else { "" };
                format!(" (assurance {}, window {}, fallback {fallback}{observed})", params.assurance, params.window)
            }
            _ => String::new(),
        };
        writeln!(
            out,
            "  {name}{auto}: satisfaction ≥ {}, policy {}{details}, models {}",
            route.spec.alpha.get(),
            route.spec.policy,
            models.join(", ")
        )?;
    }
    Ok(())
}

/// From where the listeners can be reached.
fn reached(public: IpAddr, admin: Option<IpAddr>) -> &'static str {
    match (public.is_loopback(), admin.is_none_or(|admin| admin.is_loopback())) {
        (true, true) => "this machine alone reaches it",
        (true, false) => {
            "this machine alone reaches server.listen, and others reach server.admin_listen: dashboard and metrics"
        }
        (false, true) if admin.is_some() => "others reach server.listen, and this machine alone server.admin_listen",
        (false, _) => "others reach it",
    }
}

/// Says what is wrong with a configuration.
pub(crate) fn refuse(errors: &ConfigErrors) -> anyhow::Result<ExitCode> {
    writeln!(io::stderr(), "{errors}")?;
    Ok(ExitCode::from(BAD_CONFIG))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn both_listeners_count_for_who_reaches_it() {
        let (here, all) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        for (public, admin, said) in [
            (here, None, "this machine alone reaches it"),
            (here, Some(here), "this machine alone reaches it"),
            (here, Some(all), "others reach server.admin_listen"),
            (all, Some(here), "this machine alone server.admin_listen"),
            (all, Some(all), "others reach it"),
            (all, None, "others reach it"),
        ] {
            assert!(reached(public, admin).contains(said), "{public} {admin:?}: {}", reached(public, admin));
        }
    }
}
