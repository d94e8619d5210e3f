//! The way from the log to files: table after table, page after page.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use slarouter_core::Timestamp;
use slarouter_store::{DecisionRef, LogRow, LogTable, RowQuery, SpanCertificate, Store, StoredDecision};

use crate::error::ExportError;
use crate::file::Form;
use crate::folder::Folder;
use crate::manifest::{Configuration, LogRange, Manifest, SCHEMA_VERSION, UnreadableEntry};
use crate::partition::{Partition, Partitions};
use crate::parts::Parts;
use crate::tables::{
    CandidateRow, CertificateRow, ConfigurationRow, DecisionRow, FeedbackRow, OutcomeRow, candidates, certificates,
    configurations, decisions, feedback, outcomes,
};

/// Rows that are read at a time.
const PAGE: usize = 4_096;
/// Rows that cannot be read of which more is said than their number.
const MOST_NAMED: usize = 1_000;

/// What is exported, and where to.
#[derive(Clone, Debug)]
pub struct Order {
    /// A folder that is not there yet.
    pub folder: PathBuf,
    /// In which form.
    pub form: Form,
    /// Decisions that were made then, and what came of them; configurations all.
    pub period: Range<Timestamp>,
    /// By the log up to this event; to its end if left out.
    pub until: Option<u64>,
    /// With the messages, where they were kept.
    pub prompts: bool,
    /// With raters' own words.
    pub comments: bool,
}

/// Writes the log to files, whether or not a gateway writes to it meanwhile. Reads all of it, in memory that does not grow with it.
///
/// # Errors
/// [`ExportError`]; nothing is left then.
pub async fn export(store: &dyn Store, order: &Order) -> Result<Manifest, ExportError> {
    let committed = *store.committed().borrow();
    let until = order.until.unwrap_or(committed);
    if until > committed {
        return Err(ExportError::Until { until, committed });
    }
    let folder = Folder::new(&order.folder)?;
    let mut exporter = Exporter::new(store, order, until, folder.path());
    exporter.configurations().await?;
    exporter.decisions().await?;
    exporter.outcomes().await?;
    exporter.feedback().await?;
    exporter.certificates().await?;
    let mut manifest = exporter.manifest;
    manifest.log.whole_since_ms = store.held().await?.whole_since.0;
    manifest.log.sha256 = HEXLOWER.encode(&store.fingerprint(until).await?);
    manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
    folder.finish(&manifest)?;
    Ok(manifest)
}

/// What is needed all along.
struct Exporter<'a> {
    store: &'a dyn Store,
    order: &'a Order,
    until: u64,
    root: &'a Path,
    partitions: Partitions,
    /// The targets of each route, in the order in which they came into force.
    targets: HashMap<Arc<str>, Vec<(u64, f64)>>,
    manifest: Manifest,
}

/// What is read of a route's configuration.
#[derive(Deserialize)]
struct Target {
    alpha: f64,
}

