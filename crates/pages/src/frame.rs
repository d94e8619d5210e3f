//! What surrounds every page, and the pages that are nothing but that.

use askama::Template;

use crate::assets;

/// What surrounds a page.
#[derive(Clone, Debug, Default)]
pub struct Frame<'a> {
    /// The page's title.
    pub title: &'a str,
    /// Which of the main pages it belongs to: `overview`, `decisions` or `playground`.
    pub place: &'static str,
    /// Whether whoever looks may see the other pages.
    pub inside: bool,
    /// Whether there is a session to end.
    pub logged_in: bool,
    /// The time zone whose times are shown.
    pub zone: &'a str,
    /// Whether whoever looks may ask models.
    pub may_ask: bool,
}

impl Frame<'_> {
    pub(crate) fn asset(&self, name: &str) -> &'static str {
        assets::path_of(name)
    }

    pub(crate) fn shows(&self, place: &str) -> bool {
        self.place == place
    }

    pub(crate) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// Where a key is exchanged for a session.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct Login<'a> {
    /// What surrounds it.
    pub frame: Frame<'a>,
    /// Whether there is no key, so that none is asked for.
    pub keyless: bool,
    /// How long a session lasts.
    pub hours: u64,
    /// Why the last try was refused.
    pub refusal: Option<&'a str>,
    /// The path to go on to.
    pub to: &'a str,
}

/// Where a person asks as a client would.
#[derive(Debug, Template)]
#[template(path = "playground.html")]
pub struct Playground<'a> {
    /// What surrounds it.
    pub frame: Frame<'a>,
    /// Models and routes that may be asked.
    pub names: Vec<String>,
}

/// What is wrong, and what to do.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct Problem<'a> {
    /// What surrounds it.
    pub frame: Frame<'a>,
    /// What is wrong.
    pub what: &'a str,
    /// How to mend it.
    pub mend: &'a str,
}
