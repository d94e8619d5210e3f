//! How well few labels predict which prompt a model satisfies, by encoder.
//!
//!     cargo run --release -p slarouter-lab --features bert --example encoders -- DATA_FOLDER
//!         [--encoders hashed,static,static:FILE,blend,blend:WIDTH+NGRAMS,bert:FOLDER,bert:FOLDER:64] [--sets zeroeval,...] [--rows N] [--seeds N]
//!
//! For each data set, model and seed: 30 % of the rows are held out; a logistic regression is fitted on 50, 200, 1,000 and all of the
//! others, its ridge chosen by cross-validation on those labels; area under the ROC curve and log-loss on the held-out rows,
//! averaged over models and seeds. `--rows` takes about so many rows, evenly over the file. `--time` only takes the time of a prompt
//! of 1,000 characters.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use slarouter_lab::{Dataset, Selection};
use slarouter_text::{Blend, Conversation, Encoder, HashedNgrams, StaticEmbedding};

use logistic::{Logistic, auc, cross_validate, log_loss};

mod logistic;

type Failure = Box<dyn Error + Send + Sync>;

/// Data sets, bars and zoos.
const SETS: [(&str, f64, &[&str]); 8] = [
    (
        "zeroeval",
        0.5,
        &[
            "gemma-2-2b-it",
            "Meta-Llama-3.1-8B-Instruct",
            "gpt-4o-mini-2024-07-18",
            "Meta-Llama-3.1-70B-Instruct",
            "claude-3-5-sonnet-20241022",
        ],
    ),
    (
        "mmlu_pro",
        0.5,
        &["Phi-3-mini-4k-instruct", "Meta-Llama-3.1-8B-Instruct", "Meta-Llama-3.1-70B-Instruct", "gemini-1.5-pro-002"],
    ),
    (
        "llmrouter",
        0.5,
        &["gemma-2-9b-it", "mistral-7b-instruct-v0.3", "llama-3.1-8b-instruct", "llama-3.1-nemotron-51b-instruct"],
    ),
    ("paretobandit", 0.9, &[]),
    ("logpai", 0.5, &[]),
    ("overruling", 0.5, &["gpt-j-6b", "gpt-3.5-turbo", "cohere-xlarge", "gpt-4"]),
    ("routellm", 0.5, &[]),
    (
        "bfcl",
        0.5,
        &[
            "gpt-4o-mini-2024-07-18",
            "open-mistral-nemo-2407",
            "claude-3-haiku-20240307",
            "claude-3-5-sonnet-20240620",
            "gpt-4-0613",
        ],
    ),
];
const BUDGETS: [(usize, &str); 4] = [(50, "50"), (200, "200"), (1_000, "1,000"), (usize::MAX, "all")];
const RIDGES: [f64; 4] = [0.1, 0.5, 2.0, 10.0];
/// Labels that a ridge is chosen on at most; more would cost time and change nothing.
const CHOOSE_ON: usize = 400;
const LARGEST_TEST: usize = 3_000;

struct Arguments {
    data: PathBuf,
    encoders: Vec<String>,
    sets: Option<Vec<String>>,
    rows: Option<usize>,
    seeds: u64,
    time: bool,
}

/// Encodes every k-th conversation only, and leaves zeros for the others, which are not looked at.
#[derive(Debug)]
struct Sampled {
    inner: Arc<dyn Encoder>,
    every: usize,
    seen: AtomicUsize,
    nanoseconds: AtomicUsize,
}

