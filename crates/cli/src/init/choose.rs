//! From flags, answers and what was found to a plan.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{anyhow, bail};
use slarouter_config::{DEFAULT_WINDOW, parse_window};
use slarouter_core::Price;

use super::flags::{self, InitArgs};
use super::plan::{Chosen, Plan};
use super::providers::{Found, places, variable_of};
use super::talk::{Question, Talk};
use crate::price::price;

/// Models of one provider that are shown; the rest are there by name.
const SHOWN: usize = 20;
/// Names that an answer may have meant.
const MEANT: usize = 5;
const ALPHA: f64 = 0.9;
const PORT: u16 = 8080;
/// Ports that are tried.
const PORTS: u16 = 100;

/// Asks for all that the flags do not say.
///
/// # Errors
/// A flag that names nothing there is, or is missing where nobody is asked; the end of input.
pub(super) fn plan(args: &InitArgs, found: &[Found], talk: &mut Talk<'_>) -> anyhow::Result<Plan> {
    if found.is_empty() {
        bail!("no provider was found: {}; or say --server NAME=URL", places());
    }
    let mut models = models(args, found, talk)?;
    let fallback = fallback(args, &models, talk)?;
    prices(args, &mut models, talk)?;
    let alpha = match args.alpha {
        Some(alpha) => alpha,
        None => {
            let text = "Share of answers that must satisfy (α)".to_owned();
            let question = Question { text, flag: "--alpha", default: Some((ALPHA, ALPHA.to_string())) };
            talk.ask(question, flags::alpha)?
        }
    };
    let window = match args.window {
        Some(window) => window,
        None => {
            let text = "Over which answers".to_owned();
            let question =
                Question { text, flag: "--window", default: Some((DEFAULT_WINDOW, DEFAULT_WINDOW.to_string())) };
            talk.ask(question, |word| parse_window(word.trim_matches('"')).map_err(str::to_owned))?
        }
    };
    let listen = args.listen.unwrap_or_else(|| free(|addr| TcpListener::bind(addr).is_ok()));
    Ok(Plan { listen, admin_listen: args.admin_listen, models, fallback, alpha, window })
}

/// The gateway's usual port, or the next one that `is_free`: it is that of llama.cpp's server too.
fn free(is_free: impl Fn(SocketAddr) -> bool) -> SocketAddr {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    (PORT..PORT + PORTS).map(at).find(|addr| is_free(*addr)).unwrap_or(at(PORT))
}

/// A model of a provider: its place among those found, and its name there.
type Pick = (usize, String);

fn models(args: &InitArgs, found: &[Found], talk: &mut Talk<'_>) -> anyhow::Result<Vec<Chosen>> {
    let picks = if args.models.is_empty() {
        let numbered = show(found, talk)?;
        let text = "Models to choose from, by number or name, with commas".to_owned();
        let names: Vec<_> = found.iter().map(|found| &*found.provider.name).collect();
        let flag = format!("--model PROVIDER/MODEL, once for each; there are {}", names.join(", "));
        let question = Question { text, flag: &flag, default: None };
        talk.ask(question, |words| words.split(',').map(|word| pick(word.trim(), &numbered, found)).collect())?
    } else {
        let picks: Result<Vec<_>, _> = args.models.iter().map(|word| pick(word, &[], found)).collect();
        picks.map_err(|what| anyhow!("--model: {what}"))?
    };
    for (place, id) in &picks {
        let Found { provider, listed } = &found[*place];
        match listed {
            Ok(models) if models.iter().any(|model| model.id == *id) => {}
            Ok(_) => talk.say(&format!("{} does not list {id}: see what `slarouter doctor` says", provider.name))?,
            // Whoever was asked has seen it.
            Err(_) if talk.asks => {}
            Err(what) => talk.say(&format!("{}: {what}; {id} is taken unseen", provider.name))?,
        }
    }
    Ok(chosen(picks, found))
}

/// Shows what there is; the models that have a number, in its order.
fn show(found: &[Found], talk: &mut Talk<'_>) -> anyhow::Result<Vec<Pick>> {
    let mut numbered = Vec::new();
    if !talk.asks {
        return Ok(numbered);
    }
    for (place, Found { provider, listed }) in found.iter().enumerate() {
        let name = &provider.name;
        match listed {
            Ok(models) => {
                talk.say(&format!("{name}, {}", provider.base_url))?;
                for model in models.iter().take(SHOWN) {
                    numbered.push((place, model.id.clone()));
                    talk.say(&format!("  {:>3}  {}", numbered.len(), model.id))?;
                }
                if let Some(more @ 1..) = models.len().checked_sub(SHOWN) {
                    talk.say(&format!("       and {more} more, by name"))?;
                }
            }
            Err(what) => talk.say(&format!("{name}: {what}; its models have to be named, as in {name}/MODEL"))?,
        }
    }
    Ok(numbered)
}

