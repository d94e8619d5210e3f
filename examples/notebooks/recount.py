# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The report, recounted
#
# `slarouter export` writes the log as Parquet, one folder for each table. Here DuckDB works out from these files alone what `slarouter report`
# and `slarouter what-if` say of the same log: how satisfied users were, what was saved and how sure that is, and the estimates of another way
# to choose by inverse propensities. At the end both must agree.
#
#     slarouter export export
#     slarouter report --from 2026-11 --format json > report.json
#     slarouter what-if --policy fixed:large --json > what-if.json
#     python recount.py
#
# `examples/notebooks/requirements.txt` names what it needs. Jupyter opens this file as a notebook with jupytext.

# %%
import json
import math
import os
from pathlib import Path

import duckdb
from scipy.stats import t as student

EXPORT = Path(os.environ.get("SLAROUTER_EXPORT", "export"))
REPORT = json.loads(Path(os.environ.get("SLAROUTER_REPORT", "report.json")).read_text())
WHAT_IF = json.loads(Path(os.environ.get("SLAROUTER_WHAT_IF", "what-if.json")).read_text())
# The model that alone would have served in the question of what-if.
MODEL = os.environ.get("SLAROUTER_MODEL", "large")

MANIFEST = json.loads((EXPORT / "manifest.json").read_text())
assert MANIFEST["schema_version"] == 1

# %% [markdown]
# Each table is a folder of files, and the folders below it say the route and the day of the decision.

# %%
log = duckdb.connect()
for table in MANIFEST["tables"]:
    files = EXPORT / table["name"] / "*" / "*" / "*.parquet"
    log.sql(f"CREATE VIEW {table['name']} AS SELECT * FROM read_parquet('{files}', hive_partitioning = true, hive_types = {{route: VARCHAR, day: DATE}})")
    assert log.sql(f"SELECT count(*) FROM {table['name']}").fetchall() == [(table["rows"],)]

# %% [markdown]
# ## Satisfaction
#
# A rating counts in the month of its decision. `counted` says which ratings are in force: of several words of one rater the last one, and none
# that came after the feedback window.

# %%
ratings = log.sql("""
    SELECT d.route, strftime(d.day, '%Y-%m') AS month,
        count(*) FILTER (WHERE source = 'user') AS ratings,
        count(*) FILTER (WHERE source = 'audit') AS audits,
        avg(rating) FILTER (WHERE source = 'user') AS satisfaction
    FROM feedback f JOIN decisions d ON d.seq = f.decision_seq
    WHERE f.counted GROUP BY ALL ORDER BY ALL
""")
print(ratings)

# %% [markdown]
# ## What was saved
#
# The baseline is the route's fallback. What it was predicted to cost, ĉ, stands for every request that got a whole answer; where it was
# drawn, with probability p, it is set right by (c − ĉ)/p, so that the sum is right if the probabilities are or if the predictions are. Where
# nothing could be saved the baseline is what was charged: for requests that named their model, for those without a whole answer, and for those
# that the fallback could not take.

# %%
log.sql("""
    CREATE VIEW requests AS
    SELECT d.route, d.day, strftime(d.day, '%Y-%m') AS month, d.reason = 'pinned' AS pinned,
        NOT o.ok AND o.status <> 499 AS error, d.chosen <> o.model AS rerouted, o.cost_usd AS cost,
        NOT pinned AND b.probability > 0 AS supported,
        NOT pinned AND o.ok AND NOT b.excluded AS compared,
        compared AND b.chosen AND supported AS checked,
        CASE WHEN compared THEN b.predicted_cost_usd ELSE o.cost_usd END AS baseline,
        CASE WHEN checked THEN (o.cost_usd - b.predicted_cost_usd) / b.probability ELSE 0 END AS correction
    FROM outcomes o
    JOIN decisions d ON d.seq = o.decision_seq
    LEFT JOIN candidates b ON b.decision_seq = d.seq AND b.model = d.fallback
    WHERE o.counted AND d.route IS NOT NULL
""")
requests = log.sql("""
    SELECT route, month, count(*) AS requests, count(*) FILTER (WHERE error) AS errors, count(*) FILTER (WHERE pinned) AS pinned,
        count(*) FILTER (WHERE rerouted) AS rerouted, sum(cost) AS cost, sum(baseline + correction) - sum(cost) AS saved,
        coalesce(count(*) FILTER (WHERE supported) / nullif(count(*) FILTER (WHERE NOT pinned), 0), 0) AS supported
    FROM requests GROUP BY ALL ORDER BY ALL
""")
print(requests)