impl Encoder for Sampled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn version(&self) -> u32 {
        self.inner.version()
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn encode(&self, conversation: &Conversation, out: &mut [f32]) {
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every) {
            let start = now();
            self.inner.encode(conversation, out);
            self.nanoseconds.fetch_add(start.elapsed().as_nanos() as usize, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn now() -> Instant {
    Instant::now()
}

/// Sums of area, log-loss and their number, per budget.
#[derive(Clone, Debug, Default)]
struct Cell {
    auc: [(f64, f64); BUDGETS.len()],
    loss: [(f64, f64); BUDGETS.len()],
    microseconds: f64,
}

fn main() -> Result<(), Failure> {
    let arguments = arguments()?;
    let sets: Vec<_> = SETS
        .into_iter()
        .filter(|(set, ..)| arguments.sets.as_ref().is_none_or(|wanted| wanted.iter().any(|name| name == set)))
        .collect();
    let encoders: Vec<Arc<dyn Encoder>> =
        arguments.encoders.iter().map(|name| encoder(name)).collect::<Result<_, _>>()?;
    if arguments.time {
        let mut out = std::io::stdout().lock();
        for encoder in &encoders {
            let (median, fastest) = time(encoder.as_ref());
            writeln!(out, "{}: median {median:.1} µs, fastest {fastest:.1} µs", encoder.name())?;
        }
        return Ok(());
    }
    let cells: Mutex<BTreeMap<(usize, usize), Result<Cell, Failure>>> = Mutex::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((s, e)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .filter(|job| *job < sets.len() * encoders.len())
                    .map(|job| (job / encoders.len(), job % encoders.len()))
                {
                    let cell = evaluate(&arguments, sets[s], &encoders[e]);
                    let _ = writeln!(std::io::stderr(), "{} {} done", sets[s].0, arguments.encoders[e]);
                    if let Ok(mut cells) = cells.lock() {
                        cells.insert((s, e), cell);
                    }
                }
            });
        }
    });
    let mut out = std::io::stdout().lock();
    let budgets = BUDGETS.map(|(_, name)| name).join(" | ");
    writeln!(out, "| data | encoder | AUC at {budgets} | log-loss at {budgets} | µs per prompt |")?;
    writeln!(out, "|{}", " --- |".repeat(3 + 2 * BUDGETS.len()))?;
    let mut totals = vec![Cell::default(); encoders.len()];
    for ((s, e), cell) in cells.into_inner().map_err(|_| "a thread has failed")? {
        let cell = cell?;
        row(&mut out, sets[s].0, &arguments.encoders[e], &cell)?;
        let add = |to: &mut (f64, f64), from: (f64, f64)| {
            if from.1 > 0.0 {
                *to = (to.0 + from.0 / from.1, to.1 + 1.0);
            }
        };
        totals[e].auc.iter_mut().zip(cell.auc).for_each(|(to, from)| add(to, from));
        totals[e].loss.iter_mut().zip(cell.loss).for_each(|(to, from)| add(to, from));
        totals[e].microseconds += cell.microseconds / sets.len() as f64;
    }
    for (e, total) in totals.iter().enumerate() {
        row(&mut out, "*mean of the sets*", &arguments.encoders[e], total)?;
    }
    Ok(())
}

