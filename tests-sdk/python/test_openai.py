"""The HTTP contract as a stock OpenAI Python SDK sees it."""

import asyncio
import json
import uuid

import openai
import pytest
from conftest import CLIENT_KEY, UPSTREAM_KEY, http

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there, gateway"}]
ANSWER = "You said: Hello there, gateway"
PRICES = {"small": (0.10, 0.40), "large": (2.50, 10.00)}
BASICS = {"messages": MESSAGES}


def ask(client, model, **options):
    return client.chat.completions.create(model=model, **BASICS, **options)


def ask_raw(client, model, **options):
    return client.chat.completions.with_raw_response.create(model=model, **BASICS, **options)


def rate(client, **body):
    return client.post("/feedback", body=body, cast_to=object)


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def finishes(chunks):
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


def assert_decision_id(id):
    assert id.startswith("chatcmpl-")
    value = uuid.UUID(id.removeprefix("chatcmpl-"))
    assert value.version == 7 and id == f"chatcmpl-{value}"


def assert_cost(usage, model):
    fresh, output = PRICES[model]
    expected = (usage.prompt_tokens * fresh + usage.completion_tokens * output) / 1e6
    assert usage.model_extra["cost"] == pytest.approx(expected, rel=1e-9) and expected > 0


# Plain answers


@pytest.mark.parametrize("model, route", [("auto", "default"), ("auto:default", "default"), ("auto:flaky", "flaky")])
def test_auto(client, upstream, model, route):
    raw = ask_raw(client, model)
    answer, headers = raw.parse(), raw.headers
    assert_decision_id(answer.id)
    assert answer.id == answer._request_id == headers["x-request-id"]
    assert answer.choices[0].message.content == ANSWER
    assert headers["x-slarouter-route"] == route
    assert headers["x-slarouter-decision"] in {"exploit", "explore", "fallback", "rerouted"}
    assert headers["x-slarouter-upstream-id"].startswith("chatcmpl-up-")
    chosen = headers["x-slarouter-model"]
    assert answer.model == {"small": "ok", "large": "vendor/ok"}[chosen]
    assert json.loads(upstream.requests()[-1]["body"])["model"] == answer.model
    assert_cost(answer.usage, chosen)
    assert float(headers["x-slarouter-cost-usd"]) == pytest.approx(answer.usage.model_extra["cost"], abs=1e-9)


@pytest.mark.parametrize("model", PRICES)
def test_pinned(client, model):
    raw = ask_raw(client, model)
    assert raw.headers["x-slarouter-decision"] == "pinned"
    assert raw.headers["x-slarouter-model"] == model
    assert_cost(raw.parse().usage, model)


def test_answer_is_kept(client):
    raw = ask_raw(client, "small")
    # Not only equal as JSON: the bytes are the upstream's.
    assert b'"x_extra":{"keep":1.0}' in raw.content
    answer = raw.parse()
    assert answer.created == 1767225600
    assert answer.system_fingerprint == "fp_up_1"
    assert answer.usage.prompt_tokens == 12 and answer.usage.prompt_tokens_details.cached_tokens == 4
    assert answer.choices[0].message.refusal is None and "refusal" in answer.choices[0].message.model_fields_set
    assert "slarouter" not in answer.model_extra


def test_request_is_kept(client, upstream):
    huge = 123456789012345678901234567890
    extra = {"x_vendor": {"ratio": 1.0, "huge": huge, "word": "naïve", "null": None}, "top_k": 4}
    known = {"user": "u-1", "metadata": {"team": "a"}, "temperature": 0.0, "store": False, "seed": 7}
    ask(client, "small", extra_body=extra, **known)
    body = upstream.request()["body"]
    assert json.loads(body) == {"model": "ok", "messages": MESSAGES, **known, **extra}
    assert '"ratio":1.0' in body and str(huge) in body and "naïve" in body


def test_keys_stay_apart(client, upstream):
    ask(client, "small")
    assert upstream.request()["headers"]["authorization"] == f"Bearer {UPSTREAM_KEY}"
    ask(client, "keyless")
    request = upstream.requests()[-1]
    assert "authorization" not in request["headers"]
    assert CLIENT_KEY not in json.dumps(upstream.requests())


