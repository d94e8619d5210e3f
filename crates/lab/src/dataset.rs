//! Recorded outcomes: one row per prompt, a score and a cost per model.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use slarouter_core::{ModelSpec, Price, SpecError, Zoo};
use slarouter_text::{Conversation, Encoder, HashedNgrams};

use crate::draw::shuffle;
use crate::simulate::{Raters, World};

/// Output tokens that the derived price list assumes of every answer.
const ASSUMED_OUTPUT: f64 = 200.0;

/// A data set in memory, features included.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The file's name without its endings.
    pub name: String,
    /// The models, with a price list derived from the data: see [`Dataset::load`].
    pub zoo: Zoo,
    rows: usize,
    /// Per row, per model.
    scores: Vec<f64>,
    costs: Vec<f64>,
    encoder: Arc<dyn Encoder>,
    features: Vec<f32>,
    input_tokens: Vec<f64>,
}

/// What to take of a file, and what to make of its prompts.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Scores from here on count as 1, others as 0; `None` leaves them graded.
    pub bar: Option<f64>,
    /// Models to keep, in this order; `None` keeps all, in the file's order.
    pub models: Option<Vec<String>>,
    /// What makes the features of the prompts; hashed n-grams by default.
    pub encoder: Arc<dyn Encoder>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { bar: None, models: None, encoder: Arc::new(HashedNgrams) }
    }
}

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be opened.
    #[error("{file}: {source}")]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file as a whole is wrong.
    #[error("{file}: {what}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong, and how to mend it.
        what: String,
    },
    /// A row is wrong.
    #[error("{file}, line {line}{}: {what}", column.as_ref().map(|c| format!(", column {c:?}")).unwrap_or_default())]
    Row {
        /// The file.
        file: PathBuf,
        /// The line on which the row begins, from 1.
        line: u64,
        /// The column, if one is to blame.
        column: Option<String>,
        /// What is wrong, and how to mend it.
        what: String,
    },
}

/// Places of a model's columns.
#[derive(Clone)]
struct Columns {
    name: String,
    score: usize,
    cost: usize,
}

/// A row that is being read.
struct Row<'a> {
    path: &'a Path,
    line: u64,
    headers: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
}

