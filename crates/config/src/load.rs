//! From text to settings, or to all that is wrong with it at once.

use std::path::Path;

use crate::problems::{ConfigErrors, Problem, Problems};
use crate::read::read;
use crate::resolve::resolve;
use crate::settings::Config;
use crate::substitute::Sources;

impl Config {
    /// Reads a configuration. `env` looks up the variables that `${NAME}` names; files that `${file:PATH}` names are read.
    ///
    /// # Errors
    /// [`ConfigErrors`] with all problems and their places. Values of variables and files are never in a message.
    pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, &env)
    }

    /// As [`Config::parse`], with other sources of values.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_with(text: &str, sources: &dyn Sources) -> Result<Self, ConfigErrors> {
        Self::parse_file("slarouter.toml", text, sources)
    }

    /// Reads a file, with the process's environment.
    ///
    /// # Errors
    /// As [`Config::parse`], or that the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let config = Self::parse_file(&file, &text, &|name: &str| std::env::var(name).ok())?;
                Ok(Self { file: Some(path.to_owned()), ..config })
            }
            Err(error) => {
                let what = format!("cannot be read: {error}");
                Err(ConfigErrors { file, errors: vec![Problem { place: None, what }] })
            }
        }
    }

    fn parse_file(file: &str, text: &str, sources: &dyn Sources) -> Result<Self, ConfigErrors> {
        let mut problems = Problems::new(text);
        let raw = read(text, &mut problems);
        let config = raw.map(|raw| resolve(raw, sources, &mut problems));
        match config {
            Some(config) if problems.found.is_empty() => Ok(config),
            _ => {
                problems.found.sort_by_key(|problem| problem.place);
                Err(ConfigErrors { file: file.to_owned(), errors: problems.found })
            }
        }
    }
}
