"""What-if against an independent implementation, on a client's own log: what each answer says of its decision, and what was said of it."""

import json
import random

import pytest
from conftest import http
from estimators.bandits import ips, snips

REQUESTS = 120
SATISFIES = {"small": 0.6, "large": 0.9}


@pytest.fixture
def log(client, base_url):
    """Rows of candidates by name, the model chosen, and its rating, if any; the router learns from them on the way."""
    draw, rows = random.Random(7), []
    for _ in range(REQUESTS):
        messages = [{"role": "user", "content": "Hello there"}]
        headers = {"x-slarouter-metadata": "enabled"}
        asked = client.chat.completions.with_raw_response.create(model="auto:judged", messages=messages, extra_headers=headers)
        answer = json.loads(asked.text)
        told = answer["slarouter"]
        rating = None
        if draw.random() < 2 / 3:
            rating = float(draw.random() < SATISFIES[told["model"]])
            body = json.dumps({"id": answer["id"], "rating": rating}).encode()
            status, _, said = http("POST", f"{base_url}/feedback", body)
            assert status == 202, said
        rows.append(({candidate["model"]: candidate for candidate in told["candidates"]}, told["model"], rating))
    return rows


def ask(base_url, question):
    root = base_url.removesuffix("/v1")
    status, _, body = http("POST", f"{root}/admin/what-if", json.dumps({"route": "judged", **question}).encode())
    assert status == 200, body
    return json.loads(body)


def test_points_are_those_of_vw_estimators(log, base_url):
    rated = [(candidates, chosen, rating) for candidates, chosen, rating in log if rating is not None]
    assert {chosen for _, chosen, _ in rated} == set(SATISFIES), "each model was drawn"
    for model in SATISFIES:
        by_propensity, normalised, corrections = ips.Estimator(), snips.Estimator(), ips.Estimator()
        for candidates, chosen, rating in rated:
            drawn, would = candidates[chosen]["probability"], float(chosen == model)
            by_propensity.add_example(drawn, rating, would)
            normalised.add_example(drawn, rating, would)
            corrections.add_example(drawn, rating - candidates[chosen]["predicted_satisfaction"], would)
        predicted = [candidates[model]["predicted_satisfaction"] for candidates, _, _ in log]
        robust = sum(predicted) / len(predicted) + corrections.get()

        answer = ask(base_url, {"policy": f"fixed:{model}"})
        assert (answer["requests"], answer["ran"]["labels"]) == (len(log), len(rated))
        point = answer["asked"]
        assert point["ips"] == pytest.approx(by_propensity.get(), rel=1e-9)
        assert point["snips"] == pytest.approx(normalised.get(), rel=1e-9)
        # No estimate is told that lies outside of what is known.
        known = point["satisfaction"]
        assert known["estimate"] == pytest.approx(min(max(robust, known["lower"]), known["upper"]), rel=1e-9)