impl<'a> Exporter<'a> {
    fn new(store: &'a dyn Store, order: &'a Order, until: u64, root: &'a Path) -> Self {
        let Range { start: from, end: to } = order.period;
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            slarouter: env!("CARGO_PKG_VERSION"),
            format: order.form.as_str(),
            log: LogRange {
                seq: until,
                sha256: String::new(),
                from_ms: from.0,
                to_ms: (to.0 < u64::MAX).then_some(to.0),
                whole_since_ms: 0,
            },
            prompts: order.prompts,
            comments: order.comments,
            tables: Vec::new(),
            files: Vec::new(),
            configurations: Vec::new(),
            unreadable: Vec::new(),
            unreadable_rows: 0,
        };
        Self { store, order, until, root, partitions: Partitions::default(), targets: HashMap::new(), manifest }
    }

    async fn configurations(&mut self) -> Result<(), ExportError> {
        let mut parts = Parts::new(configurations(), self.order.form, self.root);
        let mut pages = Pages::new(self, LogTable::Configurations);
        while let Some(rows) = pages.next(self.store).await? {
            for row in rows {
                let LogRow::Configuration { seq, time, route, spec } = row else {
                    self.pass_over(row);
                    continue;
                };
                let alpha = serde_json::from_str(&spec).ok().map(|Target { alpha }| alpha);
                let sha256 = HEXLOWER.encode(&Sha256::digest(&spec));
                self.manifest.configurations.push(Configuration { seq, route: route.clone(), sha256: sha256.clone() });
                if let Some(alpha) = alpha {
                    self.targets.entry(route.clone()).or_default().push((seq, alpha));
                }
                if let Some(partition) = self.partition("route_configs", seq, &route, time) {
                    parts.add(&partition, seq, ConfigurationRow { seq, time, alpha, sha256, spec })?;
                }
            }
        }
        self.finish(parts)
    }

    /// Decisions and their candidates.
    async fn decisions(&mut self) -> Result<(), ExportError> {
        let mut parts = Parts::new(decisions(self.order.prompts), self.order.form, self.root);
        let mut of_candidates = Parts::new(candidates(), self.order.form, self.root);
        let mut pages = Pages::new(self, LogTable::Decisions);
        while let Some(rows) = pages.next(self.store).await? {
            for row in rows {
                let LogRow::Decision(decision) = row else {
                    self.pass_over(row);
                    continue;
                };
                let StoredDecision { seq, record, .. } = &*decision;
                let Some(partition) = self.partition("decisions", *seq, &record.route, record.time) else { continue };
                if !self.order.period.contains(&record.time) {
                    continue;
                }
                for candidate in CandidateRow::all(*seq, &record.decision) {
                    of_candidates.add(&partition, *seq, candidate)?;
                }
                let alpha = self.target(&record.route, record.state_seq);
                parts.add(&partition, *seq, DecisionRow::new(*decision, alpha))?;
            }
        }
        self.finish(parts)?;
        self.finish(of_candidates)
    }

    async fn outcomes(&mut self) -> Result<(), ExportError> {
        let mut parts = Parts::new(outcomes(), self.order.form, self.root);
        let mut pages = Pages::new(self, LogTable::Outcomes);
        while let Some(rows) = pages.next(self.store).await? {
            for row in rows {
                let LogRow::Outcome { seq, of, counted, outcome } = row else {
                    self.pass_over(row);
                    continue;
                };
                if let Some(partition) = self.partition_of("outcomes", seq, &of) {
                    parts.add(&partition, seq, OutcomeRow { seq, decision_seq: of.seq, counted, outcome })?;
                }
            }
        }
        self.finish(parts)
    }

    async fn feedback(&mut self) -> Result<(), ExportError> {
        let mut parts = Parts::new(feedback(self.order.comments), self.order.form, self.root);
        let mut pages = Pages::new(self, LogTable::Feedback);
        while let Some(rows) = pages.next(self.store).await? {
            for row in rows {
                let LogRow::Feedback { of, counted, feedback } = row else {
                    self.pass_over(row);
                    continue;
                };
                if let Some(partition) = self.partition_of("feedback", feedback.seq, &of) {
                    parts.add(&partition, feedback.seq, FeedbackRow { decision_seq: of.seq, counted, feedback })?;
                }
            }
        }
        self.finish(parts)
    }

    async fn certificates(&mut self) -> Result<(), ExportError> {
        let mut parts = Parts::new(certificates(), self.order.form, self.root);
        let (mut last, mut number): (Option<SpanCertificate>, u64) = (None, 0);
        loop {
            let found = self.store.certificates(last.take(), PAGE).await?;
            last = found.last().cloned();
            if last.is_none() {
                return self.finish(parts);
            }
            for row in found {
                // They have no number of the log.
                number += 1;
                let (route, time) = (row.certificate.route.clone(), row.certificate.time);
                if let Some(partition) = self.partition("certificates", number, &route, time)
                    && self.order.period.contains(&time)
                {
                    parts.add(&partition, number, CertificateRow(row))?;
                }
            }
        }
    }

    /// Where a row belongs that is about a decision; `None` if that is not in the period, or there is no such place.
    fn partition_of(&mut self, table: &'static str, seq: u64, of: &DecisionRef) -> Option<Partition> {
        self.partition(table, seq, &of.route, of.time).filter(|_| self.order.period.contains(&of.time))
    }

    /// Where a row belongs; `None` if there is no such place, which is said.
    fn partition(&mut self, table: &'static str, seq: u64, route: &Arc<str>, time: Timestamp) -> Option<Partition> {
        match self.partitions.of(route, time) {
            Ok(partition) => Some(partition),
            Err(what) => {
                self.unreadable(UnreadableEntry { seq, table, what });
                None
            }
        }
    }

    /// The target that was in force of a route once this event had gone into its state.
    fn target(&self, route: &str, state_seq: u64) -> Option<f64> {
        let targets = self.targets.get(route)?;
        let place = targets.partition_point(|(seq, _)| *seq <= state_seq).checked_sub(1)?;
        Some(targets[place].1)
    }

    fn pass_over(&mut self, row: LogRow) {
        if let LogRow::Unreadable { seq, table, what } = row {
            self.unreadable(UnreadableEntry { seq, table, what });
        }
    }

    fn unreadable(&mut self, row: UnreadableEntry) {
        self.manifest.unreadable_rows += 1;
        if self.manifest.unreadable.len() < MOST_NAMED {
            self.manifest.unreadable.push(row);
        }
    }

    fn finish<R>(&mut self, parts: Parts<R>) -> Result<(), ExportError> {
        let (table, files) = parts.finish()?;
        self.manifest.tables.push(table);
        self.manifest.files.extend(files);
        Ok(())
    }
}

/// A table of the log, page by page.
struct Pages {
    query: RowQuery,
}

impl Pages {
    fn new(exporter: &Exporter<'_>, table: LogTable) -> Self {
        let (until, prompts) = (exporter.until, exporter.order.prompts);
        Self { query: RowQuery { table, after: 0, until, limit: PAGE, prompts } }
    }

    /// The next page; `None` if there is none.
    async fn next(&mut self, store: &dyn Store) -> Result<Option<Vec<LogRow>>, ExportError> {
        let rows = store.rows(self.query).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        self.query.after = last.seq();
        Ok(Some(rows))
    }
}
