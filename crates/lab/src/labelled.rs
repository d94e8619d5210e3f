//! Judged answers from a file: what a warm start is trained on.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use slarouter_core::{Example, Zoo};
use slarouter_text::{Conversation, Encoder};

use crate::dataset::{DataError, from_csv};
use crate::draw::shuffle;

/// Where the score of a row's model stands.
enum Layout {
    /// Columns `model` and `score`: a row per answer.
    Long { model: usize, score: usize },
    /// Columns `score:<model>`: a row per prompt. Column and place in the zoo.
    Wide(Vec<(usize, usize)>),
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// In a random order, by a fixed seed.
    pub examples: Vec<Example>,
    /// Rows.
    pub prompts: usize,
    /// Answers of models that the zoo does not have.
    pub foreign: usize,
}

impl Labelled {
    /// Judged answers that were read elsewhere.
    #[must_use]
    pub fn new(mut examples: Vec<Example>, prompts: usize, foreign: usize) -> Self {
        shuffle(&mut examples, &mut ChaCha8Rng::seed_from_u64(0));
        Self { examples, prompts, foreign }
    }

    /// Reads a CSV file, gzipped or not: a column `prompt`, and either `model` and `score`, a row per answer, or `score:<model>` for
    /// each model, a row per prompt. Scores are between 0 and 1; empty ones are passed over, as are other columns.
    ///
    /// # Errors
    /// [`DataError`] with the line and the column.
    pub fn load(path: &Path, zoo: &Zoo, encoder: &dyn Encoder) -> Result<Self, DataError> {
        let file = |source| DataError::Open { file: path.into(), source };
        let mut bytes = Vec::new();
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(file)?;
        let input: Box<dyn Read> =
            if bytes.starts_with(&[0x1f, 0x8b]) { Box::new(MultiGzDecoder::new(&*bytes)) } else { Box::new(&*bytes) };
        let mut csv = csv::ReaderBuilder::new().from_reader(input);
        let headers = csv.headers().map_err(|error| from_csv(path, 1, &error))?.clone();
        let (prompt, layout) = layout(path, &headers, zoo)?;
        let mut held = Self { examples: Vec::new(), prompts: 0, foreign: 0 };
        let mut record = csv::StringRecord::new();
        loop {
            let reached = csv.position().line();
            if !csv.read_record(&mut record).map_err(|error| from_csv(path, reached, &error))? {
                break;
            }
            let line = record.position().map_or(reached, csv::Position::line);
            let mut features = vec![0.0; encoder.dim()];
            encoder.encode(&Conversation::from_prompt(&record[prompt]), &mut features);
            held.prompts += 1;
            let mut enter = |model: usize, column: usize| -> Result<(), DataError> {
                let text = record[column].trim();
                if text.is_empty() {
                    return Ok(());
                }
                let score = text.parse::<f64>().ok().filter(|score| (0.0..=1.0).contains(score));
                let satisfaction = score.ok_or_else(|| DataError::Row {
                    file: path.into(),
                    line,
                    column: Some(headers[column].to_owned()),
                    what: format!("{text:?} is no number from 0 to 1: write one, or leave the field empty"),
                })?;
                held.examples.push(Example { features: features.clone(), model, satisfaction });
                Ok(())
            };
            match &layout {
                Layout::Long { model, score } => match zoo.position(record[*model].trim()) {
                    Some(place) => enter(place, *score)?,
                    None => held.foreign += 1,
                },
                Layout::Wide(models) => models.iter().try_for_each(|&(column, place)| enter(place, column))?,
            }
        }
        if held.examples.is_empty() {
            let what =
                "there is no score of a model of the route: name the models as the configuration does".to_owned();
            return Err(DataError::File { file: path.into(), what });
        }
        Ok(Self::new(held.examples, held.prompts, held.foreign))
    }
}

fn layout(path: &Path, headers: &csv::StringRecord, zoo: &Zoo) -> Result<(usize, Layout), DataError> {
    let refuse = |what: &str| DataError::File { file: path.into(), what: what.to_owned() };
    let place = |name: &str| headers.iter().position(|header| header == name);
    let prompt = place("prompt").ok_or_else(|| refuse("the column \"prompt\" is missing: add it to the header"))?;
    if let (Some(model), Some(score)) = (place("model"), place("score")) {
        return Ok((prompt, Layout::Long { model, score }));
    }
    let known = |(column, header): (usize, &str)| Some((column, zoo.position(header.strip_prefix("score:")?)?));
    let models: Vec<_> = headers.iter().enumerate().filter_map(known).collect();
    if models.is_empty() {
        let what = "there are no scores: add columns \"model\" and \"score\", or \"score:<model>\" with names of the route's models";
        return Err(refuse(what));
    }
    Ok((prompt, Layout::Wide(models)))
}
