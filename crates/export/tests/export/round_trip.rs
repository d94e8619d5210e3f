//! What is read back is what was logged.

use std::collections::BTreeSet;

use parquet::record::Field;
use slarouter_core::{DecisionId, Receipt, Source, Timestamp};
use slarouter_export::{Form, Order};
use slarouter_store::{Entry, LoggedFeedback, OutcomeRecord, StoredDecision};

use crate::log::{DAY, HOSTILE, Log, decision, outcome};
use crate::read::{Row, column, named, real, table, text};
use crate::{exported, order, rows};

fn seq(seq: u64) -> Field {
    Field::Long(seq.cast_signed())
}

fn moment(time: Timestamp) -> Field {
    if time.0 == u64::MAX { Field::Null } else { Field::TimestampMillis(time.0.cast_signed()) }
}

/// A decision as it is in the log, against its row.
fn same_decision(
    row: &Row,
    StoredDecision { seq: number, record, rerouted, archived: _ }: &StoredDecision,
    alpha: Option<f64>,
) {
    let (choice, fallback) = (record.decision.choice(), record.fallback);
    let fallback = fallback.map(|place| &*record.decision.candidates[place].model);
    let route = match &*record.route {
        "" => "__HIVE_DEFAULT_PARTITION__".to_owned(),
        route => route.replace('/', "%2F"),
    };
    for (name, value) in [
        ("seq", seq(*number)),
        ("id", text(&format!("{:032x}", record.id.0))),
        ("trace_id", named(record.trace.as_ref().map(|trace| trace.as_str()))),
        ("time", moment(record.time)),
        ("route", text(&route)),
        ("day", text(&format!("1970-01-{:02}", record.time.0 / DAY + 1))),
        ("key", named(record.payer.key.as_deref())),
        ("tenant", named(record.payer.tenant.as_deref())),
        ("reason", text(record.decision.reason.as_str())),
        ("chosen", text(&choice.model)),
        ("model", text(rerouted.as_deref().unwrap_or(&choice.model))),
        ("propensity", real(Some(choice.probability))),
        ("predicted_satisfaction", real(Some(choice.satisfaction))),
        ("predicted_cost_usd", real(Some(choice.cost))),
        ("most_expensive_cost_usd", real(record.decision.most_expensive_cost())),
        ("fallback", named(fallback)),
        ("alpha", real(alpha)),
        ("estimated_input_tokens", real(Some(record.input_tokens))),
        ("audit_rate", real(Some(record.audit.rate))),
        ("audited", Field::Bool(record.audit.drawn)),
        ("state_seq", seq(record.state_seq)),
        ("feature_version", Field::Long(record.feature_version.into())),
        ("prompt", named(record.prompt.as_deref())),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    let Field::ListInternal(list) = &row["features"] else { panic!("{:?}", row["features"]) };
    let bits = |value: &Field| if let Field::Float(value) = value { value.to_bits() } else { panic!("{value:?}") };
    let expected: Vec<_> = record.features.iter().map(|feature| feature.to_bits()).collect();
    assert_eq!(list.elements().iter().map(bits).collect::<Vec<_>>(), expected);
}

/// Its candidates.
fn same_candidates(rows: &[Row], decision: &StoredDecision) {
    let record = &decision.record.decision;
    let rows: Vec<_> = rows.iter().filter(|row| row["decision_seq"] == seq(decision.seq)).collect();
    assert_eq!(rows.len(), record.candidates.len());
    for (place, (row, candidate)) in rows.into_iter().zip(&record.candidates).enumerate() {
        for (name, value) in [
            ("place", Field::Long(place as i64)),
            ("model", text(&candidate.model)),
            ("chosen", Field::Bool(place == record.chosen)),
            ("probability", real(Some(candidate.probability))),
            ("planned", real(record.is_observed().then_some(candidate.planned))),
            ("predicted_satisfaction", real(Some(candidate.satisfaction))),
            ("predicted_cost_usd", real(Some(candidate.cost))),
            ("score", real(Some(candidate.score))),
            ("saving_usd", real(Some(candidate.saving))),
            ("excluded", Field::Bool(candidate.excluded)),
        ] {
            assert_eq!(row[name], value, "{name}");
        }
    }
}

fn same_outcome(row: &Row, outcome: &OutcomeRecord) {
    for (name, value) in [
        ("time", moment(outcome.time)),
        ("model", text(&outcome.model)),
        ("status", Field::Long(outcome.status.into())),
        ("ok", Field::Bool(outcome.ok)),
        ("streamed", Field::Bool(outcome.streamed)),
        ("attempts", Field::Long(outcome.attempts.into())),
        ("input_tokens", real(outcome.input_tokens)),
        ("cached_tokens", real(outcome.cached_tokens)),
        ("cache_write_tokens", real(outcome.cache_write_tokens)),
        ("output_tokens", real(outcome.output_tokens)),
        ("reasoning_tokens", real(outcome.reasoning_tokens)),
        ("cost_usd", real(Some(outcome.cost))),
        ("latency_ms", real(Some(outcome.latency_ms))),
        ("ttft_ms", real(outcome.ttft_ms)),
        ("error", named(outcome.error.as_deref())),
        ("counted", Field::Bool(true)),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
}

fn same_word(row: &Row, word: &LoggedFeedback) {
    let rater = (word.rater.0 != 0).then(|| format!("{:016x}", word.rater.0));
    for (name, value) in [
        ("time", moment(word.time)),
        ("source", text(word.source.as_str())),
        ("rater", named(rater.as_deref())),
        ("rating", real(word.rating)),
        ("receipt", text(word.receipt.as_str())),
        ("comment", named(word.comment.as_deref())),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
}

#[tokio::test]
async fn every_row_comes_back_bit_for_bit() {
    let (log, ids) = Log::filled().await;
    let folder = log.folder.path().join("export");
    let order = Order { prompts: true, comments: true, ..order(&folder) };
    let made = exported(&log, &order).await.unwrap();
    let read = |name: &str| table(&folder, &made, name);
    let (decisions, candidates, outcomes, feedback) =
        (read("decisions"), read("candidates"), read("outcomes"), read("feedback"));
    assert_eq!((decisions.len(), candidates.len(), outcomes.len(), feedback.len()), (4, 8, 3, 6));
    // The configuration that the state was of, and none for a model in no route.
    let alphas = [Some(0.8), Some(0.9), Some(0.5), None];
    for (id, alpha) in ids.into_iter().zip(alphas) {
        let history = log.store.history(DecisionId(id)).await.unwrap().unwrap();
        let number = seq(history.decision.seq);
        let row = decisions.iter().find(|row| row["seq"] == number).unwrap();
        same_decision(row, &history.decision, alpha);
        same_candidates(&candidates, &history.decision);
        let of = |row: &&Row| row["decision_seq"] == number;
        let ended: Vec<_> = outcomes.iter().filter(of).collect();
        assert_eq!(ended.is_empty(), history.outcome.is_none());
        if let Some(outcome) = history.outcome {
            same_outcome(ended[0], &outcome);
            // What came after the first end is told, and does not count.
            assert!(ended[1..].iter().all(|row| row["counted"] == Field::Bool(false)));
        }
        let words: Vec<_> = feedback.iter().filter(of).collect();
        assert_eq!(words.len(), history.feedback.len());
        for (row, word) in words.into_iter().zip(&history.feedback) {
            same_word(row, word);
        }
    }
    let kinds: BTreeSet<_> = made.tables.iter().map(|table| table.name).collect();
    assert_eq!(kinds.len(), 6);
    assert_eq!((made.unreadable_rows, made.log.seq), (0, *log.store.committed().borrow()));
}

#[tokio::test]
async fn what_counts_is_the_last_word_of_a_rater_that_came_in_time() {
    let (log, _) = Log::filled().await;
    let late = decision(10, "default", 0);
    log.log(&late);
    log.rate(10, 5, Some(1.0), Source::User).await;
    let first = log.folder.path().join("first");
    let made = exported(&log, &order(&first)).await.unwrap();
    let mut feedback = table(&first, &made, "feedback");
    feedback.sort_by_key(|row| if let Field::Long(seq) = row["seq"] { seq } else { 0 });
    let counted: Vec<_> = column(&feedback, "counted").into_iter().map(|value| value == Field::Bool(true)).collect();
    // Replaced; in force; in force; taken back, and the word that took it back; an audit; a rating.
    assert_eq!(counted, [false, true, true, false, false, true, true]);
    assert!(!feedback[0].contains_key("comment"));
    let receipts = column(&feedback, "receipt");
    let expected = [Receipt::Recorded, Receipt::Replaced, Receipt::Recorded, Receipt::Recorded, Receipt::Withdrawn];
    assert_eq!(receipts[..5], expected.map(|receipt| text(receipt.as_str())));
}

#[tokio::test]
async fn configurations_and_certificates_are_there() {
    let (log, _) = Log::filled().await;
    let folder = log.folder.path().join("export");
    let made = exported(&log, &order(&folder)).await.unwrap();
    let configs = table(&folder, &made, "configs");
    assert_eq!(column(&configs, "seq"), [seq(2), seq(1), seq(3)], "route by route");
    assert_eq!(column(&configs, "alpha"), [real(Some(0.5)), real(Some(0.9)), real(Some(0.8))]);
    assert_eq!(column(&configs, "spec")[0], text(r#"{"alpha":0.5}"#));
    let hashes: BTreeSet<_> = made.configurations.iter().map(|version| version.sha256.clone()).collect();
    assert_eq!((made.configurations.len(), hashes.len()), (3, 3));
    let certificates = table(&folder, &made, "certificates");
    assert_eq!(column(&certificates, "span"), ["minute", "quarter", "day"].map(text));
    assert!(column(&certificates, "lower").iter().all(|lower| *lower == real(Some(0.1))));
}

#[tokio::test]
async fn the_same_log_is_exported_to_the_same_bytes() {
    let (log, _) = Log::filled().await;
    let [first, second, later] = ["first", "second", "later"].map(|name| log.folder.path().join(name));
    let made = exported(&log, &order(&first)).await.unwrap();
    // What comes later changes nothing of what was exported: an end, a rating in another's place, a decision, another model.
    log.log(&decision(11, "default", DAY));
    log.store.log(Entry::Reroute { decision: DecisionId(8), model: "small".into() }).unwrap();
    log.store.log(Entry::Outcome(outcome(8))).unwrap();
    log.rate(8, u64::MAX, Some(0.0), Source::User).await;
    let again = exported(&log, &Order { until: Some(made.log.seq), ..order(&second) }).await.unwrap();
    assert_eq!((&made.files, &made.log), (&again.files, &again.log));
    let manifest = |folder: &std::path::Path| std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    assert_eq!(manifest(&first), manifest(&second));
    let more = exported(&log, &order(&later)).await.unwrap();
    assert_eq!((rows(&more, "decisions"), rows(&made, "decisions")), (5, 4));
    assert_ne!(more.log.sha256, made.log.sha256);
}

#[tokio::test]
async fn a_period_is_of_decisions_and_what_came_of_them() {
    let (log, _) = Log::filled().await;
    let folder = log.folder.path().join("export");
    let order = Order { period: Timestamp(DAY + 6)..Timestamp(2 * DAY), ..order(&folder) };
    let made = exported(&log, &order).await.unwrap();
    let counts = ["configs", "decisions", "candidates", "outcomes", "feedback"].map(|name| rows(&made, name));
    assert_eq!(counts, [3, 1, 2, 0, 5]);
    assert_eq!((made.log.from_ms, made.log.to_ms), (DAY + 6, Some(2 * DAY)));
}

#[tokio::test]
async fn an_empty_log_has_all_tables_without_rows() {
    let log = Log::new().await;
    let folder = log.folder.path().join("export");
    let made = exported(&log, &order(&folder)).await.unwrap();
    assert_eq!(made.files.len(), 6);
    for entry in &made.tables {
        assert_eq!((entry.rows, table(&folder, &made, entry.name)), (0, vec![]), "{}", entry.name);
    }
}

#[tokio::test]
async fn comma_separated_values_say_the_same() {
    let (log, _) = Log::filled().await;
    let folder = log.folder.path().join("export");
    let order = Order { form: Form::Csv, prompts: true, ..order(&folder) };
    let made = exported(&log, &order).await.unwrap();
    let file = made.files.iter().find(|file| file.path.starts_with("decisions/route=a%2Fb/")).unwrap();
    let mut reader = csv::Reader::from_path(folder.join(&file.path)).unwrap();
    let names: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert!(!names.contains(&"features".to_owned()));
    let values: Vec<_> = reader.records().map(Result::unwrap).collect();
    let [row] = &values[..] else { panic!("{values:?}") };
    let value = |name: &str| &row[names.iter().position(|known| known == name).unwrap()];
    assert_eq!((value("route"), value("day"), value("time")), ("a/b", "1970-01-03", "1970-01-03T00:00:00.000Z"));
    assert_eq!((value("prompt"), value("key")), (&*format!("'{}", HOSTILE.repeat(1_000)), &*format!("'{HOSTILE}")));
    assert_eq!(value("predicted_satisfaction").parse(), Ok(0.1 + 0.2));
    assert_eq!((value("id"), value("audited")), ("f".repeat(32).as_str(), "true"));
}
