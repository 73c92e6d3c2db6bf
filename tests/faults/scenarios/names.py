"""Hostile names in every field that becomes a file, a partition, a row, a column, a page, a log or a terminal line.

Nothing is deleted that the platform did not make, nothing is written outside its place, no character steers a terminal,
a page or a spreadsheet, and every name that can be kept is kept exactly.
"""

import json
import os
import pty
import random
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.dataset.index import index_paths, read_index
from beatsight_core.manifest.read_manifest import manifest_key
from tests.faults.corpus import LABELS, write_take
from tests.faults.lab import Lab, Tally, settings_of
from tests.faults.nursery import ROOT

PLACE, WHOLE, SHORT = 8, 500, 10

BATCH = 25
"""Names in one data root."""

VERBS = (
    ("export", "{manifest}", "--workers", "1"), ("manifest", "stats", "{manifest}"), ("health", "{manifest}"),
    ("dataset", "show", "{manifest}", "--html"), ("dataset", "prune", "--yes"), ("doctor",),
    ("manifest", "check", "{manifest}"), ("verify", "{manifest}"), ("export", "{manifest}", "--verify"),
    ("features", "{manifest}", "--device", "cpu"), ("dataset", "ls"), ("dataset", "du"), ("archive", "--verify"),
    ("models",),
)  # fmt: skip
FEW = 6
"""Verbs of a short run."""

MARK = "<img src=x onerror=alert(1)>"
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
_DRAWING = re.compile(r"\x1b\[(?:\d{0,3}(?:;\d{1,3})*[A-KJm]|\?25[lh])")
"""What colours text, moves the cursor within a few lines, and hides it."""

STEERERS = (
    "\x1b[31mred", "\x1b]0;owned\x07", "\x1b[9999;9999H", "\x9b31m", "\u202egnp.exe", "\u2066x\u2069", "a\u200bb",
    "a\u00adb", "\ufeffa", "a\rb", "a\tb", "a\x08\x08b", "a\x85b", "a\u2028b", "\U000e0041", "\u3164", "a\x00b",
    "[red]a[/red]", "[bold", "[/]", ":boom:",
)  # fmt: skip
"""What a terminal, or what draws tables and bars on it, would read as more than letters."""

