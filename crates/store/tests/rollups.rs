//! The sums of the log against a recount of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/stores.rs"]
mod stores;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use outcomes::outcome;
use slarouter_core::{
    AuditDraw, Candidate, Certificate, Decision, DecisionId, Rater, Rating, Reason, Source, Timestamp,
};
use slarouter_store::{
    By, Calendar, DecisionRecord, Entry, FeedbackRecord, MINUTES_KEPT_MS, OutcomeRecord, Payer, RouteCertificate, Row,
    Selection, Step, Store, StoreError, Totals, open,
};
use stores::{Place, on_both_stores};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// 28 March 2026, 18:00 UTC: the clocks of Berlin go forward seven hours later.
const BEGAN: u64 = 1_774_720_800_000;
const ROUTES: [&str; 3] = ["default", "default/acme", ""];
const MODELS: [&str; 3] = ["small", "middle", "large"];

fn berlin() -> Calendar {
    Calendar::new(TimeZone::get("Europe/Berlin").unwrap())
}

/// A log of requests and ratings, made up at random but the same in every run.
struct Log {
    store: Arc<dyn Store>,
    random: u64,
    next: u128,
}

impl Log {
    async fn new(place: &Place) -> Self {
        Self { store: open(&place.url()).await.unwrap(), random: 0, next: 1 }
    }

    fn below(&mut self, most: usize) -> usize {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % most as u64) as usize
    }

    /// One request within two days.
    async fn serve(&mut self) {
        let id = DecisionId(self.next);
        self.next += 1;
        let time = Timestamp(BEGAN + self.below(2 * DAY as usize) as u64);
        let (chosen, answered) = (self.below(3), self.below(3));
        let reason =
            [Reason::Exploit, Reason::Explore, Reason::Fallback, Reason::Pinned, Reason::Affinity][self.below(5)];
        let candidates = MODELS.iter().enumerate().map(|(place, model)| Candidate {
            model: (*model).into(),
            probability: [0.0, 0.25, 1.0][self.below(3)],
            satisfaction: 0.5 + 0.125 * place as f64,
            cost: 1e-3 * (place + 1) as f64,
            excluded: self.below(8) == 0,
            ..Candidate::default()
        });
        let record = DecisionRecord {
            id,
            time,
            decision: Decision { candidates: candidates.collect(), chosen, reason },
            features: vec![],
            feature_version: 1,
            input_tokens: 1.0,
            state_seq: 0,
            prompt: None,
            audit: AuditDraw { rate: 1.0, drawn: true },
            route: ROUTES[self.below(3)].into(),
            payer: Payer {
                key: [None, Some("ci".into())][self.below(2)].clone(),
                tenant: [None, Some("acme".into())][self.below(2)].clone(),
            },
            fallback: (reason != Reason::Pinned).then_some(2),
            trace: None,
        };
        self.store.log(Entry::Decision(record)).unwrap();
        // One in ten is under way, or was when the process was killed.
        if self.below(10) > 0 {
            let rerouted = answered != chosen;
            if rerouted {
                self.store.log(Entry::Reroute { decision: id, model: MODELS[answered].into() }).unwrap();
            }
            let status = [200, 200, 200, 502, 499][self.below(5)];
            let ended = OutcomeRecord {
                model: MODELS[answered].into(),
                input_tokens: [None, Some(100.0)][self.below(2)],
                cached_tokens: Some(self.below(9) as f64),
                output_tokens: Some(self.below(500) as f64),
                cost: 1e-7 * self.below(100_000) as f64,
                ..outcome(id.0, time.0 + 1_000, status)
            };
            self.store.log(Entry::Outcome(ended)).unwrap();
            for _ in 0..self.below(4) {
                self.rate(id, time).await;
            }
        }
    }

    /// A word on a decision: of one of two raters or an auditor, new, changed, withdrawn, said again, or too late.
    async fn rate(&mut self, decision: DecisionId, decided: Timestamp) {
        let rating = [None, Some(0.0), Some(0.25), Some(0.5), Some(1.0)][self.below(5)];
        let said = FeedbackRecord {
            decision,
            time: Timestamp(decided.0 + [MINUTE, 2 * DAY][self.below(2)]),
            source: [Source::User, Source::User, Source::Audit][self.below(3)],
            rater: Rater(self.below(2) as u64),
            rating: rating.map(|value| Rating::new(value).unwrap()),
            comment: None,
        };
        self.store.rate(said, DAY).await.unwrap();
    }

    async fn roll_up(&self, calendar: &Calendar) {
        self.store.flush().await.unwrap();
        while self.store.roll_up(calendar, Vec::new()).await.unwrap().more {}
    }

    async fn totals(&self, from: u64, to: u64, by: &[By]) -> Vec<Row> {
        let selection = Selection { from: Timestamp(from), to: Timestamp(to), ..Selection::default() };
        self.store.totals(selection, by).await.unwrap()
    }
}

