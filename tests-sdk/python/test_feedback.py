"""Feedback through the SDKs of products that keep it: each sends to the gateway what it sends to its own server."""

import json
import uuid

import langsmith
import pytest
from conftest import CLIENT_KEY, http
from langfuse import Langfuse
from langsmith.utils import LangSmithNotFoundError


@pytest.fixture
def asked(client):
    """Asks with an id of the application's own; returns the gateway's id of the answer."""

    def ask(trace_id):
        messages = [{"role": "user", "content": "Hello there"}]
        headers = {"x-slarouter-trace-id": trace_id}
        answer = client.chat.completions.with_raw_response.create(model="auto", messages=messages, extra_headers=headers)
        assert answer.headers["x-slarouter-trace-id"] == trace_id
        return answer.parse().id

    return ask


@pytest.fixture
def ratings(base_url):
    """The ratings of an answer, as the gateway explains it."""

    def of(answer_id):
        root = base_url.removesuffix("/v1")
        status, _, body = http("GET", f"{root}/admin/decisions/{answer_id}")
        assert status == 200, body
        return [word["rating"] for word in json.loads(body)["feedback"]]

    return of


def test_langfuse_scores_a_trace(asked, ratings, base_url):
    trace_id = Langfuse.create_trace_id(seed=str(uuid.uuid4()))
    answer = asked(trace_id)
    thumbs = Langfuse(public_key="slarouter", secret_key=CLIENT_KEY, base_url=f"{base_url}/feedback/langfuse")
    thumbs.create_score(trace_id=trace_id, name="toxicity", value=0)
    thumbs.create_score(trace_id=trace_id, name="user-feedback", value=1, comment="exactly")
    thumbs.flush()
    assert ratings(answer) == [1.0]
    # What is scored anew takes the place of what was scored before.
    thumbs.create_score(trace_id=trace_id, name="user-feedback", value=0, data_type="BOOLEAN")
    thumbs.shutdown()
    assert ratings(answer) == [1.0, 0.0]


@pytest.fixture
def thumbs(base_url):
    return langsmith.Client(api_url=f"{base_url}/feedback/langsmith", api_key=CLIENT_KEY, auto_batch_tracing=False)


def test_langsmith_rates_a_run(asked, ratings, thumbs):
    run_id, session_id = uuid.uuid4(), uuid.uuid4()
    answer = asked(str(run_id))
    thumbs.create_feedback(run_id, key="correctness", score=0, session_id=session_id)
    thumbs.create_feedback(run_id, key="user-score", score=1, feedback_source_type="model", session_id=session_id)
    assert ratings(answer) == []
    thumbs.create_feedback(run_id, key="user-score", score=0.5, comment="so so", session_id=session_id)
    assert ratings(answer) == [0.5]


def test_langsmith_says_that_a_run_is_not_known(thumbs, upstream):
    with pytest.raises(LangSmithNotFoundError, match="x-slarouter-trace-id"):
        thumbs.create_feedback(
            uuid.uuid4(), key="user-score", score=1, session_id=uuid.uuid4(), stop_after_attempt=1
        )
