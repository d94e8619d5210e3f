"""The scripted upstream and the gateway as processes, one of each for all tests."""

import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import anthropic
import openai
import pytest

UPSTREAM_KEY = "sk-upstream"
CLIENT_KEY = "sk-client"
# A guard against a hang, not a measure.
PATIENCE = 60


def http(method, url, body=None):
    """Status, headers and body of one exchange; `body` is sent as it is."""
    request = urllib.request.Request(url, data=body, method=method, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def start(command, **options):
    """Starts a process; returns it with the JSON object of its first line."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
    guard = threading.Timer(PATIENCE, process.kill)
    guard.start()
    line = process.stdout.readline()
    guard.cancel()
    try:
        return process, json.loads(line)
    except ValueError:
        process.kill()
        process.wait()
        pytest.exit(f"{command[0]} did not start: said {line!r}", returncode=1)


def binary(variable):
    path = os.environ.get(variable)
    if not path:
        pytest.exit(f"{variable} must name a binary", returncode=1)
    return path


class Upstream:
    def __init__(self, base_url):
        self.base_url = base_url
        self.testkit = base_url.removesuffix("/v1") + "/testkit"

    def requests(self):
        return json.loads(http("GET", f"{self.testkit}/requests")[2])

    def request(self):
        (request,) = self.requests()
        return request

    def open(self):
        http("POST", f"{self.testkit}/open", b"")


@pytest.fixture(scope="session")
def upstream_process():
    process, ready = start([binary("TESTKIT_UPSTREAM_BIN")])
    yield Upstream(ready["base_url"])
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


@pytest.fixture
def upstream(upstream_process):
    http("DELETE", f"{upstream_process.testkit}/requests")
    return upstream_process


@pytest.fixture(scope="session")
def base_url(upstream_process, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    template = (Path(__file__).parent.parent / "gateway.toml").read_text()
    config = folder / "gateway.toml"
    config.write_text(template.replace("@UPSTREAM@", upstream_process.base_url).replace("@DIR@", str(folder)))
    command = [binary("SLAROUTER_BIN"), "serve", "--config", str(config)]
    process, ready = start(command, env={**os.environ, "UPSTREAM_KEY": UPSTREAM_KEY})
    yield f"http://{ready['listening']}/v1"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


@pytest.fixture
def client(base_url, upstream):
    # The SDK's own retries stay on: that the gateway keeps it from them is part of the contract.
    with openai.OpenAI(base_url=base_url, api_key=CLIENT_KEY, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def claude(base_url, upstream):
    # Anthropic's SDK puts the version into the path by itself.
    url = base_url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=url, api_key=CLIENT_KEY, timeout=PATIENCE) as client:
        yield client
