//! Finished results on disk, so that a second run takes them over.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use slarouter_core::{PolicySpec, STATE_VERSION};

use super::bench::{Bench, Cell};
use super::digest::hex;
use super::{Pass, Point};
use crate::baseline::VERSION;
use crate::{CompareError, Frontier, Rival};

/// Version of the lines and of what the run loop does.
const FORMAT: u32 = 2;

/// Name of the file in the output folder.
const FILE: &str = "results.jsonl";

/// What came of one contender in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) passes: Vec<Pass>,
    pub(super) points: Vec<Point>,
}

/// One line. What it is about stands in clear beside the key, for readers of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    key: String,
    about: String,
    #[serde(flatten)]
    content: Content,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Outcome(Outcome),
    Frontier(Frontier),
}

/// A file of results, one JSON object per line, appended to as they come.
pub(super) struct Store {
    path: PathBuf,
    file: File,
    lines: BTreeMap<String, Line>,
}

impl Store {
    /// Opens the file in `folder` and makes both if need be. Lines that cannot be read, such as one that was being written when the
    /// machine went down, are dropped.
    pub(super) fn open(folder: &Path) -> Result<Self, CompareError> {
        let path = folder.join(FILE);
        let failed = |reason| CompareError::Output { path: path.clone(), reason };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut lines = BTreeMap::new();
        let mut whole = true;
        if path.exists() {
            for text in BufReader::new(File::open(&path).map_err(failed)?).lines() {
                let text = text.map_err(failed)?;
                match serde_json::from_str::<Line>(&text) {
                    Ok(line) => {
                        lines.insert(line.key.clone(), line);
                    }
                    Err(_) => whole = false,
                }
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        let mut store = Self { path, file, lines };
        if !whole {
            store.tidy()?;
        }
        Ok(store)
    }

    pub(super) fn outcome(&self, key: &str) -> Option<Outcome> {
        match &self.lines.get(key)?.content {
            Content::Outcome(outcome) => Some(outcome.clone()),
            Content::Frontier(_) => None,
        }
    }

    pub(super) fn frontier(&self, key: &str) -> Option<Frontier> {
        match &self.lines.get(key)?.content {
            Content::Frontier(frontier) => Some(frontier.clone()),
            Content::Outcome(_) => None,
        }
    }

    pub(super) fn keep_outcome(&mut self, key: &str, about: String, outcome: &Outcome) -> Result<(), CompareError> {
        self.keep(Line { key: key.to_owned(), about, content: Content::Outcome(outcome.clone()) })
    }

    pub(super) fn keep_frontier(&mut self, key: &str, about: String, frontier: &Frontier) -> Result<(), CompareError> {
        self.keep(Line { key: key.to_owned(), about, content: Content::Frontier(frontier.clone()) })
    }

    fn keep(&mut self, line: Line) -> Result<(), CompareError> {
        let failed = |reason| CompareError::Output { path: self.path.clone(), reason };
        let mut text = serde_json::to_vec(&line).map_err(std::io::Error::from).map_err(failed)?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(failed)?;
        self.lines.insert(line.key.clone(), line);
        Ok(())
    }

    /// Writes the lines anew in the order of their keys: the same bytes in whatever order the results came.
    pub(super) fn tidy(&mut self) -> Result<(), CompareError> {
        let failed = |reason| CompareError::Output { path: self.path.clone(), reason };
        let fresh = self.path.with_extension("jsonl.new");
        let mut text = Vec::new();
        for line in self.lines.values() {
            serde_json::to_writer(&mut text, line).map_err(std::io::Error::from).map_err(failed)?;
            text.push(b'\n');
        }
        std::fs::write(&fresh, text).map_err(failed)?;
        std::fs::rename(&fresh, &self.path).map_err(failed)?;
        self.file = OpenOptions::new().append(true).open(&self.path).map_err(failed)?;
        Ok(())
    }
}

/// Names a contender's outcome in a cell by all that decides it.
pub(super) fn outcome_key(bench: &Bench, cell: &Cell, seeds: u64, rival: &Rival) -> String {
    let version = match rival {
        Rival::Core(_) => u32::from(STATE_VERSION),
        _ => VERSION,
    };
    // Nobody else knows of a fallback.
    let fallback = if matches!(rival, Rival::Core(PolicySpec::Certified(_))) { bench.fallback() } else { "" };
    let (alpha, rate, order) = (cell.alpha.get().to_bits(), cell.rate.to_bits(), cell.order);
    let data = &bench.fingerprint;
    let text = format!("{FORMAT}|{data}|{order:?}|{alpha:x}|{rate:x}|{seeds}|{rival:?}|{version}|{fallback}");
    hex(Sha256::new_with_prefix(text))
}

/// The same for a data set's full-information reference.
pub(super) fn frontier_key(bench: &Bench) -> String {
    hex(Sha256::new_with_prefix(format!("{FORMAT}|frontier|{}", bench.fingerprint)))
}
