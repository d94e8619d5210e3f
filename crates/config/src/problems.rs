//! What is wrong with a file, and where.

use std::fmt;

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    pub(crate) file: String,
    pub(crate) errors: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Line and column, from 1; `None` where the whole file is meant.
    pub(crate) place: Option<(usize, usize)>,
    pub(crate) what: String,
}

/// Collects problems and finds their places.
pub(crate) struct Problems<'a> {
    text: &'a str,
    pub(crate) found: Vec<Problem>,
    /// Something that was written could not be read, so that what seems to be absent may be there.
    pub(crate) incomplete: bool,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new(), incomplete: false }
    }

    pub(crate) fn add(&mut self, span: Option<std::ops::Range<usize>>, what: impl Into<String>) {
        let place = span.and_then(|span| self.text.get(..span.start)).map(|before| {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            (line, column)
        });
        let problem = Problem { place, what: what.into() };
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// Something is missing; not reported where that may follow from another mistake.
    pub(crate) fn absent(&mut self, span: Option<std::ops::Range<usize>>, what: impl Into<String>) {
        if !self.incomplete {
            self.add(span, what);
        }
    }
}

impl ConfigErrors {
    /// The messages, without places.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().map(|problem| problem.what.as_str())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.errors.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            match problem.place {
                Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, problem.what)?,
                None => write!(f, "{}: {}", self.file, problem.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
