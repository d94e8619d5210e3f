-- The log, as SQLite's tables of version 7 have it; docs/postgresql.md says in what PostgreSQL's differ. What was released is never edited.

-- Who may append, and how far the log is. `epoch` grows with every connection of a writer: what an older one still has under way fails at the
-- row. `expires`: by the database's clock; whoever comes later may take the log over.
CREATE TABLE head (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    epoch   bigint NOT NULL,
    holder  uuid,
    host    text,
    expires timestamptz NOT NULL,
    seq     bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO head (epoch, expires, seq) VALUES (0, now(), 0);

-- Who has held the log, and after which event each began. A standby that is promoted may lack the last commits: what it then appends has the
-- numbers of events that are lost, and another term, by which whoever has learnt from those sees it.
CREATE TABLE terms (
    epoch bigint PRIMARY KEY,
    term  uuid NOT NULL,
    seq   bigint NOT NULL
);
CREATE INDEX terms_by_seq ON terms (seq, epoch);

-- Each start of a process is a stream. It numbers its transactions, and `written` is the last one that was committed: so a process that lost
-- its connection while it committed knows whether it has to do so again. `session` grows with each of its connections: what an older one still
-- has under way fails at the row. `sent`: the last number in its inbox. `seen`: when it was last there.
CREATE TABLE streams (
    stream  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    boot    uuid NOT NULL UNIQUE,
    host    text NOT NULL,
    version text NOT NULL,
    started timestamptz NOT NULL DEFAULT now(),
    seen    timestamptz NOT NULL DEFAULT now(),
    ended   timestamptz,
    session bigint NOT NULL,
    written bigint NOT NULL DEFAULT 0,
    sent    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

-- What processes send that do not hold the log, each numbered from 1 without a gap; whoever holds it takes it out. `kind`: 1 a decision, 2 a
-- rating, 3 a reported outcome, 0 what nobody looks for. `body`: postcard's form of it.
CREATE TABLE inbox (
    stream      bigint NOT NULL,
    n           bigint NOT NULL,
    kind        integer NOT NULL,
    decision_id uuid,
    body        bytea NOT NULL,
    PRIMARY KEY (stream, n)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX inbox_by_decision ON inbox (decision_id);

-- How far each stream is in the log; its own table, so that nobody who sends waits for whoever takes, nor the other way round.
CREATE TABLE taken (
    stream bigint PRIMARY KEY,
    n      bigint NOT NULL
) WITH (fillfactor = 10);

-- Ratings whose decisions are not in the log yet, in the order in which they came. `until`: when nobody waits for the decision any more.
CREATE TABLE waiting (
    place       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision_id uuid NOT NULL,
    until       bigint NOT NULL,
    body        bytea NOT NULL
);
CREATE INDEX waiting_by_decision ON waiting (decision_id);

-- Of what is spent, what each process has spent since it began.
CREATE TABLE spent_by (
    stream   bigint NOT NULL,
    day      bigint NOT NULL,
    nano_usd bigint NOT NULL,
    account  text COLLATE "C" NOT NULL,
    PRIMARY KEY (stream, account, day)
) WITH (fillfactor = 70);

-- What is used up of the limits per minute that keys and tenants have, at all gateways together: as of `time`, in seconds that it takes to come
-- back. Nothing that has to outlive a crash.
CREATE UNLOGGED TABLE limit_usage (
    account    text COLLATE "C" PRIMARY KEY,
    requests_s double precision NOT NULL,
    tokens_s   double precision NOT NULL,
    time       timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Grows with each change of the keys.
CREATE TABLE key_changes (version bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO key_changes VALUES (0);

-- `seq` numbers all events of all tables in one order; the learner reads them in it.
CREATE TABLE route_configs (
    seq   bigint PRIMARY KEY,
    time  bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    spec  text COLLATE "C" NOT NULL
);

-- What many decisions have in common. `models`: a JSON array of their names. `fallback`: the place among them of the model that serves where
-- nothing may be chosen, −1 where the client named the model. `key`, `tenant`: names, empty where there is none.
CREATE TABLE zoos (
    number   bigint PRIMARY KEY,
    models   text COLLATE "C" NOT NULL,
    fallback bigint NOT NULL,
    key      text COLLATE "C" NOT NULL,
    tenant   text COLLATE "C" NOT NULL
);

-- `decision` is empty but in rows that release 0.1 wrote and that came over from SQLite; `zoo` and what follows it is NULL in those.
CREATE TABLE decisions (
    seq             bigint PRIMARY KEY,
    time            bigint NOT NULL,
    id              uuid NOT NULL UNIQUE,
    propensity      double precision NOT NULL,
    input_tokens    double precision NOT NULL,
    state_seq       bigint NOT NULL,
    feature_version bigint NOT NULL,
    audit_rate      double precision NOT NULL,
    zoo             bigint,
    satisfaction    double precision,
    cost            double precision,
    most_expensive  double precision,
    audit_drawn     boolean NOT NULL,
    route           text COLLATE "C" NOT NULL,
    reason          text COLLATE "C" NOT NULL,
    model           text COLLATE "C" NOT NULL,
    decision        text COLLATE "C" NOT NULL DEFAULT '',
    candidates      bytea,
    features        bytea NOT NULL,
    prompt          text COLLATE "C"
);
CREATE INDEX decisions_to_audit ON decisions (seq) WHERE audit_drawn;

-- The model that answers in place of the one chosen; written before its first byte goes out.
CREATE TABLE reroutes (
    seq         bigint PRIMARY KEY,
    decision_id uuid NOT NULL,
    model       text COLLATE "C" NOT NULL
);
CREATE INDEX reroutes_by_decision ON reroutes (decision_id, seq);

-- Token counts are NULL where they are unknown. The gateway made no attempt for the outcomes that callers report of decisions which they
-- carried out themselves.
CREATE TABLE outcomes (
    seq                bigint PRIMARY KEY,
    decision_id        uuid NOT NULL,
    time               bigint NOT NULL,
    input_tokens       double precision,
    cached_tokens      double precision,
    cache_write_tokens double precision,
    output_tokens      double precision,
    reasoning_tokens   double precision,
    cost               double precision NOT NULL,
    latency_ms         double precision NOT NULL,
    ttft_ms            double precision,
    attempts           bigint NOT NULL,
    status             integer NOT NULL,
    ok                 boolean NOT NULL,
    streamed           boolean NOT NULL,
    model              text COLLATE "C" NOT NULL,
    error              text COLLATE "C"
);
CREATE INDEX outcomes_by_decision ON outcomes (decision_id, seq);
CREATE INDEX reported_outcomes ON outcomes (decision_id) WHERE attempts = 0;

-- `source`: whose word a rating is, a user's or an auditor's.
CREATE TABLE feedback (
    seq         bigint PRIMARY KEY,
    decision_id uuid NOT NULL,
    time        bigint NOT NULL,
    rater       bigint NOT NULL,
    rating      double precision,
    source      text COLLATE "C" NOT NULL,
    receipt     text COLLATE "C" NOT NULL,
    comment     text COLLATE "C"
);
CREATE INDEX feedback_by_rater ON feedback (decision_id, rater, seq);
-- Which rating of a decision was its first: without it each rating is read past all others of its decision.
CREATE INDEX feedback_by_decision ON feedback (decision_id, seq);

-- Ids that applications give their answers. `seq`: of the decision. `tenant`: for whom it was asked, empty where there is none.
CREATE TABLE traces (
    seq      bigint PRIMARY KEY,
    tenant   text COLLATE "C" NOT NULL,
    trace_id text COLLATE "C" NOT NULL
);
CREATE INDEX traces_by_id ON traces (trace_id, tenant, seq);

-- `place`: among the states that were saved together. `epoch`: of the writer that saved them.
CREATE TABLE snapshots (
    seq   bigint NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    place bigint GENERATED BY DEFAULT AS IDENTITY,
    time  bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (route, seq)
);

-- Clients' keys. Rows stay when a key ends: that there ever was one is what closes an open gateway.
CREATE TABLE api_keys (
    id      text COLLATE "C" PRIMARY KEY,
    place   bigint GENERATED BY DEFAULT AS IDENTITY,
    created bigint NOT NULL,
    expires bigint,
    revoked bigint,
    digest  bytea NOT NULL UNIQUE,
    name    text COLLATE "C" NOT NULL,
    hint    text COLLATE "C" NOT NULL,
    grants  text COLLATE "C" NOT NULL
);

-- What each account with a budget has spent or reserved per day since 1970, in 10⁻⁹ USD: whole numbers, so that sums are exact.
CREATE TABLE spending (
    day      bigint NOT NULL,
    nano_usd bigint NOT NULL,
    account  text COLLATE "C" NOT NULL,
    PRIMARY KEY (account, day)
);

-- Sums of the log. What is in them and how far they have come changes in one transaction, so each event is counted once.
CREATE TABLE rollup_groups (
    number bigint PRIMARY KEY,
    route  text COLLATE "C" NOT NULL,
    model  text COLLATE "C" NOT NULL,
    key    text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL
);
CREATE INDEX rollup_groups_by_route ON rollup_groups (route);

-- `span`: 0 a minute, 1 a quarter of an hour, 2 a day of `rolled.zone`. `start`: when it begins, in milliseconds since 1970. Each request and
-- each rating counts at the time of its decision, once in each span.
CREATE TABLE rollups (
    span                     bigint NOT NULL,
    grp                      bigint NOT NULL,
    start                    bigint NOT NULL,
    requests                 bigint NOT NULL,
    pinned                   bigint NOT NULL,
    errors                   bigint NOT NULL,
    cancelled                bigint NOT NULL,
    rerouted                 bigint NOT NULL,
    explored                 bigint NOT NULL,
    fallbacks                bigint NOT NULL,
    input_tokens             bigint NOT NULL,
    cached_tokens            bigint NOT NULL,
    output_tokens            bigint NOT NULL,
    cost_nano                bigint NOT NULL,
    baseline_nano            bigint NOT NULL,
    correction_nano          bigint NOT NULL,
    supported                bigint NOT NULL,
    checked                  bigint NOT NULL,
    predicted_micro          bigint NOT NULL,
    fallback_predicted_micro bigint NOT NULL,
    ratings                  bigint NOT NULL,
    up                       bigint NOT NULL,
    down                     bigint NOT NULL,
    rating_micro             bigint NOT NULL,
    audits                   bigint NOT NULL,
    audit_micro              bigint NOT NULL,
    observed                 bigint NOT NULL,
    observed_baseline_nano   bigint NOT NULL,
    plan_saving_nano         bigint NOT NULL,
    plan_correction_nano     bigint NOT NULL,
    plan_supported_micro     bigint NOT NULL,
    plan_predicted_micro     bigint NOT NULL,
    plan_labels              bigint NOT NULL,
    plan_tried               bigint NOT NULL,
    plan_label_micro         bigint NOT NULL,
    PRIMARY KEY (span, grp, start)
) WITH (fillfactor = 70);

-- The last certificate of a route in each span.
CREATE TABLE certificates (
    span     bigint NOT NULL,
    start    bigint NOT NULL,
    alpha    double precision NOT NULL,
    requests bigint NOT NULL,
    labels   bigint NOT NULL,
    lower    double precision NOT NULL,
    estimate double precision NOT NULL,
    upper    double precision NOT NULL,
    route    text COLLATE "C" NOT NULL,
    PRIMARY KEY (span, route, start)
) WITH (fillfactor = 70);

-- The last event that is counted, the latest decision that was counted, and the time zone whose days are summed.
CREATE TABLE rolled (
    seq    bigint NOT NULL,
    newest bigint NOT NULL,
    zone   text COLLATE "C" NOT NULL
) WITH (fillfactor = 10);
INSERT INTO rolled VALUES (0, 0, '');

-- A log that ends: docs/log.md says what stays of a decision.

-- What many rows of the archive have in common. `chosen`: the model that was chosen; `model`: the one that answered.
CREATE TABLE archive_kinds (
    number     bigint PRIMARY KEY,
    zoo        bigint NOT NULL,
    audit_rate double precision NOT NULL,
    audited    boolean NOT NULL,
    route      text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    chosen     text COLLATE "C" NOT NULL,
    model      text COLLATE "C" NOT NULL,
    UNIQUE (route, reason, zoo, chosen, model, audit_rate, audited)
);
CREATE TABLE archive_endings (
    number   bigint PRIMARY KEY,
    attempts bigint NOT NULL,
    status   integer NOT NULL,
    ok       boolean NOT NULL,
    streamed boolean NOT NULL,
    UNIQUE (status, ok, streamed, attempts)
);

-- A decision that nothing is learnt from any more, with how it ended and how it was rated, in one short row. `seq` is its number in the log.
-- `ending` is NULL where it never ended, and where that is no longer kept.
CREATE TABLE archive (
    seq              bigint PRIMARY KEY,
    time             bigint NOT NULL,
    id               uuid NOT NULL UNIQUE,
    kind             bigint NOT NULL,
    propensity       double precision NOT NULL,
    estimated_tokens double precision NOT NULL,
    satisfaction     double precision,
    cost             double precision,
    most_expensive   double precision,
    ending           bigint,
    input_tokens     double precision,
    cached_tokens    double precision,
    output_tokens    double precision,
    cost_usd         double precision,
    latency_ms       double precision,
    ttft_ms          double precision,
    rating           double precision,
    error            text COLLATE "C"
);

-- What is gone. `seq`: events up to this one are not all as they were written. The others: in milliseconds since 1970, from when on each kind
-- is there; `outcomes_seq` and `prompts_seq` are the last rows whose outcome or prompt is gone.
CREATE TABLE shortened (
    seq          bigint NOT NULL,
    whole        bigint NOT NULL,
    decisions    bigint NOT NULL,
    outcomes     bigint NOT NULL,
    feedback     bigint NOT NULL,
    prompts      bigint NOT NULL,
    rollups      bigint NOT NULL,
    outcomes_seq bigint NOT NULL,
    prompts_seq  bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO shortened VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0);

-- Raters who are to be forgotten, with all that they said up to `time`: by their number until the window for feedback of all of that is
-- over, and from then on by `stand_in`.
CREATE TABLE forgotten (
    rater    bigint PRIMARY KEY,
    time     bigint NOT NULL,
    stand_in bigint NOT NULL
);
CREATE INDEX feedback_by_person ON feedback (rater, seq) WHERE rater <> 0;

-- Raters whom a gateway was asked to forget, with all that they said up to `until`, that does not hold the log: for whoever does.
CREATE TABLE to_forget (
    rater bigint PRIMARY KEY,
    until bigint NOT NULL
);

-- What was learnt, put back to what it was after the event `until`. The states are all that was known then; `place`: among them.
CREATE TABLE rollbacks (
    seq   bigint PRIMARY KEY,
    time  bigint NOT NULL,
    until bigint NOT NULL
);
CREATE TABLE rollback_states (
    seq   bigint NOT NULL,
    place bigint GENERATED BY DEFAULT AS IDENTITY,
    route text COLLATE "C" NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (seq, route)
);

-- For analysts: a row for each decision, with how its request ended and the mean of its users' ratings in force. Those that are whole, and
-- after them all, as the archive has them. The last two columns are as the tables have them, for joins.
CREATE VIEW decisions_whole AS
SELECT
    d.seq,
    replace(d.id::text, '-', '') AS id,
    (SELECT t.trace_id FROM traces t WHERE t.seq = d.seq) AS trace_id,
    to_char(to_timestamp(d.time / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS time,
    to_char(to_timestamp(d.time / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
    d.route,
    d.reason,
    nullif(z.key, '') AS key,
    nullif(z.tenant, '') AS tenant,
    d.model AS chosen,
    coalesce((SELECT r.model FROM reroutes r WHERE r.decision_id = d.id ORDER BY r.seq DESC LIMIT 1), d.model) AS model,
    d.propensity,
    coalesce(d.satisfaction, (nullif(d.decision, '')::json #>> ARRAY['candidates', nullif(d.decision, '')::json ->> 'chosen', 'satisfaction'])::double precision)
        AS predicted_satisfaction,
    coalesce(d.cost, (nullif(d.decision, '')::json #>> ARRAY['candidates', nullif(d.decision, '')::json ->> 'chosen', 'cost'])::double precision)
        AS predicted_cost_usd,
    coalesce(d.most_expensive, CASE WHEN d.zoo IS NULL AND d.reason <> 'pinned' THEN
        (SELECT max((c.value ->> 'cost')::double precision) FROM json_array_elements(nullif(d.decision, '')::json -> 'candidates') c) END)
        AS most_expensive_cost_usd,
    coalesce(z.models,
        (SELECT '[' || string_agg(to_json(c.value ->> 'model')::text, ',' ORDER BY c.place) || ']'
            FROM json_array_elements(nullif(d.decision, '')::json -> 'candidates') WITH ORDINALITY c (value, place))) AS models,
    CASE WHEN z.fallback >= 0 THEN z.models::json ->> z.fallback::integer END AS fallback,
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
        AS rating,
    d.id AS decision_id,
    d.time AS decided_ms
FROM decisions d
LEFT JOIN zoos z ON z.number = d.zoo
LEFT JOIN LATERAL (SELECT * FROM outcomes p WHERE p.decision_id = d.id ORDER BY p.seq LIMIT 1) o ON true;

CREATE VIEW decisions_readable AS
SELECT * FROM decisions_whole
UNION ALL
SELECT
    a.seq,
    replace(a.id::text, '-', ''),
    (SELECT t.trace_id FROM traces t WHERE t.seq = a.seq),
    to_char(to_timestamp(a.time / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'),
    to_char(to_timestamp(a.time / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD'),
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
    CASE WHEN z.fallback >= 0 THEN z.models::json ->> z.fallback::integer END,
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
    a.rating,
    a.id,
    a.time
FROM archive a
JOIN archive_kinds k ON k.number = a.kind
LEFT JOIN zoos z ON z.number = k.zoo
LEFT JOIN archive_endings e ON e.number = a.ending;