def test_tool_calls(client, upstream):
    function = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    tools = [{"type": "function", "function": function}]
    answer = ask(client, "tools-model", tools=tools)
    assert answer.choices[0].finish_reason == "tool_calls" and answer.choices[0].message.content is None
    calls = answer.choices[0].message.tool_calls
    assert [call.id for call in calls] == ["call_up_0", "call_up_1"]
    assert {call.function.name for call in calls} == {"weather"}
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Lima"}, {"city": "Oslo"}]
    assert json.loads(upstream.request()["body"])["tools"] == tools


def test_reasoning(client):
    message = ask(client, "reasoning-model").choices[0].message
    assert (message.content, message.reasoning_content) == ("It is 42.", "Six by seven.")


def test_ids_differ_under_concurrency(base_url, upstream):
    async def many():
        async with openai.AsyncOpenAI(base_url=base_url, api_key=CLIENT_KEY) as client:
            return await asyncio.gather(*(ask(client, "auto", user=str(n)) for n in range(32)))

    answers = asyncio.run(many())
    assert len({answer.id for answer in answers}) == 32
    assert {answer.choices[0].message.content for answer in answers} == {ANSWER}


# Streams


@pytest.mark.parametrize("model", ["auto", "small", "crlf-model", "split-model"])
def test_stream(client, model):
    stream = ask(client, model, stream=True)
    headers = stream.response.headers
    chunks = list(stream)
    assert {chunk.id for chunk in chunks} == {headers["x-request-id"]}
    assert_decision_id(chunks[0].id)
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-slarouter-upstream-id"].startswith("chatcmpl-up-")
    assert headers["x-slarouter-decision"] in ({"exploit", "explore", "fallback", "rerouted"} if model == "auto" else {"pinned"})
    assert headers["x-slarouter-model"] in PRICES if model == "auto" else headers["x-slarouter-model"] == model
    assert text_of(chunks) == ANSWER
    assert finishes(chunks) == ["stop"]
    # Nobody asked for usage.
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert all(chunk.model_extra["x_extra"] == {"keep": 1.0} for chunk in chunks)


@pytest.mark.parametrize("model", ["small", "large"])
def test_stream_with_usage(client, model):
    chunks = list(ask(client, model, stream=True, stream_options={"include_usage": True}))
    *others, last = chunks
    assert last.choices == [] and last.usage.prompt_tokens_details.cached_tokens == 4
    assert_cost(last.usage, model)
    assert all(chunk.usage is None for chunk in others)
    assert finishes(chunks) == ["stop"]


def test_stream_bytes(client):
    create = client.chat.completions.with_streaming_response.create
    with create(model="small", stream=True, **BASICS) as response:
        text = "".join(response.iter_text())
    assert text.endswith("data: [DONE]\n\n") and text.count('"x_extra":{"keep":1.0}') == text.count("data: {")


def test_stream_of_tool_calls(client):
    calls = {}
    for chunk in ask(client, "tools-model", stream=True):
        for delta in chunk.choices[0].delta.tool_calls or []:
            if delta.id:
                calls[delta.index] = [delta.id, delta.function.name, ""]
            else:
                # A later delta carries what the upstream sent and nothing made up.
                assert delta.model_fields_set == {"index", "function"}
                assert delta.function.model_fields_set == {"arguments"}
            calls[delta.index][2] += delta.function.arguments
    assert chunk.choices[0].finish_reason == "tool_calls"
    assert calls == {
        0: ["call_up_0", "get_weather", '{"city": "Lima"}'],
        1: ["call_up_1", "get_weather", '{"city": "Oslo"}'],
    }


def test_stream_of_reasoning(client):
    deltas = [chunk.choices[0].delta for chunk in ask(client, "reasoning-model", stream=True)]
    assert "".join((delta.model_extra or {}).get("reasoning_content", "") for delta in deltas) == "Six by seven."
    assert "".join(delta.content or "" for delta in deltas) == "It is 42."


@pytest.mark.parametrize("model, words", [("cut-model", "You said: "), ("eof-model", ANSWER)])
def test_broken_stream_never_looks_finished(client, upstream, model, words):
    chunks = []
    with pytest.raises(openai.APIError) as raised:
        for chunk in ask(client, model, stream=True):
            chunks.append(chunk)
    assert raised.value.message
    assert len(upstream.requests()) == 1, "nothing is sent again once bytes have gone out"
    assert text_of(chunks) == words
    assert finishes(chunks) == []

    create = client.chat.completions.with_streaming_response.create
    with create(model=model, stream=True, **BASICS) as response:
        text = "".join(response.iter_text())
    assert '"error"' in text and "[DONE]" not in text


