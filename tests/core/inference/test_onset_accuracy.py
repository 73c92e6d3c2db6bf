"""How well onsets are detected: on the demo corpus, and on recordings of sampled kits where they are at hand."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.resample import to_float32
from beatsight_core.demo.corpus import make_demo
from beatsight_core.inference import detect_onsets

REAL = Path(__file__).parents[4] / "shared" / "data" / "real_kits"
SAME_HIT_S = 0.030


def matched(found, true, within_s):
    """Pairs (found, true) at most `within_s` apart, each used once, as many as there can be; both ascend."""
    pairs, i, j = [], 0, 0
    while i < len(found) and j < len(true):
        apart = found[i] - true[j]
        if abs(apart) <= within_s:
            pairs.append((i, j))
        i, j = i + (apart <= within_s), j + (apart >= -within_s)
    return pairs


def recordings(manifest, place):
    """Audio file -> onsets of its hits, s; `place` says where the file of an event lies."""
    events = defaultdict(list)
    for line in manifest.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
            events[place(event)].append(float(event["onset_time"]))
        except (ValueError, KeyError, TypeError):
            continue  # the demo has lines that are no events
    return {path: hits(times) for path, times in sorted(events.items()) if path.is_file()}


def hits(times):
    first = []
    for time in sorted(time for time in times if time >= 0):
        if not first or time - first[-1] > SAME_HIT_S:
            first.append(time)
    return first


def figures(corpus, within_s):
    """F-measure, and the median of detected minus true, s."""
    right = said = struck = 0
    differences = []
    for path, true in corpus.items():
        decoded = decode(path)
        if decoded.is_truncated:
            continue
        found = detect_onsets(to_float32(decoded.at_rate(44100)), 44100)
        pairs = matched(found, true, within_s)
        right, said, struck = right + len(pairs), said + len(found), struck + len(true)
        differences += [found[i] - true[j] for i, j in pairs]
    return 2 * right / (said + struck), float(np.median(differences))


times = st.lists(st.integers(0, 60), max_size=7, unique=True).map(
    lambda values: sorted(value / 100 for value in values)
)


@settings(max_examples=100, deadline=None)
@given(times, times)
def test_as_many_are_matched_as_can_be(found, true):
    def best(i, j):
        if i == len(found) or j == len(true):
            return 0
        alone = max(best(i + 1, j), best(i, j + 1))
        return max(alone, 1 + best(i + 1, j + 1)) if abs(found[i] - true[j]) <= 0.05 else alone

    pairs = matched(found, true, 0.05)
    assert len(pairs) == best(0, 0)
    assert all(abs(found[i] - true[j]) <= 0.05 for i, j in pairs)


def test_on_the_demo_corpus(tmp_path):
    make_demo(tmp_path / "demo", size="tiny")
    raw = tmp_path / "demo" / "raw"
    manifest = tmp_path / "demo" / "manifests" / "demo.jsonl"
    corpus = recordings(manifest, lambda event: raw / event["source_set"] / event["audio_path"])
    assert len(corpus) > 3
    measure, bias = figures(corpus, 0.030)
    assert measure > 0.95
    assert abs(bias) < 0.003


@pytest.mark.skipif(not REAL.is_dir(), reason="the recordings are not at hand")
def test_on_sampled_kits_played_by_people():
    every = recordings(REAL / "manifests" / "real_kits.jsonl", lambda event: REAL / "raw" / event["audio_path"])
    corpus = dict(list(every.items())[6::24])  # none of those that the detector's constants were chosen on
    assert len(corpus) >= 8
    measure, bias = figures(corpus, 0.030)
    assert measure > 0.84
    assert abs(bias) < 0.004
