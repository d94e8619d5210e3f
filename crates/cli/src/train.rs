//! `slarouter train`.

mod logged;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use slarouter_config::{Config, EncoderConfig};
use slarouter_core::Knowledge;
use slarouter_lab::Labelled;

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct TrainArgs {
    /// The configuration file: models, priors and the encoder are taken from it.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// The route whose models are trained; the one that `auto` means if not given.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Judged answers as CSV, gzipped or not: `prompt`, and `model` and `score`, or `score:<model>` for each model. Or the database of a
    /// gateway, for the answers that its users and auditors have rated.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Where the warm start is written, for `warm_start` of the route.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What all examples of a model together are worth, in labels of users; more are needed to overrule them.
    #[arg(long, value_name = "LABELS", default_value_t = 50.0)]
    worth: f64,
}

pub(crate) async fn run(args: TrainArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    if !(args.worth > 0.0 && args.worth.is_finite()) {
        bail!("--worth must be a positive number of labels, not {}", args.worth);
    }
    let name = args.route.as_deref().unwrap_or(&config.default_route);
    let Some(route) = config.routes.get(name) else {
        let known: Vec<_> = config.routes.keys().map(|route| &**route).collect();
        bail!("--route: there is no route {name:?}; the configuration has {}", known.join(", "));
    };
    let EncoderConfig::Local(encoder) = &config.features.encoder else {
        bail!("[features]: train cannot ask a remote encoder: use hashed, static, blend or bert");
    };
    let encoder = encoder.load()?;
    let zoo = &route.spec.zoo;
    let features = (encoder.dim(), encoder.version());
    let data = if logged::is_database(&args.data) {
        logged::labelled(&args.data, zoo, features).await?
    } else {
        Labelled::load(&args.data, zoo, encoder.as_ref())?
    };
    let knowledge = Knowledge::train(zoo, features, &data.examples, args.worth)?;
    std::fs::write(&args.out, knowledge.to_bytes()?).with_context(|| args.out.display().to_string())?;

    print(|out| {
        writeln!(out, "{} judged answers to {} prompts", data.examples.len(), data.prompts)?;
        if data.foreign > 0 {
            writeln!(out, "{} answers of models that route {name} does not have were passed over", data.foreign)?;
        }
        for (place, model) in zoo.models().iter().enumerate() {
            let of_model = data.examples.iter().filter(|example| example.model == place);
            let scores = of_model.map(|example| example.satisfaction);
            let (sum, count) = scores.fold((0.0, 0_u32), |(sum, count), score| (sum + score, count + 1));
            match count {
                0 => writeln!(out, "  {}: none", model.name)?,
                _ => writeln!(out, "  {}: {count}, mean {:.3}", model.name, sum / f64::from(count))?,
            }
        }
        writeln!(out, "written to {}: set warm_start of route {name} to it", args.out.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
