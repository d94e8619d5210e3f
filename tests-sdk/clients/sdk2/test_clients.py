"""Libraries that people point at a gateway, each set up as docs/clients.md says; those on version 2 of OpenAI's SDK."""

import dspy
import instructor
from conftest import CLIENT_KEY, PATIENCE
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

ASKED = "Hello there, gateway"
ANSWER = f"You said: {ASKED}"
MODELS = ["auto:mixed", "chat/ok", "responses/ok", "anthropic/ok", "gemini/ok"]


class City(BaseModel):
    city: str


def test_instructor(client):
    # The scripted model repeats the question, so that JSON has to be looked for in what it says.
    patched = instructor.from_openai(client, mode=instructor.Mode.MD_JSON)
    for model in MODELS:
        messages = [{"role": "user", "content": '{"city": "Lima"}'}]
        found = patched.chat.completions.create(model=model, messages=messages, response_model=City, max_retries=0)
        assert found.city == "Lima", model


def test_dspy(base_url, upstream):
    for model in MODELS:
        lm = dspy.LM(f"openai/{model}", api_base=base_url, api_key=CLIENT_KEY, cache=False)
        assert lm(ASKED) == [ANSWER], model


def test_llama_index(base_url, upstream):
    for model in MODELS:
        lm = OpenAILike(model=model, api_base=base_url, api_key=CLIENT_KEY, is_chat_model=True, timeout=PATIENCE)
        asked = [ChatMessage(role="user", content=ASKED)]
        assert lm.chat(asked).message.content == ANSWER, model
        assert "".join(piece.delta for piece in lm.stream_chat(asked)) == ANSWER, model
