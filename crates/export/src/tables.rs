//! The tables of an export: what is in a row of each, and in which columns.

mod candidates;
mod certificates;
mod configurations;
mod decisions;
mod feedback;
mod outcomes;
mod table;

pub(crate) use candidates::{CandidateRow, candidates};
pub(crate) use certificates::{CertificateRow, certificates};
pub(crate) use configurations::{ConfigurationRow, configurations};
pub(crate) use decisions::{DecisionRow, decisions};
pub(crate) use feedback::{FeedbackRow, feedback};
pub(crate) use outcomes::{OutcomeRow, outcomes};
pub(crate) use table::{Table, moment};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names<R>(table: &Table<R>) -> Vec<&'static str> {
        let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{}: {names:?}", table.name);
        // What the folders say is in no file of Parquet.
        assert!(!names.contains(&"route") && !names.contains(&"day"), "{}: {names:?}", table.name);
        names
    }

    #[test]
    fn no_name_is_there_twice_and_messages_are_there_if_asked_for() {
        assert_eq!(names(&decisions(true)).len(), names(&decisions(false)).len() + 1);
        assert!(!names(&decisions(false)).contains(&"prompt"));
        assert!(names(&feedback(true)).contains(&"comment") && !names(&feedback(false)).contains(&"comment"));
        names(&candidates());
        names(&certificates());
        names(&configurations());
        names(&outcomes());
    }
}