HOSTILE = (
    *STEERERS, ".", "..", "...", "../../outside", "/etc/passwd", "~", "~root", "-rf", "--help", "*", "[a-z]", "{a,b}",
    "?", "|", "$(id)", "`id`", "; rm -rf ~", "&& true", "CON", "nul.wav", "com1", "a.", "a ", " a", "x" * 300,
    "\u00e9" * 120, "\u9332" * 90, "Kit", "kit", "KIT", "k\u0130t",
    "events.tmp-run-20251109", "kit.tmp-00000000-1-00000000",
    "kit.tmp-00000000-1-00000000-old", ".kit.tmp-00000000-1-00000000", "tmp", "shards", "audio", "summary",
    "dataset_health", "%2e%2e", "%00", "%", "100%", "a%2Fb", "=1+1", "=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)",
    "\t=1", "|a|b|", "[x](javascript:alert(1))", "![x](http://x/y.png)", "<script>alert(1)</script>", MARK,
    "</td></tr>", "{{ 7 * 7 }}", "{% raw %}", "${x}", "#{x}", "%s %d", "{0}", "{", "a|b[c],d", "...a...",
    "# head", "- item", "~~~", "</style>", "'", '"', "\\", "a\\nb", "NaN", "null", "None", "true", "0", "-",
)  # fmt: skip


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Take `rounds` hostile names through the verbs, in as many data roots as it needs."""
    names = [*HOSTILE, *(_made_up(rng) for _ in range(max(0, rounds - len(HOSTILE))))]
    names = rng.sample(names, min(rounds, len(names)))
    kept, deleted, written, shown, drawn = (
        Tally("names kept exactly, each its own"), Tally("files of others beside them: none deleted"),
        Tally("places that were written to"), Tally("characters that reach standard output and error"),
        Tally("pages"),
    )  # fmt: skip
    for start in range(0, len(names), BATCH):
        root = lab.new_folder() / "data"
        verbs = VERBS if rounds >= BATCH else VERBS[:FEW]
        _try(lab, root, names[start : start + BATCH], verbs, (kept, deleted, written, shown, drawn))
        shutil.rmtree(root.parent)
    yield from (kept, deleted, written, shown, drawn)
    yield _partitions(names)
    yield _terminal(lab, 3 if rounds >= BATCH else 1)


def _try(lab: Lab, root: Path, names: list[str], verbs: Sequence[Sequence[str]], tallies: tuple[Tally, ...]) -> None:
    """One data root in which the names stand in every field, and everything that verbs make of them."""
    kept, deleted, written, shown, drawn = tallies
    manifest = _write_root(lab, root, names)
    bait = _lay_bait(root)
    before = _files(root.parent)
    for verb in verbs:
        arguments = [part.replace("{manifest}", str(manifest)) for part in verb]
        ended = lab.run(arguments, root)
        case = " ".join(verb)
        shown.tried += 1
        shown.expect(ended.code in (0, 1, 2, 3, 4), f"{case}: ended with {ended.code}: {ended.errors[-300:]}")
        wrong = steering(ended.out + ended.errors)
        shown.expect(not wrong, f"{case}: shows {wrong}")
        shown.count("characters", len(ended.out) + len(ended.errors))
    for path, data in bait.items():
        deleted.tried += 1
        deleted.expect(path.is_file() and path.read_bytes() == data, f"{path.name!r} in {path.parent.name} is gone")
    _check_written(root, before, written)
    _check_pages(root, drawn)
    _check_kept(lab, root, manifest, names, kept)


def _write_root(lab: Lab, root: Path, names: list[str]) -> Path:
    lab.corpus.write_settings(root)
    write_take(root / "raw" / "take.wav", np.arange(1, 5) * 0.15, np.random.default_rng(0))
    sound = (root / "raw" / "take.wav").read_bytes()
    events = []
    for number, name in enumerate(names):
        path = f"{name}.wav"
        if _can_be_a_file(path):
            (root / "raw" / path).write_bytes(sound)
        for place, audio in enumerate((path, "take.wav", "take.wav")):
            events.append(_event(name, audio, number, place))
    manifest = root / "manifests" / _manifest_name(names)
    manifest.parent.mkdir(parents=True)
    manifest.write_text("".join(json.dumps(event) + "\n" for event in events))
    return manifest


def _manifest_name(names: list[str]) -> str:
    """The first of the names that a manifest may have, or an ordinary one."""
    usable = (name for name in names if _can_be_a_file(f"{name}.jsonl") and name.isprintable() and name[0] not in ".-")
    return f"{next((name for name in usable if len(name.encode()) < 150), 'takes')}.jsonl"


def _can_be_a_file(name: str) -> bool:
    try:
        return 0 < len(name.encode()) <= 255 and "/" not in name and "\0" not in name and "\\" not in name
    except UnicodeEncodeError:
        return False


def _event(name: str, audio: str, number: int, place: int) -> dict[str, Any]:
    return {
        "event_id": f"{name} {number} {place}", "session_id": f"{name} {place}", "source_set": name,
        "audio_path": audio, "onset_time": round(0.15 * (place + 1), 3), "drummer_id": name, "kit_id": name,
        "room_id": name, "licence": name,
        "components": [{"label": LABELS[place], "velocity": 0.5}, *([{"label": name}] if place == 2 else [])],
        "techniques": [name], "bleed_level": name, "mix_context": name, name: name,
    }  # fmt: skip


def _lay_bait(root: Path) -> dict[Path, bytes]:
    """Files of others that only look as if a killed writer had left them, where the platform clears up."""
    folders = (
        "manifests", "catalog", "catalog/audio", "datasets", "datasets/shards/ab", "features", "reports/health",
        "reports/datasets", "reports/archive/20260101/x.tmp-00000000-1-00000000", "models", "runs",
    )  # fmt: skip
    names = (
        "mine.tmp-run-20251109.jsonl", "notes.tmp-1-2", ".mine.tmp-00000000-x-00000000",
        "kit.tmp-00000000-1-00000000.json",
    )  # fmt: skip
    bait = {root / folder / name: f"{folder}/{name}".encode() for folder in folders for name in names}
    for path, data in bait.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1e9, 1e9))  # old enough to be taken for what a stranger left
    return bait


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


_OWN = ("catalog", "datasets", "features", "reports")
"""Folders of a data root that these verbs write to."""


def _check_written(root: Path, before: set[Path], tally: Tally) -> None:
    """New files lie in the platform's own folders, under names that every drive takes and tells apart."""
    new = _files(root.parent) - before
    folded: dict[str, Path] = {}
    for path in sorted(new):
        tally.tried += 1
        inside = path.is_relative_to(root) and path.relative_to(root).parts[0] in _OWN
        tally.expect(inside, f"{path} was written")
        if not inside:
            continue
        name = path.relative_to(root).as_posix()
        wrong = [part for part in Path(name).parts[1:] if not _portable(part) and not part.startswith(".")]
        tally.expect(not wrong or name.startswith("catalog/"), f"{wrong} cannot be had everywhere")
        other = folded.setdefault(name.casefold(), path)
        tally.expect(other == path, f"{path.name} and {other.name} are one name on some drives")


def _portable(name: str) -> bool:
    device = name.partition(".")[0].strip().lower() in ("con", "prn", "aux", "nul", "com1", "lpt1")
    plain = name.isascii() and name.isprintable() and not set('<>:"/\\|?*') & set(name)
    return plain and name[-1] not in ". " and not device