/// What the view says of the requests of a range and of their ratings, by these of its columns.
fn recount(place: &Place, from: u64, to: u64, columns: &str) -> BTreeMap<String, Vec<i64>> {
    let in_force = "FROM feedback f WHERE f.decision_id = decision AND f.rating IS NOT NULL AND f.receipt <> 'expired' AND f.seq = (\
        SELECT max(g.seq) FROM feedback g WHERE g.decision_id = decision AND g.rater = f.rater AND g.source = f.source \
        AND g.receipt <> 'expired')";
    let whole = |sum: &str| format!("CAST(sum({sum}) AS BIGINT)");
    let one_if = |condition: &str| whole(&format!("CASE WHEN {condition} THEN 1 ELSE 0 END"));
    let query = format!(
        "WITH log AS (SELECT v.*, d.time AS ms, d.id AS decision FROM decisions_readable v JOIN decisions d ON d.seq = v.seq) \
         SELECT {columns}, count(status), {}, {}, {}, {}, {}, {}, {}, {}, {} \
         FROM log WHERE status IS NOT NULL AND ms >= {from} AND ms < {to} GROUP BY 1",
        one_if("model <> chosen"),
        one_if("NOT ok AND status <> 499"),
        whole("coalesce(input_tokens, 0)"),
        whole("output_tokens"),
        whole("CAST(round(cost_usd * 1e9) AS BIGINT)"),
        whole(&format!("(SELECT count(*) {in_force} AND f.source = 'user')")),
        whole(&format!("(SELECT count(*) {in_force} AND f.source = 'user' AND f.rating > 0.5)")),
        whole(&format!("(SELECT coalesce(sum(f.rating), 0) * 1e6 {in_force} AND f.source = 'user')")),
        whole(&format!("(SELECT count(*) {in_force} AND f.source = 'audit')")),
    );
    let sums = |row: &String| {
        let cells: Vec<_> = row.split('|').collect();
        let (names, sums) = cells.split_at(cells.len() - 10);
        (names.join("|"), sums.iter().map(|sum| sum.parse().unwrap()).collect())
    };
    place.rows(&query).iter().map(sums).collect()
}

/// The date of a decision in the time zone that is so many seconds before UTC's.
fn date(place: &Place, shift: &str) -> String {
    place.pick(
        format!("date(ms / 1000 + {shift}, 'unixepoch')"),
        format!("to_char(to_timestamp(ms / 1000 + {shift}) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"),
    )
}

/// The same of the sums.
fn summed(rows: &[Row]) -> BTreeMap<String, Vec<i64>> {
    let sums = |t: &Totals| {
        vec![
            t.requests,
            t.rerouted,
            t.errors,
            t.input_tokens,
            t.output_tokens,
            t.cost_nano,
            t.ratings,
            t.up,
            t.rating_micro,
            t.audits,
        ]
    };
    rows.iter().map(|row| (row.names.join("|"), sums(&row.totals))).collect()
}

async fn totals_equal_a_recount_of_the_log_whatever_comes_between(place: &Place) {
    let mut log = Log::new(place).await;
    for round in 0..12 {
        for _ in 0..40 {
            log.serve().await;
        }
        // A process that is killed has added what it has committed, or nothing.
        match round % 4 {
            0 => log.roll_up(&berlin()).await,
            1 => {
                log.store.close().await;
                log.store = open(&place.url()).await.unwrap();
            }
            _ => {}
        }
    }
    log.roll_up(&berlin()).await;
    log.roll_up(&berlin()).await;
    let ever = (0, u64::MAX >> 1);
    for (by, columns) in [
        (vec![By::Route], "route".to_owned()),
        (vec![By::Model, By::Key], "model || '|' || coalesce(key, '')".to_owned()),
        (vec![By::Tenant], "coalesce(tenant, CASE route WHEN 'default/acme' THEN 'acme' END, '')".to_owned()),
        // Summer time begins on 29 March at 1:00 UTC.
        (vec![By::Day], date(place, "CASE WHEN ms < 1774746000000 THEN 3600 ELSE 7200 END")),
    ] {
        assert_eq!(summed(&log.totals(ever.0, ever.1, &by).await), recount(place, ever.0, ever.1, &columns), "{by:?}");
    }
    for _ in 0..60 {
        let from = BEGAN + log.below(3_000) as u64 * MINUTE;
        let to = from + log.below(3_000) as u64 * MINUTE;
        assert_eq!(summed(&log.totals(from, to, &[By::Model]).await), recount(place, from, to, "model"), "{from} {to}");
    }
    log.store.close().await;
}

