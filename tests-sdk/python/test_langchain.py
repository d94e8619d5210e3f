"""The HTTP contract as LangChain sees it, through OpenAI's two protocols and Anthropic's."""

import asyncio
import json

import anthropic
import openai
import pytest
from conftest import CLIENT_KEY, PATIENCE, http
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

ASKED = [SystemMessage("Be brief."), HumanMessage("Hello there, gateway")]
ANSWER = "You said: Hello there, gateway"
CITIES = [{"city": "Lima"}, {"city": "Oslo"}]
PROTOCOLS = ["chat", "responses", "anthropic", "gemini"]
# LangChain's way in, and what ids of its answers begin with.
WAYS = {"completions": "chatcmpl-", "responses": "resp_", "messages": "msg_"}
ERRORS = {
    "err400": (openai.BadRequestError, anthropic.BadRequestError),
    "err401": (openai.AuthenticationError, anthropic.AuthenticationError),
    "err429": (openai.RateLimitError, anthropic.RateLimitError),
    "err500": (openai.InternalServerError, anthropic.InternalServerError),
}


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sun in {city}"


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def chat(base_url, upstream, way):
    def make(model, **options):
        options = {"model": model, "api_key": CLIENT_KEY, "timeout": PATIENCE, **options}
        if way == "messages":
            return ChatAnthropic(base_url=base_url.removesuffix("/v1"), max_tokens=100, **options)
        # Usage it asks for only where told so, if the address is not OpenAI's.
        return ChatOpenAI(base_url=base_url, stream_usage=True, use_responses_api=way == "responses", **options)

    return make


@pytest.fixture(scope="module")
def runner():
    # LangChain keeps its connections for the next model, and they belong to one event loop.
    with asyncio.Runner() as runner:
        yield runner


def gathered(chunks):
    whole = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


def decision_of(answer):
    """The id to rate by, wherever LangChain keeps it."""
    return answer.response_metadata.get("id") or answer.id


@pytest.mark.parametrize("model", ["auto:mixed", *(f"{protocol}/ok" for protocol in PROTOCOLS)])
def test_plain(chat, way, model):
    answer = chat(model).invoke(ASKED)
    assert answer.text == ANSWER
    assert decision_of(answer).startswith(WAYS[way])
    assert answer.usage_metadata["input_tokens"] == 12 and answer.usage_metadata["output_tokens"] > 0
    if way == "completions":
        assert answer.response_metadata["token_usage"]["cost"] > 0
        assert answer.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("model", ["auto:mixed", *(f"{protocol}/ok" for protocol in PROTOCOLS)])
def test_stream(chat, model):
    chunks = list(chat(model).stream(ASKED))
    assert len([chunk for chunk in chunks if chunk.text]) > 2, "not streamed"
    whole = gathered(chunks)
    assert whole.text == ANSWER
    assert whole.usage_metadata["output_tokens"] == 5


def test_async(chat, runner):
    async def run():
        model = chat("auto:mixed")
        answers = await asyncio.gather(*(model.ainvoke(ASKED) for _ in range(8)))
        streamed = [chunk async for chunk in model.astream(ASKED)]
        return [answer.text for answer in answers] + [gathered(streamed).text]

    assert set(runner.run(run())) == {ANSWER}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tools_there_and_back(chat, upstream, protocol, stream):
    model = chat(f"{protocol}/tools").bind_tools([weather])
    answer = gathered(model.stream(ASKED)) if stream else model.invoke(ASKED)
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", city) for city in CITIES]
    assert not answer.invalid_tool_calls
    results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
    chat(f"{protocol}/ok").bind_tools([weather]).invoke([*ASKED, answer, *results])
    sent = upstream.requests()[-1]["body"]
    assert "sun in Lima" in sent and "sun in Oslo" in sent
    assert sent.count(answer.tool_calls[0]["id"]) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario", ERRORS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors(chat, way, upstream, protocol, scenario, stream):
    # The SDK beneath it would wait as long as a provider asks to.
    model = chat(f"{protocol}/{scenario}", **({"max_retries": 0} if scenario == "err429" else {}))
    with pytest.raises(ERRORS[scenario][way == "messages"]) as error:
        list(model.stream(ASKED)) if stream else model.invoke(ASKED)
    if scenario == "err429":
        assert error.value.response.headers["retry-after"] == "7"
    # The gateway's own retry, and none of LangChain's or the SDK's beneath it.
    assert len(upstream.requests()) == (2 if scenario == "err500" else 1)


def test_own_errors(chat, way, upstream):
    kind = anthropic if way == "messages" else openai
    with pytest.raises(kind.NotFoundError, match="no-such-model"):
        chat("no-such-model").invoke(ASKED)
    assert upstream.requests() == []


@pytest.mark.parametrize("scenario", ["cut", "eof", "error_event"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_broken_streams_never_look_finished(chat, way, upstream, protocol, scenario):
    seen = []
    # LangChain itself raises the error events of the responses protocol, as ValueError.
    raised = {"completions": openai.APIError, "responses": (openai.APIError, ValueError), "messages": anthropic.APIError}
    with pytest.raises(raised[way]):
        for chunk in chat(f"{protocol}/{scenario}").stream(ASKED):
            seen.append(chunk)
    assert ANSWER.startswith("".join(chunk.text for chunk in seen))
    assert len(upstream.requests()) == 1


def test_feedback(chat, base_url):
    id = decision_of(chat("auto:mixed").invoke(ASKED))
    body = json.dumps({"id": id, "rating": "up"}).encode()
    status, _, answer = http("POST", f"{base_url}/feedback", body)
    assert (status, json.loads(answer)) == (202, {"id": id, "status": "recorded"})
