import dataclasses

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.dataset.export_plan import MAX_UNIT, PlannedFile, pack, plan_units, rows_digest, shard_names
from beatsight_core.dataset.shards.shard_schema import HIT_ROWS, ClipSpec
from beatsight_core.settings import CHANNELS, load_settings

paths = st.lists(st.text("abcdefgh/", min_size=1, max_size=8), unique=True, max_size=60).map(sorted)
counts = st.sampled_from([1, 2, 3, 5, 8, 40])


def files_of(names: list[str], hits: list[int]) -> list[PlannedFile]:
    return [PlannedFile(name, count, root="/raw") for name, count in zip(names, hits, strict=True)]


@st.composite
def file_lists(draw):
    names = draw(paths)
    return files_of(names, draw(st.lists(counts, min_size=len(names), max_size=len(names))))


@settings(max_examples=60)
@given(file_lists(), st.sampled_from([1, 4, 16]))
def test_units_cover_all_files_once_in_order_and_stay_small(files, unit_hits):
    groups = list(pack(files, unit_hits))
    assert [file for group in groups for file in group] == files
    for group in groups:
        assert group
        assert len(group) == 1 or sum(file.hits for file in group) <= MAX_UNIT * unit_hits
        if any(file.hits >= unit_hits for file in group):
            assert len(group) == 1


def test_a_new_file_disturbs_only_its_neighbourhood():
    names = [f"kit/take{number:04d}.wav" for number in range(400)]
    files = files_of(names, [5] * 400)
    before = set(pack(files, 32))
    assert 40 < len(before) < 80
    changed = []
    for place in range(0, 400, 7):
        extra = PlannedFile(f"{names[place]}.new", 5, root="/raw")
        after = set(pack([*files[: place + 1], extra, *files[place + 1 :]], 32))
        changed.append(len(after - before))
    assert max(changed) <= 5
    assert sum(changed) / len(changed) < 1.7


def test_an_event_more_hardly_ever_moves_a_boundary():
    files = files_of([f"kit/take{number:04d}.wav" for number in range(400)], [5] * 400)
    before = {tuple(file.audio_path for file in group) for group in pack(files, 32)}
    moved = 0
    for place in range(0, 400, 7):
        changed = [*files]
        changed[place] = dataclasses.replace(files[place], hits=4)
        after = {tuple(file.audio_path for file in group) for group in pack(changed, 32)}
        moved += after != before
    assert moved <= 2


@settings(max_examples=30)
@given(file_lists(), st.integers(0, 100))
def test_units_know_their_rows(files, first_row):
    units = plan_units("kits", files, 8, first_row)
    row = first_row
    for unit in units:
        assert unit.first_row == row
        row += unit.rows
    assert row == first_row + sum(file.hits for file in files)


def hits(**changes) -> pa.Table:
    rows = [
        {
            "hit_id": f"h{number}", "event_ids": [f"e{number}", "é"], "session_id": "s", "source_set": "kits",
            "licence": "CC0", "split": "train", "split_group": "s", "audio_path": "a.wav", "onset_time": number / 7,
            "labels": ["kick", "snare"][: number % 3], "velocities": [0.5, None][: number % 3],
            "openness": [None, None][: number % 3], "techniques": [], "is_synthetic": bool(number % 2),
            "drummer_id": None if number % 2 else "d", "kit_id": "", "room_id": None, "bleed_level": None,
            "mix_context": None, "previous_gap": None if number == 0 else 1 / 7, "next_gap": 1 / 7,
        }
        for number in range(6)
    ]  # fmt: skip
    rows[3] |= changes
    return pa.Table.from_pylist(rows, HIT_ROWS)


def test_the_digest_is_of_values_not_of_their_place_in_memory():
    table = hits()
    padded = pa.concat_tables([hits(hit_id="other"), table, hits(hit_id="other")])
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 0), table.slice(1, 5)])
    assert rows_digest(table) == rows_digest(padded.slice(6, 6)) == rows_digest(chunked)


@pytest.mark.parametrize(
    "change",
    [
        {"hit_id": "x"}, {"labels": ["snare"]}, {"labels": ["kick"]}, {"velocities": [0.25]}, {"velocities": [None]},
        {"onset_time": 0.5}, {"is_synthetic": False}, {"drummer_id": ""}, {"drummer_id": None}, {"kit_id": None},
        {"event_ids": ["e3é"]}, {"split": "val"}, {"next_gap": None}, {"techniques": ["flam"]}, {"openness": [0.0]},
    ],
)  # fmt: skip
def test_every_value_shows_in_the_digest(change):
    base = {"labels": [], "velocities": [], "openness": [], "drummer_id": "d"}
    assert rows_digest(hits(**base)) != rows_digest(hits(**base | change))


def test_the_rows_digest_stays_as_it_is():
    # Another value here renames every shard there is: then FORMAT_VERSION has to grow.
    assert rows_digest(hits()) == "82097d9cf7451810577b4ccf4f480fd9e46a4dcb"


def test_a_shards_name_depends_on_all_that_makes_it(tmp_path):
    base = load_settings(tmp_path, environment={})
    spec = ClipSpec.of(base)
    contents = [("a.wav", "0" * 40)]
    names = {shard_names(spec, contents, hits())}
    for changed in ({"pre_ms": 81.0}, {"tail_ms": 201.0}, {"sample_rate_hz": 48000}, {"encoding": "flac"}):
        other = dataclasses.replace(base, dataset=dataclasses.replace(base.dataset, **changed))
        names.add(shard_names(ClipSpec.of(other), contents, hits()))
    names.add(shard_names(ClipSpec.of(dataclasses.replace(base, taxonomy="extended")), contents, hits()))
    names.add(shard_names(spec, [("a.wav", "1" * 40)], hits()))
    names.add(shard_names(spec, [("b.wav", "0" * 40)], hits()))
    names.add(shard_names(spec, contents, hits(split="val")))
    names |= {shard_names(dataclasses.replace(spec, channel=name), contents, hits()) for name in CHANNELS}
    assert len(names) == 9 + len(CHANNELS) - 1  # the mean of all channels is what was always taken
    workers = dataclasses.replace(base, dataset=dataclasses.replace(base.dataset, workers=7, unit_hits=5))
    assert shard_names(ClipSpec.of(workers), contents, hits()) in names


def test_a_shard_keeps_the_name_that_earlier_versions_gave_it(tmp_path):
    spec = ClipSpec.of(load_settings(tmp_path, environment={}))
    names = shard_names(spec, [("a.wav", "0" * 40)], hits())
    assert names.plain == "a1730be0845864e7d0901daa7707a98071e34a9b"
    assert names.judged != names.plain