def test_upstream_error_event_is_kept(client):
    with pytest.raises(openai.APIError, match="shutting down"):
        list(ask(client, "error-event-model", stream=True))


def test_garbage_in_a_stream_is_not_swallowed(client):
    with pytest.raises((openai.APIError, ValueError)):
        list(ask(client, "garbage-model", stream=True))


# Errors


def assert_final(error, again="false"):
    assert error.response.headers["x-should-retry"] == again
    assert_decision_id(error.request_id)


@pytest.mark.parametrize("stream", [False, True])
def test_rate_limit(client, upstream, stream):
    with pytest.raises(openai.RateLimitError) as raised:
        # The SDK would wait as long as the provider asks to.
        ask(client.with_options(max_retries=0), "limited", stream=stream)
    error = raised.value
    assert (error.type, error.code) == ("requests", "rate_limit_exceeded")
    assert error.response.headers["retry-after"] == "7"
    assert_final(error, again="true")
    assert len(upstream.requests()) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_bad_request(client, upstream, stream):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, "too-long", stream=stream)
    error = raised.value
    assert (error.type, error.code, error.param) == ("invalid_request_error", "context_length_exceeded", "messages")
    assert_final(error)
    assert len(upstream.requests()) == 1


def test_upstream_refuses_key(client, upstream):
    with pytest.raises(openai.AuthenticationError) as raised:
        ask(client, "bad-key")
    assert raised.value.code == "invalid_api_key"
    assert len(upstream.requests()) == 1


def test_retries_do_not_multiply(client, upstream):
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, "err-a")
    assert (raised.value.status_code, raised.value.type) == (500, "server_error")
    assert_final(raised.value)
    assert len(upstream.requests()) == 2, "the gateway's one retry and none of the SDK's"


@pytest.mark.parametrize("model", ["refusing", "half-json", "cut-model"])
def test_no_answer_is_no_success(client, upstream, model):
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, model)
    assert raised.value.status_code == 502 and raised.value.body["message"]
    assert_final(raised.value)
    assert len(upstream.requests()) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_one_failure_is_invisible(client, upstream, stream):
    answer = ask(client, "once", stream=stream)
    text = text_of(list(answer)) if stream else answer.choices[0].message.content
    assert text == ANSWER
    assert len(upstream.requests()) == 2


def test_unknown_model(client, upstream):
    for model in ["no-such-model", "auto:no-such-route"]:
        with pytest.raises(openai.NotFoundError) as raised:
            ask(client, model)
        assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert upstream.requests() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":"auto"}', b'{"messages":[]}', b'{"model":1,"messages":[]}'])
def test_malformed_request(base_url, upstream, body):
    status, headers, answer = http("POST", f"{base_url}/chat/completions", body)
    error = json.loads(answer)["error"]
    assert status == 400 and error["type"] == "invalid_request_error" and error["message"]
    assert headers["x-should-retry"] == "false"
    assert upstream.requests() == []


# Fallback


@pytest.mark.parametrize("model", ["auto:flaky", "auto:refused"])
@pytest.mark.parametrize("stream", [False, True])
def test_reroute(client, model, stream):
    raw = ask_raw(client, model, stream=stream)
    assert raw.headers["x-slarouter-decision"] == "rerouted"
    assert raw.headers["x-slarouter-model"] == "large"
    answer = raw.parse()
    if stream:
        chunks = list(answer)
        assert text_of(chunks) == ANSWER and {chunk.model for chunk in chunks} == {"vendor/ok"}
    else:
        assert answer.choices[0].message.content == ANSWER
        assert_cost(answer.usage, "large")


# Metadata


def assert_metadata(metadata, attempts):
    assert metadata["alpha"] == 0.9 and metadata["attempts"] == attempts
    assert 0 < metadata["propensity"] <= 1 and metadata["cost_usd"] > 0
    for candidate in metadata["candidates"]:
        assert 0 <= candidate["predicted_satisfaction"] <= 1 and candidate["predicted_cost_usd"] >= 0
    assert sum(candidate["probability"] for candidate in metadata["candidates"]) == pytest.approx(1)


