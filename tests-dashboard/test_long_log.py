"""Each view of a long log, and how long it takes to be there: with `-s` all figures are told.

DECISIONS says how long the log is, and MOST_MS, where it is given, what each view may take; docs/benchmarks.md has figures of a million.
"""

import os
import subprocess
import time
import urllib.request
from contextlib import contextmanager

import pytest
from conftest import http, serving, until

DECISIONS = int(os.environ.get("DECISIONS", "100000"))
# Decisions since the last saved state: an explanation replays them.
SINCE_SAVED = 9_000
DAY_MS = 86_400_000
# None by itself: how fast a machine is says nothing of what is tested on it.
MOST_MS = float(os.environ.get("MOST_MS", "inf"))
TRIES = 3
CONFIG = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[store]
url = "sqlite://@DIR@/t.db"
[[models]]
name = "small"
base_url = "http://127.0.0.1:9/v1"
price = { input = 0.10, output = 0.40 }
[[models]]
name = "large"
base_url = "http://127.0.0.1:9/v1"
price = { input = 2.50, output = 10.00 }
[routes.default]
models = ["small", "large"]
fallback = "large"
sla = { satisfaction = 0.8 }
[routes.rare]
models = ["small", "large"]
fallback = "large"
sla = { satisfaction = 0.8 }
"""
PAGES = {
    "overview": "/dashboard",
    **{f"route, {range}": f"/dashboard/routes/default?range={range}" for range in ["1h", "1d", "30d", "90d"]},
    "decisions": "/dashboard/decisions",
    "decisions, the oldest": "/dashboard/decisions?before=1000",
    "decisions of a rare route": "/dashboard/decisions?route=rare",
    "decisions of a model": "/dashboard/decisions?model=small",
    "decisions of a rare kind": "/dashboard/decisions?route=rare&model=large&reason=pinned",
}
PATHS = {
    "500 decisions": "/admin/decisions?limit=500",
    "500 of a model": "/admin/decisions?limit=500&model=small",
    "those of a rare route": "/admin/decisions?limit=500&route=rare",
    "series of 90 days": "/admin/routes/default/series?range=90d",
    "metrics": "/metrics",
}


def text(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    """The operator's address of a gateway with a long log, of which it has learnt all."""
    folder = tmp_path_factory.mktemp("long")
    now = int(time.time() * 1000)

    def fill(decisions, begun, end):
        times = [str(now - begun * DAY_MS), str(now - end * DAY_MS)]
        subprocess.run([os.environ["FILL_BIN"], str(folder / "t.db"), str(decisions), *times, "7"], check=True)

    @contextmanager
    def learnt():
        with serving(folder, CONFIG) as (_, base):

            def is_read():
                shown = dict(line.rsplit(" ", 1) for line in text(f"{base}/metrics").splitlines() if line[0] != "#")
                return shown["slarouter_learner_seq"] == shown["slarouter_log_seq"] != "0"

            until(is_read, "all that is to be learnt")
            yield base

    # So that the log knows the routes.
    with learnt():
        pass
    fill(DECISIONS, 30, 1)
    # So that there is a saved state before the last decisions, which are explained from it.
    with learnt():
        pass
    fill(SINCE_SAVED, 1, 0)
    with learnt() as base:
        yield base


def told(name, times):
    print(f"| {name} | {min(times):.0f} ms | {max(times):.0f} ms |")
    assert min(times) <= MOST_MS, times


@pytest.mark.parametrize("name", [*PAGES, "one decision"])
def test_each_view_is_there(look, long_log, name):
    path = PAGES.get(name)
    if path is None:
        _, listed = http("GET", f"{long_log}/admin/decisions?limit=1")
        path = f"/dashboard/decisions/{listed['data'][0]['id']}"
    times = []
    for _ in range(TRIES):
        page = look()
        page.goto(long_log + path)
        if name.startswith("route"):
            page.locator(".uplot canvas").nth(2).wait_for()
        # From the first click to what is drawn.
        times.append(page.evaluate("performance.now()"))
    told(name, times)


@pytest.mark.parametrize("name", PATHS)
def test_each_path_answers(long_log, name):
    times = []
    for _ in range(TRIES):
        begun = time.monotonic()
        text(long_log + PATHS[name])
        times.append(1000 * (time.monotonic() - begun))
    told(name, times)


def test_what_is_rare_is_found_at_once(look, long_log):
    page = look()
    page.goto(long_log + PAGES["decisions of a rare route"])
    # One in a hundred thousand, of the million at most that a page looks through, and one of those since the last saved state.
    assert page.locator("tbody tr").count() == min(max(1, DECISIONS // 100_000), 9) + 1
