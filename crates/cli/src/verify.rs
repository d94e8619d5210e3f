//! `slarouter verify`: is the saved state what the log says?

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use slarouter_config::Config;
use slarouter_core::{Learner, told_usd};
use slarouter_learner::Learning;

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let store = slarouter_store::open_to_read(&config.store.url).await?;
    let mut saved = Learning::load(store.as_ref()).await?;
    let from = saved.seq();
    saved.catch_up(store.as_ref()).await?;
    let mut replayed = Learning::oldest(store.as_ref()).await?;
    let replayed_from = replayed.seq();
    // A gateway that has it open may have written more by now.
    replayed.catch_up_to(store.as_ref(), saved.seq()).await?;
    let differences = differences(&saved, &replayed);
    let same = saved.seq() == replayed.seq() && saved.states()? == replayed.states()?;
    let counts = store.counts().await?;
    let held = store.held().await?;
    store.close().await;
    if replayed_from < held.shortened_to {
        anyhow::bail!("the log was shortened while it was replayed: try again");
    }

    let routes: Map<_, _> =
        replayed.learners().iter().map(|(route, known)| (route.to_string(), figures(known))).collect();
    let mut report = json!({
        "same": same, "saved_at": from, "replayed_from": replayed_from, "log_seq": replayed.seq(), "refused": replayed.refused(),
        "unreadable": replayed.unreadable(),
        "decisions": counts.decisions, "outcomes": counts.outcomes, "feedback": counts.feedback, "routes": routes,
    });
    if !same {
        report["differences"] = differences.into();
    }
    print(|out| writeln!(out, "{report:#}"))?;
    if held.shortened_to > 0 {
        // With standard error gone there is nobody left to tell.
        let _ = writeln!(
            io::stderr(),
            "slarouter: the log was shortened (store.retention): what was learnt up to event {replayed_from} cannot be made again, and \
             is taken as the oldest saved state has it; all after it was replayed"
        );
    }
    if replayed.unreadable().count > 0 {
        // With standard error gone there is nobody left to tell.
        let _ = writeln!(
            io::stderr(),
            "slarouter: rows of the log cannot be read, and nothing is learnt from them: {}",
            replayed.unreadable()
        );
    }
    if same {
        return Ok(ExitCode::SUCCESS);
    }
    let (which, all) = match held.shortened_to {
        0 => (String::new(), "all of it"),
        _ => (format!(" WHERE seq > {replayed_from}"), "what came after the oldest of them"),
    };
    let _ = writeln!(
        io::stderr(),
        "slarouter: the state saved at event {from} is not what the log says: see \"differences\". After an upgrade the reason may be that \
         the release before learnt otherwise. The log is what counts: without the saved states (DELETE FROM snapshots{which}) the next start \
         learns {all} again"
    );
    Ok(ExitCode::FAILURE)
}

/// By route: which parts of what is known differ, and the figures of the saved state beside those of the log.
fn differences(saved: &Learning, replayed: &Learning) -> Map<String, Value> {
    let routes: BTreeSet<_> = saved.learners().keys().chain(replayed.learners().keys()).collect();
    let mut all = Map::new();
    if saved.unreadable() != replayed.unreadable() {
        let rows = json!({ "saved": saved.unreadable(), "log": replayed.unreadable() });
        all.insert("rows that cannot be read".to_owned(), rows);
    }
    for route in routes {
        let difference = match (saved.learners().get(route), replayed.learners().get(route)) {
            (Some(one), Some(other)) => {
                let mut parts = parts(one, other);
                if saved.recent().get(route) != replayed.recent().get(route) {
                    parts.push("last days");
                }
                if parts.is_empty() {
                    continue;
                }
                json!({ "parts": parts, "saved": figures(one), "log": figures(other) })
            }
            (Some(one), None) => json!({ "parts": ["the log has no such route"], "saved": figures(one) }),
            _ => json!({ "parts": ["the saved state has no such route"] }),
        };
        all.insert(route.to_string(), difference);
    }
    all
}

/// What differs between two learners of a route.
fn parts(one: &Learner, other: &Learner) -> Vec<&'static str> {
    let (a, b) = (one.router(), other.router());
    let mut parts = Vec::new();
    for (differs, part) in [
        (a.spec() != b.spec(), "configuration"),
        (a.features() != b.features(), "encoder"),
        (a.account() != b.account(), "account"),
        (a.certificate() != b.certificate(), "certificate"),
        (a.policy() != b.policy(), "policy"),
        (one.ledger() != other.ledger(), "ledger of ratings"),
    ] {
        if differs {
            parts.push(part);
        }
    }
    if parts.is_empty() && one != other {
        parts.push("answer lengths");
    }
    parts
}

fn figures(learner: &Learner) -> Value {
    let account = learner.account();
    let mut models = json!(account.models);
    for model in models.as_object_mut().into_iter().flat_map(Map::values_mut) {
        model["cost"] = model["cost"].as_f64().map(told_usd).into();
    }
    json!({
        "requests": account.requests, "labels": account.labels, "satisfied": account.satisfied,
        "cost_usd": told_usd(account.cost), "models": models,
    })
}