impl Dataset {
    /// Reads a CSV file, gzipped or not, with columns `prompt_id`, `benchmark` (optional), `prompt`, and `score:<model>` and
    /// `cost:<model>` for each model, and computes the features of all prompts.
    ///
    /// The data have costs, not prices, so a price list is derived: per model one blended price for input and output tokens,
    /// its total cost over the total of (estimated input tokens + 200). It says as much about a model as a price list would, and
    /// nothing about single prompts.
    ///
    /// # Errors
    /// [`DataError`] with the line and the column.
    pub fn load(path: &Path, selection: &Selection) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::Open { file: path.into(), source })?;
        let mut reader = BufReader::new(file);
        let gzip = std::io::BufRead::fill_buf(&mut reader)
            .map_err(|source| DataError::Open { file: path.into(), source })?
            .starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_end_matches(".gz").trim_end_matches(".csv").to_owned();
        Self::read(path, name, input, selection)
    }

    fn empty(name: String, zoo: Zoo, encoder: Arc<dyn Encoder>) -> Self {
        let (scores, costs, features, input_tokens) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name, zoo, rows: 0, scores, costs, encoder, features, input_tokens }
    }

    /// Adds a row without its outcomes, and returns its estimated input tokens.
    fn add_prompt(&mut self, prompt: &str) -> f64 {
        let conversation = Conversation::from_prompt(prompt);
        let start = self.features.len();
        self.features.resize(start + self.dim(), 0.0);
        self.encoder.encode(&conversation, &mut self.features[start..]);
        let tokens = f64::from(conversation.input_tokens());
        self.input_tokens.push(tokens);
        self.rows += 1;
        tokens
    }

    fn read(path: &Path, name: String, input: impl Read, selection: &Selection) -> Result<Self, DataError> {
        let mut csv = csv::ReaderBuilder::new().from_reader(input);
        let headers = csv.headers().map_err(|error| from_csv(path, 1, &error))?.clone();
        let (prompt, id, models) = columns(path, &headers, selection.models.as_deref())?;
        let mut data = Self::empty(name, placeholder(path, &models)?, selection.encoder.clone());
        let mut ids = HashSet::new();
        let mut record = csv::StringRecord::new();
        loop {
            let reached = csv.position().line();
            if !csv.read_record(&mut record).map_err(|error| from_csv(path, reached, &error))? {
                break;
            }
            let line = record.position().map_or(reached, csv::Position::line);
            let row = Row { path, line, headers: &headers, record: &record };
            if !ids.insert(record[id].to_owned()) {
                return Err(row.wrong(id, format!("{:?} is there twice: remove one of the rows", &record[id])));
            }
            for model in &models {
                let (score, cost) = row.outcome(model)?;
                data.scores.push(selection.bar.map_or(score, |bar| f64::from(u8::from(score >= bar))));
                data.costs.push(cost);
            }
            data.add_prompt(&record[prompt]);
        }
        if data.rows == 0 {
            return Err(DataError::File { file: path.into(), what: "there are no rows below the header".to_owned() });
        }
        data.zoo = data.priced(path, &models)?;
        Ok(data)
    }

    /// The first requests of a simulated world, with what `raters` would say of each answer for a score: α and the figures are
    /// then shares of thumbs up. Prices are those of the world.
    ///
    /// # Errors
    /// Those of [`World::zoo`].
    pub fn simulated(world: &World, raters: &Raters, requests: u64) -> Result<Self, SpecError> {
        let mut data = Self::empty("simulated".to_owned(), world.zoo()?, Arc::new(HashedNgrams));
        for n in 0..requests {
            let input = data.add_prompt(&world.prompt(n).text);
            for (place, model) in world.models().iter().enumerate() {
                data.scores.push(f64::from(u8::from(raters.like(world, n, place))));
                data.costs.push(model.price.cost(input, f64::from(world.answer(n, place).output_tokens)));
            }
        }
        Ok(data)
    }

    /// Number of prompts.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of models.
    #[must_use]
    pub fn models(&self) -> usize {
        self.zoo.models().len()
    }

    /// Satisfaction with `model` on `row`, in \[0, 1\].
    #[must_use]
    pub fn score(&self, row: usize, model: usize) -> f64 {
        self.scores[row * self.models() + model]
    }

    /// USD of `model` on `row`.
    #[must_use]
    pub fn cost(&self, row: usize, model: usize) -> f64 {
        self.costs[row * self.models() + model]
    }

    /// Features of the prompt.
    #[must_use]
    pub fn features(&self, row: usize) -> &[f32] {
        &self.features[row * self.dim()..(row + 1) * self.dim()]
    }

    /// Length of a feature vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.encoder.dim()
    }

    /// Version of the features: see [`Encoder::version`].
    #[must_use]
    pub fn feature_version(&self) -> u32 {
        self.encoder.version()
    }

    /// Estimated input tokens of the prompt.
    #[must_use]
    pub fn input_tokens(&self, row: usize) -> f64 {
        self.input_tokens[row]
    }

    /// Output tokens that the derived price makes of a recorded cost.
    #[must_use]
    pub fn output_tokens(&self, row: usize, model: usize) -> Option<f64> {
        let price = self.zoo.models()[model].price;
        (price.output > 0.0)
            .then(|| ((self.cost(row, model) * 1e6 - self.input_tokens(row) * price.input) / price.output).max(0.0))
    }

    /// Mean satisfaction and mean cost of always choosing `model`.
    #[must_use]
    pub fn means(&self, model: usize) -> (f64, f64) {
        let n = self.rows as f64;
        let sum = |value: &dyn Fn(usize) -> f64| (0..self.rows).map(value).sum::<f64>() / n;
        (sum(&|row| self.score(row, model)), sum(&|row| self.cost(row, model)))
    }

    /// Place of the model with the highest mean satisfaction; the first of equals.
    #[must_use]
    pub fn best_single(&self) -> usize {
        let satisfaction: Vec<f64> = (0..self.models()).map(|model| self.means(model).0).collect();
        let best = (0..self.models()).rev().max_by(|&a, &b| satisfaction[a].total_cmp(&satisfaction[b]));
        best.unwrap_or(0)
    }

    /// Keeps at most `most` rows, drawn by a fixed seed, in their order. Prices stay those of the whole file.
    pub(crate) fn thin(&mut self, most: usize) {
        if self.rows <= most {
            return;
        }
        let mut kept: Vec<usize> = (0..self.rows).collect();
        shuffle(&mut kept, &mut ChaCha8Rng::seed_from_u64(0));
        kept.truncate(most);
        kept.sort_unstable();
        let models = self.models();
        let pick = |values: &[f64]| kept.iter().flat_map(|&row| values[row * models..][..models].to_vec()).collect();
        (self.scores, self.costs) = (pick(&self.scores), pick(&self.costs));
        let dim = self.dim();
        self.features = kept.iter().flat_map(|&row| self.features[row * dim..][..dim].to_vec()).collect();
        self.input_tokens = kept.iter().map(|&row| self.input_tokens[row]).collect();
        self.rows = kept.len();
    }

    fn priced(&self, path: &Path, models: &[Columns]) -> Result<Zoo, DataError> {
        let tokens: f64 = self.input_tokens.iter().map(|input| input + ASSUMED_OUTPUT).sum();
        let spec = |(place, model): (usize, &Columns)| {
            let price = self.means(place).1 * self.rows as f64 / tokens * 1e6;
            ModelSpec::new(&model.name, Price { input: price, output: price })
        };
        zoo(path, models.iter().enumerate().map(spec).collect())
    }
}

