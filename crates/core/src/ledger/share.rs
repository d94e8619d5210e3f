//! How much of what is said of a model one rater may say.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::Rater;

/// Words on a model that are looked back on.
const WINDOW: usize = 100;
/// Rated answers from which on few raters are taken for few. Before, nobody knows whether the first is the only one.
const ENOUGH: usize = 10;
/// A rater among few may say so many times what each would say if all said the same.
const FAIR: f64 = 2.0;

/// Lets one named rater have only a share of the words that count on a model.
///
/// A rater always has one word among the last [`WINDOW`] on each model, and others as the share allows. Where there are few
/// raters the share is [`FAIR`] over their number, so that one who is alone, or two, are not limited. Words without a name are
/// taken for those of as many people. Memory: at most [`WINDOW`] raters per model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RaterShare {
    /// In \[0, 1\]; 0 for no limit.
    most: f64,
    /// Who said the last words that counted on a model, the oldest first.
    counted: BTreeMap<Box<str>, VecDeque<Rater>>,
    /// Words without a name on this day.
    unnamed: u64,
    /// Raters of the days before, by half less for each day.
    faded: u64,
}

impl RaterShare {
    pub(super) fn set(&mut self, most: f64) {
        self.most = most;
    }

    /// Whether there is any limit.
    pub(super) fn limits(&self) -> bool {
        self.most > 0.0
    }

    /// So many days have passed, of the first of which there were `named` raters.
    pub(super) fn days_passed(&mut self, days: u64, named: usize) {
        let raters = (named as u64).saturating_add(self.unnamed).max(self.faded / 2);
        self.faded = raters.checked_shr(u32::try_from(days.saturating_sub(1)).unwrap_or(u32::MAX)).unwrap_or(0);
        self.unnamed = 0;
    }

    /// A word without a name, which always counts.
    pub(super) fn unnamed(&mut self, model: &str) {
        self.unnamed = self.unnamed.saturating_add(1);
        self.enter(model, Rater(0));
    }

    /// Whether a new word of a rater on a model is within the share, where `named` raters have spoken on this day and `rated`
    /// answers have ratings. O(window).
    pub(super) fn admits(&self, model: &str, rater: Rater, named: usize, rated: usize) -> bool {
        let words = self.counted.get(model);
        let own = words.map_or(0, |words| words.iter().filter(|other| **other == rater).count());
        let all = words.map_or(0, VecDeque::len);
        let raters = (named as u64).saturating_add(self.unnamed).max(self.faded).max(1);
        let share = if rated < ENOUGH { self.most } else { self.most.max(FAIR / raters as f64) };
        own == 0 || (own + 1) as f64 <= share * (all + 1) as f64
    }

    /// A word that counts.
    pub(super) fn enter(&mut self, model: &str, rater: Rater) {
        if !self.counted.contains_key(model) {
            self.counted.insert(model.into(), VecDeque::new());
        }
        if let Some(words) = self.counted.get_mut(model) {
            words.push_back(rater);
            if words.len() > WINDOW {
                words.pop_front();
            }
        }
    }
}