def _check_pages(root: Path, tally: Tally) -> None:
    for page in sorted(root.rglob("*.html")):
        tally.tried += 1
        text = page.read_text()
        tally.expect(MARK not in text and "<script>alert" not in text, f"{page.name} holds a name as HTML")
        turning = sorted(set(text) & {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))})
        tally.expect(not turning, f"{page.name} holds {turning!a}")


def _check_kept(lab: Lab, root: Path, manifest: Path, names: list[str], tally: Tally) -> None:
    """Every source set that JSON can hold has an index of its own, and JSON says its name exactly."""
    settings = settings_of(root)
    found = [read_index(path).source_set for path in index_paths(settings, manifest_key(manifest))]
    wanted = {name for name in names if "\n" not in name and name}
    tally.tried += len(wanted)
    tally.expect(sorted(found) == sorted(wanted), f"source sets differ: {sorted(wanted ^ set(found))[:5]}")
    listed = lab.run(["dataset", "show", str(manifest), "--json"], root)
    if tally.expect(listed.code == 0, f"dataset show ended with {listed.code}: {listed.errors[-400:]}"):
        tally.expect(set(json.loads(listed.out)["source_sets"]) == wanted, "JSON does not say the names exactly")
    again = lab.run(["export", str(manifest), "--workers", "1", "--json"], root)
    if tally.expect(again.code == 0, f"export ended with {again.code}: {again.errors[-400:]}"):
        tally.expect(json.loads(again.out)["shards_written"] == 0, "an export makes the same again")


def _partitions(names: list[str]) -> Tally:
    """A name as a partition key of Dagster, and as Markdown and a cell in its pages."""
    from beatsight_core.safe_text import for_csv, for_markdown
    from beatsight_dagster.metadata import table
    from beatsight_dagster.partitions import by_manifest, from_partition, pair_partition, to_partition

    tally = Tally("partition keys, Markdown and cells")
    keys = {to_partition(name): name for name in names}
    tally.expect(len(keys) == len(set(names)), "two names have one partition")
    for key, name in keys.items():
        tally.tried += 1
        tally.expect(from_partition(key) == name, f"{name!r} does not come back from its partition")
        tally.expect(not set("|[],") & set(key) and "..." not in key, f"{key!r} means something to Dagster")
        tally.expect(by_manifest([pair_partition(name, name)]) == {name: [name]}, f"{name!r} in a pair of partitions")
        tally.expect(not steering(key), f"{key!r} steers a terminal")
        cell, text = str(for_csv(name)), for_markdown(name)
        harmless = not re.match(r"[=+\-@\t\r]", cell) or (cell == name and _is_number(name))
        tally.expect(harmless, f"{cell!r} is a formula")
        tally.expect(not re.search(r"[<>\n]|(?<!\\)(?:\\\\)*[|\[\]`]", text), f"{text!r} is read as Markdown")
        shown = table([{"name": name}]).records[0].data["name"]
        tally.expect(not steering(str(shown)), f"{shown!r} steers a page")
    return tally


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text) is not None


def _terminal(lab: Lab, count: int) -> Tally:
    """Verbs under a terminal, with bars and colours: nothing but what draws these reaches it."""
    tally = Tally("verbs under a terminal, with bars and colours")
    root = lab.new_folder() / "data"
    manifest = _write_root(lab, root, list(STEERERS))
    verbs = (["export", str(manifest), "--workers", "1"], ["dataset", "show", str(manifest)], ["verify", STEERERS[0]])
    for verb in verbs[:count]:
        text = _on_terminal(verb, root)
        tally.tried += 1
        tally.count("characters", len(text))
        wrong = steering(_DRAWING.sub("", text), "\r\n\t")
        tally.expect(not wrong, f"{verb[0]}: a terminal is sent {wrong}")
        tally.expect(STEERERS[0] not in text, f"{verb[0]}: a name colours the terminal")
    shutil.rmtree(root.parent)
    return tally


def _on_terminal(arguments: list[str], root: Path) -> str:
    """What a verb writes if its output is a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "BEATSIGHT_DATA_ROOT": str(root), "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    arguments = [argument.replace("\0", "") for argument in arguments]
    command = [sys.executable, "-c", "from beatsight_core.cli.main import main; main()", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=root)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    process.wait()
    os.close(ours)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def steering(text: str, allowed: str = "\n\t") -> str:
    """The characters of a text that a terminal would obey or not show, as escapes; empty if there are none."""
    found = {each for each in text if each not in allowed and unicodedata.category(each) in _STEERING}
    return " ".join(ascii(each) for each in sorted(found))


def _made_up(rng: random.Random) -> str:
    """A name put together of pieces of the others and of any characters."""
    ranges = ((0, 0x20), (0x7F, 0xA0), (0x2000, 0x2070), (0x20, 0x3000))
    pieces = [rng.choice(HOSTILE), chr(rng.randrange(*rng.choice(ranges))), rng.choice(HOSTILE)[:20], "kit"]
    rng.shuffle(pieces)
    return "".join(pieces[: rng.randint(1, 4)]).replace("\n", "") or "."
