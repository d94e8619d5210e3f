# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The log in the form of Open Bandit Pipeline
#
# [Open Bandit Pipeline](https://github.com/st-tech/zr-obp) (obp) has estimators of another policy's reward, which take a log as a dict of arrays.
# Here this dict is made from an export, and its estimators are held against those of `slarouter what-if`.
#
#     slarouter export export
#     slarouter what-if --policy fixed:large --json > what-if.json
#     python open_bandit.py
#
# obp 0.3.3 is the last release that needs no PyTorch, and none after it can be installed from Python 3.11 on.

# %%
import json
import os
from pathlib import Path

import duckdb
import numpy as np
from obp.ope import (
    DirectMethod,
    DoublyRobust,
    InverseProbabilityWeighting,
    OffPolicyEvaluation,
    SelfNormalizedInverseProbabilityWeighting,
)
from obp.utils import check_bandit_feedback_inputs

EXPORT = Path(os.environ.get("SLAROUTER_EXPORT", "export"))
WHAT_IF = json.loads(Path(os.environ.get("SLAROUTER_WHAT_IF", "what-if.json")).read_text())
MODEL = os.environ.get("SLAROUTER_MODEL", "large")
ROUTE = WHAT_IF["route"]

log = duckdb.connect()
for table in ("decisions", "candidates", "outcomes", "feedback"):
    files = EXPORT / table / "*" / "*" / "*.parquet"
    log.sql(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{files}', hive_partitioning = true, hive_types = {{route: VARCHAR, day: DATE}})")

# %% [markdown]
# ## Rounds
#
# A round is a decision of which something was drawn and whose answer has a label. obp knows no round without a reward, and one list of actions
# for all rounds: take one configuration of the models (here: the newest zoo of the route).

# %%
rounds = log.execute(
    """
    WITH zoos AS (
        SELECT decision_seq AS seq, list(model ORDER BY place) AS models, list(probability ORDER BY place) AS pi_b,
            list(predicted_satisfaction ORDER BY place) AS predicted
        FROM candidates WHERE route = $route GROUP BY decision_seq
    ), labels AS (
        SELECT decision_seq AS seq, avg(rating) AS reward, min(seq) AS first FROM feedback WHERE counted AND source = 'user' GROUP BY decision_seq
    )
    SELECT d.seq, z.models, list_position(z.models, d.chosen) - 1 AS action, l.reward, d.propensity AS pscore, z.pi_b, z.predicted, d.features
    FROM decisions d JOIN zoos z USING (seq) JOIN labels l USING (seq)
    WHERE d.route = $route AND d.reason IN ('exploit', 'explore', 'fallback')
        AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_seq = d.seq AND NOT o.ok AND o.status <> 499
            AND o.seq < (SELECT min(g.seq) FROM feedback g WHERE g.decision_seq = d.seq))
    ORDER BY d.seq
    """,
    {"route": ROUTE},
).df()
models = list(rounds["models"].iloc[-1])
rounds = rounds[[list(names) == models for names in rounds["models"]]]
rounds = rounds[rounds["features"].map(len) == len(rounds["features"].iloc[-1])]

# %% [markdown]
# ## The dict
#
# `pscore` is the probability by which what was chosen was drawn, and `pi_b` that of every action: both are in the log, so nothing is estimated.
# `position` is for lists of several items, of which there is one here.

# %%
n_rounds, n_actions = len(rounds), len(models)
bandit_feedback = {
    "n_rounds": n_rounds,
    "n_actions": n_actions,
    "context": np.array(rounds["features"].tolist(), dtype=float),
    "action": rounds["action"].to_numpy(dtype=int),
    "reward": rounds["reward"].to_numpy(dtype=float),
    "pscore": rounds["pscore"].to_numpy(dtype=float),
    "position": np.zeros(n_rounds, dtype=int),
    "pi_b": np.array(rounds["pi_b"].tolist(), dtype=float)[:, :, None],
    "action_context": np.eye(n_actions),
}
check_bandit_feedback_inputs(**{name: bandit_feedback[name] for name in ("context", "action", "reward", "pscore", "position")})
assert np.allclose(bandit_feedback["pi_b"].sum(axis=1), 1)
drawn = bandit_feedback["pi_b"][np.arange(n_rounds), bandit_feedback["action"], 0]
assert np.allclose(drawn, bandit_feedback["pscore"])
print(f"{n_rounds} rounds, {n_actions} actions, context of {bandit_feedback['context'].shape[1]}")

# %% [markdown]
# ## Estimates
#
# The policy to evaluate always asks `MODEL`. For the direct method and the doubly robust one obp takes predictions of the reward: those of the
# log were made before the answer was given, so they need no sample to be split.

# %%
action_dist = np.zeros((n_rounds, n_actions, 1))
action_dist[:, models.index(MODEL), 0] = 1
predicted = np.array(rounds["predicted"].tolist(), dtype=float)[:, :, None]
evaluation = OffPolicyEvaluation(
    bandit_feedback=bandit_feedback,
    ope_estimators=[
        InverseProbabilityWeighting(),
        SelfNormalizedInverseProbabilityWeighting(),
        DirectMethod(),
        DoublyRobust(),
    ],
)
estimates = evaluation.estimate_policy_values(action_dist=action_dist, estimated_rewards_by_reg_model=predicted)
print(estimates)

# %% [markdown]
# `slarouter what-if` says the first two as `ips` and `snips`. Its own estimate is doubly robust over *all* requests, where obp's is over those
# with a label; and its interval holds however often it is looked at and while the router learns, which the bootstrap below does not.

# %%
same_zoo = WHAT_IF["ran"]["labels"] == n_rounds
if same_zoo:
    assert np.isclose(estimates["ipw"], WHAT_IF["asked"]["ips"], rtol=1e-9)
    assert np.isclose(estimates["snipw"], WHAT_IF["asked"]["snips"], rtol=1e-9)
weight = (bandit_feedback["action"] == models.index(MODEL)) / bandit_feedback["pscore"]
residual = bandit_feedback["reward"] - predicted[np.arange(n_rounds), bandit_feedback["action"], 0]
by_hand = np.mean(predicted[:, models.index(MODEL), 0] + weight * residual)
assert np.isclose(estimates["dr"], by_hand, rtol=1e-9)

# %%
_, bootstrap = evaluation.summarize_off_policy_estimates(
    action_dist=action_dist, estimated_rewards_by_reg_model=predicted, n_bootstrap_samples=200, random_state=7
)
print(bootstrap)
print("what-if:", WHAT_IF["asked"]["satisfaction"])
print(f"obp agrees with what-if on {n_rounds} rounds" if same_zoo else "the zoo has changed: what-if speaks of more rounds")
