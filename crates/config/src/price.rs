//! What models ask for their tokens, now and from dates to come.

use slarouter_core::{Price, Timestamp};
use slarouter_protocol::Usage;

/// USD per million tokens of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    /// Tokens of the request, where no other price says otherwise.
    pub input: f64,
    /// Tokens of the answer, where no other price says otherwise.
    pub output: f64,
    /// Tokens of the input that were read from the provider's cache.
    pub cached_input: f64,
    /// Tokens of the input that were written to the provider's cache.
    pub cache_write: f64,
    /// Tokens written to the cache that it keeps for an hour.
    pub cache_write_1h: f64,
    /// Tokens of the output that were reasoning.
    pub reasoning: f64,
    /// Tokens of the input that were sound.
    pub audio_input: f64,
    /// Tokens of the output that were sound.
    pub audio_output: f64,
    /// Tokens of the input that were images.
    pub image_input: f64,
    /// Tokens of the output that were images.
    pub image_output: f64,
    /// What a long question changes, if anything.
    pub long: Option<LongPrices>,
}

/// How many times as much all tokens cost where the question is long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongPrices {
    /// Input tokens beyond which it is.
    pub above: u64,
    /// For tokens of the question, of whichever kind.
    pub input: f64,
    /// For tokens of the answer, of whichever kind.
    pub output: f64,
}

/// The prices of a model over time.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceTable {
    /// Ascending in time; the first is in force from the beginning.
    entries: Vec<(Timestamp, Prices)>,
    known: bool,
}

// === impl Prices ===

impl Prices {
    /// What decisions compare.
    #[must_use]
    pub fn list(&self) -> Price {
        Price { input: self.input, output: self.output }
    }

    /// USD of this usage. Every token has one price: what a report counts in more kinds than there are tokens is not billed twice.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> f64 {
        let read = usage.cached_tokens.min(usage.input_tokens);
        let written = usage.cache_write_tokens.min(usage.input_tokens - read);
        let written_1h = usage.cache_write_1h_tokens.min(written);
        let fresh = usage.input_tokens - read - written;
        let heard = usage.audio_input_tokens.min(fresh);
        let seen = usage.image_input_tokens.min(fresh - heard);
        let reasoned = usage.reasoning_tokens.min(usage.output_tokens);
        let spoken = usage.audio_output_tokens.min(usage.output_tokens - reasoned);
        let drawn = usage.image_output_tokens.min(usage.output_tokens - reasoned - spoken);
        let sum = |kinds: &[(u64, f64)]| kinds.iter().map(|&(tokens, price)| tokens as f64 * price).sum::<f64>();
        let question = sum(&[
            (fresh - heard - seen, self.input),
            (heard, self.audio_input),
            (seen, self.image_input),
            (read, self.cached_input),
            (written - written_1h, self.cache_write),
            (written_1h, self.cache_write_1h),
        ]);
        let answer = sum(&[
            (usage.output_tokens - reasoned - spoken - drawn, self.output),
            (reasoned, self.reasoning),
            (spoken, self.audio_output),
            (drawn, self.image_output),
        ]);
        let (of_question, of_answer) = self.factors(usage.input_tokens as f64);
        (question * of_question + answer * of_answer) / 1e6
    }

    /// How many times the prices count for a question of so many tokens, and for its answer.
    fn factors(&self, input: f64) -> (f64, f64) {
        let long = self.long.filter(|long| input > long.above as f64);
        long.map_or((1.0, 1.0), |long| (long.input, long.output))
    }

    /// The most that so many tokens come to, sound and images left aside.
    #[must_use]
    pub fn most(&self, input: f64, output: f64) -> f64 {
        let read = self.input.max(self.cached_input).max(self.cache_write).max(self.cache_write_1h);
        let (of_question, of_answer) = self.factors(input);
        (input * read * of_question + output * self.output.max(self.reasoning) * of_answer) / 1e6
    }

    /// USD of so many fresh tokens, sound and images left aside.
    #[must_use]
    pub fn estimate(&self, input: f64, output: f64) -> f64 {
        let (of_question, of_answer) = self.factors(input);
        self.list().cost(input * of_question, output * of_answer)
    }

    /// USD by which a question of `input` tokens, of which `cached` are read from the cache, and its answer cost less than by
    /// [`Self::list`]; negative where they cost more, as where the question is long.
    #[must_use]
    pub fn saving(&self, input: f64, cached: f64, output: f64) -> f64 {
        let (of_question, of_answer) = self.factors(input);
        let more = self.list().cost(input * (of_question - 1.0), output * (of_answer - 1.0));
        cached * (self.input - self.cached_input) * of_question / 1e6 - more
    }

    /// The dearer of the two, kind by kind.
    fn or_dearer(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cached_input: self.cached_input.max(other.cached_input),
            cache_write: self.cache_write.max(other.cache_write),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
            reasoning: self.reasoning.max(other.reasoning),
            audio_input: self.audio_input.max(other.audio_input),
            audio_output: self.audio_output.max(other.audio_output),
            image_input: self.image_input.max(other.image_input),
            image_output: self.image_output.max(other.image_output),
            long: match (self.long, other.long) {
                (Some(one), Some(two)) => Some(LongPrices {
                    above: one.above.min(two.above),
                    input: one.input.max(two.input),
                    output: one.output.max(two.output),
                }),
                (one, two) => one.or(two),
            },
        }
    }
}

