//! Sums of the last hour, in memory: whoever asks for them, however often, reads no database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slarouter_core::Timestamp;
use slarouter_store::{By, Minute, Row, Selection, Step, Store, StoreError, Totals};

const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;

/// Sums of what was decided within the last hour, by route and model.
#[derive(Debug, Default)]
pub struct LastHour(Mutex<BTreeMap<Timestamp, Minutes>>);

/// The sums of one minute.
type Minutes = BTreeMap<[Arc<str>; 2], Totals>;

/// Where the hour that ends at `now` begins, rounded down to the minute.
fn begin(now: Timestamp) -> Timestamp {
    let begin = now.0.saturating_sub(HOUR_MS);
    Timestamp(begin - begin % MINUTE_MS)
}

impl LastHour {
    /// The sums of the hour that ends at `now`, with the names of route and model: what [`Store::totals`] says of it.
    pub fn rows(&self, now: Timestamp) -> Vec<Row> {
        let mut sums = Minutes::new();
        for (names, totals) in self.held().range(begin(now)..).flat_map(|(_, minute)| minute) {
            *sums.entry(names.clone()).or_default() += *totals;
        }
        sums.into_iter().map(|(names, totals)| Row { names: names.into(), totals }).collect()
    }

    /// Takes over what was summed by others: before this process began, or while another holds the log.
    pub(crate) async fn load(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let loaded = Self::default();
        let hour = Selection { from: begin(now), to: now, ..Selection::default() };
        for row in store.totals(hour.clone(), &[By::Route, By::Model]).await? {
            let [route, model] = &row.names[..] else { continue };
            let own = Selection { route: Some(route.clone()), model: Some(model.clone()), ..hour.clone() };
            let points = store.series(own, Step::Minutes(1)).await?.into_iter();
            // A series has points also where there was nothing.
            let points = points.filter(|point| point.totals != Totals::default());
            let minute = |start, totals| Minute { start, route: route.clone(), model: model.clone(), totals };
            loaded.add(points.map(|point| minute(point.start, point.totals)), now);
        }
        *self.held() = std::mem::take(&mut *loaded.held());
        Ok(())
    }

    /// Adds these, and forgets what is older than an hour.
    pub(crate) fn add(&self, minutes: impl IntoIterator<Item = Minute>, now: Timestamp) {
        let mut held = self.held();
        for Minute { start, route, model, totals } in minutes {
            *held.entry(start).or_default().entry([route, model]).or_default() += totals;
        }
        *held = held.split_off(&begin(now));
    }

    /// A panic leaves no sum half added that anything rests on.
    fn held(&self) -> MutexGuard<'_, BTreeMap<Timestamp, Minutes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
