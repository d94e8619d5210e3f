"""Programs and libraries that people point at a gateway, each set up as docs/clients.md says; those on version 3 of OpenAI's SDK."""

import asyncio
import os
import subprocess

import openai
import pytest
from agents import Agent as OpenAIAgent
from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from conftest import CLIENT_KEY, PATIENCE
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.openai import OpenAIResponsesModel as PydanticResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

ASKED = "Hello there, gateway"
ANSWER = f"You said: {ASKED}"
TOLD = "Now use your tool"
TOOL_SAID = "The tool said: ran echo made by a tool"
PROTOCOLS = ["chat", "responses", "anthropic", "gemini"]

set_tracing_disabled(True)


# The scripted model calls a shell of this name where it is told to use it, and says what it has said.
def Bash(command: str, description: str = "") -> str:
    """Runs a command."""
    return f"ran {command}"


def run(binary, *args, **env):
    command = [os.environ[binary], *args]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_llm(base_url, upstream, tmp_path):
    models = "".join(f"- {{model_id: {name}, model_name: {name}, api_base: '{base_url}'}}\n" for name in ["auto", "anthropic/ok"])
    (tmp_path / "extra-openai-models.yaml").write_text(models)
    for model in ["auto", "anthropic/ok"]:
        for more in [[], ["--no-stream"]]:
            said = run("LLM_BIN", "-m", model, "--key", CLIENT_KEY, "-n", *more, ASKED, LLM_USER_PATH=str(tmp_path))
            assert said.strip() == ANSWER, model


def pydantic_models(base_url):
    provider = OpenAIProvider(base_url=base_url, api_key=CLIENT_KEY)
    claude = AnthropicProvider(base_url=base_url.removesuffix("/v1"), api_key=CLIENT_KEY)
    return {
        "chat": lambda name: OpenAIChatModel(name, provider=provider),
        "responses": lambda name: PydanticResponsesModel(name, provider=provider),
        "messages": lambda name: AnthropicModel(name, provider=claude),
    }


@pytest.mark.parametrize("way", ["chat", "responses", "messages"])
def test_pydantic_ai(base_url, upstream, way):
    make = pydantic_models(base_url)[way]

    async def streamed(agent):
        async with agent.run_stream(ASKED) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])

    async def all_of_it():
        for model in ["auto:mixed", *(f"{protocol}/ok" for protocol in PROTOCOLS)]:
            agent = Agent(make(model), instructions="Be brief.")
            assert (await agent.run(ASKED)).output == ANSWER, model
            assert await streamed(agent) == ANSWER, model
        for protocol in PROTOCOLS:
            result = await Agent(make(f"{protocol}/agent"), tools=[Bash]).run(TOLD)
            assert result.output.startswith(TOOL_SAID), protocol

    asyncio.run(all_of_it())


@pytest.mark.parametrize("kind", [OpenAIChatCompletionsModel, OpenAIResponsesModel])
def test_openai_agents(base_url, upstream, kind):
    async def all_of_it():
        async with openai.AsyncOpenAI(base_url=base_url, api_key=CLIENT_KEY, timeout=PATIENCE) as client:
            for model in ["auto:mixed", *(f"{protocol}/ok" for protocol in PROTOCOLS)]:
                agent = OpenAIAgent(name="a", instructions="Be brief.", model=kind(model, client))
                first = await Runner.run(agent, ASKED)
                assert first.final_output == ANSWER, model
                again = await Runner.run(agent, [*first.to_input_list(), {"role": "user", "content": ASKED}])
                assert again.final_output == ANSWER, model
            for protocol in PROTOCOLS:
                agent = OpenAIAgent(name="a", tools=[function_tool(Bash)], model=kind(f"{protocol}/agent", client))
                assert (await Runner.run(agent, TOLD)).final_output.startswith(TOOL_SAID), protocol

    asyncio.run(all_of_it())


def test_aider(base_url, upstream, tmp_path):
    env = {"OPENAI_API_BASE": base_url, "OPENAI_API_KEY": CLIENT_KEY, "HOME": str(tmp_path)}
    quiet = ["--no-git", "--no-show-model-warnings", "--no-check-update", "--analytics-disable", "--no-pretty", "--no-show-release-notes"]
    names = ["--model", "openai/auto", "--weak-model", "openai/small"]
    for more in [[], ["--no-stream"]]:
        said = run("AIDER_BIN", *names, *quiet, *more, "--yes-always", "--message", ASKED, **env)
        assert "You said:" in said, said
