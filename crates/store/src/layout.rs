//! The tables of a log, as both databases have them.

use crate::rollup::COLUMNS;

/// How a column is kept by PostgreSQL; SQLite has what is nearest to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Whole,
    /// Whole, of four bytes.
    Short,
    Truth,
    Real,
    Text,
    Bytes,
    Id,
}

/// A table whose rows are moved.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What its rows are read by, in SQLite and in PostgreSQL.
    pub(crate) order: [&'static str; 2],
    /// Its first column is a key by which it is read page by page; the others are read at once.
    pub(crate) is_long: bool,
    pub(crate) columns: &'static [(&'static str, Kind)],
}

const fn by(column: &'static str) -> [&'static str; 2] {
    [column; 2]
}

/// All tables, with SQLite's columns.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "route_configs",
        order: by("seq"),
        is_long: true,
        columns: &[("seq", Kind::Whole), ("time", Kind::Whole), ("route", Kind::Text), ("spec", Kind::Text)],
    },
    Table {
        name: "zoos",
        order: by("number"),
        is_long: true,
        columns: &[
            ("number", Kind::Whole),
            ("models", Kind::Text),
            ("fallback", Kind::Whole),
            ("key", Kind::Text),
            ("tenant", Kind::Text),
        ],
    },
    Table {
        name: "decisions",
        order: by("seq"),
        is_long: true,
        columns: &[
            ("seq", Kind::Whole),
            ("id", Kind::Id),
            ("time", Kind::Whole),
            ("route", Kind::Text),
            ("reason", Kind::Text),
            ("model", Kind::Text),
            ("propensity", Kind::Real),
            ("decision", Kind::Text),
            ("features", Kind::Bytes),
            ("feature_version", Kind::Whole),
            ("input_tokens", Kind::Real),
            ("state_seq", Kind::Whole),
            ("prompt", Kind::Text),
            ("audit_rate", Kind::Real),
            ("audit_drawn", Kind::Truth),
            ("zoo", Kind::Whole),
            ("candidates", Kind::Bytes),
            ("satisfaction", Kind::Real),
            ("cost", Kind::Real),
            ("most_expensive", Kind::Real),
        ],
    },
    Table {
        name: "reroutes",
        order: by("seq"),
        is_long: true,
        columns: &[("seq", Kind::Whole), ("decision_id", Kind::Id), ("model", Kind::Text)],
    },
    Table {
        name: "outcomes",
        order: by("seq"),
        is_long: true,
        columns: &[
            ("seq", Kind::Whole),
            ("decision_id", Kind::Id),
            ("time", Kind::Whole),
            ("model", Kind::Text),
            ("status", Kind::Short),
            ("ok", Kind::Truth),
            ("streamed", Kind::Truth),
            ("attempts", Kind::Whole),
            ("input_tokens", Kind::Real),
            ("cached_tokens", Kind::Real),
            ("cache_write_tokens", Kind::Real),
            ("output_tokens", Kind::Real),
            ("reasoning_tokens", Kind::Real),
            ("cost", Kind::Real),
            ("latency_ms", Kind::Real),
            ("ttft_ms", Kind::Real),
            ("error", Kind::Text),
        ],
    },
    Table {
        name: "feedback",
        order: by("seq"),
        is_long: true,
        columns: &[
            ("seq", Kind::Whole),
            ("decision_id", Kind::Id),
            ("time", Kind::Whole),
            ("source", Kind::Text),
            ("rater", Kind::Whole),
            ("rating", Kind::Real),
            ("receipt", Kind::Text),
            ("comment", Kind::Text),
        ],
    },
    Table {
        name: "traces",
        order: by("seq"),
        is_long: true,
        columns: &[("seq", Kind::Whole), ("tenant", Kind::Text), ("trace_id", Kind::Text)],
    },
    Table {
        name: "snapshots",
        order: ["seq, rowid", "seq, place"],
        is_long: false,
        columns: &[("seq", Kind::Whole), ("route", Kind::Text), ("time", Kind::Whole), ("state", Kind::Bytes)],
    },
    Table {
        name: "api_keys",
        order: ["created, rowid", "created, place"],
        is_long: false,
        columns: &[
            ("id", Kind::Text),
            ("name", Kind::Text),
            ("digest", Kind::Bytes),
            ("hint", Kind::Text),
            ("grants", Kind::Text),
            ("created", Kind::Whole),
            ("expires", Kind::Whole),
            ("revoked", Kind::Whole),
        ],
    },
    Table {
        name: "spending",
        order: by("account, day"),
        is_long: false,
        columns: &[("account", Kind::Text), ("day", Kind::Whole), ("nano_usd", Kind::Whole)],
    },
    Table {
        name: "rollup_groups",
        order: by("number"),
        is_long: true,
        columns: &[
            ("number", Kind::Whole),
            ("route", Kind::Text),
            ("model", Kind::Text),
            ("key", Kind::Text),
            ("tenant", Kind::Text),
        ],
    },
    Table { name: "rollups", order: by("span, grp, start"), is_long: false, columns: &SUMS },
    Table {
        name: "certificates",
        order: by("span, route, start"),
        is_long: false,
        columns: &[
            ("span", Kind::Whole),
            ("route", Kind::Text),
            ("start", Kind::Whole),
            ("alpha", Kind::Real),
            ("requests", Kind::Whole),
            ("labels", Kind::Whole),
            ("lower", Kind::Real),
            ("estimate", Kind::Real),
            ("upper", Kind::Real),
        ],
    },
    Table {
        name: "rolled",
        order: by("seq"),
        is_long: false,
        columns: &[("seq", Kind::Whole), ("zone", Kind::Text), ("newest", Kind::Whole)],
    },
    Table {
        name: "archive_kinds",
        order: by("number"),
        is_long: true,
        columns: &[
            ("number", Kind::Whole),
            ("route", Kind::Text),
            ("reason", Kind::Text),
            ("zoo", Kind::Whole),
            ("chosen", Kind::Text),
            ("model", Kind::Text),
            ("audit_rate", Kind::Real),
            ("audited", Kind::Truth),
        ],
    },
    Table {
        name: "archive_endings",
        order: by("number"),
        is_long: true,
        columns: &[
            ("number", Kind::Whole),
            ("status", Kind::Short),
            ("ok", Kind::Truth),
            ("streamed", Kind::Truth),
            ("attempts", Kind::Whole),
        ],
    },
    Table {
        name: "archive",
        order: by("seq"),
        is_long: true,
        columns: &[
            ("seq", Kind::Whole),
            ("id", Kind::Id),
            ("time", Kind::Whole),
            ("kind", Kind::Whole),
            ("propensity", Kind::Real),
            ("satisfaction", Kind::Real),
            ("cost", Kind::Real),
            ("most_expensive", Kind::Real),
            ("estimated_tokens", Kind::Real),
            ("ending", Kind::Whole),
            ("input_tokens", Kind::Real),
            ("cached_tokens", Kind::Real),
            ("output_tokens", Kind::Real),
            ("cost_usd", Kind::Real),
            ("latency_ms", Kind::Real),
            ("ttft_ms", Kind::Real),
            ("error", Kind::Text),
            ("rating", Kind::Real),
        ],
    },
    Table {
        name: "shortened",
        order: by("seq"),
        is_long: false,
        columns: &[
            ("seq", Kind::Whole),
            ("whole", Kind::Whole),
            ("decisions", Kind::Whole),
            ("outcomes", Kind::Whole),
            ("feedback", Kind::Whole),
            ("prompts", Kind::Whole),
            ("rollups", Kind::Whole),
            ("outcomes_seq", Kind::Whole),
            ("prompts_seq", Kind::Whole),
        ],
    },
    Table {
        name: "forgotten",
        order: by("rater"),
        is_long: false,
        columns: &[("rater", Kind::Whole), ("time", Kind::Whole), ("stand_in", Kind::Whole)],
    },
    Table {
        name: "rollbacks",
        order: by("seq"),
        is_long: true,
        columns: &[("seq", Kind::Whole), ("time", Kind::Whole), ("until", Kind::Whole)],
    },
    Table {
        name: "rollback_states",
        order: ["seq, rowid", "seq, place"],
        is_long: false,
        columns: &[("seq", Kind::Whole), ("route", Kind::Text), ("state", Kind::Bytes)],
    },
];

/// The columns of the sums.
const SUMS: [(&str, Kind); 3 + COLUMNS.len()] = {
    let mut columns = [("", Kind::Whole); 3 + COLUMNS.len()];
    columns[0].0 = "span";
    columns[1].0 = "grp";
    columns[2].0 = "start";
    let mut place = 0;
    while place < COLUMNS.len() {
        columns[3 + place].0 = COLUMNS[place];
        place += 1;
    }
    columns
};
