//! How much of what is said of a model one named rater may say.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
#[expect(dead_code, reason = "not every test file makes its routes in every way")]
mod route;

use slarouter_core::{
    DecisionId, Feedback, Learner, PolicySpec, Rater, Rating, Reason, Receipt, RouteSpec, Source, Timestamp,
};

/// In milliseconds.
const DAY: u64 = 86_400_000;
const EVE: u64 = 666;

/// A route whose log is written word by word; each word is on an answer of its own, unless it is said to be on an older one.
struct Log {
    learner: Learner,
    day: u64,
    words: u64,
}

impl Log {
    fn new(rater_share: f64) -> Self {
        let mut spec = route::spec(route::models(&[1.0, 2.0]), 0.8, PolicySpec::parse("slarouter").unwrap());
        (spec.rater_share, spec.feedback_window_ms) = (rater_share, 100 * DAY);
        Self { learner: Learner::new(spec, 1, 1).unwrap(), day: 20_000, words: 0 }
    }

    /// Says a word on an answer, and whether the label of that changed anything.
    fn word(&mut self, answer: u64, feedback: Feedback<'_>) -> (Receipt, bool) {
        self.words += 1;
        let feedback = Feedback { decision: DecisionId(answer.into()), order: self.words, ..feedback };
        let before = self.learner.account().clone();
        let receipt = self.learner.observe(&feedback, Timestamp(self.day * DAY)).unwrap();
        (receipt, *self.learner.account() != before)
    }

    /// A thumb down on a new answer of a model, and whether it counted.
    fn rates(&mut self, rater: u64, model: &str) -> bool {
        let (receipt, counted) = self.word(self.words, down(rater, model));
        assert_eq!(receipt, Receipt::Recorded, "acknowledged in any case");
        counted
    }

    /// How many of so many words counted.
    fn rates_often(&mut self, rater: u64, model: &str, words: u64) -> usize {
        (0..words).filter(|_| self.rates(rater, model)).count()
    }

    fn restarted(&self) -> Self {
        let learner = Learner::from_bytes(&self.learner.to_bytes().unwrap()).unwrap();
        assert_eq!(learner, self.learner);
        Self { learner, ..*self }
    }
}

fn down(rater: u64, model: &str) -> Feedback<'_> {
    Feedback {
        decision: DecisionId(0),
        decided_at: Timestamp(19_990 * DAY),
        model,
        reason: Reason::Exploit,
        features: &[0.5],
        predicted: 0.5,
        source: Source::User,
        rater: Rater(rater),
        rating: Some(Rating::new(0.0).unwrap()),
        order: 0,
    }
}

#[test]
fn of_a_hundred_words_on_a_model_a_rater_has_a_tenth() {
    for named in [false, true] {
        let mut log = Log::new(0.1);
        for other in 1..=300 {
            assert!(log.rates(if named { other } else { 0 }, "m0"));
            log.rates_often(EVE, "m0", 3);
        }
        let counted = log.learner.account().labels - 300;
        // A tenth of all, once there are some; before, the few that are the share among few.
        assert!((30..=38).contains(&counted), "{counted} of 333 words");
        assert_eq!(log.learner.ledger().set_aside(), 900 - counted);
        // However late a storm comes, it finds no more than the share of the last hundred.
        assert!(log.rates_often(EVE, "m0", 1_000) <= 10);
        // What she says of one model takes nothing from what she may say of another: one word there, as nobody else spoke.
        assert_eq!(log.rates_often(EVE, "m1", 100), 1);
    }
}

#[test]
fn whoever_is_alone_counts_from_the_tenth_word_on() {
    let mut log = Log::new(0.1);
    // Nobody knows yet whether others will come.
    assert_eq!(log.rates_often(1, "m0", 9), 1);
    assert_eq!(log.rates_often(1, "m0", 200), 200);
    // So for two, and three, of whom one may say two thirds.
    assert_eq!(log.rates_often(2, "m0", 200), 200);
    assert!(log.rates(3, "m0"));
    assert!(log.rates_often(1, "m0", 500) <= 67);
}

#[test]
fn a_team_of_five_counts_with_all_its_words() {
    let mut log = Log::new(0.1);
    let counted = (0..500).filter(|word| log.rates(1 + word % 5, "m0")).count();
    assert!(counted >= 495, "{counted}");
}

