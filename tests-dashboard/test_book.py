"""The book (`make book`) in a browser: on a telephone and on a desk, in the light and in the dark, without a network."""

import os
from pathlib import Path

import pytest
from conftest import CHROMIUM
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "target/book"
# Of each of these a picture is taken, and the others are looked at on a telephone alone, where the room is least.
SHOWN = ["index", "docs/start", "docs/concepts", "docs/choosing", "docs/configuration", "docs/migrate-litellm", "docs/benchmarks"]


def pages():
    found = sorted(path for path in BOOK.rglob("*.html") if path.name not in ("404.html", "toc.html"))
    assert len(found) > 40, "make book has not been run"
    return found


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--allow-file-access-from-files"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_every_page_fits_and_loads_nothing_from_elsewhere(chromium, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, asked, wrong = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    for path in pages():
        name = path.relative_to(BOOK).with_suffix("").as_posix()
        if name not in SHOWN and (width, scheme) != (360, "light"):
            continue
        page.goto(path.as_uri())
        # Scripts lay the page out; the print page asks for a printer instead.
        page.wait_for_load_state("load")
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if over > 0:
            wrong.append(f"{path.relative_to(BOOK)} is {over} px too wide at {width}")
        broken = page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)")
        wrong += [f"{path.relative_to(BOOK)}: {source} is not shown" for source in broken]
        if name in SHOWN:
            shot = Path(os.environ["SCREENSHOTS"]) / f"book-{name.replace('/', '-')}-{width}-{scheme}.png"
            page.screenshot(path=shot, full_page=False)
    elsewhere = {url for url in asked if not url.startswith(("file:", "data:"))}
    assert not elsewhere and not wrong, f"{elsewhere}\n" + "\n".join(wrong)
    context.close()


def test_the_colours_follow_the_reader(chromium):
    def background(scheme):
        context = chromium.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto((BOOK / "docs/concepts.html").as_uri())
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        context.close()
        return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])

    assert background("light") > 600 and background("dark") < 200
