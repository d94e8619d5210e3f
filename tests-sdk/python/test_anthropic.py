"""The HTTP contract as a stock Anthropic Python SDK sees it, whatever protocol the model speaks."""

import asyncio
import json
import uuid

import anthropic
import pytest
from conftest import CLIENT_KEY, PATIENCE

ANSWER = "You said: Hello there, gateway"
PROTOCOLS = ["anthropic", "chat", "responses", "gemini"]
TOOLS = [{"name": "weather", "description": "The weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
BASICS = {"max_tokens": 100, "system": "Be brief.", "messages": [{"role": "user", "content": "Hello there, gateway"}]}
ERRORS = {
    "err400": anthropic.BadRequestError,
    "err401": anthropic.AuthenticationError,
    "err429": anthropic.RateLimitError,
    "err500": anthropic.InternalServerError,
}


def ask(claude, model, **options):
    return claude.messages.create(model=model, **{**BASICS, **options})


def assert_decision_id(id):
    assert id.startswith("msg_")
    assert uuid.UUID(id.removeprefix("msg_")).version == 7


def assert_usage(usage):
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (8, 4)
    expected = (12 * 0.10 + usage.output_tokens * 0.40) / 1e6
    assert usage.model_extra["cost"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("model", ["auto", "auto:mixed", *(f"{protocol}/ok" for protocol in PROTOCOLS)])
def test_plain(claude, model):
    raw = claude.messages.with_raw_response.create(model=model, **BASICS)
    answer = raw.parse()
    assert_decision_id(answer.id)
    assert answer.id == answer._request_id == raw.headers["x-request-id"]
    assert [block.text for block in answer.content] == [ANSWER]
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens == 12
    if "/" in model:
        assert_usage(answer.usage)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stream(claude, protocol):
    with claude.messages.stream(model=f"{protocol}/ok", **BASICS) as stream:
        assert "".join(stream.text_stream) == ANSWER
        answer = stream.get_final_message()
    assert_decision_id(answer.id)
    assert answer.stop_reason == "end_turn" and answer.usage.output_tokens == 5


@pytest.mark.parametrize("scenario", ["ok", "tools", "reasoning"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_events_come_in_anthropics_order(claude, protocol, scenario):
    events = list(ask(claude, f"{protocol}/{scenario}", tools=TOOLS, stream=True))
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    open_block = None
    for event in events:
        if event.type == "content_block_start":
            assert open_block is None, "one block is open at a time"
            open_block = event.index
        elif event.type == "content_block_delta":
            assert event.index == open_block
        elif event.type == "content_block_stop":
            assert event.index == open_block
            open_block = None
    indices = [event.index for event in events if event.type == "content_block_start"]
    assert indices == list(range(len(indices))) and indices


def test_many_at_once(base_url, upstream):
    async def run():
        url = base_url.removesuffix("/v1")
        async with anthropic.AsyncAnthropic(base_url=url, api_key=CLIENT_KEY, timeout=PATIENCE) as client:

            async def read(protocol):
                async with client.messages.stream(model=f"{protocol}/ok", **BASICS) as stream:
                    return (await stream.get_final_message()).content[0].text

            return await asyncio.gather(*(read(protocol) for protocol in PROTOCOLS * 4))

    assert set(asyncio.run(run())) == {ANSWER}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tools_there_and_back(claude, upstream, protocol, stream):
    options = {"model": f"{protocol}/tools", **BASICS, "tools": TOOLS, "tool_choice": {"type": "any"}}
    if stream:
        with claude.messages.stream(**options) as events:
            answer = events.get_final_message()
    else:
        answer = claude.messages.create(**options)
    assert answer.stop_reason == "tool_use"
    assert [(block.type, block.name, block.input) for block in answer.content] == [
        ("tool_use", "weather", {"city": "Lima"}),
        ("tool_use", "weather", {"city": "Oslo"}),
    ]
    assert len({block.id for block in answer.content}) == 2

    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"sun in {block.input['city']}"}
        for block in answer.content
    ]
    messages = [*BASICS["messages"], {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    ask(claude, f"{protocol}/ok", messages=messages, tools=TOOLS)
    sent = upstream.requests()[-1]["body"]
    assert "sun in Lima" in sent and "sun in Oslo" in sent and sent.count(answer.content[0].id) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_thinking_and_its_way_back(claude, upstream, protocol):
    with claude.messages.stream(model=f"{protocol}/reasoning", **BASICS) as stream:
        answer = stream.get_final_message()
    thinking, text = answer.content
    assert (thinking.type, thinking.thinking, text.text) == ("thinking", "Six by seven.", "It is 42.")
    assert thinking.signature
    messages = [*BASICS["messages"], {"role": "assistant", "content": answer.content}, {"role": "user", "content": "Sure?"}]
    ask(claude, "anthropic/ok", messages=messages)
    sent = upstream.requests()[-1]["body"]
    # Anthropic would refuse reasoning that it has not sealed itself.
    assert ("Six by seven." in sent) == (protocol == "anthropic")
    assert "It is 42." in sent


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_images(claude, upstream, protocol):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    content = [{"type": "text", "text": "Hello there, gateway"}, image]
    answer = ask(claude, f"{protocol}/ok", messages=[{"role": "user", "content": content}])
    assert answer.content[0].text == ANSWER
    assert "iVBORw0KGgo=" in upstream.request()["body"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario, raised", ERRORS.items())
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors(claude, upstream, protocol, scenario, raised, stream):
    # The SDK would wait as long as a provider asks to.
    patient = claude.with_options(max_retries=0) if scenario == "err429" else claude
    with pytest.raises(raised) as error:
        ask(patient, f"{protocol}/{scenario}", stream=stream)
    body = error.value.body
    assert body["type"] == "error" and body["error"]["message"] and body["error"]["type"]
    assert_decision_id(error.value.request_id)
    if scenario == "err429":
        assert error.value.response.headers["retry-after"] == "7"
    # The gateway's own retry and none of the SDK's.
    assert len(upstream.requests()) == (2 if scenario == "err500" else 1)


@pytest.mark.parametrize("scenario", ["cut", "eof", "error_event"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_broken_streams_never_look_finished(claude, upstream, protocol, scenario):
    with pytest.raises(anthropic.APIError):
        with claude.messages.stream(model=f"{protocol}/{scenario}", **BASICS) as stream:
            stream.get_final_message()
    assert len(upstream.requests()) == 1


def test_what_cannot_be_carried_is_named(claude, upstream):
    with pytest.raises(anthropic.BadRequestError, match='`container` = "c"'):
        ask(claude, "chat/ok", extra_body={"container": "c"})
    assert upstream.requests() == []
    assert ask(claude, "anthropic/ok", extra_body={"container": "c"}).content[0].text == ANSWER
    assert ask(claude, "auto:mixed", extra_body={"container": "c"}).content[0].text == ANSWER
    assert json.loads(upstream.requests()[-1]["body"])["container"] == "c"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_does_not_change_the_answer_is_left_out_and_said(claude, upstream, protocol):
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    raw = claude.messages.with_raw_response.create(
        model=f"{protocol}/ok", **BASICS, extra_body={"context_management": edits, "thinking": {"type": "adaptive"}}
    )
    assert raw.parse().content[0].text == ANSWER
    assert raw.headers.get("x-slarouter-dropped") == (None if protocol == "anthropic" else "context_management")
    assert ("context_management" in upstream.request()["body"]) == (protocol == "anthropic")


def test_own_errors_have_the_shape(claude):
    with pytest.raises(anthropic.NotFoundError) as error:
        ask(claude, "no-such-model")
    assert error.value.body["error"]["type"] == "not_found_error"


def test_feedback(claude):
    id = ask(claude, "auto:mixed").id
    assert claude.post("/v1/feedback", body={"id": id, "rating": "up"}, cast_to=object) == {"id": id, "status": "recorded"}


@pytest.mark.parametrize(("model", "whose"), [("anthropic/ok", "provider"), ("auto:mixed", "provider"), ("chat/ok", "estimate")])
def test_tokens_are_counted(claude, upstream, model, whose):
    question = {"system": BASICS["system"], "messages": BASICS["messages"], "tools": TOOLS}
    raw = claude.messages.with_raw_response.count_tokens(model=model, **question)
    assert raw.headers["x-slarouter-token-count"] == whose
    tokens = raw.parse().input_tokens
    if whose == "provider":
        assert tokens == 12
        assert [request["path"] for request in upstream.requests()] == ["/v1/messages/count_tokens"]
    else:
        assert 10 < tokens < 100
        assert upstream.requests() == []
