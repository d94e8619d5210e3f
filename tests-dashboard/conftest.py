"""A browser, a demo and a gateway with keys, each once for all tests."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

# A guard against a hang, not a measure.
PATIENCE = 120
CHROMIUM = "/usr/bin/chromium"
VIEW_KEY = "a-key-that-only-looks"
PLAY_KEY = "a-key-that-looks-and-asks"
HOSTILE = "<img src=x onerror=document.title='owned'>"
CONFIG = f"""
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[store]
url = "sqlite://@DIR@/t.db"
[[keys]]
name = "eyes"
key = "{VIEW_KEY}"
scopes = ["view"]
[[keys]]
name = "player"
key = "{PLAY_KEY}"
scopes = ["view", "inference", "feedback"]
[[models]]
name = "small"
base_url = "@UPSTREAM@"
upstream_model = "ok"
price = {{ input = 0.10, output = 0.40 }}
[[models]]
name = "{HOSTILE}"
base_url = "@UPSTREAM@"
upstream_model = "vendor/ok"
price = {{ input = 2.50, output = 10.00 }}
[[models]]
name = "waits"
base_url = "@UPSTREAM@"
upstream_model = "vendor/gated"
price = {{ input = 0.10, output = 0.40 }}
[[models]]
name = "breaks"
base_url = "@UPSTREAM@"
upstream_model = "vendor/cut"
price = {{ input = 0.10, output = 0.40 }}
[routes.default]
models = ["small", "{HOSTILE}"]
fallback = "small"
sla = {{ satisfaction = 0.9 }}
policy = "fixed:small"
"""


def http(method, url, body=None, **headers):
    """Status and JSON of one exchange."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def until(found, what):
    """Asks again and again, as long as there is patience."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.1)
    pytest.fail(f"never came: {what}")


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as play:
        # No sandbox: containers of build machines run as root.
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def look(chromium):
    """Opens pages; a test fails if one of them reports an error or breaks its policy."""
    contexts, complaints = [], []

    def open_page(width=1440, scheme="light", script=True):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def demo():
    """The address of the dashboard of a demo that has served some thousand requests."""
    main, other = pty.openpty()
    # A terminal of 80 by 24.
    subprocess.run(["stty", "cols", "80", "rows", "24"], stdin=other, check=True)
    process = subprocess.Popen(
        [os.environ["SLAROUTER_BIN"], "demo", "--rate", "400"], stdin=other, stdout=other, stderr=subprocess.DEVNULL, close_fds=True
    )
    os.close(other)
    screen = bytearray()

    def drain():
        try:
            while chunk := os.read(main, 65536):
                screen.extend(chunk)
                del screen[:-200_000]
        except OSError:
            pass

    threading.Thread(target=drain, daemon=True).start()
    address = until(lambda: re.search(rb"http://127\.0\.0\.1:\d+/dashboard", bytes(screen)), "the address of the dashboard")
    base = address[0].decode().removesuffix("/dashboard")

    def served():
        status, page = http("GET", f"{base}/admin/decisions?limit=1")
        return status == 200 and page["data"] and page["data"][0]["seq"] > 8_000

    until(served, "8,000 events")
    yield base
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    os.close(main)


@contextmanager
def serving(folder, config):
    """Public and operator's address of a gateway of this configuration."""
    file = folder / "slarouter.toml"
    file.write_text(config.replace("@DIR@", str(folder)))
    log = folder / "log"
    with open(log, "w") as out:
        process = subprocess.Popen(
            [os.environ["SLAROUTER_BIN"], "serve", "--config", str(file)], stdout=subprocess.PIPE, stderr=out, text=True
        )
    said = json.loads(process.stdout.readline())
    yield f"http://{said['listening']}", f"http://{said['admin']}"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0, Path(log).read_text()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """Public and operator's address of a gateway with keys."""
    upstream = subprocess.Popen([os.environ["TESTKIT_UPSTREAM_BIN"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    base_url = json.loads(upstream.stdout.readline())["base_url"]
    with serving(tmp_path_factory.mktemp("gateway"), CONFIG.replace("@UPSTREAM@", base_url)) as addresses:
        yield addresses
    upstream.stdin.close()
    upstream.wait(PATIENCE)
