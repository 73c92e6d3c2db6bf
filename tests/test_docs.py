"""The documents: their commands and programs are run, their lists are complete, and their words are plain.

Commands run in the order they stand in, and must exit as the document says.
"""

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.runs.presets import load_checked_settings
from beatsight_core.settings import ALERT_KINDS, AlertSettings
from beatsight_core.taxonomy import TAXONOMIES

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```bash run(?: exit=(\d+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")
VERBS = re.compile(r"\bbeatsight ([a-z]+)")
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [*(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")), *PAGES]

LONGEST_LINE = 120
GENERATED = re.compile(r"<!-- results: .*?<!-- (?:results: end|end of results) -->", re.DOTALL)
"""What `make bench` and `make faults` write into a page."""
CODE = re.compile(r"```.*?```|^(?: {4}.*\n)+|`[^`\n]+`|\]\([^)]*\)", re.DOTALL | re.MULTILINE)
"""Blocks, names and addresses: commands and files on disk keep names that prose no longer uses."""
PRIVATE_WORDS = (
    r"sittings?", r"bless(?:ed|es|ing)?", r"waive[rd]?s?", r"shel(?:f|ves)", r"struck", r"grounds", r"untold",
    r"files of others", r"pictures? of (?:a|the|each|every) clip", r"ring of (?:\w+ )?checkpoints",
    r"champion's pair", r"judged net",
)  # fmt: skip
"""Words that newcomers stumbled over; docs/glossary.md has those that are used instead."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [
        pytest.param("tutorial", 8, marks=pytest.mark.long),
        pytest.param("training", 3, marks=pytest.mark.long),
        pytest.param("recast", 2, marks=pytest.mark.long),
        ("alerts", 1),
        ("devices", 2),
        ("gpu", 1),
    ],
)
def test_the_commands_run_word_for_word(name: str, least: int, tmp_path: Path):
    blocks = BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text())
    assert len(blocks) >= least
    # Every block must end as it says; blocks share one shell, as they would when typed.
    script = ["set -u"]
    for code, commands in blocks:
        for command in commands.strip().splitlines():
            failed = shlex.quote(f"{command}: must exit with {code or 0}, not with")
            script += [command, f"said=$?; [ $said -eq {code or 0} ] || {{ echo {failed} $said; exit 99; }}"]
    place = tmp_path / name
    shell = "\n".join(script).replace(f"/tmp/beatsight-{name}", str(place))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    if name == "tutorial":
        assert (place / "hits.mid").read_bytes().startswith(b"MThd")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere_and_verbs_exist(document):
    from beatsight_core.cli.main import _VERBS

    text = document.read_text()
    for target in LINK.findall(text):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
    for target, anchor in ANCHOR.findall(text):
        page = document.parent / target if target else document
        assert anchor in anchors(page), f"{document.name} links to {target}#{anchor}"
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    assert set(VERBS.findall(code)) <= set(_VERBS)


def anchors(page):
    """The names by which headings of a page are linked: lower case, blanks as dashes, without punctuation."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_short_and_words_are_plain(document):
    text = GENERATED.sub("", document.read_text())
    long = [f"{len(line)}: {line}" for line in text.splitlines() if len(line) > LONGEST_LINE]
    assert not long, "\n".join(long)
    prose = CODE.sub("", text)
    private = [found[0] for word in PRIVATE_WORDS for found in re.finditer(rf"\b{word}\b", prose, re.IGNORECASE)]
    assert not private, f"{document.name} says {', '.join(private)}"


def test_every_page_is_in_the_index_and_the_glossary_on_top_of_the_readme():
    index = {(ROOT / "docs" / link).resolve() for link in LINK.findall((ROOT / "docs/README.md").read_text())}
    decisions = ROOT / "docs/decisions"
    listed = {(decisions / link).resolve() for link in LINK.findall((decisions / "README.md").read_text())}
    assert {page for page in PAGES if page.parent == ROOT / "docs"} - index == {ROOT / "docs/README.md"}
    assert {page for page in PAGES if page.parent == decisions} - listed == {decisions / "README.md"}
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text()[:1000]