/// Raters are forgotten by half a day, so that a weekend makes nobody alone, and a team that has shrunk is no crowd for ever.
#[test]
fn a_crowd_of_yesterday_is_a_crowd_still() {
    let mut log = Log::new(0.1);
    for rater in 1..=40 {
        assert!(log.rates(rater, "m0"));
    }
    let mut allowed = Vec::new();
    for day in [1, 2, 3, 10] {
        let mut log = log.restarted();
        log.day += day;
        allowed.push(log.rates_often(EVE, "m0", 30));
    }
    // 40, 20, 10 and 0 raters.
    assert_eq!(allowed[..2], [4, 4], "{allowed:?}");
    assert!((5..12).contains(&allowed[2]), "{allowed:?}");
    assert_eq!(allowed[3], 30, "{allowed:?}");
    // Nor does a clock that goes astray forgive anything within a day.
    log.rates_often(EVE, "m0", 30);
    log.day -= 1;
    assert_eq!(log.rates_often(EVE, "m0", 30), 0);
}

#[test]
fn changes_need_no_share_and_what_was_set_aside_never_counts() {
    let mut log = Log::new(0.1);
    for other in 1..=20 {
        assert!(log.rates(other, "m0"));
    }
    let first = log.words;
    assert!(log.rates(EVE, "m0"));
    let second = log.words;
    assert!(log.rates(EVE, "m0"));
    let third = log.words;
    assert!(!log.rates(EVE, "m0"));
    let up = |answer: u64, log: &mut Log| {
        log.word(answer, Feedback { rating: Some(Rating::new(1.0).unwrap()), ..down(EVE, "m0") })
    };
    assert_eq!(up(first, &mut log), (Receipt::Replaced, true));
    assert_eq!(up(third, &mut log), (Receipt::Replaced, false));
    let back = Feedback { rating: None, ..down(EVE, "m0") };
    assert_eq!(log.word(second, back), (Receipt::Withdrawn, true));
    // Said again it is a new word; and a withdrawal before any word opens no side door.
    assert_eq!(log.word(second, down(EVE, "m0")), (Receipt::Recorded, false));
    assert_eq!(log.word(900_000, back), (Receipt::Duplicate, false));
    assert_eq!(log.word(900_000, down(EVE, "m0")), (Receipt::Recorded, false));
    // Others come, and there is room for new words, not for old ones.
    for other in 21..=60 {
        assert!(log.rates(other, "m0"));
    }
    assert!(!up(third, &mut log).1);
    assert!(log.rates(EVE, "m0"));
}

#[test]
fn audits_and_pinned_requests_take_no_share() {
    let mut log = Log::new(0.1);
    for other in 1..=30 {
        assert!(log.rates(other, "m0"));
    }
    let state = |log: &Log| log.learner.ledger().set_aside();
    for answer in 0..50 {
        let audit = Feedback { source: Source::Audit, ..down(EVE, "m0") };
        assert_eq!(log.word(1_000 + answer, audit).0, Receipt::Recorded);
        let pinned = Feedback { reason: Reason::Pinned, ..down(EVE, "m0") };
        assert_eq!(log.word(2_000 + answer, pinned).0, Receipt::Recorded);
    }
    assert_eq!(state(&log), 0);
    assert_eq!(log.rates_often(EVE, "m0", 50), 3, "as if none of it had been");
}

/// Invented names are not told from people; what they cost is memory in proportion to what they say, and no more.
#[test]
fn invented_names_fill_no_memory() {
    let mut log = Log::new(0.1);
    let size = |log: &Log| log.learner.to_bytes().unwrap().len();
    let sizes: Vec<usize> = (0..3)
        .map(|_| {
            log.day += 1;
            for name in 0..2_000 {
                assert!(log.rates(1 + log.words * 7_919 + name, "m0"), "each has one word");
            }
            size(&log)
        })
        .collect();
    // Beside the ratings themselves, which are kept for the feedback window.
    assert!(sizes[2] - sizes[1] < 2_000 * 60 && sizes[1] - sizes[0] < 2_000 * 60, "{sizes:?}");
}

#[test]
fn a_share_out_of_range_is_refused() {
    let spec = Log::new(0.1).learner.router().spec().clone();
    for rater_share in [-0.1, 1.1, f64::NAN] {
        let error = RouteSpec { rater_share, ..spec.clone() }.check().unwrap_err().to_string();
        assert!(error.contains("rater_share"), "{error}");
    }
}
