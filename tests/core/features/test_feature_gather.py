import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.features.gather import RowGather


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), max_size=6),
    shape=st.sampled_from([(3, 5), (4,), (1, 1), (16, 6)]),
    dtype=st.sampled_from([np.float16, np.uint8]),
    data=st.data(),
)
def test_rows_are_those_of_all_arrays_in_a_row(lengths, shape, dtype, data):
    random = np.random.default_rng(len(lengths))
    arrays = [random.integers(0, 99, (length, *shape)).astype(dtype) for length in lengths]
    whole = np.concatenate([np.zeros((0, *shape), dtype), *arrays])
    gather = RowGather(arrays, shape, np.dtype(dtype))
    assert len(gather) == len(whole)
    rows = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=20)) if len(whole) else [], np.int64)
    taken = gather.take(rows)
    assert taken.dtype == dtype
    assert np.array_equal(taken, whole[rows])


def test_memory_maps_at_odd_places_are_read_where_they_lie(tmp_path):
    random = np.random.default_rng(0)
    arrays = []
    for number, offset in enumerate((448, 64, 1026, 2)):
        content = random.integers(0, 255, (7, 3, 11), dtype=np.uint8)
        path = tmp_path / str(number)
        path.write_bytes(b"x" * offset + content.tobytes())
        arrays.append(np.memmap(path, np.uint8, "r", offset, content.shape))
    gather = RowGather(arrays, (3, 11), np.dtype(np.uint8))
    rows = random.permutation(28)
    assert np.array_equal(gather.take(rows), np.concatenate(arrays)[rows])


def test_what_is_taken_is_a_copy():
    array = np.zeros((4, 2), np.uint8)
    taken = RowGather([array], (2,), np.dtype(np.uint8)).take(np.array([1, 2]))
    taken += 1
    assert not array.any()


def test_a_row_that_is_not_there_is_an_error():
    gather = RowGather([np.zeros((4, 2), np.uint8), np.zeros((3, 2), np.uint8)], (2,), np.dtype(np.uint8))
    for row in (7, -8):
        with pytest.raises(IndexError):
            gather.take(np.array([0, row]))
    with pytest.raises(IndexError):
        RowGather([], (2,), np.dtype(np.uint8)).take(np.array([0]))
