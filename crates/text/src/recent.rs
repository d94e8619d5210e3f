//! The vectors of recent texts.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Remembers the vectors of the texts used last, at most so many.
///
/// It keeps hashes of the texts, not the texts.
pub struct RecentVectors(Mutex<Halves>);

/// Between `size / 2` and `size` texts: when the young half is full, it becomes the old one, and what was old and not used
/// since is forgotten.
struct Halves {
    half: usize,
    young: HashMap<u128, Vec<f32>>,
    old: HashMap<u128, Vec<f32>>,
}

impl RecentVectors {
    /// For `size` texts at most; 0 remembers nothing.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(Mutex::new(Halves { half: size / 2, young: HashMap::new(), old: HashMap::new() }))
    }

    /// The vector of `text`, if it is remembered.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Vec<f32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).find(key(text))
    }

    /// Remembers it.
    pub fn insert(&self, text: &str, vector: Vec<f32>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key(text), vector);
    }
}

impl fmt::Debug for RecentVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecentVectors")
    }
}

/// 128 bits: two texts with the same key will not be met.
fn key(text: &str) -> u128 {
    let hash = |seed| {
        let secrets = rapidhash::v3::RapidSecrets::seed_cpp(seed);
        u128::from(rapidhash::v3::rapidhash_v3_seeded(text.as_bytes(), &secrets))
    };
    hash(1) << 64 | hash(2)
}

impl Halves {
    fn find(&mut self, key: u128) -> Option<Vec<f32>> {
        if let Some(vector) = self.young.get(&key) {
            return Some(vector.clone());
        }
        let vector = self.old.remove(&key)?;
        self.insert(key, vector.clone());
        Some(vector)
    }

    fn insert(&mut self, key: u128, vector: Vec<f32>) {
        if self.half == 0 {
            return;
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays() {
        let recent = RecentVectors::new(8);
        for number in 0..100 {
            recent.insert(&number.to_string(), vec![number as f32]);
            assert_eq!(recent.find("0"), Some(vec![0.0]), "after {number}");
            let halves = recent.0.lock().unwrap();
            assert!(halves.young.len() + halves.old.len() <= 8);
        }
        assert_eq!(recent.find("50"), None);
        assert_eq!(recent.find("99"), Some(vec![99.0]));
        let none = RecentVectors::new(0);
        none.insert("1", Vec::new());
        assert_eq!(none.find("1"), None);
    }
}
