-- The log. `seq` numbers all events of all tables in one order, given by the one writer; the learner reads them in it.
CREATE TABLE route_configs (
    seq   INTEGER PRIMARY KEY,
    time  INTEGER NOT NULL,
    route TEXT NOT NULL,
    spec  TEXT NOT NULL
) STRICT;

-- `audit_rate`: with which probability a decision was drawn for audit; `audit_drawn`: whether it was.
CREATE TABLE decisions (
    seq             INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    time            INTEGER NOT NULL,
    route           TEXT NOT NULL,
    reason          TEXT NOT NULL,
    model           TEXT NOT NULL,
    propensity      REAL NOT NULL,
    decision        TEXT NOT NULL,
    features        BLOB NOT NULL,
    feature_version INTEGER NOT NULL,
    input_tokens    REAL NOT NULL,
    state_seq       INTEGER NOT NULL,
    prompt          TEXT,
    audit_rate      REAL NOT NULL,
    audit_drawn     INTEGER NOT NULL
) STRICT;
CREATE INDEX decisions_to_audit ON decisions (seq) WHERE audit_drawn = 1;

-- The model that answers in place of the one chosen; written before its first byte goes out.
CREATE TABLE reroutes (
    seq         INTEGER PRIMARY KEY,
    decision_id BLOB NOT NULL,
    model       TEXT NOT NULL
) STRICT;
CREATE INDEX reroutes_by_decision ON reroutes (decision_id);

-- Token counts are NULL where they are unknown. The gateway made no attempt for the outcomes that callers report of decisions which
-- they carried out themselves.
CREATE TABLE outcomes (
    seq                INTEGER PRIMARY KEY,
    decision_id        BLOB NOT NULL,
    time               INTEGER NOT NULL,
    model              TEXT NOT NULL,
    status             INTEGER NOT NULL,
    ok                 INTEGER NOT NULL,
    streamed           INTEGER NOT NULL,
    attempts           INTEGER NOT NULL,
    input_tokens       REAL,
    cached_tokens      REAL,
    cache_write_tokens REAL,
    output_tokens      REAL,
    reasoning_tokens   REAL,
    cost               REAL NOT NULL,
    latency_ms         REAL NOT NULL,
    ttft_ms            REAL,
    error              TEXT
) STRICT;
CREATE INDEX outcomes_by_decision ON outcomes (decision_id);
CREATE INDEX reported_outcomes ON outcomes (decision_id) WHERE attempts = 0;

-- `source`: whose word a rating is, a user's or an auditor's.
CREATE TABLE feedback (
    seq         INTEGER PRIMARY KEY,
    decision_id BLOB NOT NULL,
    time        INTEGER NOT NULL,
    source      TEXT NOT NULL,
    rater       INTEGER NOT NULL,
    rating      REAL,
    receipt     TEXT NOT NULL,
    comment     TEXT
) STRICT;
CREATE INDEX feedback_by_rater ON feedback (decision_id, rater, seq);

CREATE TABLE snapshots (
    seq   INTEGER NOT NULL,
    route TEXT NOT NULL,
    time  INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (route, seq)
) STRICT;

-- Clients' keys. Rows stay when a key ends: that there ever was one is what closes an open gateway.
CREATE TABLE api_keys (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    digest  BLOB NOT NULL UNIQUE,
    hint    TEXT NOT NULL,
    grants  TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT;

-- What each account with a budget has spent or reserved per day since 1970 (UTC), in 10⁻⁹ USD: whole numbers, so that sums are exact.
CREATE TABLE spending (
    account  TEXT NOT NULL,
    day      INTEGER NOT NULL,
    nano_usd INTEGER NOT NULL,
    PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;

-- "SLAR": by this number the database is known as one of SLARouter.
PRAGMA application_id = 1397506386;
