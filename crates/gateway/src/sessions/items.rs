//! Items of answers to responses requests. Clients that take the provider to keep them send their ids alone in the next turn; here they are
//! known again for a while, so that any model can answer it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an item is known at least, if there is room; it is forgotten after twice that.
const LIFETIME: Duration = Duration::from_secs(1_800);
/// Bytes of one generation of items, of which there are two.
const GENERATION: usize = 32 << 20;
/// How much of it one caller has, so that none takes the others' room.
const SHARE: usize = GENERATION / 8;
/// What an item takes beside its own bytes.
const OVERHEAD: usize = 192;

/// Who may refer to an item: the digest of the key that its answer was asked for with.
pub(crate) type Owner = [u8; 32];

/// The items of recent answers, in memory alone. Each belongs to its owner, and nobody else finds it.
#[derive(Default)]
pub(crate) struct Items(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: Generation,
    old: Generation,
    since: Option<Instant>,
}

#[derive(Default)]
struct Generation {
    items: HashMap<Owner, HashMap<String, Arc<str>>>,
    /// By owner, and of all of them.
    bytes: HashMap<Owner, usize>,
    all: usize,
}

// === impl Items ===

impl Items {
    /// Keeps items, each with its id. Those that the owner has no room for are not known later.
    pub(crate) fn keep(&self, owner: Owner, items: Vec<(String, String)>, now: Instant) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.age(now);
        for (id, item) in items {
            let bytes = id.len() + item.len() + OVERHEAD;
            if held.young.bytes.get(&owner).copied().unwrap_or_default() + bytes > SHARE {
                continue;
            }
            if held.young.all + bytes > GENERATION {
                held.turn(now);
            }
            held.young.insert(owner, id, item.into(), bytes);
        }
    }

    /// The owner's item of this id.
    pub(crate) fn find(&self, owner: &Owner, id: &str, now: Instant) -> Option<Arc<str>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.age(now);
        let of = |generation: &Generation| generation.items.get(owner).and_then(|items| items.get(id)).cloned();
        of(&held.young).or_else(|| of(&held.old))
    }
}

// === impl Generations ===

impl Generations {
    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age >= 2 * LIFETIME {
            self.young = Generation::default();
        }
        if age >= LIFETIME {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = Some(now);
    }
}

// === impl Generation ===

impl Generation {
    fn insert(&mut self, owner: Owner, id: String, item: Arc<str>, bytes: usize) {
        self.items.entry(owner).or_default().insert(id, item);
        // An id that comes twice is counted twice: the bound holds.
        *self.bytes.entry(owner).or_default() += bytes;
        self.all += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, bytes: usize) -> Vec<(String, String)> {
        vec![(id.to_owned(), "x".repeat(bytes))]
    }

    #[test]
    fn an_item_is_known_to_its_owner_for_a_while() {
        let (items, now) = (Items::default(), Instant::now());
        items.keep([1; 32], one("a", 3), now);
        let known = |owner, at| items.find(&[owner; 32], "a", at).is_some();
        assert_eq!(items.find(&[1; 32], "a", now).as_deref(), Some("xxx"));
        assert!(!known(2, now), "another caller's id is nobody's");
        assert!(known(1, now + LIFETIME) && !known(1, now + 2 * LIFETIME));
        items.keep([1; 32], one("a", 3), now + 2 * LIFETIME);
        assert!(!known(1, now + 9 * LIFETIME), "however long nobody looked");
    }

    #[test]
    fn the_memory_is_bounded_for_each_and_for_all() {
        let (items, now) = (Items::default(), Instant::now());
        for n in 0..20 {
            items.keep([1; 32], one(&n.to_string(), SHARE / 8), now);
        }
        let known = (0..20).filter(|n| items.find(&[1; 32], &n.to_string(), now).is_some()).count();
        assert_eq!(known, 7, "an eighth each, and something beside it");
        items.keep([2; 32], one("a", SHARE + 1), now);
        assert!(items.find(&[2; 32], "a", now).is_none());
        for owner in 3..30 {
            items.keep([owner; 32], one("a", SHARE - 1_000), now);
        }
        let held = items.0.lock().unwrap();
        assert!(held.young.all + held.old.all <= 2 * GENERATION);
        drop(held);
        assert!(items.find(&[29; 32], "a", now).is_some() && items.find(&[3; 32], "a", now).is_none());
    }
}