/// What a word stands for: a number, a provider and a model, or the name of a model that one provider alone has.
fn pick(word: &str, numbered: &[Pick], found: &[Found]) -> Result<Pick, String> {
    let number = word.parse().ok().and_then(|number: usize| numbered.get(number.checked_sub(1)?));
    if let Some(pick) = number {
        return Ok(pick.clone());
    }
    if !word.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(format!(
            "{word:?} cannot be the name of a model in the configuration, which is printable ASCII: choose another one, and write \
             this one into the file as upstream_model"
        ));
    }
    let named = word.split_once('/').filter(|(_, id)| !id.is_empty());
    let at = |name: &str| found.iter().position(|found| found.provider.name == name);
    if let Some((place, id)) = named.and_then(|(name, id)| Some((at(name)?, id))) {
        return Ok((place, id.to_owned()));
    }
    let all = || {
        let all = found.iter().enumerate();
        all.flat_map(|(place, found)| found.listed.iter().flatten().map(move |model| (place, &*model.id)))
    };
    let full = |(place, id): &(usize, &str)| format!("{}/{id}", found[*place].provider.name);
    let same: Vec<_> = all().filter(|(_, id)| *id == word).collect();
    match &*same {
        [(place, id)] => return Ok((*place, (*id).to_owned())),
        [] => {}
        many => {
            return Err(format!("{word} is listed by {} providers: say {}", many.len(), listed(many.iter().map(full))));
        }
    }
    if let Some((name, variable)) = named.and_then(|(name, _)| Some((name, variable_of(name)?))) {
        return Err(format!("{name} needs {variable}, which is not set"));
    }
    let close: Vec<_> = all().filter(|(_, id)| !word.is_empty() && id.contains(word)).take(MEANT).collect();
    if close.is_empty() {
        let names = listed(found.iter().map(|found| format!("{}/MODEL", found.provider.name)));
        return Err(format!("{word:?} is no model that is listed: say {names}"));
    }
    Err(format!("{word:?} is no model that is listed; do you mean {}?", listed(close.iter().map(full))))
}

fn listed(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(" or ")
}

/// The models, each once, with names of their own.
fn chosen(picks: Vec<Pick>, found: &[Found]) -> Vec<Chosen> {
    let mut once: Vec<Pick> = Vec::new();
    for pick in picks {
        if !once.contains(&pick) {
            once.push(pick);
        }
    }
    let is_own = |id: &str| {
        once.iter().filter(|(_, other)| other == id).count() == 1 && id != "auto" && !id.starts_with("auto:")
    };
    let model = |(place, id): &Pick| {
        let Found { provider, listed } = &found[*place];
        let told = listed.iter().flatten().find(|model| model.id == *id).and_then(|model| model.price);
        Chosen {
            name: if is_own(id) { id.clone() } else { format!("{}/{id}", provider.name) },
            id: id.clone(),
            price: told.or(provider.local.then_some(Price::default())),
            provider: provider.clone(),
        }
    };
    once.iter().map(model).collect()
}

fn fallback(args: &InitArgs, models: &[Chosen], talk: &mut Talk<'_>) -> anyhow::Result<usize> {
    if let Some(name) = &args.fallback {
        return place(name, models).map_err(|what| anyhow!("--fallback: {what}"));
    }
    if models.len() == 1 {
        return Ok(0);
    }
    let shown = if talk.asks { models } else { &[] };
    for (number, model) in (1..).zip(shown) {
        talk.say(&format!("  {number:>3}  {}", model.name))?;
    }
    let text = "Which one do you use today? It answers until ratings show that a cheaper one is good enough".to_owned();
    talk.ask(Question { text, flag: "--fallback MODEL", default: None }, |word| {
        let number =
            word.parse().ok().and_then(|number: usize| number.checked_sub(1)).filter(|place| *place < models.len());
        number.map_or_else(|| place(word, models), Ok)
    })
}

/// Which of the chosen models is meant.
fn place(word: &str, models: &[Chosen]) -> Result<usize, String> {
    let is = |model: &Chosen| model.name == word || format!("{}/{}", model.provider.name, model.id) == word;
    models.iter().position(is).ok_or_else(|| {
        let names = listed(models.iter().map(|model| model.name.clone()));
        format!("{word:?} is none of the chosen models: say {names}")
    })
}

/// Puts what flags and answers say in the place of what is known beforehand.
fn prices(args: &InitArgs, models: &mut [Chosen], talk: &mut Talk<'_>) -> anyhow::Result<()> {
    let mut said = vec![false; models.len()];
    for (name, price) in &args.prices {
        let place = place(name, models).map_err(|what| anyhow!("--price: {what}"))?;
        (models[place].price, said[place]) = (Some(*price), true);
    }
    loop {
        for (model, _) in models.iter_mut().zip(&said).filter(|(_, said)| !**said) {
            let shown = model.price.map_or("unknown".to_owned(), |price| format!("{},{}", price.input, price.output));
            let text = format!("Price of {} in USD per million tokens, of requests and of answers", model.name);
            let question = Question { text, flag: "--price", default: Some((model.price, shown)) };
            model.price = talk.ask(question, |word| match word {
                "unknown" => Ok(None),
                word => price(word).map(Some),
            })?;
        }
        if models.iter().any(|model| model.price.is_some()) {
            return Ok(());
        }
        let what = "no price is known, and without prices nothing can be saved";
        if !talk.asks {
            bail!("{what}: say --price {}=IN,OUT", models[0].name);
        }
        talk.say(&format!("  {what}: give one at least, as in 0.15,0.6"))?;
    }
}

#[cfg(test)]
mod tests;