def test_metadata_in_the_body(client):
    headers = {"x-slarouter-metadata": "enabled"}
    metadata = ask(client, "auto", extra_headers=headers).model_extra["slarouter"]
    assert metadata["route"] == "default"
    assert {candidate["model"] for candidate in metadata["candidates"]} == {"small", "large"}
    assert_metadata(metadata, attempts=1)
    assert_metadata(ask(client, "auto:flaky", extra_headers=headers).model_extra["slarouter"], attempts=3)


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_metadata_on_the_last_chunk(client, options):
    stream = ask(client, "auto", stream=True, extra_headers={"x-slarouter-metadata": "enabled"}, **options)
    *others, last = stream
    assert_metadata(last.model_extra["slarouter"], attempts=1)
    assert all("slarouter" not in chunk.model_extra for chunk in others)
    assert last.id == others[0].id


# Models


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert {"auto", "auto:default", "auto:flaky", "small", "large"} <= set(names)
    assert len(names) == len(set(names))
    for name in ["auto", "auto:default", "small"]:
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("no-such-model")
    assert raised.value.code == "model_not_found"


# Feedback


def test_feedback(client):
    id = ask(client, "auto").id
    given = [("up", "recorded"), ("up", "duplicate"), ("down", "replaced"), (None, "withdrawn")]
    for rating, status in given:
        assert rate(client, id=id, rating=rating, comment="why not") == {"id": id, "status": status}


@pytest.mark.parametrize(
    "first, same, other",
    [(True, "up", False), (False, "down", True), (1, True, 0), (0.25, 0.25, 0.75)],
)
def test_feedback_forms(client, first, same, other):
    id = ask(client, "auto").id
    receipts = [rate(client, id=id, rating=rating)["status"] for rating in [first, same, other]]
    assert receipts == ["recorded", "duplicate", "replaced"]


def test_feedback_aliases(client):
    id = ask(client, "auto").id
    assert rate(client, inference_id=id, value=True)["status"] == "recorded"
    assert rate(client, id=id, rating="up")["status"] == "duplicate"


def test_feedback_is_accepted_with_202(client, base_url):
    body = json.dumps({"id": ask(client, "auto").id, "rating": "up"}).encode()
    assert http("POST", f"{base_url}/feedback", body)[0] == 202


def test_feedback_on_pinned_and_failed_requests(client):
    assert rate(client, id=ask(client, "small").id, rating="down")["status"] == "recorded"
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client, "limited")
    assert rate(client, id=raised.value.request_id, rating="down")["status"] == "recorded"


def test_feedback_in_the_middle_of_a_stream(client, upstream):
    stream = ask(client, "gated-model", stream=True)
    first = next(stream)
    assert rate(client, id=first.id, rating="up")["status"] == "recorded"
    upstream.open()
    chunks = [first, *stream]
    assert text_of(chunks) == ANSWER and finishes(chunks) == ["stop"]
    assert rate(client, id=first.id, rating="up")["status"] == "duplicate"


def test_feedback_on_nothing(client):
    id = ask(client, "auto").id
    unknown = id[:-8] + ("00000000" if id[-8:] != "00000000" else "00000001")
    with pytest.raises(openai.NotFoundError):
        rate(client, id=unknown, rating="up")


@pytest.mark.parametrize(
    "change, param",
    [
        ({"id": None}, "id"),
        ({"id": "nonsense"}, "id"),
        ({"id": "chatcmpl-up-1"}, "id"),
        ({"rating": "good"}, "rating"),
        ({"rating": 1.5}, "rating"),
        ({"rating": -0.5}, "rating"),
        ({"rating": []}, "rating"),
        ({"comment": 7}, "comment"),
    ],
)
def test_malformed_feedback(client, change, param):
    body = {"id": ask(client, "auto").id, "rating": "up", **change}
    with pytest.raises(openai.BadRequestError) as raised:
        rate(client, **body)
    assert raised.value.param == param
    if "id" not in change:
        assert rate(client, id=body["id"], rating="up")["status"] == "recorded", "nothing was recorded before"


def test_feedback_without_fields(client):
    with pytest.raises(openai.BadRequestError) as raised:
        rate(client, rating="up")
    assert raised.value.param == "id"
    with pytest.raises(openai.BadRequestError) as raised:
        rate(client, id=ask(client, "auto").id)
    assert raised.value.param == "rating"
