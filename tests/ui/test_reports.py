"""The reports in a real browser: light, dark, on a phone, printed; with names that want to run, break out or sprawl."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ui

PAGES = ("health", "evaluation", "dataset")
VIEWS = {
    "light": {"width": 1280, "color_scheme": "light"},
    "dark": {"width": 1280, "color_scheme": "dark"},
    "phone": {"width": 390, "color_scheme": "light"},
    "phone-dark": {"width": 390, "color_scheme": "dark"},
    "print": {"width": 794, "color_scheme": "light"},  # A4 at 96 dots an inch
}
OVERFLOW = """() => {
  const wide = document.documentElement.clientWidth;
  const end = element => Math.round(element.getBoundingClientRect().right);
  const name = element => `${element.tagName}.${element.className} ends at ${end(element)}`;
  const inBox = element => {
    for (let parent = element.parentElement; parent; parent = parent.parentElement)
      if (getComputedStyle(parent).overflowX !== 'visible') return true;
    return false;
  };
  const out = [...document.body.querySelectorAll('*')]
    .filter(element => end(element) > wide + 1 && !inBox(element) && element.checkVisibility())
    .map(name);
  return {page: document.documentElement.scrollWidth - wide, out: out.slice(0, 5)};
}"""


BROKEN_WORDS = """() => {
  const broken = [];
  for (const cell of document.querySelectorAll('table:not(.heat) :is(th, td)')) {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode())
      for (const word of node.data.matchAll(/[A-Za-z0-9_.,]{2,20}(?=\\s|$)/g)) {
        if (word.index && !/\\s/.test(node.data[word.index - 1])) continue;
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) broken.push(word[0]);
      }
  }
  return broken.slice(0, 5);
}"""
"""Words of up to 20 letters in the cells of tables that stand on two lines."""


@dataclasses.dataclass
class Seen:
    """What a page did while it was looked at."""

    page: Any
    asked: list[str] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)

    def ran(self) -> Any:
        return self.page.evaluate("() => window.ran ?? null")


@contextmanager
def looking_at(browser: Any, path: Path, view: str) -> Iterator[Seen]:
    """Open a file as a reader would, and note every request, message and dialog."""
    size = {"width": VIEWS[view]["width"], "height": 900}
    context = browser.new_context(viewport=size, color_scheme=VIEWS[view]["color_scheme"])
    seen = Seen(context.new_page())
    address = path.as_uri()
    seen.page.on("request", lambda request: seen.asked.append(request.url))
    seen.page.on("console", lambda message: seen.errors.append(f"{message.type}: {message.text}"))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("dialog", lambda dialog: (seen.errors.append("dialog"), dialog.dismiss()))
    if view == "print":
        seen.page.emulate_media(media="print")
    seen.page.goto(address, wait_until="load")
    seen.asked = [url for url in seen.asked if url != address and not url.startswith("data:")]
    yield seen
    context.close()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_a_report_fits_asks_nobody_and_runs_nothing(
    reports: dict[str, Path], browser: Any, shots: Path, name: str, view: str
) -> None:
    with looking_at(browser, reports[name], view) as seen:
        for details in seen.page.query_selector_all("details"):
            details.evaluate("element => element.open = true")
        seen.page.screenshot(path=shots / f"{name}-{view}.png", full_page=True)
        assert seen.page.evaluate(OVERFLOW) == {"page": 0, "out": []}
        assert seen.page.evaluate(BROKEN_WORDS) == []
        assert seen.page.evaluate("() => document.scripts.length") == 0
        assert seen.ran() is None
        assert seen.asked == []
        assert seen.errors == []


@pytest.mark.parametrize("name", PAGES)
def test_hostile_names_are_shown_as_they_are_written(reports: dict[str, Path], browser: Any, name: str) -> None:
    with looking_at(browser, reports[name], "light") as seen:
        text = seen.page.evaluate("() => document.body.textContent")
        assert "<script>window.ran=1</script>" in text
        assert seen.page.evaluate("() => document.querySelectorAll('[onclick], [onerror]').length") == 0
        whites = seen.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    with looking_at(browser, reports[name], "dark") as seen:
        assert seen.page.evaluate("() => getComputedStyle(document.body).backgroundColor") != whites


def test_the_watch_sees_what_it_is_for(browser: Any, tmp_path: Path) -> None:
    """A page that does all of it: each assertion above would fail on it."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<body><p style='width:3000px'>wide</p>"
        "<table style='width:40px;overflow-wrap:anywhere'><tr><td>hihat_closed</td></tr></table>"
        "<script>window.ran=1; console.error('said')</script>"
        f"<img src='{(tmp_path / 'other.png').as_uri()}'></body>"
    )
    with looking_at(browser, page, "phone") as seen:
        found = seen.page.evaluate(OVERFLOW)
        assert found["page"] > 2000
        assert seen.page.evaluate(BROKEN_WORDS) == ["hihat_closed"]
        assert found["out"]
        assert seen.ran() == 1
        assert any(url.endswith("other.png") for url in seen.asked)
        assert any("said" in error for error in seen.errors)
        assert seen.page.evaluate("() => document.scripts.length") == 1
