"""The HTTP contract as LiteLLM sees it as a client, in OpenAI's protocol and in Anthropic's."""

import asyncio
import json
import os

# Its table of prices would be fetched at every import.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import pytest
from conftest import CLIENT_KEY, PATIENCE, http

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there, gateway"}]
ANSWER = "You said: Hello there, gateway"
# Without `responses`: LiteLLM takes a model of that name for a way in of its own.
PROTOCOLS = ["chat", "anthropic", "gemini"]
WAYS = {"openai": "chatcmpl-", "anthropic": "msg_"}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": PARAMETERS}}]
ERRORS = {
    "err400": litellm.BadRequestError,
    "err401": litellm.AuthenticationError,
    "err429": litellm.RateLimitError,
    "err500": litellm.InternalServerError,
}


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def options(base_url, upstream, way):
    # Its own retries are off by default; those of the SDK beneath it would wait as long as a provider asks to.
    url = base_url if way == "openai" else base_url.removesuffix("/v1")
    return {"api_base": url, "api_key": CLIENT_KEY, "timeout": PATIENCE, "messages": MESSAGES, "max_retries": 0}


@pytest.fixture
def ask(options, way):
    def ask(model, **more):
        return litellm.completion(model=f"{way}/{model}", **{**options, **more})

    return ask


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.mark.parametrize("model", ["auto:mixed", *(f"{protocol}/ok" for protocol in PROTOCOLS)])
def test_plain(ask, way, model):
    answer = ask(model)
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 12 and answer.usage.completion_tokens > 0
    if way == "openai":
        assert answer.id.startswith(WAYS[way])


@pytest.mark.parametrize("model", ["auto:mixed", *(f"{protocol}/ok" for protocol in PROTOCOLS)])
def test_stream(ask, model):
    chunks = list(ask(model, stream=True))
    assert text_of(chunks) == ANSWER
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert reasons == ["stop"]


def test_async(options, way):
    async def run():
        call = {"model": f"{way}/auto:mixed", **options}
        answers = await asyncio.gather(*(litellm.acompletion(**call) for _ in range(8)))
        chunks = [chunk async for chunk in await litellm.acompletion(stream=True, **call)]
        return [answer.choices[0].message.content for answer in answers] + [text_of(chunks)]

    assert set(asyncio.run(run())) == {ANSWER}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tools_there_and_back(ask, upstream, protocol, stream):
    answer = ask(f"{protocol}/tools", tools=TOOLS, stream=stream)
    if stream:
        answer = litellm.stream_chunk_builder(list(answer), messages=MESSAGES)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
    assert calls == [("weather", {"city": "Lima"}), ("weather", {"city": "Oslo"})]
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"sun {index}"} for index, call in enumerate(message.tool_calls)]
    ask(f"{protocol}/ok", tools=TOOLS, messages=[*MESSAGES, message.model_dump(), *results])
    sent = upstream.requests()[-1]["body"]
    assert "sun 0" in sent and "sun 1" in sent and sent.count(message.tool_calls[0].id) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario, raised", ERRORS.items())
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors(ask, upstream, protocol, scenario, raised, stream):
    with pytest.raises(raised) as error:
        answer = ask(f"{protocol}/{scenario}", stream=stream)
        list(answer)
    assert error.value.status_code == int(scenario.removeprefix("err"))
    assert len(upstream.requests()) == (2 if scenario == "err500" else 1)


@pytest.mark.parametrize("scenario", ["cut", "eof", "error_event"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_broken_streams_never_look_finished(ask, way, upstream, protocol, scenario):
    if (way, protocol, scenario) == ("anthropic", "anthropic", "eof"):
        pytest.skip("the upstream said why it stopped, and LiteLLM reads no further: it never sees that the end is missing")
    seen = []
    # The second is its word for a stream that broke after it had begun.
    with pytest.raises((litellm.InternalServerError, litellm.exceptions.MidStreamFallbackError)):
        for chunk in ask(f"{protocol}/{scenario}", stream=True):
            seen.append(chunk)
    assert ANSWER.startswith(text_of(seen))
    assert not any(chunk.choices[0].finish_reason for chunk in seen if chunk.choices)
    assert len(upstream.requests()) == 1


def test_own_errors(ask, upstream):
    with pytest.raises(litellm.NotFoundError, match="no-such-model"):
        ask("no-such-model")
    assert upstream.requests() == []


def test_feedback(ask, way, base_url):
    answer = ask("auto:mixed")
    if way == "anthropic":
        # LiteLLM makes an id of its own and keeps ours among the headers.
        id = answer._hidden_params["additional_headers"]["llm_provider-x-request-id"]
    else:
        id = answer.id
    body = json.dumps({"id": id, "rating": "up"}).encode()
    status, _, reply = http("POST", f"{base_url}/feedback", body)
    assert (status, json.loads(reply)) == (202, {"id": id, "status": "recorded"})
