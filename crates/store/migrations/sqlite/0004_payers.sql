-- Who is billed for a decision, and with which model savings are compared: in `zoos`, with the models, so that a row takes no byte more.
DROP VIEW decisions_readable;
ALTER TABLE zoos RENAME TO zoos_before;

-- What many decisions have in common. `models`: a JSON array of their names. `fallback`: the place among them of the model that serves where
-- nothing may be chosen, −1 where the client named the model. `key`, `tenant`: names, empty where there is none.
CREATE TABLE zoos (
    number   INTEGER PRIMARY KEY,
    models   TEXT NOT NULL,
    fallback INTEGER NOT NULL,
    key      TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    UNIQUE (models, fallback, key, tenant)
) STRICT;
INSERT INTO zoos SELECT number, models, -1, '', '' FROM zoos_before;
DROP TABLE zoos_before;

-- For analysts: a row for each decision, with how its request ended and the mean of its users' ratings in force.
CREATE VIEW decisions_readable AS
SELECT
    d.seq,
    lower(hex(d.id)) AS id,
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
