//! The best single model, known in hindsight.

use super::contender::{Asked, Choice, Contender, Request, Setting};
use crate::CompareError;

/// Always the model with the highest mean satisfaction over all rows, which nobody knows in advance.
pub(crate) struct BestSingle(usize);

impl BestSingle {
    pub(crate) fn new(setting: &Setting<'_>) -> Self {
        Self(setting.best_single)
    }
}

impl Contender for BestSingle {
    fn choose(&mut self, _: &Request<'_>) -> Result<Choice, CompareError> {
        Ok(Choice { model: self.0, explored: false, asked: Asked::One })
    }

    fn answered(&mut self, _: &Request<'_>, _: usize, _: Option<f64>, _: f64) -> Result<(), CompareError> {
        Ok(())
    }

    fn labelled(&mut self, _: &Request<'_>, _: usize, _: f64) -> Result<(), CompareError> {
        Ok(())
    }
}
