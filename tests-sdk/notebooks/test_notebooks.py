"""The notebooks of examples/notebooks and the examples of docs/export.md, on a log of two months that is exported, reported and asked what if."""

import datetime
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "examples" / "notebooks"
# A guard against a hang, not a measure.
PATIENCE = 120
DAY_MS = 86_400_000
# 1 September 2026, and how many days of decisions follow.
FROM, DAYS, DECISIONS = 1_788_220_800_000, 60, 6_000
CONFIG = """
[server]
listen = "127.0.0.1:0"
[store]
url = "sqlite://log.db"
[feedback]
rater_limit = 0
rater_share = 1.0
[[models]]
name = "small"
base_url = "@UPSTREAM@"
upstream_model = "ok"
price = { input = 0.10, output = 0.40 }
[[models]]
name = "large"
base_url = "@UPSTREAM@"
upstream_model = "vendor/ok"
price = { input = 2.50, output = 10.00 }
[routes.default]
affinity = "none"
models = ["small", "large"]
fallback = "large"
sla = { satisfaction = 0.9 }
[routes.mixed]
affinity = "none"
models = ["small", "large"]
fallback = "small"
sla = { satisfaction = 0.9 }
policy = "random"
"""


def binary(variable):
    path = os.environ.get(variable)
    if not path:
        pytest.exit(f"{variable} must name a binary", returncode=1)
    return path


def start(command, **options):
    """Starts a process; returns it with the JSON object of its first line."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
    guard = threading.Timer(PATIENCE, process.kill)
    guard.start()
    line = process.stdout.readline()
    guard.cancel()
    return process, json.loads(line)


def post(url, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.loads(response.read())


def run(*command, cwd, **env):
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Gateway:
    """Runs while the block does."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        self.process, ready = start([binary("SLAROUTER_BIN"), "serve"], cwd=self.folder)
        return f"http://{ready['listening']}/v1"

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0


def live(url):
    """Real requests on top: routed, on both routes, and for a model by its name; two of three are rated."""
    draw = random.Random(7)
    for number in range(90):
        model = "large" if number % 10 == 0 else "auto:mixed" if number % 2 else "auto"
        answer = post(f"{url}/chat/completions", {"model": model, "messages": [{"role": "user", "content": f"Question {number}"}]})
        if draw.random() < 2 / 3:
            post(f"{url}/feedback", {"id": answer["id"], "rating": float(draw.random() < 0.8), "rater": f"user {number % 7}"})


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with a log, its export, and what the commands say of it."""
    folder = tmp_path_factory.mktemp("notebooks")
    upstream, ready = start([binary("TESTKIT_UPSTREAM_BIN")])
    (folder / "slarouter.toml").write_text(CONFIG.replace("@UPSTREAM@", ready["base_url"]))
    # The log is to know its routes before it is filled.
    with Gateway(folder):
        pass
    run(binary("FILL_BIN"), "log.db", str(DECISIONS), str(FROM), str(FROM + DAYS * DAY_MS), "7", cwd=folder)
    with Gateway(folder) as url:
        live(url)
        # Beside a running gateway: what was rated is on the disk.
        run(binary("SLAROUTER_BIN"), "export", "beside", cwd=folder)
    upstream.stdin.close()
    assert upstream.wait(PATIENCE) == 0
    slarouter = binary("SLAROUTER_BIN")
    told = json.loads(run(slarouter, "export", "october", cwd=folder))
    assert told["unreadable"] == 0 and told["rows"]["decisions"] == DECISIONS + 90
    after = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=62)
    report = run(slarouter, "report", "--from", "2026-09", "--to", f"{after:%Y-%m}", "--format", "json", cwd=folder)
    (folder / "report.json").write_text(report)
    for route, model in (("default", "large"), ("mixed", "small")):
        answer = run(slarouter, "what-if", "--route", route, "--policy", f"fixed:{model}", "--json", cwd=folder)
        (folder / f"what-if-{route}.json").write_text(answer)
    return folder


def notebook(name, folder, route, model):
    """What a notebook prints, run as it is."""
    env = {"SLAROUTER_EXPORT": "october", "SLAROUTER_WHAT_IF": f"what-if-{route}.json", "SLAROUTER_MODEL": model, "MPLBACKEND": "agg"}
    return run(sys.executable, str(NOTEBOOKS / name), cwd=folder, **env)


@pytest.mark.parametrize(("route", "model"), [("default", "large"), ("mixed", "small")])
def test_a_recount_agrees_with_the_report_and_with_what_if(folder, route, model):
    said = notebook("recount.py", folder, route, model)
    assert "the report and what-if agree with" in said, said
    report = json.loads((folder / "report.json").read_text())
    routes = [route for month in report["months"] for route in month["routes"]]
    # Else nothing would have been compared.
    assert any(route["saved_interval_usd"] for route in routes) and any(route["rerouted"] for route in routes)


def test_another_log_is_found_out(folder):
    report = json.loads((folder / "report.json").read_text())
    report["months"][0]["routes"][0]["saved_usd"] += 0.001
    (folder / "other.json").write_text(json.dumps(report))
    with pytest.raises(AssertionError, match="is not"):
        env = {"SLAROUTER_EXPORT": "october", "SLAROUTER_REPORT": "other.json", "SLAROUTER_WHAT_IF": "what-if-default.json"}
        run(sys.executable, str(NOTEBOOKS / "recount.py"), cwd=folder, **env)


@pytest.mark.parametrize(("route", "model"), [("default", "large"), ("mixed", "small")])
def test_open_bandit_pipeline_takes_it_and_agrees(folder, route, model):
    said = notebook("open_bandit.py", folder, route, model)
    assert "obp agrees with what-if on" in said, said


def test_the_examples_of_the_document_run(folder):
    document = (ROOT / "docs" / "export.md").read_text()
    (sql,), (python,) = (re.findall(f"```{language}\n(.*?)```", document, re.DOTALL) for language in ("sql", "python"))
    sql = sql.replace("'october/", f"'{folder}/october/")
    rows = duckdb.connect().execute(sql).fetchall()
    assert sum(answers for _, _, _, answers, *_ in rows) == DECISIONS + 90
    printed = run(sys.executable, "-c", python, cwd=folder)
    assert "default" in printed and "mixed" in printed, printed


def test_hashes_are_those_of_the_files(folder):
    manifest = json.loads((folder / "october" / "manifest.json").read_text())
    lines = "".join(f"{file['sha256']}  {file['path']}\n" for file in manifest["files"])
    subprocess.run(["sha256sum", "--check", "--quiet"], input=lines, cwd=folder / "october", text=True, check=True)
