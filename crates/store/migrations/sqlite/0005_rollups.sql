-- Sums of the log by time, route, model and payer, so that a view of many requests reads few rows. The learner keeps them: what is in them
-- and how far they have come changes in one transaction, so each event is counted once.

-- What sums are of; empty where there is no route, key or tenant.
CREATE TABLE rollup_groups (
    number INTEGER PRIMARY KEY,
    route  TEXT NOT NULL,
    model  TEXT NOT NULL,
    key    TEXT NOT NULL,
    tenant TEXT NOT NULL,
    UNIQUE (route, model, key, tenant)
) STRICT;

-- `span`: 0 a minute, 1 a quarter of an hour, 2 a day of `rolled.zone`. `start`: when it begins, in milliseconds since 1970. Each request and
-- each rating counts at the time of its decision, once in each span.
CREATE TABLE rollups (
    span                     INTEGER NOT NULL,
    grp                      INTEGER NOT NULL,
    start                    INTEGER NOT NULL,
    requests                 INTEGER NOT NULL,
    pinned                   INTEGER NOT NULL,
    errors                   INTEGER NOT NULL,
    cancelled                INTEGER NOT NULL,
    rerouted                 INTEGER NOT NULL,
    explored                 INTEGER NOT NULL,
    fallbacks                INTEGER NOT NULL,
    input_tokens             INTEGER NOT NULL,
    cached_tokens            INTEGER NOT NULL,
    output_tokens            INTEGER NOT NULL,
    cost_nano                INTEGER NOT NULL,
    baseline_nano            INTEGER NOT NULL,
    correction_nano          INTEGER NOT NULL,
    supported                INTEGER NOT NULL,
    checked                  INTEGER NOT NULL,
    predicted_micro          INTEGER NOT NULL,
    fallback_predicted_micro INTEGER NOT NULL,
    ratings                  INTEGER NOT NULL,
    up                       INTEGER NOT NULL,
    down                     INTEGER NOT NULL,
    rating_micro             INTEGER NOT NULL,
    audits                   INTEGER NOT NULL,
    audit_micro              INTEGER NOT NULL,
    PRIMARY KEY (span, grp, start)
) STRICT, WITHOUT ROWID;

-- The last certificate of a route in each span.
CREATE TABLE certificates (
    span     INTEGER NOT NULL,
    route    TEXT NOT NULL,
    start    INTEGER NOT NULL,
    alpha    REAL NOT NULL,
    requests INTEGER NOT NULL,
    labels   INTEGER NOT NULL,
    lower    REAL NOT NULL,
    estimate REAL NOT NULL,
    upper    REAL NOT NULL,
    PRIMARY KEY (span, route, start)
) STRICT, WITHOUT ROWID;

-- The last event that is counted, the time zone whose days are summed, and the latest decision that was counted. Where the log is older
-- than this table, all of it is counted at the next start.
CREATE TABLE rolled (
    seq    INTEGER NOT NULL,
    zone   TEXT NOT NULL,
    newest INTEGER NOT NULL
) STRICT;
INSERT INTO rolled VALUES (0, '', 0);
