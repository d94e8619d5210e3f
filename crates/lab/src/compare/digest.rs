//! Digests that name results by what decides them.

use sha2::{Digest, Sha256};

use crate::Dataset;

/// Everything that a run reads of a data set, as 16 hexadecimal digits.
pub(super) fn fingerprint(data: &Dataset) -> String {
    let mut hash = Sha256::new();
    hash.update(&data.name);
    for model in data.zoo.models() {
        hash.update(&*model.name);
        hash.update(model.price.input.to_le_bytes());
        hash.update(model.price.output.to_le_bytes());
    }
    for row in 0..data.rows() {
        data.features(row).iter().for_each(|x| hash.update(x.to_le_bytes()));
        hash.update(data.input_tokens(row).to_le_bytes());
        for model in 0..data.models() {
            hash.update(data.score(row, model).to_le_bytes());
            hash.update(data.cost(row, model).to_le_bytes());
        }
    }
    hex(hash)
}

/// The first 16 hexadecimal digits.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
