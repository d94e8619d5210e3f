//! The fuzz targets on the committed corpus, and on seeded mutations of it. `make fuzz` goes on from there with a fuzzer that sees
//! which code is reached.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests; the input that fails is to be seen")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use slarouter_gateway::fuzz::{TARGETS, Target};

/// Mutations of each target, unless `FUZZ_MUTATIONS` says how many: some seconds in all.
const MUTATIONS: usize = 20_000;
const LONGEST: usize = 16_384;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = folder().join("corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The words of the dictionary, whose form is that of libFuzzer and AFL.
fn dictionary() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder().join("tokens.dict")).unwrap();
    let quoted = |line: &str| Some(line.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    let words: Vec<_> = text.lines().filter_map(quoted).map(|word| unescaped(&word)).collect();
    assert!(words.len() > 20);
    words
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let [first, more @ ..] = rest {
        let (byte, taken) = match (first, more) {
            (b'\\', [b'x', a, b, ..]) => (u8::from_str_radix(std::str::from_utf8(&[*a, *b]).unwrap(), 16).unwrap(), 4),
            (b'\\', [escaped, ..]) => (*escaped, 2),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[taken..];
    }
    bytes
}

/// SplitMix64: enough for this, and the same for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % end.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        start..(start + self.below(most + 1)).min(length)
    }

    fn mutated(&mut self, input: &[u8], corpus: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let range = self.range(bytes.len());
            match self.below(8) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                2 => drop(bytes.drain(range)),
                3 => {
                    let piece = bytes[range].to_vec();
                    bytes.splice(at..at, piece);
                }
                4 | 5 => {
                    let word = words[self.below(words.len())].clone();
                    bytes.splice(at..at, word);
                }
                6 => {
                    let other = &corpus[self.below(corpus.len())];
                    let piece = other[self.range(other.len())].to_vec();
                    bytes.splice(range, piece);
                }
                _ => bytes.truncate(at),
            }
            bytes.truncate(LONGEST);
        }
        bytes
    }
}

fn run(name: &str, target: Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        println!("{name} fails on {} bytes: {}", input.len(), input.escape_ascii());
        resume_unwind(panic);
    }
}

#[test]
fn every_target_has_a_corpus_and_a_fuzzer() {
    let names = |path: PathBuf| {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let mut expected = TARGETS.map(|(name, _)| name.to_owned());
    expected.sort();
    assert_eq!(names(folder().join("corpus")), expected);
    assert_eq!(names(folder().join("fuzz_targets")), expected);
}

#[test]
fn corpus_and_mutations() {
    let words = dictionary();
    let mutations = std::env::var("FUZZ_MUTATIONS").map_or(MUTATIONS, |number| number.parse().unwrap());
    std::thread::scope(|threads| {
        for (seed, (name, target)) in TARGETS.into_iter().enumerate() {
            let words = &words;
            threads.spawn(move || {
                let corpus = corpus(name);
                corpus.iter().for_each(|input| run(name, target, input));
                let mut random = Random(seed as u64);
                for _ in 0..mutations {
                    let base = random.below(corpus.len());
                    let input = random.mutated(&corpus[base], &corpus, words);
                    run(name, target, &input);
                }
            });
        }
    });
}
