"""Onsets are moved as settings say, in one place, with everything that follows; without settings nothing changes."""

import json

import polars as pl
import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.manifest.catalog import broken_files, catalog_inputs
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.manifest.shifts import Shifts, corrections_notice, read_shifts
from beatsight_core.settings import load_settings


@pytest.fixture
def configured(tmp_path):
    """Settings with a text as their file."""

    def make(text=""):
        root = tmp_path / "data"
        root.mkdir(exist_ok=True)
        (root / "beatsight.toml").write_text(text)
        return load_settings(root, {})

    return make


@pytest.fixture
def rows(event):
    return [
        event(
            event_id=f"{source}-{session}-{number}", source_set=source, session_id=session,
            audio_path=f"{session}.wav", onset_time=number / 2,
        )
        for source in ("takes", "other") for session in ("a", "b") for number in range(4)
    ]  # fmt: skip


def onsets(catalog, path="events_path"):
    table = pl.read_parquet(getattr(catalog, path)).sort("source_set", "session_id", "onset_time")
    return {
        (source, session): [round(value, 6) for value in part["onset_time"]]
        for (source, session), part in table.group_by("source_set", "session_id", maintain_order=True)
    }


PLAIN = [0.0, 0.5, 1.0, 1.5]


def moved(by):
    return [round(max(onset + by, 0.0), 6) for onset in PLAIN]


def test_a_source_set_is_moved_and_no_other(configured, manifest, rows):
    catalog = build_catalog(configured("[sources.takes]\nshift_ms = 120"), manifest(rows))
    for path in ("events_path", "hits_path"):
        assert onsets(catalog, path) == {
            ("other", "a"): PLAIN, ("other", "b"): PLAIN, ("takes", "a"): moved(0.12), ("takes", "b"): moved(0.12)
        }  # fmt: skip
    assert catalog.summary.corrections == {"takes": {"shift_ms": 120.0, "sessions": 0}}
    assert broken_files(catalog.folder) == []