impl Row<'_> {
    /// Score and cost of a model.
    fn outcome(&self, model: &Columns) -> Result<(f64, f64), DataError> {
        let (score, cost) = (self.number(model.score)?, self.number(model.cost)?);
        if !(0.0..=1.0).contains(&score) {
            return Err(
                self.wrong(model.score, format!("the score {score} is not between 0 and 1: rescale the column"))
            );
        }
        if cost < 0.0 {
            return Err(self.wrong(model.cost, format!("the cost {cost} is negative: costs are USD per request")));
        }
        Ok((score, cost))
    }

    fn number(&self, column: usize) -> Result<f64, DataError> {
        let text = self.record[column].trim();
        text.parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())
            .ok_or_else(|| self.wrong(column, format!("{text:?} is no finite number: write one, or drop the row")))
    }

    fn wrong(&self, column: usize, what: String) -> DataError {
        DataError::Row { file: self.path.into(), line: self.line, column: Some(self.headers[column].to_owned()), what }
    }
}

fn placeholder(path: &Path, models: &[Columns]) -> Result<Zoo, DataError> {
    zoo(path, models.iter().map(|model| ModelSpec::new(&model.name, Price::default())).collect())
}

fn zoo(path: &Path, models: Vec<ModelSpec>) -> Result<Zoo, DataError> {
    Zoo::new(models).map_err(|error| DataError::File { file: path.into(), what: error.to_string() })
}

/// Places of `prompt`, `prompt_id` and the models' columns.
fn columns(
    path: &Path,
    headers: &csv::StringRecord,
    wanted: Option<&[String]>,
) -> Result<(usize, usize, Vec<Columns>), DataError> {
    let refuse = |what: String| DataError::File { file: path.into(), what };
    if headers.is_empty() {
        return Err(refuse("the file is empty: it needs a header line and rows".to_owned()));
    }
    let mut seen = HashSet::new();
    for header in headers {
        if !seen.insert(header) {
            return Err(refuse(format!("the column {header:?} is there twice: remove one")));
        }
    }
    let place = |name: &str| headers.iter().position(|header| header == name);
    let need =
        |name: &str| place(name).ok_or_else(|| refuse(format!("the column {name:?} is missing: add it to the header")));
    let (prompt, id) = (need("prompt")?, need("prompt_id")?);
    let mut known = Vec::new();
    for (score, header) in headers.iter().enumerate() {
        if let Some(name) = header.strip_prefix("score:") {
            known.push(Columns { name: name.to_owned(), score, cost: need(&format!("cost:{name}"))? });
        } else if let Some(name) = header.strip_prefix("cost:") {
            need(&format!("score:{name}"))?;
        }
    }
    if known.is_empty() {
        return Err(refuse("there is no model: add columns score:<model> and cost:<model>".to_owned()));
    }
    let Some(wanted) = wanted else { return Ok((prompt, id, known)) };
    let mut models: Vec<Columns> = Vec::new();
    for name in wanted {
        if models.iter().any(|model| model.name == *name) {
            return Err(refuse(format!("the model {name:?} is asked for twice")));
        }
        let Some(found) = known.iter().find(|model| model.name == *name) else {
            let names: Vec<_> = known.iter().map(|model| model.name.as_str()).collect();
            return Err(refuse(format!("there is no model {name:?}; the file has {}", names.join(", "))));
        };
        models.push(found.clone());
    }
    Ok((prompt, id, models))
}

/// `line` is how far reading had come, for errors that do not say where they are.
pub(crate) fn from_csv(path: &Path, line: u64, error: &csv::Error) -> DataError {
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header has {expected_len}: quote fields that hold commas or line breaks")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("not UTF-8: {err}; convert the file"),
        csv::ErrorKind::Io(source) => format!("cannot be read to its end, perhaps cut short: {source}"),
        _ => error.to_string(),
    };
    let line = error.position().map_or(line, csv::Position::line);
    DataError::Row { file: path.into(), line, column: None, what }
}
