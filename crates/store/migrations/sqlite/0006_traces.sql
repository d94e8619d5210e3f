-- Ids that applications give their answers, so that feedback finds a decision by an id that its giver knows. A table of its own: a decision
-- without such an id takes no byte more, and the hash of the log stays what it was.
DROP VIEW decisions_readable;

-- `seq`: of the decision. `tenant`: for whom it was asked, empty where there is none. An id is looked up among those of one tenant.
CREATE TABLE traces (
    seq      INTEGER PRIMARY KEY,
    tenant   TEXT NOT NULL,
    trace_id TEXT NOT NULL
) STRICT;
CREATE INDEX traces_by_id ON traces (trace_id, tenant);

-- For analysts: a row for each decision, with how its request ended and the mean of its users' ratings in force.
CREATE VIEW decisions_readable AS
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