FILES = {
    "shifts.csv": "session_id,shift_ms\nb,-30\n",
    "with a mark.csv": "\ufeffshift_ms,session_id,remark\n-30,b,by ear\n",
    "shifts.jsonl": '{"session_id": "b", "shift_ms": -30}\n\n',
    "as the report has it.jsonl": '{"source_set": "takes", "session_id": "b", "audio_path": "b.wav", "shift_ms": -30, '
    '"drift_ms": 0.0, "sure": 1.0}\n{"source_set": "other", "session_id": "a", "shift_ms": 77}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_a_session_may_have_a_shift_of_its_own(configured, manifest, rows, name):
    settings = configured(f"[sources.takes]\nshift_ms = 120\nsession_shifts = '{name}'")
    (settings.data_root / name).write_text(FILES[name])
    catalog = build_catalog(settings, manifest(rows))
    found = onsets(catalog)
    assert (found["takes", "a"], found["takes", "b"], found["other", "a"]) == (moved(0.12), moved(-0.03), PLAIN)
    assert catalog.summary.corrections == {"takes": {"shift_ms": 120.0, "sessions": 1}}


def test_a_session_that_the_manifest_lacks_is_told(configured, manifest, rows):
    settings = configured("[sources.takes]\nsession_shifts = 'shifts.csv'")
    (settings.data_root / "shifts.csv").write_text("session_id,shift_ms\nb,-30\nB,5\nmisspelt,5\n")
    corrections = build_catalog(settings, manifest(rows)).summary.corrections
    assert corrections == {"takes": {"shift_ms": 0.0, "sessions": 1, "unknown": 2}}
    assert "1 session by a shift of their own, 2 of its file not in the manifest" in corrections_notice(corrections)


def test_no_onset_lies_before_its_file(configured, manifest, rows):
    catalog = build_catalog(configured("[sources.takes]\nshift_ms = -700"), manifest(rows))
    assert onsets(catalog)["takes", "a"] == [0.0, 0.0, 0.3, 0.8]


def test_what_is_not_set_changes_no_digest(configured, manifest, rows):
    settings = configured()
    catalog = build_catalog(settings, manifest(rows))
    assert "corrections" not in json.loads((catalog.folder / "summary.json").read_bytes())
    known = catalog.summary
    for text in ("", "[sources.takes]\nshift_ms = 0", "[sources.absent]\nshift_ms = 9"):
        assert catalog_inputs(configured(text), known.sha256, None, known.source_sets) == known.inputs


def test_every_change_makes_another_catalog(configured, manifest, rows):
    path = manifest(rows)
    name = "shifts.csv"
    seen = set()
    for shift, content in ((0, None), (10, None), (0, "b,5"), (0, "b,6"), (0, "a,6"), (10, "a,10")):
        setting = f"session_shifts = '{name}'" if content else ""
        settings = configured(f"[sources.takes]\nshift_ms = {shift}\n{setting}")
        if content:
            (settings.data_root / name).write_text(f"session_id,shift_ms\n{content}\n")
        seen.add(build_catalog(settings, path).summary.inputs)
    assert len(seen) == 6


def test_a_manifest_that_grew_is_moved_once(configured, manifest, rows, monkeypatch):
    monkeypatch.setattr("beatsight_core.manifest.parsing.lines.CHUNK_BYTES", 600)
    settings = configured("[sources.takes]\nshift_ms = 120")
    build_catalog(settings, manifest(rows[:9], "first.jsonl"))
    grown = build_catalog(settings, manifest(rows, "second.jsonl"))
    assert onsets(grown)["takes", "a"] == moved(0.12)
    assert onsets(grown)["other", "b"] == PLAIN


WRONG = {
    "no such file": (None, "not there"),
    "no heading": ("b,5\n", "another form"),
    "words": ("session_id,shift_ms\nb,late\n", "must be a number"),
    "nothing": ("session_id,shift_ms\nb,\n", "must be a number"),
    "no number": ("session_id,shift_ms\nb,nan\n", "must be a number"),
    "minutes": ("session_id,shift_ms\nb,60001\n", "within 10,000 ms"),
    "no session": ("session_id,shift_ms\n,5\n", "session_id is missing"),
    "two values": ("session_id,shift_ms\nb,5\nb,6\n", "twice"),
    "a drift": ('{"session_id": "b", "shift_ms": 5, "drift_ms": 60}\n', "drifts"),
    "no JSON": ('{"session_id": "b"\n', "not JSON"),
    "a truth value": ('{"session_id": "b", "shift_ms": true}\n', "must be a number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_makes_no_sense_is_refused_by_line(configured, manifest, rows, case):
    content, said = WRONG[case]
    settings = configured("[sources.takes]\nsession_shifts = 'shifts.csv'")
    if content is not None:
        (settings.data_root / "shifts.csv").write_text(content)
    with pytest.raises(SettingsError, match=said) as caught:
        build_catalog(settings, manifest(rows))
    assert "shifts.csv" in str(caught.value)


def test_a_shift_has_a_limit(configured):
    with pytest.raises(SettingsError, match=r"sources.takes.shift_ms must lie within 10,000 ms"):
        configured("[sources.takes]\nshift_ms = -10001")


def test_what_was_moved_is_said():
    assert corrections_notice({}) is None
    said = corrections_notice({"a": {"shift_ms": 120.0, "sessions": 0}, "b": {"shift_ms": 0.0, "sessions": 2}})
    assert said == "onsets were moved as settings say: a (+120 ms); b (2 sessions by a shift of their own)"
    assert not Shifts()


def test_a_line_may_stand_twice_with_one_value(tmp_path):
    file = tmp_path / "s.csv"
    file.write_text("session_id,shift_ms\nb,5\nb,5.0\n")
    assert read_shifts(file, "takes") == {"b": 5.0}
