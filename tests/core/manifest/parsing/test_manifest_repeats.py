import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.manifest.parsing.repeats import SeenKeys, stroke_keys, text_keys

small = st.integers(0, 6)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.tuples(small, small), max_size=12), max_size=12))
def test_repeats_are_found_within_and_across_calls(calls):
    """Few different halves, so that keys often share one of them."""
    seen, known = SeenKeys(), set()
    for keys in calls:
        expected = []
        for key in keys:
            expected.append(key in known)
            known.add(key)
        high, low = (np.array([key[half] for key in keys], np.uint64) for half in (0, 1))
        assert seen.add(high, low).tolist() == expected


def test_the_keys_of_texts_are_the_same_every_time_and_differ():
    texts = [f"id-{number}" for number in range(10_000)]
    high, low = text_keys(pa.array(texts))
    again, _ = text_keys(pa.array(texts[5000:]))
    assert (high[5000:] == again).all()
    assert len(set(high.tolist())) == len(set(low.tolist())) == len(texts)


def test_strokes_differ_in_session_onset_and_components():
    sessions = pa.array(["a", "a", "b", "a", "a"]).dictionary_encode()
    high, low = stroke_keys(sessions, np.array([1.0, 2.0, 1.0, 1.0, 1.0]), np.array([1, 1, 1, 3, 1], np.uint64))
    assert SeenKeys().add(high, low).tolist() == [False, False, False, False, True]
