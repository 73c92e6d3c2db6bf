"""Sessions are judged one by one: a middle over all of them hides those that are late."""

import json
import math

import numpy as np
import orjson
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.dataset.export import export_dataset
from beatsight_core.health.figures import session_figures, session_shifts
from beatsight_core.health.figures.onset_strength import BEFORE_MS, BINS, BLOCK_MS, strengths
from beatsight_core.health.figures.session_shifts import DRIFTS, EARLY, LATE, LOST, OK, UNSURE, measure_shift
from beatsight_core.health.report import run_health
from beatsight_core.settings import load_settings

RATE = 16000
GATE, MIDDLE = "sessions of takes out of time", "misalignment of takes, ms"


def onsets(name, hits):
    """Onsets as somebody plays them: no two gaps are alike."""
    return 0.3 + np.cumsum(np.random.default_rng(sum(map(ord, name))).uniform(0.13, 0.4, hits))


def steady(late_ms):
    return lambda time: late_ms / 1000


@pytest.fixture
def played(small_settings, drums):
    """Export sessions; each sounds by its function of time later than it is labelled."""

    def play(sessions, *, hits=24, own=small_settings, files=1):
        rows = []
        for name, lateness in sessions.items():
            for part in range(files):
                path = f"{name}-{part}.wav" if files > 1 else f"{name}.wav"
                times = onsets(path, hits)
                rng = np.random.default_rng(3)
                audio = rng.normal(0, 0.0001, int((1.2 * times[-1] + 1) * RATE))
                for time in times:
                    begin = max(0, round((time + lateness(time)) * RATE))
                    length = min(1600, len(audio) - begin)
                    fade = np.exp(-np.arange(length) / 500)
                    audio[begin : begin + length] += 0.3 * rng.normal(0, 1, length).clip(-1, 1) * fade
                place = own.data_root / "raw/takes" / path
                place.parent.mkdir(parents=True, exist_ok=True)
                sf.write(place, audio, RATE, subtype="PCM_16")
                for number, time in enumerate(times):
                    label = ("kick", "snare", "crash")[number % 3]
                    rows.append(drums.event(name, number, round(float(time), 5), label, audio_path=path))
                    rows[-1]["event_id"] = f"{path}-{number}"
        own.manifests_dir.mkdir(parents=True, exist_ok=True)
        manifest = own.manifests_dir / "takes.jsonl"
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
        export_dataset(own, manifest, workers=1)
        return manifest

    return play


