-- What a decision was made from, in fewer bytes: docs/log.md. Rows of version 1 stay as they were written: theirs is `decision`, as JSON,
-- and `features` as 4-byte numbers. Rows of this version have an empty `decision`, and what analysts ask for in columns.

-- The models of a decision, as a JSON array of their names: few decisions differ in them.
CREATE TABLE zoos (
    number INTEGER PRIMARY KEY,
    models TEXT NOT NULL UNIQUE
) STRICT;

-- `satisfaction`, `cost`: what was predicted of the chosen model. `most_expensive`: the predicted cost of the most expensive one, NULL
-- where the client named the model.
ALTER TABLE decisions ADD COLUMN zoo INTEGER;
ALTER TABLE decisions ADD COLUMN candidates BLOB;
ALTER TABLE decisions ADD COLUMN satisfaction REAL;
ALTER TABLE decisions ADD COLUMN cost REAL;
ALTER TABLE decisions ADD COLUMN most_expensive REAL;

-- For analysts: a row for each decision, with how its request ended and the mean of its users' ratings in force.
CREATE VIEW decisions_readable AS
SELECT
    d.seq,
    lower(hex(d.id)) AS id,
    strftime('%Y-%m-%d %H:%M:%f', d.time / 1000.0, 'unixepoch') AS time,
    date(d.time / 1000, 'unixepoch') AS day,
    d.route,
    d.reason,
    d.model AS chosen,
    coalesce((SELECT r.model FROM reroutes r WHERE r.decision_id = d.id ORDER BY r.seq DESC LIMIT 1), d.model) AS model,
    d.propensity,
    coalesce(d.satisfaction, d.decision ->> ('$.candidates[' || (d.decision ->> '$.chosen') || '].satisfaction'))
        AS predicted_satisfaction,
    coalesce(d.cost, d.decision ->> ('$.candidates[' || (d.decision ->> '$.chosen') || '].cost')) AS predicted_cost_usd,
    coalesce(d.most_expensive, CASE WHEN d.zoo IS NULL AND d.reason <> 'pinned' THEN
        (SELECT max(c.value ->> '$.cost') FROM json_each(d.decision, '$.candidates') c) END) AS most_expensive_cost_usd,
    coalesce((SELECT z.models FROM zoos z WHERE z.number = d.zoo),
        (SELECT json_group_array(c.value ->> '$.model') FROM json_each(d.decision, '$.candidates') c)) AS models,
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
LEFT JOIN outcomes o ON o.seq = (SELECT min(p.seq) FROM outcomes p WHERE p.decision_id = d.id);
