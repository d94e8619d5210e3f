//! Decisions and features in few bytes: the columns `candidates` and `features`, as `docs/log.md` describes them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slarouter_core::{Candidate, Decision, Reason, half};

/// The first byte of `candidates`: postcard's form of [`Choice`].
const CANDIDATES: u8 = 1;
/// The first byte of `candidates` on a route that is only observed: the same, and after it what was planned for each.
const OBSERVED: u8 = 2;
/// The first byte of `features`: 4-byte numbers.
const WHOLE: u8 = 0;
/// The first byte of `features`: their number in 2 bytes, a bit for each that says whether it is not 0, and those that are not 0 in half
/// precision.
const HALF: u8 = 1;

/// The first byte is of another form, or what follows it is cut off or is nothing that a policy writes.
#[derive(Debug)]
pub(crate) struct Unreadable;

/// What a decision has beside its reason and the names of its models.
#[derive(Serialize, Deserialize)]
struct Choice {
    chosen: usize,
    candidates: Vec<Values>,
}

#[derive(Serialize, Deserialize)]
struct Values {
    probability: f64,
    satisfaction: f64,
    cost: f64,
    score: f64,
    saving: Option<f64>,
    excluded: bool,
}

impl From<&Candidate> for Values {
    fn from(candidate: &Candidate) -> Self {
        let Candidate { model: _, probability, satisfaction, cost, score, saving, excluded, planned: _ } = *candidate;
        Self { probability, satisfaction, cost, score, saving: (saving != 0.0).then_some(saving), excluded }
    }
}

impl Values {
    /// Whether a policy can have written them: one number that is none would spoil every sum that is learnt from it.
    fn can_be(&self) -> bool {
        let shares = [self.probability, self.satisfaction].iter().all(|share| (0.0..=1.0).contains(share));
        shares && [self.cost, self.score, self.saving.unwrap_or_default()].iter().all(|value| value.is_finite())
    }
}

/// Appends a decision to `out`.
///
/// # Errors
/// Never: numbers can always be written.
pub(crate) fn pack_decision(decision: &Decision, out: &mut Vec<u8>) -> Result<(), postcard::Error> {
    let choice = Choice { chosen: decision.chosen, candidates: decision.candidates.iter().map(Values::from).collect() };
    let is_observed = decision.is_observed();
    out.push(if is_observed { OBSERVED } else { CANDIDATES });
    *out = postcard::to_extend(&choice, std::mem::take(out))?;
    if is_observed {
        let planned: Vec<f64> = decision.candidates.iter().map(|candidate| candidate.planned).collect();
        *out = postcard::to_extend(&planned, std::mem::take(out))?;
    }
    Ok(())
}

/// The decision for these models that was packed.
pub(crate) fn unpack_decision(bytes: &[u8], models: &[Arc<str>], reason: Reason) -> Result<Decision, Unreadable> {
    let (form, rest) = bytes.split_first().ok_or(Unreadable)?;
    let (Choice { chosen, candidates }, planned) = match *form {
        CANDIDATES => (postcard::from_bytes(rest).map_err(|_| Unreadable)?, vec![0.0; models.len()]),
        OBSERVED => postcard::from_bytes::<(Choice, Vec<f64>)>(rest).map_err(|_| Unreadable)?,
        _ => return Err(Unreadable),
    };
    let can_be = candidates.iter().all(Values::can_be) && planned.iter().all(|share| (0.0..=1.0).contains(share));
    if [candidates.len(), planned.len()] != [models.len(); 2] || chosen >= models.len() || !can_be {
        return Err(Unreadable);
    }
    let named = |((model, values), planned): ((&Arc<str>, Values), f64)| {
        let Values { probability, satisfaction, cost, score, saving, excluded } = values;
        let saving = saving.unwrap_or_default();
        Candidate { model: model.clone(), probability, satisfaction, cost, score, saving, excluded, planned }
    };
    let candidates = models.iter().zip(candidates).zip(planned).map(named).collect();
    Ok(Decision { candidates, chosen, reason })
}

/// Appends features to `out`: in half precision where all of them are of it, whole otherwise. None at all take no bytes.
pub(crate) fn pack_features(features: &[f32], out: &mut Vec<u8>) {
    let begun = out.len();
    if features.is_empty() || pack_halves(features, out).is_some() {
        return;
    }
    out.truncate(begun);
    out.push(WHOLE);
    out.extend(features.iter().flat_map(|x| x.to_le_bytes()));
}

fn pack_halves(features: &[f32], out: &mut Vec<u8>) -> Option<()> {
    out.push(HALF);
    out.extend(u16::try_from(features.len()).ok()?.to_le_bytes());
    let mask = out.len();
    out.resize(mask + features.len().div_ceil(8), 0);
    for (place, feature) in features.iter().enumerate() {
        let bits = half::bits(*feature)?;
        if bits != 0 {
            out[mask + place / 8] |= 1 << (place % 8);
            out.extend(bits.to_le_bytes());
        }
    }
    Some(())
}

/// The features that were packed.
pub(crate) fn unpack_features(bytes: &[u8]) -> Result<Vec<f32>, Unreadable> {
    match bytes.split_first() {
        None => Ok(Vec::new()),
        Some((&WHOLE, rest)) => whole(rest),
        Some((&HALF, rest)) => halves(rest).ok_or(Unreadable),
        Some(_) => Err(Unreadable),
    }
}

/// 4-byte numbers, little end first.
pub(crate) fn whole(bytes: &[u8]) -> Result<Vec<f32>, Unreadable> {
    let (values, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()).ok_or(Unreadable)
}