async fn another_time_zone_has_other_days_and_the_same_sums(place: &Place) {
    let mut log = Log::new(place).await;
    for _ in 0..300 {
        log.serve().await;
    }
    for (zone, shift) in [("UTC", 0_i64), ("Asia/Kathmandu", 20_700), ("America/New_York", -14_400)] {
        log.roll_up(&Calendar::new(TimeZone::get(zone).unwrap())).await;
        assert_eq!(log.store.calendar().await.unwrap().name(), zone);
        let found = summed(&log.totals(0, u64::MAX >> 1, &[By::Day]).await);
        assert_eq!(found, recount(place, 0, u64::MAX >> 1, &date(place, &shift.to_string())), "{zone}");
        assert!(found.len() >= 3, "{found:?}");
    }
    log.store.close().await;
}

async fn a_series_adds_up_to_the_totals_at_every_step(place: &Place) {
    let mut log = Log::new(place).await;
    for _ in 0..300 {
        log.serve().await;
    }
    log.roll_up(&berlin()).await;
    let day = berlin().day(Timestamp(BEGAN));
    let range = Selection { from: day.start, to: Timestamp(day.start.0 + 4 * DAY), ..Selection::default() };
    let [all] = &log.store.totals(range.clone(), &[]).await.unwrap()[..] else { panic!("one row") };
    assert!(all.totals.requests > 200);
    for (step, points) in [(Step::Minutes(5), 1152), (Step::Minutes(60), 96), (Step::Days(1), 5), (Step::Days(2), 3)] {
        let series = log.store.series(range.clone(), step).await.unwrap();
        let mut sum = Totals::default();
        series.iter().for_each(|point| sum += point.totals);
        assert_eq!((series.len(), sum), (points, all.totals), "{step:?}");
        assert!(series.is_sorted_by_key(|point| point.start) && series[0].start == range.from);
    }
    let days = log.store.series(range.clone(), Step::Days(1)).await.unwrap();
    assert_eq!(days[2].start.0 - days[1].start.0, 23 * HOUR, "29 March is short");
    for step in [Step::Minutes(0), Step::Days(0), Step::Minutes(1), Step::Minutes(u64::MAX), Step::Days(u64::MAX)] {
        assert!(matches!(log.store.series(range.clone(), step).await, Err(StoreError::Range(_))), "{step:?}");
    }
    assert!(matches!(Step::at_most(2_000, range.from, range.to), Step::Minutes(5)));
    log.store.close().await;
}

async fn certificates_are_the_last_of_their_span(place: &Place) {
    let log = Log::new(place).await;
    let at = |minute: u64, estimate: f64| {
        let certificate =
            Certificate { requests: 9, labels: 5, estimate, lower: estimate - 0.125, upper: estimate + 0.125 };
        RouteCertificate {
            route: "default".into(),
            time: Timestamp(BEGAN + minute * MINUTE + 7),
            alpha: 0.75,
            certificate,
        }
    };
    for told in [vec![at(0, 0.25)], vec![at(0, 0.5)], vec![at(1, 0.75)], vec![at(20, 0.5)]] {
        log.store.roll_up(&berlin(), told).await.unwrap();
    }
    let range = Selection {
        from: Timestamp(BEGAN),
        to: Timestamp(BEGAN + HOUR),
        route: Some("default".into()),
        ..Selection::default()
    };
    let estimates = async |step| {
        let series = log.store.series(range.clone(), step).await.unwrap();
        let known = series.into_iter().filter_map(|point| point.certificate);
        known.map(|known| (known.alpha, known.certificate.labels, known.certificate.estimate)).collect::<Vec<_>>()
    };
    assert_eq!(estimates(Step::Minutes(1)).await, [(0.75, 5, 0.5), (0.75, 5, 0.75), (0.75, 5, 0.5)]);
    assert_eq!(estimates(Step::Minutes(15)).await, [(0.75, 5, 0.75), (0.75, 5, 0.5)]);
    assert_eq!(estimates(Step::Days(1)).await, [(0.75, 5, 0.5)]);
    log.store.roll_up(&Calendar::default(), vec![]).await.unwrap();
    assert_eq!(estimates(Step::Days(1)).await, [(0.75, 5, 0.5)], "also of the days of another zone");
    log.store.close().await;
}

