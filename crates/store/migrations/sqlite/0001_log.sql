-- The log. `seq` numbers all events of all tables in one order, given by the one writer; the learner reads them in it.
CREATE TABLE route_configs (
    seq   INTEGER PRIMARY KEY,
    time  INTEGER NOT NULL,
    route TEXT NOT NULL,
    spec  TEXT NOT NULL
) STRICT;

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
    prompt          TEXT
) STRICT;

-- The model that answers in place of the one chosen; written before its first byte goes out.
CREATE TABLE reroutes (
    seq         INTEGER PRIMARY KEY,
    decision_id BLOB NOT NULL,
    model       TEXT NOT NULL
) STRICT;
CREATE INDEX reroutes_by_decision ON reroutes (decision_id);

CREATE TABLE outcomes (
    seq           INTEGER PRIMARY KEY,
    decision_id   BLOB NOT NULL,
    time          INTEGER NOT NULL,
    model         TEXT NOT NULL,
    status        INTEGER NOT NULL,
    ok            INTEGER NOT NULL,
    streamed      INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    input_tokens  REAL,
    cached_tokens REAL,
    output_tokens REAL,
    cost          REAL NOT NULL,
    latency_ms    REAL NOT NULL,
    ttft_ms       REAL,
    error         TEXT
) STRICT;

CREATE TABLE feedback (
    seq         INTEGER PRIMARY KEY,
    decision_id BLOB NOT NULL,
    time        INTEGER NOT NULL,
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