# %% [markdown]
# How sure the saving is follows from how the days differ in their corrections: the sum of n alike days has the standard error
# √(n/(n − 1) · Σ(x − x̄)²). Days in which the fallback could not be drawn tell nothing, and of fewer than 8 days in which it was drawn nothing is
# said.

# %%
intervals = {}
for route, month in log.sql("SELECT DISTINCT route, month FROM requests").fetchall():
    days = log.execute(
        "SELECT sum(correction), bool_or(checked) FROM requests WHERE route = ? AND month = ? GROUP BY day HAVING bool_or(supported)",
        [route, month],
    ).fetchall()
    corrections = [correction for correction, _ in days]
    if sum(checked for _, checked in days) < 8:
        continue
    n, mean = len(corrections), sum(corrections) / len(corrections)
    error = math.sqrt(n / (n - 1) * sum((x - mean) ** 2 for x in corrections))
    intervals[route, month] = error * student.ppf(0.975, n - 1)

# %% [markdown]
# ## Another way to choose
#
# Had `MODEL` alone served, how satisfied would users have been? Each labelled answer that it gave stands for as many as its propensity says:
# IPS is the mean of w·r over all labels, and SNIPS divides by the sum of w instead, with w = 1{MODEL was drawn}/p. Only what was drawn counts,
# by the model that was chosen, and no answer that failed before anybody rated it.

# %%
((ips, snips, labels),) = log.execute(
    """
    WITH labelled AS (
        SELECT avg(f.rating) AS reward, any_value(CASE WHEN d.chosen = $model THEN 1 / d.propensity ELSE 0 END) AS weight
        FROM feedback f JOIN decisions d ON d.seq = f.decision_seq
        WHERE f.counted AND f.source = 'user' AND d.route = $route AND d.reason IN ('exploit', 'explore', 'fallback')
            AND NOT EXISTS (
                SELECT 1 FROM outcomes o WHERE o.decision_seq = d.seq AND NOT o.ok AND o.status <> 499
                    AND o.seq < (SELECT min(g.seq) FROM feedback g WHERE g.decision_seq = d.seq))
        GROUP BY d.seq
    )
    SELECT avg(weight * reward), sum(weight * reward) / sum(weight), count(*) FROM labelled
    """,
    {"model": MODEL, "route": WHAT_IF["route"]},
).fetchall()
print(f"{labels} labels: IPS {ips:.4f}, SNIPS {snips:.4f}")

# %% [markdown]
# ## Both agree
#
# The report sums 10⁻⁹ USD and 10⁻⁶ of a rating, so sums of n requests differ by n/2 of these at most.

# %%
def agree(said, found, tolerance=0.0):
    assert said is not None and math.isclose(said, found, rel_tol=1e-9, abs_tol=tolerance), f"{said} is not {found}"


assert REPORT["log_seq"] == MANIFEST["log"]["seq"] and REPORT["log_sha256"] == MANIFEST["log"]["sha256"], "of one log"
rated = {(route, month): rest for route, month, *rest in ratings.fetchall()}
counted = {(route, month): rest for route, month, *rest in requests.fetchall()}
compared = 0
for month in REPORT["months"]:
    for route in month["routes"]:
        place = route["name"], month["name"]
        found, (n_ratings, n_audits, satisfaction) = counted[place], rated.get(place, (0, 0, None))
        total, *counts, cost, saved, supported = found
        assert [route[name] for name in ("requests", "errors", "pinned", "rerouted")] == [total, *counts]
        assert (route["ratings"], route["audits"]) == (n_ratings, n_audits)
        if n_ratings:
            agree(route["rated_satisfaction"], satisfaction, 1e-6)
        agree(route["cost_usd"], cost, total * 1e-9)
        agree(route["saved_usd"], saved, 3 * total * 1e-9)
        agree(route["saving_supported"], supported)
        assert (route["saved_interval_usd"] is None) == (place not in intervals)
        if place in intervals:
            lower, upper = route["saved_interval_usd"]
            # The report approximates Student's law to 0.001.
            assert math.isclose((upper - lower) / 2, intervals[place], rel_tol=1e-3)
        compared += 1
assert compared, "the report speaks of some route"
assert WHAT_IF["log_seq"] == MANIFEST["log"]["seq"] and WHAT_IF["ran"]["labels"] == labels
agree(WHAT_IF["asked"]["ips"], ips)
agree(WHAT_IF["asked"]["snips"], snips)
print(f"the report and what-if agree with {compared} months of routes and {labels} labels")