fn halves(bytes: &[u8]) -> Option<Vec<f32>> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let (mask, rest) = rest.split_at_checked(length.div_ceil(8))?;
    let (values, rest) = rest.as_chunks::<2>();
    let mut values = values.iter().map(|bytes| half::from_bits(u16::from_le_bytes(*bytes)));
    let mut features = Vec::with_capacity(length);
    for place in 0..length {
        features.push(if mask[place / 8] >> (place % 8) & 1 == 1 { values.next()? } else { 0.0 });
    }
    (rest.is_empty() && values.next().is_none()).then_some(features)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(features: &[f32]) -> Vec<u8> {
        let mut out = vec![7];
        pack_features(features, &mut out);
        out.split_off(1)
    }

    fn bits(features: &[f32]) -> Vec<u32> {
        features.iter().map(|x| x.to_bits()).collect()
    }

    proptest! {
        #[test]
        fn features_come_back_bit_for_bit(
            wide in prop::collection::vec(any::<f32>(), 0..40),
            halves in prop::collection::vec(prop_oneof![Just(0_u16), any::<u16>()], 0..300),
        ) {
            prop_assert_eq!(bits(&unpack_features(&packed(&wide)).unwrap()), bits(&wide));
            let halves: Vec<_> = halves.into_iter().map(half::from_bits).filter(|x| half::bits(*x).is_some()).collect();
            let bytes = packed(&halves);
            prop_assert_eq!(bits(&unpack_features(&bytes).unwrap()), bits(&halves));
            prop_assert!(bytes.len() <= 3 + halves.len().div_ceil(8) + 2 * halves.len());
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let models = [Arc::from("a"), Arc::from("b")];
            for first in [&[][..], &[WHOLE], &[HALF], &[HALF, 9, 0]] {
                drop(unpack_features(&[first, &bytes].concat()));
            }
            for first in [&[][..], &[CANDIDATES], &[CANDIDATES, 1, 2], &[OBSERVED], &[OBSERVED, 1, 2]] {
                drop(unpack_decision(&[first, &bytes].concat(), &models, Reason::Exploit));
            }
        }
    }

    #[test]
    fn zeros_take_a_bit_each_and_what_is_cut_off_is_refused() {
        let mut features = vec![0.0; 128];
        (features[0], features[77], features[127]) = (-0.0, 0.25, -1.5);
        let bytes = packed(&features);
        assert_eq!(bytes.len(), 1 + 2 + 16 + 3 * 2);
        for end in 1..bytes.len() {
            assert!(unpack_features(&bytes[..end]).is_err(), "{end}");
        }
        assert!(unpack_features(&[&bytes[..], &[0, 0]].concat()).is_err());
        assert!(unpack_features(&[9]).is_err());
        assert!(packed(&[]).is_empty());
        assert_eq!(packed(&vec![1.0; 70_000]).len(), 1 + 4 * 70_000, "more than 2 bytes can count");
    }

    #[test]
    fn decisions_come_back_bit_for_bit() {
        let candidate = |model: &str, saving: f64, excluded, planned| Candidate {
            model: model.into(),
            probability: 1.0 / 3.0,
            satisfaction: 0.1 + 0.2,
            cost: 1.0e-7 / 3.0,
            score: -f64::MIN_POSITIVE / 2.0,
            saving,
            excluded,
            planned,
        };
        let models: Vec<Arc<str>> = vec!["a".into(), "b".into()];
        // The second is of a route that is only observed.
        for (planned, length) in
            [([0.0, 0.0], 1 + 1 + 1 + 2 * 34 + 8), ([0.0, 1.0], 1 + 1 + 1 + 2 * 34 + 8 + 1 + 2 * 8)]
        {
            let candidates = vec![candidate("a", 0.0, false, planned[0]), candidate("b", -1e-9, true, planned[1])];
            let decision = Decision { candidates, chosen: 1, reason: Reason::Explore };
            let mut bytes = Vec::new();
            pack_decision(&decision, &mut bytes).unwrap();
            assert_eq!(bytes.len(), length);
            assert_eq!(unpack_decision(&bytes, &models, Reason::Explore).unwrap(), decision);
            for end in 0..bytes.len() {
                assert!(unpack_decision(&bytes[..end], &models, Reason::Explore).is_err(), "{end}");
            }
            assert!(unpack_decision(&bytes, &models[..1], Reason::Explore).is_err(), "of another zoo");
        }
    }

    #[test]
    fn numbers_that_no_policy_writes_are_refused() {
        let models: Vec<Arc<str>> = vec!["a".into()];
        let comes_back = |set: fn(&mut Candidate)| {
            let mut candidate = Candidate { model: "a".into(), ..Candidate::default() };
            set(&mut candidate);
            let (mut bytes, reason) = (Vec::new(), Reason::Exploit);
            pack_decision(&Decision { candidates: vec![candidate], chosen: 0, reason }, &mut bytes).unwrap();
            unpack_decision(&bytes, &models, reason).is_ok()
        };
        assert!(comes_back(|c| (c.probability, c.satisfaction, c.score, c.cost) = (1.0, 1.0, f64::MIN, f64::MAX)));
        assert!(!comes_back(|c| c.probability = 1.5));
        assert!(comes_back(|c| c.planned = 1.0) && !comes_back(|c| c.planned = 1.5));
        assert!(!comes_back(|c| c.satisfaction = -0.1));
        assert!(!comes_back(|c| c.satisfaction = f64::NAN));
        assert!(!comes_back(|c| c.cost = f64::INFINITY));
        assert!(!comes_back(|c| c.score = f64::NAN));
        assert!(!comes_back(|c| c.saving = f64::NEG_INFINITY));
    }
}