// === impl PriceTable ===

impl PriceTable {
    /// Prices that are `first` until the first of `later`, in any order; dates must differ.
    #[must_use]
    pub fn new(first: Prices, mut later: Vec<(Timestamp, Prices)>) -> Self {
        later.sort_by_key(|(from, _)| *from);
        later.insert(0, (Timestamp(0), first));
        Self { entries: later, known: true }
    }

    /// What takes the place of unknown prices: at any time, of each kind the most expensive of `known`. Nothing of a model that nobody has
    /// priced looks cheap, neither to a decision nor to a budget.
    #[must_use]
    pub fn unknown(known: &[Self]) -> Self {
        let mut dates: Vec<_> = known.iter().flat_map(|table| table.entries.iter().map(|(from, _)| *from)).collect();
        dates.push(Timestamp(0));
        dates.sort_unstable();
        dates.dedup();
        let most_expensive =
            |at: Timestamp| known.iter().map(|table| table.at(at)).fold(Prices::default(), Prices::or_dearer);
        Self { entries: dates.into_iter().map(|at| (at, most_expensive(at))).collect(), known: false }
    }

    /// The prices in force.
    #[must_use]
    pub fn at(&self, time: Timestamp) -> Prices {
        let held = self.entries.iter().rev().find(|(from, _)| *from <= time).or(self.entries.first());
        held.map_or_else(Prices::default, |(_, prices)| *prices)
    }