def test_decisions_are_numbered_and_say_context_choice_and_price():
    records = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        headings = re.findall(r"^#+ (.*)|^(Date: \d{4}-\d\d-\d\d)$", record.read_text(), re.MULTILINE)
        title, date, *parts = ["".join(found) for found in headings]
        assert title.startswith(f"{int(record.name[:4])}. ")
        assert date.startswith("Date: ")
        assert parts == ["Context", "Choice", "Price"]


def test_rooms_stand_in_the_order_of_imports_with_their_packages():
    core, page = ROOT / "beatsight_core", (ROOT / "docs/architecture.md").read_text()
    rooms = page.partition("<!-- rooms -->")[2].partition("<!-- end of rooms -->")[0]
    source = (ROOT / "tests/core/test_architecture.py").read_text()
    (order,) = re.findall(r"^ROOMS = \((.*?)^\)", source, re.MULTILINE | re.DOTALL)
    there = [name for name in re.findall(r'"(\w+)"', order) if (core / name).is_dir() or (core / f"{name}.py").exists()]
    assert re.findall(r"^- `(\w+)(?:\.py|/)`", rooms, re.MULTILINE) == there
    packages = [path.parent.relative_to(core) for path in core.rglob("__init__.py") if path.parent != core]
    inside = [package for package in packages if len(package.parts) > 1]
    assert [str(package) for package in inside if not re.search(rf"[`/]{package.name}/`", rooms)] == []


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=lambda taxonomy: taxonomy.name)
def test_labels_of_each_taxonomy_are_listed_in_class_order(taxonomy):
    page = (ROOT / "docs/write-a-manifest.md").read_text()
    listed = page.partition(f"<!-- labels: {taxonomy.name} -->")[2].partition("<!-- end of labels -->")[0]
    assert re.findall(r"`(\w+)`", listed) == list(taxonomy.components)


def test_the_program_that_makes_a_manifest_of_a_csv_does(tmp_path):
    page = (ROOT / "docs/write-a-manifest.md").read_text()
    (program,) = re.findall(r"^```python run\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (table,) = re.findall(r"^```text\n(file,.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "hits.csv").write_text(table)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = build_catalog(load_checked_settings(tmp_path / "data"), str(tmp_path / "my_takes.jsonl")).summary
    assert (summary.read, summary.kept, summary.sessions, summary.hits) == (3, 3, 2, 2)


def test_the_line_that_is_explained_is_a_valid_event(tmp_path):
    page = (ROOT / "docs/write-a-manifest.md").read_text()
    (line,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "m.jsonl").write_text(json.dumps(json.loads(line)) + "\n")
    summary = build_catalog(load_checked_settings(tmp_path / "data"), str(tmp_path / "m.jsonl")).summary
    assert (summary.kept, summary.techniques) == (1, {"flam": 1})


def test_the_settings_of_alerts_hold(tmp_path):
    page = (ROOT / "docs/alerts.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "beatsight.toml").write_text("\n".join(blocks))
    alerts = load_checked_settings(tmp_path).alerts
    assert [receiver.kind for receiver in alerts.receivers] == ["log", "command", "webhook", "mail", "apprise"]
    assert alerts == dataclasses.replace(AlertSettings(), base_url=alerts.base_url, receivers=alerts.receivers)
    listed = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(listed))) == set(ALERT_KINDS) - {"test"}


def test_the_settings_of_a_first_small_corpus_hold(tmp_path):
    page = (ROOT / "docs/first-small-corpus.md").read_text()
    (settings,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "beatsight.toml").write_text(settings)
    assert load_checked_settings(tmp_path).gates.min_counts["kick"] == 300
