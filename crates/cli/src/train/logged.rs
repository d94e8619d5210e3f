//! Judged answers from a log: those of its own users, with the features that they were decided from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use slarouter_core::{DecisionId, Example, Rater, Receipt, Source, Zoo};
use slarouter_lab::Labelled;
use slarouter_store::{Event, Rated};

/// Events read at a time.
const BATCH: usize = 512;

/// An answer and what is said of it, by each rater last.
struct Answer {
    features: Vec<f32>,
    model: Arc<str>,
    /// By whether it is an auditor's word, and by rater.
    said: BTreeMap<(bool, Rater), f64>,
}

/// Whether a file is a database, and so may be a log.
pub(crate) fn is_database(path: &Path) -> bool {
    const HEAD: &[u8; 16] = b"SQLite format 3\0";
    let mut head = [0; HEAD.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok_and(|()| head == *HEAD)
}

/// The labelled answers of all routes: that of their auditors if there are any, else the mean of their raters.
pub(crate) async fn labelled(path: &Path, zoo: &Zoo, (dim, version): (usize, u32)) -> anyhow::Result<Labelled> {
    let store = slarouter_store::open_to_read(&format!("sqlite://{}", path.display())).await?;
    let (mut answers, mut foreign, mut unlike) = (BTreeMap::new(), 0, 0);
    let mut seq = 0;
    loop {
        let events = store.events_after(seq, BATCH).await?;
        let Some(last) = events.last() else { break };
        seq = last.seq();
        for event in events {
            let Event::Rated { rated, .. } = event else { continue };
            if rated.failed || rated.receipt == Receipt::Expired || rated.source == Source::Judge {
                continue;
            }
            if (rated.features.len(), rated.feature_version) == (dim, version) {
                note(&mut answers, rated);
            } else {
                unlike += 1;
            }
        }
    }
    let mut examples = Vec::new();
    for Answer { features, model, said } in answers.into_values() {
        let Some(satisfaction) = label(&said) else { continue };
        match zoo.position(&model) {
            Some(model) => examples.push(Example { features, model, satisfaction }),
            None => foreign += 1,
        }
    }
    ensure!(
        !examples.is_empty() || unlike == 0,
        "{}: its {unlike} ratings are of answers that were decided with another encoder: set [features] as it was then",
        path.display()
    );
    let prompts = examples.len() + foreign;
    Ok(Labelled::new(examples, prompts, foreign))
}

fn note(answers: &mut BTreeMap<DecisionId, Answer>, rated: Rated) {
    let Rated { decision, features, model, source, rater, rating, .. } = rated;
    let answer = answers.entry(decision).or_insert(Answer { features, model, said: BTreeMap::new() });
    let word = (source == Source::Audit, rater);
    match rating {
        Some(rating) => answer.said.insert(word, rating.get()),
        None => answer.said.remove(&word),
    };
}

fn label(said: &BTreeMap<(bool, Rater), f64>) -> Option<f64> {
    let mean = |audit: bool| {
        let values: Vec<_> =
            said.iter().filter(|((is_audit, _), _)| *is_audit == audit).map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| values.iter().copied().sum::<f64>() / values.len() as f64)
    };
    mean(true).or_else(|| mean(false))
}
