"""What people see of the dashboard, in a browser."""

import os
from pathlib import Path

import pytest
from conftest import HOSTILE, PLAY_KEY, VIEW_KEY, http, until

SCREENSHOTS = Path(os.environ["SCREENSHOTS"])
MOST_PAGE_BYTES, MOST_OWN_SCRIPT_BYTES = 120_000, 40_000


def findings(page):
    """What axe finds wrong: evaluated from outside, which the page's own policy does not forbid."""
    page.evaluate(Path(os.environ["AXE"]).read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in found["violations"]]


def log_in(page, base, key):
    page.goto(f"{base}/dashboard")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Log in").click()


def fits(page):
    """The page itself never scrolls sideways; tables do so within their frames."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


VIEWS = ["overview", "route", "decisions", "decision", "playground", "problem"]


def path_of(demo, view):
    if view == "decision":
        _, drawn = http("GET", f"{demo}/admin/decisions?limit=1&reason=exploit")
        return f"/dashboard/decisions/{drawn['data'][0]['id']}"
    return {
        "overview": "/dashboard",
        "route": "/dashboard/routes/default",
        "decisions": "/dashboard/decisions",
        "playground": "/dashboard/playground",
        "problem": "/dashboard/routes/none",
    }[view]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_fits_and_axe_finds_nothing(look, demo, view, width, scheme):
    page = look(width, scheme)
    answer = page.goto(demo + path_of(demo, view))
    if view == "route":
        page.locator(".uplot canvas").nth(2).wait_for()
    page.screenshot(path=SCREENSHOTS / f"{view}-{width}-{scheme}.png", full_page=True)
    assert fits(page)
    assert findings(page) == []
    if view == "problem":
        assert answer.status == 404
        look.complaints.clear()


@pytest.mark.parametrize("view", ["overview", "route", "decisions"])
def test_pages_are_small_come_from_one_place_and_need_no_script(look, demo, view):
    page = look()
    answers = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(demo + path_of(demo, view))
    page.wait_for_load_state("load")
    # The stream of figures has no end.
    sizes = {answer.url: len(answer.body()) for answer in answers if "/admin/stream" not in answer.url}
    assert all(url.startswith(demo) for url in sizes), sizes
    loaded = {url: size for url, size in sizes.items() if "/admin/" not in url}
    assert sum(loaded.values()) <= MOST_PAGE_BYTES, loaded
    own = sum(size for url, size in loaded.items() if url.endswith(".js") and "uPlot" not in url)
    assert own <= MOST_OWN_SCRIPT_BYTES

    bare = look(script=False)
    bare.goto(demo + path_of(demo, view))
    text = bare.inner_text("main")
    assert "default" in text and ("certified" in text or "assurance" in text or "exploit" in text), text


def test_charts_begin_with_the_route_and_predictions_stand_beside_ratings(look, demo):
    _, series = http("GET", f"{demo}/admin/routes/default/series?range=90d")
    assert series["columns"]["requests"][0] > 0, series["columns"]["time_ms"][:3]
    page = look()
    page.goto(f"{demo}/dashboard/routes/default")
    rows = page.get_by_role("region", name="Calibration").locator("tbody tr")
    assert rows.count() == 10
    assert page.get_by_role("region", name="Upstreams").locator("tbody tr").count() > 1


def test_figures_go_on_by_themselves(look, demo):
    page = look()
    page.goto(f"{demo}/dashboard")
    requests = page.locator("[data-live='Requests']")
    before = requests.inner_text()
    until(lambda: requests.inner_text() != before, "another number of requests")


def test_what_is_loaded_and_what_cannot_be_is_said(look, demo):
    page, held = look(), []
    page.route("**/series?*", lambda route: held.append(route))
    page.goto(demo + path_of(demo, "route"))
    page.get_by_text("The chart is being loaded").first.wait_for()
    page.screenshot(path=SCREENSHOTS / "route-loading.png", full_page=True)
    assert findings(page) == []
    # All three charts ask once.
    [asked] = held
    asked.continue_()
    page.locator(".uplot canvas").nth(2).wait_for()
    assert page.get_by_text("The chart is being loaded").count() == 0

    broken = look()
    broken.route("**/series?*", lambda route: route.fulfill(status=503))
    broken.route("**/admin/stream", lambda route: route.abort())
    broken.goto(demo + path_of(demo, "route"))
    broken.get_by_text("The chart could not be loaded").first.wait_for()
    broken.get_by_role("alert").filter(has_text="no longer up to date").wait_for()
    assert broken.locator("table").first.locator("tbody tr").count() > 0, "the figures are there all the same"
    broken.screenshot(path=SCREENSHOTS / "route-broken.png", full_page=True)
    assert fits(broken) and findings(broken) == []
    # It goes on asking for the stream, and complains each time.
    broken.close()
    look.complaints.clear()


def test_a_chart_of_one_moment_shows_minutes(look, demo):
    def first(route):
        answer = route.fetch()
        series = answer.json()
        series["columns"] = {name: values[:1] for name, values in series["columns"].items()}
        route.fulfill(response=answer, json=series)

    page = look()
    page.route("**/series?*", first)
    page.goto(demo + path_of(demo, "route"))
    page.locator(".uplot canvas").nth(2).wait_for()
    shown = page.evaluate("[...document.querySelectorAll('[kind]')].map(({ plot }) => plot.scales.x.max - plot.scales.x.min)")
    assert shown == [600, 600, 600]


def test_the_keyboard_reaches_everything(look, demo):
    page = look()
    page.goto(f"{demo}/dashboard")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Overview", "Decisions", "Playground", "default"} <= reached


def test_a_key_is_asked_for_and_kept_nowhere(look, gateway):
    _, base = gateway
    page = look()
    log_in(page, base, "not-a-key-of-this-gateway")
    page.get_by_role("alert").wait_for()
    page.screenshot(path=SCREENSHOTS / "login-refused.png")
    assert findings(page) == []
    look.complaints.clear()
    page.get_by_label("Key").fill(VIEW_KEY)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
    assert page.get_by_role("link", name="Playground").count() == 0, "this key may not ask"
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Key").wait_for()
    page.goto(f"{base}/dashboard/decisions")
    page.get_by_label("Key").wait_for()


def test_nothing_decided_yet_is_said_and_what_clients_wrote_is_text(look, gateway):
    public, base = gateway
    page = look()
    log_in(page, base, PLAY_KEY)
    page.get_by_role("link", name="Decisions").click()
    page.get_by_text("No decision fits").wait_for()
    page.screenshot(path=SCREENSHOTS / "decisions-empty.png")
    assert findings(page) == []

    ask = {"model": HOSTILE, "messages": [{"role": "user", "content": HOSTILE}]}
    status, answer = http("POST", f"{public}/v1/chat/completions", ask, authorization=f"Bearer {PLAY_KEY}")
    assert status == 200
    rating = {"id": answer["id"], "rating": "down", "comment": HOSTILE}
    assert http("POST", f"{public}/v1/feedback", rating, authorization=f"Bearer {PLAY_KEY}")[0] == 202
    for path in ["/dashboard/routes/default", "/dashboard/decisions", f"/dashboard/decisions/{answer['id']}"]:
        page.goto(base + path)
        assert page.get_by_text(HOSTILE, exact=False).count() > 0, path
        assert page.locator("img").count() == 0 and page.title() != "owned", path


def test_a_person_asks_rates_and_sees_why(look, gateway):
    _, base = gateway
    page = look()
    log_in(page, base, PLAY_KEY)
    page.get_by_role("link", name="Playground").click()
    page.get_by_label("Question").fill(HOSTILE)
    page.get_by_role("button", name="Ask").click()
    up = page.get_by_role("button", name="Good answer")
    up.wait_for()
    up.click()
    page.get_by_text("Rating recorded.").wait_for(state="attached")
    assert up.get_attribute("aria-pressed") == "true"
    page.screenshot(path=SCREENSHOTS / "playground-answered.png", full_page=True)
    assert findings(page) == []
    page.get_by_role("link", name="Why this model").click()
    page.get_by_role("heading", name="Why small").wait_for()
    assert "recorded" in page.inner_text("main")


def test_an_answer_is_shown_while_it_comes_and_one_without_its_end_is_none(look, gateway):
    _, base = gateway
    page = look()
    log_in(page, base, PLAY_KEY)
    page.get_by_role("link", name="Playground").click()
    stop = page.get_by_role("button", name="Stop")
    assert not stop.is_visible()
    page.get_by_label("Model or route").select_option("waits")
    page.get_by_label("Question").fill("one")
    page.get_by_role("button", name="Ask").click()
    # The rest of this answer never comes.
    page.locator("#talk li:last-child .text", has_text="You").wait_for()
    assert page.locator("#talk li:last-child .who").inner_text() == "waits"
    page.screenshot(path=SCREENSHOTS / "playground-answering.png", full_page=True)
    assert findings(page) == []
    stop.click()
    page.get_by_text("You stopped the answer.").wait_for()
    assert not stop.is_visible() and page.get_by_label("Question").input_value() == "one"
    page.get_by_label("Model or route").select_option("breaks")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("alert").nth(1).wait_for()
    assert "stopped" not in page.get_by_role("alert").nth(1).inner_text()
    # What came of it can be looked at and rated.
    assert page.get_by_role("link", name="Why this model").count() == 2