    /// When they change next.
    #[must_use]
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        self.entries.iter().map(|(from, _)| *from).find(|from| *from > after)
    }

    /// Whether the operator knows them; else they are as dear as the most expensive that are.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAR: Prices = Prices {
        input: 1.0,
        output: 8.0,
        cached_input: 0.25,
        cache_write: 2.0,
        cache_write_1h: 4.0,
        reasoning: 16.0,
        audio_input: 32.0,
        audio_output: 64.0,
        image_input: 128.0,
        image_output: 256.0,
        long: Some(LongPrices { above: 1_000, input: 2.0, output: 3.0 }),
    };

    /// Millionths of a USD for tokens in, cached, written, written for an hour, heard, out, reasoned, spoken.
    fn cost(prices: Prices, counts: [u64; 8]) -> f64 {
        let [input_tokens, cached_tokens, cache_write_tokens, cache_write_1h_tokens, ..] = counts;
        let [.., audio_input_tokens, output_tokens, reasoning_tokens, audio_output_tokens] = counts;
        let usage = Usage {
            input_tokens,
            cached_tokens,
            cache_write_tokens,
            cache_write_1h_tokens,
            audio_input_tokens,
            output_tokens,
            reasoning_tokens,
            audio_output_tokens,
            ..Usage::default()
        };
        prices.cost(&usage) * 1e6
    }

    #[test]
    fn every_token_has_one_price() {
        for (counts, expected) in [
            ([10, 4, 2, 0, 0, 3, 0, 0], 4.0 + 1.0 + 4.0 + 24.0),
            ([10, 0, 0, 0, 0, 0, 0, 0], 10.0),
            ([10, 0, 5, 2, 0, 0, 0, 0], 5.0 + 6.0 + 8.0),
            ([10, 0, 0, 0, 3, 10, 4, 1], 7.0 + 96.0 + 40.0 + 64.0 + 64.0),
            ([0; 8], 0.0),
            // Reports that contradict themselves: more of a kind than there are tokens.
            ([4, 9, 9, 9, 9, 0, 0, 0], 1.0),
            ([4, 1, 9, 9, 0, 0, 0, 0], 0.25 + 12.0),
            ([4, 0, 1, 9, 9, 0, 0, 0], 4.0 + 96.0),
            ([0, 5, 5, 5, 5, 2, 9, 9], 32.0),
            ([0, 0, 0, 0, 0, 5, 2, 9], 32.0 + 192.0),
        ] {
            let found = cost(DEAR, counts);
            assert!((found - expected).abs() < 1e-9, "{counts:?}: {found}, not {expected}");
        }
        let most = cost(DEAR, [u64::MAX; 8]);
        assert!(most.is_finite() && most > 0.0, "{most}");
    }

    #[test]
    fn where_all_kinds_cost_the_same_only_the_sums_count() {
        let flat = Prices {
            input: 3.0,
            output: 5.0,
            cached_input: 3.0,
            cache_write: 3.0,
            cache_write_1h: 3.0,
            reasoning: 5.0,
            audio_input: 3.0,
            audio_output: 5.0,
            image_input: 3.0,
            image_output: 5.0,
            long: None,
        };
        // A counter from 0 to 3 in each place.
        for n in 0..4_u64.pow(8) {
            let counts: [u64; 8] = std::array::from_fn(|place| n / 4_u64.pow(place as u32) % 4);
            let expected = (counts[0] * 3 + counts[5] * 5) as f64;
            assert!((cost(flat, counts) - expected).abs() < 1e-9, "{counts:?}");
        }
    }

    #[test]
    fn images_have_their_price_and_a_long_question_raises_all() {
        let usage = Usage { input_tokens: 10, image_input_tokens: 4, audio_input_tokens: 1, ..Usage::default() };
        let usage = Usage { output_tokens: 5, image_output_tokens: 2, reasoning_tokens: 1, ..usage };
        let expected = 5.0 + 32.0 + 4.0 * 128.0 + 2.0 * 8.0 + 16.0 + 2.0 * 256.0;
        assert!((DEAR.cost(&usage) * 1e6 - expected).abs() < 1e-9);
        for (input, expected) in [(1_000, 1_000.0 + 8.0), (1_001, 2.0 * 1_001.0 + 3.0 * 8.0)] {
            let found = cost(DEAR, [input, 0, 0, 0, 0, 1, 0, 0]);
            assert!((found - expected).abs() < 1e-9, "{input}: {found}");
        }
        // What is estimated and what is saved follow it.
        assert!((DEAR.estimate(1_000.0, 1.0) * 1e6 - 1_008.0).abs() < 1e-9);
        assert!((DEAR.estimate(1_001.0, 1.0) * 1e6 - (2_002.0 + 24.0)).abs() < 1e-9);
        assert_eq!(DEAR.saving(1_000.0, 0.0, 9.0), 0.0);
        assert!((DEAR.saving(1_000.0, 400.0, 9.0) * 1e6 - 300.0).abs() < 1e-9);
        assert!((DEAR.saving(1_001.0, 400.0, 1.0) * 1e6 - (2.0 * 300.0 - 1_001.0 - 16.0)).abs() < 1e-9);
        // A budget has to hold for what is dearest, from the same token on.
        assert!((DEAR.most(1_000.0, 1.0) * 1e6 - (4_000.0 + 16.0)).abs() < 1e-9);
        assert!((DEAR.most(1_001.0, 1.0) * 1e6 - (2.0 * 4_004.0 + 48.0)).abs() < 1e-9);
    }

    #[test]
    fn the_price_of_the_time_counts_from_its_first_millisecond() {
        let of = |input: f64| Prices { input, ..Prices::default() };
        let table = PriceTable::new(of(1.0), vec![(Timestamp(300), of(3.0)), (Timestamp(200), of(2.0))]);
        for (at, expected, next) in [
            (0, 1.0, Some(200)),
            (199, 1.0, Some(200)),
            (200, 2.0, Some(300)),
            (299, 2.0, Some(300)),
            (300, 3.0, None),
            (u64::MAX, 3.0, None),
        ] {
            assert_eq!(table.at(Timestamp(at)).input, expected, "{at}");
            assert_eq!(table.next_change(Timestamp(at)), next.map(Timestamp), "{at}");
        }
    }

    #[test]
    fn an_unknown_price_is_the_most_expensive_known_at_any_time() {
        let of = |input: f64, output: f64| Prices { input, output, ..Prices::default() };
        let falls = PriceTable::new(of(5.0, 1.0), vec![(Timestamp(100), of(0.5, 1.0))]);
        let flat = PriceTable::new(of(1.0, 2.0), Vec::new());
        let unknown = PriceTable::unknown(&[falls, flat]);
        assert!(!unknown.is_known());
        let list = |at| (unknown.at(Timestamp(at)).input, unknown.at(Timestamp(at)).output);
        assert_eq!((list(0), list(99), list(100)), ((5.0, 2.0), (5.0, 2.0), (1.0, 2.0)));
        assert_eq!(unknown.next_change(Timestamp(0)), Some(Timestamp(100)));
    }
}
