//! The files of a report.

use std::path::Path;

use serde::Serialize;

use super::plot::{self, Plot};
use super::{Comparison, markdown};
use crate::CompareError;

/// What `report.json` holds.
#[derive(Serialize)]
struct Json<'a> {
    summary: Vec<super::Scope>,
    verdicts: Vec<super::Verdict>,
    harm: Vec<super::Harm>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    streams: Vec<super::Stream>,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

impl Comparison {
    /// The Markdown report; `subject` is held against the targets if it took part.
    #[must_use]
    pub fn markdown(&self, subject: &str) -> String {
        // Writing into a string cannot fail.
        markdown::report(self, subject).unwrap_or_default()
    }

    /// The JSON report: summaries, verdicts on `subject`, and all cells without their single runs.
    ///
    /// # Errors
    /// Those of serialisation, which this structure does not meet.
    pub fn json(&self, subject: &str) -> Result<String, serde_json::Error> {
        let json = Json {
            summary: self.scopes(),
            verdicts: self.verdicts(subject),
            harm: self.harm(),
            streams: self.streams(),
            comparison: self,
        };
        serde_json::to_string(&json)
    }

    /// Writes `report.md`, `report.json` and `plots/*.svg` into `folder`.
    ///
    /// # Errors
    /// [`CompareError::Output`] with the file that could not be written.
    pub fn write(&self, folder: &Path, subject: &str) -> Result<(), CompareError> {
        let plots = folder.join("plots");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |reason| CompareError::Output { path, reason }
        };
        std::fs::create_dir_all(&plots).map_err(failed(&plots))?;
        let save = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(failed(&path))
        };
        save("report.md", self.markdown(subject))?;
        let json = self.json(subject).map_err(std::io::Error::from).map_err(failed(&folder.join("report.json")))?;
        save("report.json", json)?;
        for Plot { name, svg } in plot::all(self, subject) {
            save(&format!("plots/{name}.svg"), svg)?;
        }
        Ok(())
    }
}
