"""Reports of a corpus whose names want to be more than names, and a browser that looks at them.

The browser is the Chromium or Chrome of the machine, driven headless; without one, or without Playwright (extra `ui`),
these tests are skipped. Screenshots are kept where `UI_SHOTS` says, which `make test-ui` sets.
"""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from beatsight_core.settings import load_settings

SCRIPT = "<script>window.ran=1</script><img src=x onerror='window.ran=2'>"
QUOTES = '"\'`><b onclick="window.ran=3">quoted'
LONG = "three-hundred-characters-without-a-place-to-break-" * 6
RIGHT_TO_LEFT = "\u202eתופים של מישהו\u05d0 (right to left)"
HOSTILE = (SCRIPT, QUOTES, LONG, RIGHT_TO_LEFT)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip


def corpus_of_core() -> ModuleType:
    """The makers of a tiny corpus and run that the tests of core have."""
    path = Path(__file__).parents[1] / "core" / "conftest.py"
    spec = importlib.util.spec_from_file_location("conftest_of_core", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def renamed(line: dict[str, Any], number: int) -> dict[str, Any]:
    """An event under hostile names, each kind of name in some of them."""
    session = int(line["session_id"].rpartition(" ")[2])
    return {
        **line,
        "source_set": HOSTILE[session % 4],
        "session_id": f"{HOSTILE[session % 4]} {session}",
        "drummer_id": HOSTILE[(session + 1) % 4],
        "kit_id": HOSTILE[(session + 2) % 4],
        "licence": HOSTILE[(session + 3) % 4],
        "techniques": [HOSTILE[number % 4]],
    }


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The health, evaluation and dataset pages of such a corpus, made by the platform itself."""
    from beatsight_core.dataset.index import dataset_key
    from beatsight_core.dataset.page.dataset_page import write_dataset_page
    from beatsight_core.evaluation.evaluate import PAGE, evaluate
    from beatsight_core.health.report import run_health

    core = corpus_of_core()
    root = tmp_path_factory.mktemp("ui") / "data"
    root.mkdir()
    tables = "".join(f"[sources.{json.dumps(name)}]\nroots = ['raw/tiny']\n" for name in HOSTILE)
    (root / "beatsight.toml").write_text(core.SETTINGS + tables, encoding="utf-8")
    plain = core.write_corpus(root, sessions=12, hits=16)
    lines = [json.loads(line) for line in plain.read_text().splitlines()]
    events = [renamed(line, number) for number, line in enumerate(lines)]
    unknown = [
        {**events[0], "event_id": f"unknown-{number}", "components": [{"label": name}]}
        for number, name in enumerate(HOSTILE)
    ]
    lost = {**events[1], "event_id": "lost", "audio_path": f"{SCRIPT.replace('/', '')}.wav"}
    plain.unlink()
    manifest = plain.with_name("a 'name' <b onclick=window.ran=4>.jsonl")
    rows = [json.dumps(event, ensure_ascii=False) for event in [*events, *unknown, lost]]
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    settings = load_settings(root)
    run_id = core.prepare_and_train(settings, manifest, epochs=4)
    key = dataset_key(settings, manifest)
    return {
        "health": run_health(settings, key).report_html,
        "evaluation": evaluate(settings, run_id, device="cpu").folder / PAGE,
        "dataset": write_dataset_page(settings, key),
    }


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless browser of this machine."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra ui)")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on the path")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept."""
    folder = Path(os.environ.get("UI_SHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
