-- What would have been on routes that are only observed: docs/log.md says what each column is.
ALTER TABLE rollups ADD COLUMN observed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN observed_baseline_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_saving_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_correction_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_supported_micro INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_predicted_micro INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_labels INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_tried INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_label_micro INTEGER NOT NULL DEFAULT 0;

-- A log that ends: docs/log.md says what stays of a decision.

-- What many rows of the archive have in common. `chosen`: the model that was chosen; `model`: the one that answered.
CREATE TABLE archive_kinds (
    number     INTEGER PRIMARY KEY,
    route      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    zoo        INTEGER NOT NULL,
    chosen     TEXT NOT NULL,
    model      TEXT NOT NULL,
    audit_rate REAL NOT NULL,
    audited    INTEGER NOT NULL,
    UNIQUE (route, reason, zoo, chosen, model, audit_rate, audited)
) STRICT;
CREATE TABLE archive_endings (
    number   INTEGER PRIMARY KEY,
    status   INTEGER NOT NULL,
    ok       INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    UNIQUE (status, ok, streamed, attempts)
) STRICT;

-- A decision that nothing is learnt from any more, with how it ended and how it was rated, in one short row. `seq` is its number in the log.
-- `ending` is NULL where it never ended, and where that is no longer kept.
CREATE TABLE archive (
    seq              INTEGER PRIMARY KEY,
    id               BLOB NOT NULL,
    time             INTEGER NOT NULL,
    kind             INTEGER NOT NULL,
    propensity       REAL NOT NULL,
    satisfaction     REAL,
    cost             REAL,
    most_expensive   REAL,
    estimated_tokens REAL NOT NULL,
    ending           INTEGER,
    input_tokens     REAL,
    cached_tokens    REAL,
    output_tokens    REAL,
    cost_usd         REAL,
    latency_ms       REAL,
    ttft_ms          REAL,
    error            TEXT,
    rating           REAL
) STRICT;
CREATE UNIQUE INDEX archive_by_id ON archive (id);

-- What is gone. `seq`: events up to this one are not all as they were written. The others: in milliseconds since 1970, from when on each kind
-- is there; `outcomes_seq` and `prompts_seq` are the last rows whose outcome or prompt is gone.
CREATE TABLE shortened (
    seq          INTEGER NOT NULL,
    whole        INTEGER NOT NULL,
    decisions    INTEGER NOT NULL,
    outcomes     INTEGER NOT NULL,
    feedback     INTEGER NOT NULL,
    prompts      INTEGER NOT NULL,
    rollups      INTEGER NOT NULL,
    outcomes_seq INTEGER NOT NULL,
    prompts_seq  INTEGER NOT NULL
) STRICT;
INSERT INTO shortened VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0);

-- Raters who are to be forgotten, with all that they said up to `time`: by their number until the window for feedback of all of that is
-- over, and from then on by `stand_in`.
CREATE TABLE forgotten (
    rater    INTEGER PRIMARY KEY,
    time     INTEGER NOT NULL,
    stand_in INTEGER NOT NULL
) STRICT;
CREATE INDEX feedback_by_person ON feedback (rater) WHERE rater <> 0;

-- What was learnt, put back to what it was after the event `until`. The states are all that was known then.
CREATE TABLE rollbacks (
    seq   INTEGER PRIMARY KEY,
    time  INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;
CREATE TABLE rollback_states (
    seq   INTEGER NOT NULL,
    route TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (seq, route)
) STRICT;

-- For analysts: a row for each decision, with how its request ended and the mean of its users' ratings in force. Those that are whole, and
-- after them all, as the archive has them.
DROP VIEW decisions_readable;
CREATE VIEW decisions_whole AS
SELECT
    d.seq,
    lower(hex(d.id)) AS id,
    (SELECT t.trace_id FROM traces t WHERE t.seq = d.seq) AS trace_id,
    strftime('%Y-%m-%d %H:%M:%f', d.time / 1000.0, 'unixepoch') AS time,
    date(d.time / 1000, 'unixepoch') AS day,
    d.route,
    d.reason,
    nullif(z.key, '') AS key,
    nullif(z.tenant, '') AS tenant,
    d.model AS chosen,
    coalesce((SELECT r.model FROM reroutes r WHERE r.decision_id = d.id ORDER BY r.seq DESC LIMIT 1), d.model) AS model,
    d.propensity,
    coalesce(d.satisfaction, d.decision ->> ('$.candidates[' || (d.decision ->> '$.chosen') || '].satisfaction'))
        AS predicted_satisfaction,
    coalesce(d.cost, d.decision ->> ('$.candidates[' || (d.decision ->> '$.chosen') || '].cost')) AS predicted_cost_usd,
    coalesce(d.most_expensive, CASE WHEN d.zoo IS NULL AND d.reason <> 'pinned' THEN
        (SELECT max(c.value ->> '$.cost') FROM json_each(d.decision, '$.candidates') c) END) AS most_expensive_cost_usd,
    coalesce(z.models,
        (SELECT json_group_array(c.value ->> '$.model') FROM json_each(d.decision, '$.candidates') c)) AS models,
    CASE WHEN z.fallback >= 0 THEN z.models ->> z.fallback END AS fallback,
    d.input_tokens AS estimated_input_tokens,
    d.audit_rate,
    d.audit_drawn AS audited,
    o.status,
    o.ok,
    o.streamed,
    o.attempts,
    o.input_tokens,
    o.cached_tokens,
    o.output_tokens,
    o.cost AS cost_usd,
    o.latency_ms,
    o.ttft_ms,
    o.error,
    (SELECT avg(f.rating) FROM feedback f
        WHERE f.decision_id = d.id AND f.source = 'user' AND f.receipt <> 'expired' AND f.seq = (
            SELECT max(g.seq) FROM feedback g
            WHERE g.decision_id = d.id AND g.rater = f.rater AND g.source = 'user' AND g.receipt <> 'expired'))
        AS rating
FROM decisions d
LEFT JOIN zoos z ON z.number = d.zoo
LEFT JOIN outcomes o ON o.seq = (SELECT min(p.seq) FROM outcomes p WHERE p.decision_id = d.id);

CREATE VIEW decisions_readable AS
SELECT * FROM decisions_whole
UNION ALL
SELECT
    a.seq,
    lower(hex(a.id)),
    (SELECT t.trace_id FROM traces t WHERE t.seq = a.seq),
    strftime('%Y-%m-%d %H:%M:%f', a.time / 1000.0, 'unixepoch'),
    date(a.time / 1000, 'unixepoch'),
    k.route,
    k.reason,
    nullif(z.key, ''),
    nullif(z.tenant, ''),
    k.chosen,
    k.model,
    a.propensity,
    a.satisfaction,
    a.cost,
    a.most_expensive,
    z.models,
    CASE WHEN z.fallback >= 0 THEN z.models ->> z.fallback END,
    a.estimated_tokens,
    k.audit_rate,
    k.audited,
    e.status,
    e.ok,
    e.streamed,
    e.attempts,
    a.input_tokens,
    a.cached_tokens,
    a.output_tokens,
    a.cost_usd,
    a.latency_ms,
    a.ttft_ms,
    a.error,
    a.rating
FROM archive a
JOIN archive_kinds k ON k.number = a.kind
LEFT JOIN zoos z ON z.number = k.zoo
LEFT JOIN archive_endings e ON e.number = a.ending;
