"""The responses API and the other paths as a stock OpenAI Python SDK sees them, whatever protocol the model speaks."""

import json
import uuid

import openai
import pytest
from pydantic import BaseModel

ANSWER = "You said: Hello there, gateway"
PROTOCOLS = ["responses", "anthropic", "chat", "gemini"]
BASICS = {"input": "Hello there, gateway", "instructions": "Be brief."}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOLS = [{"type": "function", "name": "weather", "description": "The weather", "parameters": WEATHER, "strict": True}]
ERRORS = {
    "err400": openai.BadRequestError,
    "err401": openai.AuthenticationError,
    "err429": openai.RateLimitError,
    "err500": openai.InternalServerError,
}


def ask(client, model, **options):
    return client.responses.create(model=model, **{**BASICS, **options})


def assert_decision_id(id):
    assert id.startswith("resp_")
    assert uuid.UUID(id.removeprefix("resp_")).version == 7


@pytest.mark.parametrize("model", ["auto", "auto:mixed", *(f"{protocol}/ok" for protocol in PROTOCOLS)])
def test_plain(client, model):
    raw = client.responses.with_raw_response.create(model=model, **BASICS)
    answer = raw.parse()
    assert_decision_id(answer.id)
    assert answer.id == answer._request_id == raw.headers["x-request-id"]
    assert (answer.output_text, answer.status) == (ANSWER, "completed")
    assert (answer.usage.input_tokens, answer.usage.input_tokens_details.cached_tokens) == (12, 4)
    assert answer.usage.model_extra["cost"] > 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stream(client, protocol):
    with client.responses.stream(model=f"{protocol}/ok", **BASICS) as stream:
        events = list(stream)
        answer = stream.get_final_response()
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == ANSWER
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert_decision_id(answer.id)
    assert answer.output_text == ANSWER and answer.usage.output_tokens == 5


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tools_there_and_back(client, upstream, protocol, stream):
    options = {"model": f"{protocol}/tools", **BASICS, "tools": TOOLS, "tool_choice": "required"}
    if stream:
        with client.responses.stream(**options) as events:
            answer = events.get_final_response()
    else:
        answer = client.responses.create(**options)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("weather", {"city": "Lima"}),
        ("weather", {"city": "Oslo"}),
    ]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sun"} for call in calls]
    # As the guide has it: what came out goes in again.
    output = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in calls]
    ask(client, f"{protocol}/ok", input=[{"role": "user", "content": "Hello"}, *output, *results], tools=TOOLS)
    sent = upstream.requests()[-1]["body"]
    assert all(sent.count(call.call_id) == 2 for call in calls)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reasoning_and_its_way_back(client, upstream, protocol):
    with client.responses.stream(model=f"{protocol}/reasoning", **BASICS) as stream:
        answer = stream.get_final_response()
    reasoning, message = answer.output
    assert reasoning.summary[0].text == "Six by seven." and message.content[0].text == "It is 42."
    output = [item.model_dump(exclude_none=True, exclude={"content": {"__all__": {"parsed"}}}) for item in answer.output]
    ask(client, "responses/ok", input=[{"role": "user", "content": "Hello"}, *output, {"role": "user", "content": "Sure?"}])
    sent = upstream.requests()[-1]["body"]
    # OpenAI knows no reasoning items but its own.
    assert ("Six by seven." in sent) == (protocol == "responses")
    assert "It is 42." in sent


class Point(BaseModel):
    x: int


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_structured_output_reaches_the_model(client, upstream, protocol):
    # The scripted model says no JSON; what counts is what it was asked.
    with pytest.raises(ValueError):
        client.responses.parse(model=f"{protocol}/ok", text_format=Point, **BASICS)
    sent = json.loads(upstream.request()["body"])
    schema = {
        "responses": lambda: sent["text"]["format"]["schema"],
        "anthropic": lambda: sent["output_config"]["format"]["schema"],
    }.get(protocol, lambda: sent["response_format"]["json_schema"]["schema"])()
    assert schema["properties"]["x"]["type"] == "integer"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario, raised", ERRORS.items())
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors(client, upstream, protocol, scenario, raised, stream):
    # The SDK would wait as long as a provider asks to.
    patient = client.with_options(max_retries=0) if scenario == "err429" else client
    with pytest.raises(raised) as error:
        ask(patient, f"{protocol}/{scenario}", stream=stream)
    assert error.value.message and error.value.type
    assert_decision_id(error.value.request_id)
    assert len(upstream.requests()) == (2 if scenario == "err500" else 1)


@pytest.mark.parametrize("scenario", ["cut", "eof", "error_event"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_broken_streams_never_look_finished(client, protocol, scenario):
    kinds = []
    try:
        for event in ask(client, f"{protocol}/{scenario}", stream=True):
            kinds.append(event.type)
    except openai.APIError as error:
        assert error.message
        kinds.append("error")
    # The upstream's own error events are flat, which this SDK hands out as events.
    assert kinds[-1] == "error" and "response.completed" not in kinds


def test_what_one_provider_keeps(client, upstream):
    id = ask(client, "auto").id
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, "auto", previous_response_id=id)
    assert error.value.param == "previous_response_id"
    ask(client, "responses/ok", previous_response_id="resp_theirs", store=True)
    assert json.loads(upstream.requests()[-1]["body"])["previous_response_id"] == "resp_theirs"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", ["anthropic", "responses", "gemini"])
def test_chat_with_models_of_other_protocols(client, protocol, stream):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there, gateway"}]
    function = {"name": "weather", "parameters": WEATHER}
    options = {"messages": messages, "tools": [{"type": "function", "function": function}], "stop": None}
    if stream:
        with client.chat.completions.stream(model=f"{protocol}/tools", **options) as events:
            answer = events.get_final_completion()
    else:
        answer = client.chat.completions.create(model=f"{protocol}/tools", **options)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in choice.message.tool_calls] == [{"city": "Lima"}, {"city": "Oslo"}]


def test_completions_and_embeddings(client):
    answer = client.embeddings.create(model="chat/ok", input=["a"], encoding_format="float")
    assert answer.data[0].embedding == [0.5, -0.25]
    assert client.completions.create(model="chat/ok", prompt="Hello").id.startswith("cmpl-")
    with pytest.raises(openai.BadRequestError) as error:
        client.embeddings.create(model="auto", input=["a"], encoding_format="float")
    assert error.value.param == "model"


def test_decisions_alone(client, upstream):
    decision = client.post("/route", body={"model": "auto:mixed", "input": "Hello"}, cast_to=object)
    assert decision["model"] in {candidate["model"] for candidate in decision["candidates"]}
    assert upstream.requests() == []
    report = {"id": decision["id"], "usage": {"input_tokens": 10, "output_tokens": 5}}
    for status in ["recorded", "duplicate"]:
        assert client.post("/outcomes", body=report, cast_to=object) == {"id": decision["id"], "status": status}
    rated = client.post("/feedback", body={"id": decision["id"], "rating": "up"}, cast_to=object)
    assert rated == {"id": decision["id"], "status": "recorded"}