/// Median and fastest time in µs of an English prompt of 1,000 characters, which an interruption does not spoil.
fn time(encoder: &dyn Encoder) -> (f64, f64) {
    let text = "The operator writes down one number (0.9, say), and each of the requests goes to the cheapest model. ";
    let conversation = Conversation::from_prompt(&text.chars().cycle().take(1_000).collect::<String>());
    let mut out = vec![0.0; encoder.dim()];
    let mut times: Vec<f64> = (0..2_000)
        .map(|_| {
            let start = now();
            encoder.encode(std::hint::black_box(&conversation), &mut out);
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn row(out: &mut impl std::io::Write, set: &str, encoder: &str, cell: &Cell) -> std::io::Result<()> {
    let means = |sums: &[(f64, f64)]| {
        let texts: Vec<_> =
            sums.iter().map(|(sum, n)| if *n > 0.0 { format!("{:.3}", sum / n) } else { "–".to_owned() }).collect();
        texts.join(" | ")
    };
    let time = cell.microseconds;
    writeln!(out, "| {set} | {encoder} | {} | {} | {time:.1} |", means(&cell.auc), means(&cell.loss))
}

fn evaluate(
    arguments: &Arguments,
    (set, bar, zoo): (&str, f64, &[&str]),
    encoder: &Arc<dyn Encoder>,
) -> Result<Cell, Failure> {
    let path = arguments.data.join(format!("{set}.csv.gz"));
    let every = match arguments.rows {
        Some(wanted) => count(&path, bar)?.div_ceil(wanted.max(1)),
        None => 1,
    };
    let sampled = Arc::new(Sampled {
        inner: encoder.clone(),
        every,
        seen: AtomicUsize::new(0),
        nanoseconds: AtomicUsize::new(0),
    });
    let models = (!zoo.is_empty()).then(|| zoo.iter().map(|name| (*name).to_owned()).collect());
    let selection = Selection { bar: Some(bar), models, encoder: sampled.clone() };
    let data = Dataset::load(&path, &selection)?;
    let mut cell = Cell::default();
    let rows: Vec<usize> = (0..data.rows()).step_by(every).collect();
    cell.microseconds = sampled.nanoseconds.load(Ordering::Relaxed) as f64 / 1e3 / rows.len() as f64;
    for seed in 0..arguments.seeds {
        let mut rows = rows.clone();
        shuffle(&mut rows, seed);
        let (test, train) = rows.split_at(rows.len() * 3 / 10);
        let test = &test[..test.len().min(LARGEST_TEST)];
        for model in 0..data.models() {
            one(&data, model, train, test, &mut cell);
        }
    }
    Ok(cell)
}

/// All budgets of one model and one split.
fn one(data: &Dataset, model: usize, train: &[usize], test: &[usize], cell: &mut Cell) {
    let labels = |rows: &[usize]| rows.iter().map(|row| data.score(*row, model)).collect::<Vec<f64>>();
    let test_labels = labels(test);
    let mut ridge = 1.0;
    for (place, (budget, _)) in BUDGETS.into_iter().enumerate() {
        if budget != usize::MAX && budget > train.len() {
            continue;
        }
        let train = &train[..budget.min(train.len())];
        let inputs: Vec<&[f32]> = train.iter().map(|row| data.features(*row)).collect();
        let labels = labels(train);
        if budget <= 1_000 {
            let seen = inputs.len().min(CHOOSE_ON);
            ridge = cross_validate(&inputs[..seen], &labels[..seen], &RIDGES, 4);
        }
        let fitted = Logistic::fit(&inputs, &labels, ridge);
        let predicted: Vec<f64> = test.iter().map(|row| fitted.predict(data.features(*row))).collect();
        let loss = &mut cell.loss[place];
        *loss = (loss.0 + log_loss(&predicted, &test_labels), loss.1 + 1.0);
        if let Some(area) = auc(&predicted, &test_labels) {
            let sum = &mut cell.auc[place];
            *sum = (sum.0 + area, sum.1 + 1.0);
        }
    }
}

/// Number of rows of a file.
fn count(path: &Path, bar: f64) -> Result<usize, Failure> {
    let encoder = Sampled {
        inner: Arc::new(HashedNgrams),
        every: usize::MAX,
        seen: AtomicUsize::new(0),
        nanoseconds: AtomicUsize::new(0),
    };
    Ok(Dataset::load(path, &Selection { bar: Some(bar), models: None, encoder: Arc::new(encoder) })?.rows())
}

fn shuffle(rows: &mut [usize], seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for i in (1..rows.len()).rev() {
        rows.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
}

fn encoder(name: &str) -> Result<Arc<dyn Encoder>, Failure> {
    Ok(match name.split_once(':') {
        None if name == "hashed" => Arc::new(HashedNgrams),
        None if name == "static" => Arc::new(StaticEmbedding::new()?),
        None if name == "blend" => Arc::new(Blend::new()?),
        Some(("blend", widths)) => {
            let (width, ngrams) = widths.split_once('+').ok_or("write blend:WIDTH+NGRAMS, such as blend:48+48")?;
            Arc::new(Blend::of(StaticEmbedding::new()?, width.parse()?, ngrams.parse()?))
        }
        Some(("static", file)) => Arc::new(StaticEmbedding::from_bytes(&std::fs::read(file)?)?),
        #[cfg(feature = "bert")]
        Some(("bert", folder)) => {
            let (folder, width) = match folder.rsplit_once(':') {
                Some((folder, width)) => (folder, Some(width.parse()?)),
                None => (folder, None),
            };
            let options = slarouter_text::BertOptions::projected(width);
            Arc::new(slarouter_text::Bert::load(Path::new(folder), options)?)
        }
        _ => {
            let known = "hashed, static, static:FILE, blend, blend:WIDTH+NGRAMS, and with the feature bert, bert:FOLDER and bert:FOLDER:WIDTH";
            return Err(format!("there is no encoder {name:?}: there are {known}").into());
        }
    })
}

fn arguments() -> Result<Arguments, Failure> {
    let mut found = Arguments {
        data: PathBuf::new(),
        encoders: vec!["hashed".to_owned(), "static".to_owned()],
        sets: None,
        rows: None,
        seeds: 3,
        time: false,
    };
    let list = |text: String| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--encoders" => found.encoders = list(value()?),
            "--sets" => found.sets = Some(list(value()?)),
            "--rows" => found.rows = Some(value()?.parse()?),
            "--seeds" => found.seeds = value()?.parse()?,
            "--time" => found.time = true,
            other => found.data = other.into(),
        }
    }
    if found.data.as_os_str().is_empty() && !found.time {
        return Err("name the folder of the data sets, one <name>.csv.gz each".into());
    }
    Ok(found)
}
