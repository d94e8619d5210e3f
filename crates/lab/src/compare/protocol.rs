//! Which data, which models, which targets.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slarouter_text::Encoder;

use crate::{DataError, Dataset, Selection};

/// Requests per run at most; of larger data sets a fixed random sample of the rows is used.
pub const MOST_ROWS: usize = 20_000;

/// Where α lies between the satisfaction of the cheapest (0) and of the best single model (1).
pub const FRACTIONS: [f64; 3] = [0.5, 0.8, 0.95];

/// φ, the probability that the score of an answer is seen.
pub const RATES: [f64; 3] = [1.0, 0.2, 0.05];

/// Runs per cell.
pub const SEEDS: u64 = 20;

/// A cell with fewer expected labels is starved: nobody can learn much there, and it is reported apart.
pub const STARVED: f64 = 300.0;

/// The bar of a file that the protocol does not name.
const USUAL_BAR: f64 = 0.5;

/// A data set of the protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    bar: f64,
    /// The zoo an operator would have; empty = all models of the file.
    zoo: &'static [&'static str],
}

/// In the order of the tables.
pub(crate) const ENTRIES: [Entry; 8] = [
    Entry {
        name: "zeroeval",
        bar: 0.5,
        zoo: &[
            "gemma-2-2b-it",
            "Meta-Llama-3.1-8B-Instruct",
            "gpt-4o-mini-2024-07-18",
            "Meta-Llama-3.1-70B-Instruct",
            "claude-3-5-sonnet-20241022",
        ],
    },
    Entry {
        name: "mmlu_pro",
        bar: 0.5,
        zoo: &[
            "Phi-3-mini-4k-instruct",
            "Meta-Llama-3.1-8B-Instruct",
            "Meta-Llama-3.1-70B-Instruct",
            "gemini-1.5-pro-002",
        ],
    },
    Entry {
        name: "llmrouter",
        bar: 0.5,
        zoo: &["gemma-2-9b-it", "mistral-7b-instruct-v0.3", "llama-3.1-8b-instruct", "llama-3.1-nemotron-51b-instruct"],
    },
    Entry { name: "paretobandit", bar: 0.9, zoo: &[] },
    Entry { name: "logpai", bar: 0.5, zoo: &[] },
    Entry { name: "overruling", bar: 0.5, zoo: &["gpt-j-6b", "gpt-3.5-turbo", "cohere-xlarge", "gpt-4"] },
    Entry { name: "routellm", bar: 0.5, zoo: &[] },
    Entry {
        name: "bfcl",
        bar: 0.5,
        zoo: &[
            "gpt-4o-mini-2024-07-18",
            "open-mistral-nemo-2407",
            "claude-3-haiku-20240307",
            "claude-3-5-sonnet-20240620",
            "gpt-4-0613",
        ],
    },
];

/// The models of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZooKind {
    /// A handful, as an operator would have them.
    Operator,
    /// Every model of the file: a stress test.
    Full,
}

impl fmt::Display for ZooKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "operator's zoo",
            Self::Full => "full zoo",
        })
    }
}

impl Entry {
    /// What the protocol says of the data set `name`; the usual for one that it does not name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        ENTRIES.iter().find(|entry| entry.name == name)
    }
}

/// Whether the operator's zoo of `name` is not simply all models.
pub(crate) fn has_own_zoo(name: &str) -> bool {
    Entry::of(name).is_some_and(|entry| !entry.zoo.is_empty())
}

/// Reads `name` from `folder` with the protocol's bar and zoo, thinned to `most` rows.
pub(crate) fn load(
    folder: &Path,
    name: &str,
    zoo: ZooKind,
    most: usize,
    encoder: &Arc<dyn Encoder>,
) -> Result<Dataset, DataError> {
    let entry = Entry::of(name);
    let models = entry
        .filter(|entry| zoo == ZooKind::Operator && !entry.zoo.is_empty())
        .map(|entry| entry.zoo.iter().map(|&model| model.to_owned()).collect());
    let bar = entry.map_or(USUAL_BAR, |entry| entry.bar);
    let selection = Selection { bar: Some(bar), models, encoder: encoder.clone() };
    let zipped = folder.join(format!("{name}.csv.gz"));
    let path = if zipped.exists() { zipped } else { folder.join(format!("{name}.csv")) };
    let mut data = Dataset::load(&path, &selection)?;
    data.thin(most);
    Ok(data)
}

/// Names of the data sets in `folder`, those of the protocol first, in its order.
pub(crate) fn present(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?.file_name();
        let file = file.to_string_lossy();
        if let Some(name) = file.strip_suffix(".csv.gz").or_else(|| file.strip_suffix(".csv")) {
            names.push(name.to_owned());
        }
    }
    names.sort_by_key(|name| (ENTRIES.iter().position(|e| e.name == name).unwrap_or(usize::MAX), name.clone()));
    names.dedup();
    Ok(names)
}