async fn minutes_are_forgotten_and_what_they_add_up_to_is_not(place: &Place) {
    let mut log = Log::new(place).await;
    for _ in 0..50 {
        log.serve().await;
    }
    log.roll_up(&berlin()).await;
    let before = log.totals(BEGAN, BEGAN + 3 * DAY, &[By::Model]).await;
    let late = DecisionId(1_000_000);
    let record = log.store.decision(DecisionId(1)).await.unwrap().unwrap().record;
    let time = Timestamp(BEGAN + 4 * DAY + MINUTES_KEPT_MS);
    log.store.log(Entry::Decision(DecisionRecord { id: late, time, ..record })).unwrap();
    log.store.log(Entry::Outcome(outcome(late.0, time.0, 200))).unwrap();
    log.roll_up(&berlin()).await;
    assert_eq!(log.totals(BEGAN, BEGAN + 3 * DAY, &[By::Model]).await, before);
    // Only whole quarters of an hour are left, so a minute of it stands for all.
    let minute = Selection { from: Timestamp(BEGAN), to: Timestamp(BEGAN + 1), ..Selection::default() };
    let quarter = Selection { to: Timestamp(BEGAN + 15 * MINUTE), ..minute.clone() };
    assert_eq!(log.store.totals(minute.clone(), &[]).await.unwrap(), log.store.totals(quarter, &[]).await.unwrap());
    assert!(matches!(log.store.series(minute, Step::Minutes(1)).await, Err(StoreError::Range(_))));
    log.store.close().await;
}

/// One request, of which everything is known.
async fn savings_are_counted_against_the_fallback(place: &Place) {
    let mut log = Log::new(place).await;
    let case = async |log: &mut Log, chosen: usize, reason, status, probability, excluded| {
        let id = DecisionId(log.next);
        log.next += 1;
        let candidate = |model: &str, cost, probability, excluded| Candidate {
            model: model.into(),
            satisfaction: if model == "small" { 0.5 } else { 0.75 },
            cost,
            probability,
            excluded,
            ..Candidate::default()
        };
        let candidates =
            vec![candidate("small", 1.0, 1.0 - probability, false), candidate("large", 4.0, probability, excluded)];
        let record = DecisionRecord {
            id,
            time: Timestamp(BEGAN),
            route: "default".into(),
            decision: Decision { candidates, chosen, reason },
            features: vec![],
            feature_version: 1,
            input_tokens: 1.0,
            state_seq: 0,
            prompt: None,
            audit: AuditDraw::default(),
            payer: Payer::default(),
            fallback: None,
            trace: None,
        };
        log.store.log(Entry::Decision(record)).unwrap();
        let model = MODELS[2 * chosen].into();
        log.store.log(Entry::Outcome(OutcomeRecord { model, cost: 2.0, ..outcome(id.0, BEGAN, status) })).unwrap();
        log.roll_up(&Calendar::default()).await;
    };
    let mut seen = Totals::default();
    for (chosen, reason, status, probability, excluded, expected) in [
        // The prediction for the most expensive model, as no fallback was logged; and with its correction of −2 USD, four times.
        (0, Reason::Exploit, 200, 0.25, false, [4_000_000_000, 0, 1, 0]),
        (1, Reason::Explore, 200, 0.25, false, [4_000_000_000, -8_000_000_000, 1, 1]),
        (0, Reason::Exploit, 200, 0.0, false, [4_000_000_000, 0, 0, 0]),
        // Nothing is saved where nothing could be.
        (0, Reason::Pinned, 200, 0.0, false, [2_000_000_000, 0, 0, 0]),
        (0, Reason::Exploit, 502, 0.0, false, [2_000_000_000, 0, 0, 0]),
        (0, Reason::Exploit, 200, 0.0, true, [2_000_000_000, 0, 0, 0]),
    ] {
        case(&mut log, chosen, reason, status, probability, excluded).await;
        let [row] = &log.totals(BEGAN, BEGAN + 1, &[]).await[..] else { panic!("one row") };
        let t = row.totals;
        let new = [
            t.baseline_nano - seen.baseline_nano,
            t.correction_nano - seen.correction_nano,
            t.supported - seen.supported,
            t.checked - seen.checked,
        ];
        assert_eq!(new, expected, "{reason:?} {status} {probability}");
        seen = t;
    }
    assert_eq!((seen.predicted_micro, seen.fallback_predicted_micro), (2_750_000, 3_750_000));
    log.store.close().await;
}

on_both_stores! {
    totals_equal_a_recount_of_the_log_whatever_comes_between,
    another_time_zone_has_other_days_and_the_same_sums,
    a_series_adds_up_to_the_totals_at_every_step,
    certificates_are_the_last_of_their_span,
    minutes_are_forgotten_and_what_they_add_up_to_is_not,
    savings_are_counted_against_the_fallback,
}