def judged(own, manifest):
    """The gates of alignment by name, and the list of sessions out of time."""
    result = run_health(own, manifest)
    gates = {gate.name: gate for gate in result.gates if gate.name in (GATE, MIDDLE)}
    file = result.report_json.parent / "out_of_time.jsonl"
    rows = [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []
    return gates, {row["session_id"]: row for row in rows}


def many(count, late, **others):
    """So many sessions of which those of `late` are late by its values in ms."""
    names = [f"s{number}" for number in range(count)]
    return {name: steady(late.get(name, 0)) for name in names} | others


def test_sessions_that_are_right_pass(small_settings, played):
    gates, rows = judged(small_settings, played(many(6, {})))
    assert gates[GATE].passed
    assert "0 of 6 judged sessions" in gates[GATE].message
    assert rows == {}


OUT = {
    "most are late, beyond what the middle hears": ({f"s{number}": 120 for number in range(4)}, 6),
    "one third is late": ({"s0": 60, "s1": 60}, 6),
    "one third is early": ({"s0": -45, "s1": -45}, 6),
    "both ways, with a middle of 0": ({"s0": 40, "s1": -40, "s2": 40, "s3": -40}, 5),
    "one of many": ({"s7": 30}, 12),
    "by different times": ({"s0": 25, "s1": -15, "s2": 90, "s3": 150}, 6),
}


@pytest.mark.parametrize("case", OUT)
def test_sessions_that_are_out_of_time_fail_and_are_named(small_settings, played, case):
    late, count = OUT[case]
    gates, rows = judged(small_settings, played(many(count, late)))
    gate = gates[GATE]
    assert not gate.passed
    assert gate.value == pytest.approx(len(late) / count)
    assert {name: row["found"] for name, row in rows.items()} == {
        name: LATE if ms > 0 else EARLY for name, ms in late.items()
    }
    for name, ms in late.items():
        assert rows[name]["shift_ms"] == pytest.approx(ms, abs=3)
        assert rows[name]["sure"] >= session_shifts.SURE
    named = max(late, key=lambda name: abs(late[name]))
    assert f"{named} sounds" in gate.message
    assert "gates.max_misaligned_share" in gate.message


def test_the_total_figure_stays_beside_the_sessions(small_settings, played):
    gates, _ = judged(small_settings, played(many(6, {"s0": 60, "s1": 60})))
    assert gates[MIDDLE].passed
    assert abs(gates[MIDDLE].value) < 3


DRIFTING = {
    "another tempo": lambda time: 0.006 * (time - 3),
    "slower": lambda time: -0.008 * time + 0.01,
    "a clock that runs away": lambda time: 0.02 * time,
}


@pytest.mark.parametrize("case", DRIFTING)
def test_a_distance_that_grows_over_a_file_is_found(small_settings, played, case):
    gates, rows = judged(small_settings, played(many(5, {}, odd=DRIFTING[case]), hits=32))
    assert not gates[GATE].passed
    row = rows["odd"]
    assert row["found"] == DRIFTS
    growth = 1000 * (DRIFTING[case](row["seconds"]) - DRIFTING[case](0))
    assert row["drift_ms"] == pytest.approx(growth, abs=10)
    assert "another tempo or sample rate" in gates[GATE].message


LOSING = {
    "another sample rate": lambda time: time * (48 / 44.1 - 1),
    "sound long before the labels": lambda time: -0.25,
    "the labels of another file": lambda time: 0.7 * math.sin(40 * time),
}


@pytest.mark.parametrize("case", LOSING)
def test_a_file_that_begins_nowhere_near_its_labels_is_found(small_settings, played, case):
    gates, rows = judged(small_settings, played(many(5, {}, odd=LOSING[case]), hits=40))
    assert not gates[GATE].passed
    assert rows["odd"]["found"] == LOST
    assert rows["odd"]["shift_ms"] is None
    assert "odd begins nowhere near its labels" in gates[GATE].message


def test_sessions_of_few_hits_are_counted_and_not_judged(small_settings, played):
    gates, rows = judged(small_settings, played(many(3, {"s1": 40}), hits=session_shifts.FEWEST - 1))
    assert GATE not in gates  # none could be judged
    assert rows == {}
    sound = orjson.loads(run_health(small_settings, "takes.jsonl").report_json.read_bytes())["statistics"]["sound"]
    assert sound["by_source"]["takes"]["sessions"] | {"recordings": []} == {
        "clips": 21, "sessions": 3, "few": 3, "unsure": 0, "recordings": []
    }  # fmt: skip


def test_a_file_of_a_session_is_judged_by_itself_and_small_ones_together(small_settings, played, monkeypatch):
    by_file = {"whole": steady(0), "small": steady(50)}
    gates, rows = judged(small_settings, played(by_file, hits=5, files=4))
    assert rows["small"]["audio_path"] is None  # no file has enough, the session has
    assert rows["small"]["shift_ms"] == pytest.approx(50, abs=3)
    assert gates[GATE].value == pytest.approx(1 / 2)


def test_what_is_allowed_is_a_setting(small_settings, played, data_root):
    manifest = played(many(6, {"s1": 15}))
    file = data_root / "beatsight.toml"
    text = file.read_text()
    for more, passes in (("max_misaligned_share = 0.2", True), ("max_misalignment_ms = 20", True), ("", False)):
        file.write_text(text.replace("[gates]\n", f"[gates]\n{more}\n"))
        assert judged(load_settings(data_root, {}), manifest)[0][GATE].passed == passes


def test_one_number_is_named_where_it_mends_all(small_settings, played):
    manifest = played(many(5, {f"s{number}": 42 for number in range(5)}))
    message = judged(small_settings, manifest)[0][GATE].message
    assert "sources.takes.shift_ms = 4" in message
    other = played(many(5, {f"s{number}": 10 + 20 * number for number in range(5)}))
    assert "sources.takes.session_shifts" in judged(small_settings, other)[0][GATE].message


def test_a_shift_in_the_settings_mends_them_and_is_said(small_settings, played, data_root):
    manifest = played(many(4, {f"s{number}": 60 for number in range(4)}))
    assert not judged(small_settings, manifest)[0][GATE].passed
    file = data_root / "beatsight.toml"
    file.write_text(file.read_text() + "[sources.takes]\nshift_ms = 60\n")
    own = load_settings(data_root, {})
    export_dataset(own, manifest, workers=1)
    gates, rows = judged(own, manifest)
    assert gates[GATE].passed
    assert rows == {}
    report = orjson.loads(run_health(own, manifest).report_json.read_bytes())
    said = [notice["text"] for notice in report["notices"] if notice["state"] == "warn"]
    assert "Onsets were moved as settings say: takes (+60 ms)." in said


def test_the_list_of_a_report_serves_as_a_file_of_shifts(small_settings, played, data_root):
    manifest = played(many(5, {"s1": 35, "s3": -25}))
    listed = run_health(small_settings, manifest).report_json.parent / "out_of_time.jsonl"
    (data_root / "mine.jsonl").write_bytes(listed.read_bytes())
    file = data_root / "beatsight.toml"
    file.write_text(file.read_text() + "[sources.takes]\nsession_shifts = 'mine.jsonl'\n")
    own = load_settings(data_root, {})
    export_dataset(own, manifest, workers=1)
    gates, rows = judged(own, manifest)
    assert (gates[GATE].passed, rows) == (True, {})


def test_the_page_lists_them_and_what_was_measured_is_kept(small_settings, played):
    manifest = played(many(4, {"s2": 60}))
    first = run_health(small_settings, manifest)
    page = first.report_html.read_text()
    assert "Sessions whose sound is not where their labels are" in page
    kept = list((small_settings.catalog_dir / "sounds").rglob("*-sessions-*.parquet"))
    assert len(kept) == 1
    for file in kept:
        file.write_bytes(b"broken")
    assert run_health(small_settings, manifest).gates == first.gates


def test_a_sample_of_a_large_dataset_is_read_and_said(small_settings, played, monkeypatch, data_root):
    file = data_root / "beatsight.toml"
    file.write_text(file.read_text().replace("[dataset]\n", "[dataset]\nunit_hits = 24\n"))
    own = load_settings(data_root, {})
    monkeypatch.setattr(session_figures, "MOST_GROUPS", 3)
    manifest = played(many(8, {}), own=own)
    message = judged(own, manifest)[0][GATE].message
    assert "0 of 3 judged sessions" in message


def clicks(shift_ms, count, seed=0, others=0.0):
    """Clips with a stroke `shift_ms` after their onset, and `others` of them with another one anywhere."""
    rng = np.random.default_rng(seed)
    clips = rng.normal(0, 20, (count, 4480))
    for row in range(count):
        places = [1280 + round(shift_ms / 1000 * RATE)]
        if rng.random() < others:
            places.append(int(rng.integers(100, 3800)))
        for place in places:
            length = min(900, 4480 - place)
            clips[row, place : place + length] += rng.normal(0, 6000, length) * np.exp(-np.arange(length) / 300)
    return np.clip(clips, -32768, 32767).astype(np.int16)


@settings(max_examples=25, deadline=None)
@given(st.integers(-60, 110), st.integers(12, 60), st.integers(0, 99), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_shift_is_measured_wherever_it_lies(shift_ms, count, seed, others):
    found = measure_shift(strengths(clicks(shift_ms, count, seed, others), 1280, RATE), np.arange(count) / 2.0, seed)
    if found.shift_ms is not None:  # else it is not sure, which chance allows for few clips
        assert found.shift_ms == pytest.approx(shift_ms, abs=4)
    assert found.shift_ms is not None or count < 32
    assert found.found(10) in (OK, LATE, EARLY) if found.shift_ms is not None else True


def neighbours_only(count, seed, noise):
    """Clips whose own stroke lies before them; in some of them a later one begins near their end."""
    rng = np.random.default_rng(seed)
    clips = rng.normal(0, noise, (count, 4480))
    for row in range(0, count, 8):
        place = 1280 + round(rng.uniform(0.13, 0.2) * RATE)
        clips[row, place:] += rng.normal(0, 6000, 4480 - place) * np.exp(-np.arange(4480 - place) / 300)
    return np.clip(clips, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize(("noise", "told"), [(0, LOST), (1, UNSURE), (20, UNSURE)])
@pytest.mark.parametrize("count", [32, 48])
def test_a_few_other_strokes_are_no_peak(count, noise, told):
    for seed in range(12):
        clips = strengths(neighbours_only(count, seed, noise), 1280, RATE)
        found = measure_shift(clips, np.arange(count) / 2.0, seed)
        assert (found.shift_ms, found.found(10)) == (None, told)


@pytest.mark.parametrize("drift_ms", [-90, 40, 80])
def test_a_drift_is_found_in_clips_without_any_noise(drift_ms):
    count = 40
    clips = np.zeros((count, 4480), np.int16)
    fade = (9000 * np.exp(-np.arange(900) / 300) * np.sin(np.arange(900))).astype(np.int16)
    for row in range(count):
        place = 1280 + round((row / (count - 1) - 0.5) * drift_ms / 1000 * RATE)
        clips[row, place : place + 900] = fade
    found = measure_shift(strengths(clips, 1280, RATE), np.arange(count) / 2.0, 1)
    assert found.drift_ms == pytest.approx(drift_ms, abs=6)
    assert found.found(10) == DRIFTS


def test_silence_noise_and_unknown_onsets_say_nothing():
    noise = np.random.default_rng(0).normal(0, 3000, (40, 4480)).astype(np.int16)
    for clips, onset in (
        (noise, 1280),
        (np.zeros((40, 4480), np.int16), 1280),
        (clicks(0, 40), -1),
        (noise[:, :20], 3),
    ):
        found = measure_shift(strengths(clips, onset, RATE), np.arange(40.0), 1)
        assert found.shift_ms is None
    assert strengths(clicks(0, 3), 1280, RATE).shape == (3, BINS)


def test_clips_that_end_early_are_placed_by_their_onset():
    whole = strengths(clicks(0, 20), 1280, RATE)
    cut = strengths(clicks(0, 20)[:, 640:2400], 640, RATE)
    label = round(BEFORE_MS / BLOCK_MS)
    assert whole.sum(axis=0).argmax() == cut.sum(axis=0).argmax()
    assert abs(int(whole.sum(axis=0).argmax()) - label) <= 1
