//! From text to settings, or to all that is wrong with it at once.

use std::path::Path;

use crate::problems::{ConfigErrors, Problem, Problems};
use crate::raw;
use crate::read::read;
use crate::resolve::{resolve, server};
use crate::settings::{Config, KeyPlace, Server};
use crate::substitute::Sources;
use crate::values::{Env, text};

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
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(&file, &error))?;
        let config = Self::parse_file(&file, &text, &|name: &str| std::env::var(name).ok())?;
        Ok(Self { file: Some(path.to_owned()), ..config })
    }

    fn parse_file(file: &str, text: &str, sources: &dyn Sources) -> Result<Self, ConfigErrors> {
        whole(file, text, |raw, problems| resolve(raw, sources, problems))
    }
}

impl KeyPlace {
    /// Reads from a file where its keys are, with the process's environment. Of all variables only those of `[store]` and of the
    /// names of `[[keys]]` have to be set.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        part(path, |raw, env, problems| Self {
            url: server::store(raw.store, 0, env, problems).url,
            time_zone: server::time_zone(raw.server.time_zone.as_ref(), env, problems),
            taken: raw.keys.iter().filter_map(|key| text(&key.name, env, problems)).map(Into::into).collect(),
        })
    }
}

impl Server {
    /// Reads `[server]` of a file, with the process's environment. Variables of other sections need not be set.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        part(path, |raw, env, problems| server::server(raw.server, env, problems))
    }
}

/// What `resolve` makes of a part of a file whose shape is sound.
fn part<T>(path: &Path, resolve: impl FnOnce(raw::File, Env<'_>, &mut Problems<'_>) -> T) -> Result<T, ConfigErrors> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&file, &error))?;
    whole(&file, &text, |raw, problems| resolve(raw, &|name: &str| std::env::var(name).ok(), problems))
}

fn whole<T>(
    file: &str,
    text: &str,
    resolve: impl FnOnce(raw::File, &mut Problems<'_>) -> T,
) -> Result<T, ConfigErrors> {
    let mut problems = Problems::new(text);
    let raw = read(text, &mut problems);
    let resolved = raw.map(|raw| resolve(raw, &mut problems));
    match resolved {
        Some(resolved) if problems.found.is_empty() => Ok(resolved),
        _ => {
            problems.found.sort_by_key(|problem| problem.place);
            Err(ConfigErrors { file: file.to_owned(), errors: problems.found })
        }
    }
}

fn unreadable(file: &str, error: &std::io::Error) -> ConfigErrors {
    let what = format!("cannot be read: {error}");
    ConfigErrors { file: file.to_owned(), errors: vec![Problem { place: None, what }] }
}
