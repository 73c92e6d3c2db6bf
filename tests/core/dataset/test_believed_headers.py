"""Files that are not what they say: what is lost of them is what is missing, and nothing of any other file."""

import dataclasses
import errno
import io
import struct
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from beatsight_core.audio.inventory import build_inventory
from beatsight_core.dataset.index import Rejected, index_path, read_index
from beatsight_core.dataset.reader import open_dataset
from beatsight_core.dataset.shards import reel, unit_audio, write_shard
from beatsight_core.dataset.shards.shard_schema import shard_name
from beatsight_core.dataset.verify_export import check_dataset, verify_manifest
from beatsight_core.errors import AudioError
from beatsight_core.manifest.read_manifest import open_catalog
from beatsight_core.settings import SourceSet

ONSETS = [round(0.1 + 0.25 * place, 6) for place in range(15)]
SECONDS = 4.0


def clips_of(corpus) -> dict[tuple[str, float], bytes]:
    """(file, onset) -> the clip's bytes, of everything that was exported last."""
    key = corpus.export().key
    found = {}
    for part in open_dataset(corpus.settings, key).shards:
        table = pq.read_table(part.path, columns=["audio_path", "onset_time", "audio"])
        for row in table.to_pylist():
            found[row["audio_path"], row["onset_time"]] = row["audio"]["bytes"]
    return found


def losses_of(corpus, key: str) -> list[tuple[str, str, int]]:
    index = read_index(index_path(corpus.settings, key, "kits"))
    return [(file.audio_path, file.reason, file.hits) for file in index.rejected_files]


def agrees(corpus) -> None:
    """Verify says what the export then holds, and the inventory counts no hit otherwise."""
    verified = verify_manifest(corpus.settings, corpus.write())
    result = corpus.export()
    assert verified.clips == result.to_json()["hits"]
    totals = build_inventory(corpus.settings, open_catalog(corpus.settings, result.key)).to_json()
    assert totals["hits"] - totals["hits_past_end"] - totals["unreadable_hits"] == verified.clips


def liar(samples: np.ndarray, says: dict[str, int]) -> bytes:
    """A WAV of 44.1 kHz whose header may say something else about rate, channels or bits."""
    pcm = (samples * 32767).astype("<i2").tobytes()
    fields = {"channels": 1, "rate": 44100, "bits": 16} | says
    block = fields["channels"] * 2 & 0xFFFF
    fmt = struct.pack("<HHIIHH", 1, fields["channels"], fields["rate"], 88_200, block, fields["bits"])
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(pcm)) + pcm
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("says", "said"),
    [({"rate": 1}, "1 Hz"), ({"rate": 2}, "2 Hz"), ({"rate": 2**31 - 1}, "2,147,483,647 Hz"),
     ({"channels": 0}, "0 channels"), ({"channels": 60_000}, "60,000 channels"), ({"bits": 4000}, "4,000 bits"),
     ({"bits": 0}, "0 bits")],
)  # fmt: skip
def test_a_header_that_is_none_of_audio_costs_its_own_hits_and_says_why(corpus, says, said):
    samples = corpus.add_file("good.wav", ONSETS, seconds=SECONDS)
    corpus.add_file("liar.wav", ONSETS)
    corpus.path("liar.wav").write_bytes(liar(samples[:, 0], says))
    result = corpus.export()
    assert losses_of(corpus, result.key) == [("liar.wav", "unreadable_audio", len(ONSETS))]
    assert said in read_index(index_path(corpus.settings, result.key, "kits")).rejected_files[0].message
    agrees(corpus)
    (lost,) = verify_manifest(corpus.settings, corpus.manifest).lost_files
    assert said in lost.why


@pytest.mark.parametrize("name", ["take.raw", "take.RAW", "take.vox"])
def test_samples_without_a_header_are_one_unreadable_file(corpus, name):
    corpus.add_file("good.wav", ONSETS, seconds=SECONDS)
    corpus.path(name).write_bytes(corpus.path("good.wav").read_bytes()[44:])
    corpus.add_event(name, 0.1)
    assert corpus.export().to_json()["rejects_by_reason"]["unreadable_audio"] == 1
    agrees(corpus)


@pytest.mark.parametrize(
    ("suffix", "kind", "subtype", "rate"),
    [("wav", "WAV", "PCM_16", 44100), ("wav", "WAV", "PCM_24", 48000), ("w64", "W64", "PCM_16", 44100),
     ("rf64", "RF64", "FLOAT", 44100), ("aiff", "AIFF", "PCM_16", 22050), ("caf", "CAF", "PCM_16", 44100)],
)  # fmt: skip
def test_of_a_file_that_is_cut_only_hits_that_reach_into_the_missing_part_are_lost(corpus, suffix, kind, subtype, rate):
    name = f"a.{suffix}"
    samples = np.random.default_rng(3).uniform(-0.5, 0.5, round(SECONDS * rate))
    corpus.path(name).parent.mkdir(parents=True)
    sf.write(corpus.path(name), samples, rate, format=kind, subtype=subtype)
    for onset in ONSETS:
        corpus.add_event(name, onset)
    whole = clips_of(corpus)
    data = corpus.path(name).read_bytes()
    corpus.path(name).write_bytes(data[: len(data) - 2 * rate * (len(data) // len(samples))])  # two seconds
    left = clips_of(corpus)
    there = [onset for onset in ONSETS if onset + 0.2 <= 2.0]
    assert sorted(onset for _, onset in left) == there
    if rate == 44100:  # a resampler looks ahead, by less than a millisecond
        assert left == {place: whole[place] for place in left}
    key = corpus.export().key
    assert losses_of(corpus, key) == [(name, "past_end", len(ONSETS) - len(there))]
    (file,) = read_index(index_path(corpus.settings, key, "kits")).rejected_files
    assert file.message.startswith(f"cut short: the header promises {len(samples):,} frames")
    agrees(corpus)


def test_one_frame_less_costs_no_hit_that_does_not_need_it(corpus):
    corpus.add_file("a.wav", [0.1, 0.79, 0.8, 0.81, 0.99])
    corpus.path("a.wav").write_bytes(corpus.path("a.wav").read_bytes()[:-2])
    corpus.export()
    assert sorted(onset for _, onset in clips_of(corpus)) == [0.1, 0.79]
    agrees(corpus)


def test_clips_that_differ_in_length_reach_as_far_as_they_do(corpus):
    corpus.settings = dataclasses.replace(
        corpus.settings, dataset=dataclasses.replace(corpus.settings.dataset, fixed_length=False)
    )
    corpus.add_file("a.wav", [], seconds=2.0)
    for onset, after in ((0.1, 500), (0.5, 300), (0.6, 600), (0.8, 100), (0.95, 40), (1.5, 100)):
        corpus.add_event("a.wav", onset, context_ms={"pre": 20, "post": after})
    data = corpus.path("a.wav").read_bytes()
    corpus.path("a.wav").write_bytes(data[: 44 + 2 * 44100])
    verified = verify_manifest(corpus.settings, corpus.write())
    assert sorted(onset for _, onset in clips_of(corpus)) == [0.1, 0.5, 0.8, 0.95]
    assert verified.clips == 4


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF - 36])
def test_a_length_that_is_none_costs_no_hit(corpus, size):
    corpus.add_file("a.wav", ONSETS, seconds=SECONDS)
    whole = clips_of(corpus)
    data = bytearray(corpus.path("a.wav").read_bytes())
    data[40:44] = size.to_bytes(4, "little")
    corpus.path("a.wav").write_bytes(data)
    assert clips_of(corpus) == whole
    agrees(corpus)


def test_of_a_broken_flac_the_clips_before_the_break_are_kept(corpus):
    corpus.add_file("a.flac", ONSETS, seconds=SECONDS)
    whole = clips_of(corpus)
    data = bytearray(corpus.path("a.flac").read_bytes())
    data[len(data) // 2] ^= 0xFF
    corpus.path("a.flac").write_bytes(data)
    left = clips_of(corpus)
    assert 4 <= len(left) < len(ONSETS) - 4
    assert left == {place: whole[place] for place in left}
    assert max(onset for _, onset in left) < SECONDS / 2
    key = corpus.export().key
    assert losses_of(corpus, key) == [("a.flac", "truncated_audio", len(ONSETS) - len(left))]


def of_every_kind(corpus) -> None:
    """Good files of several kinds, and files in which something shows only at their end."""
    for name, options in (
        ("good.wav", {}), ("good.flac", {"rate": 48000, "channels": 2}), ("good.ogg", {}),
        ("float.wav", {"subtype": "FLOAT"}), ("broken.flac", {}),
        ("nan.wav", {"subtype": "FLOAT"}), ("cut.wav", {"rate": 48000}), ("short.mp3", {}),
        ("hole.ogg", {}), ("opposed.wav", {"channels": 2}),
    ):  # fmt: skip
        corpus.add_file(name, ONSETS, seconds=SECONDS, **options)
    samples = sf.read(corpus.path("nan.wav"), dtype="float32")[0]
    samples[-100] = np.inf
    sf.write(corpus.path("nan.wav"), samples, 44100, subtype="FLOAT")
    one = sf.read(corpus.path("good.wav"))[0]
    sf.write(corpus.path("opposed.wav"), np.stack([one, -one], 1), 44100, subtype="FLOAT")
    for name, share in (("cut.wav", 0.8), ("short.mp3", 0.7)):
        data = corpus.path(name).read_bytes()
        corpus.path(name).write_bytes(data[: int(len(data) * share)])
    for name in ("broken.flac", "hole.ogg"):
        data = bytearray(corpus.path(name).read_bytes())
        data[int(len(data) * 0.7) : int(len(data) * 0.7) + 20] = bytes(20)
        corpus.path(name).write_bytes(data)


def test_a_shard_is_the_same_however_little_is_held(corpus, monkeypatch):
    of_every_kind(corpus)
    result = corpus.export()
    files = corpus.shard_files()
    lost = {name: reason for name, reason, _ in losses_of(corpus, result.key)}
    assert lost == {
        "broken.flac": "truncated_audio", "nan.wav": "unreadable_audio", "cut.wav": "past_end", "short.mp3": "past_end",
        "hole.ogg": "truncated_audio", "opposed.wav": "opposite_polarity",
    }  # fmt: skip
    assert corpus.export().shards_written == 0
    for path in corpus.settings.shards_dir.rglob("*.parquet"):
        path.unlink()
    monkeypatch.setattr(reel, "HELD_SAMPLES", 4000)  # clips leave after every few thousand samples
    monkeypatch.setattr(unit_audio, "MEMORY_BUDGET", 1000)  # files are decoded as they are read
    assert corpus.export().indexes == result.indexes
    assert corpus.shard_files() == files


def test_a_long_file_is_never_held(corpus, monkeypatch):
    monkeypatch.setattr(reel, "HELD_SAMPLES", 100_000)
    monkeypatch.setattr(unit_audio, "MEMORY_BUDGET", 1 << 20)
    path = corpus.path("long.wav")
    path.parent.mkdir(parents=True)
    header = liar(np.zeros(0), {"rate": 48_000})
    size = 48_000 * 2 * 240
    with path.open("wb") as file:
        file.write(header[:-4] + size.to_bytes(4, "little"))
        file.truncate(44 + size)
        for onset in (1.0, 100.0, 239.0):
            file.seek(44 + 2 * int(48_000 * onset))
            file.write(np.full(9600, 9000, "<i2").tobytes())
            corpus.add_event("long.wav", onset)
    peaks = []

    def measured(job):
        tracemalloc.start()
        try:
            return write_shard.make_shard(job)
        finally:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    monkeypatch.setattr("beatsight_core.dataset.export.make_shard", measured)
    assert corpus.export().to_json()["hits"] == 3
    assert max(peaks) < 12 << 20  # the samples alone are 46 MB in floats


def test_what_earlier_rules_left_out_is_made_under_another_name(corpus):
    """An earlier version wrote shards without a clip of a cut file, and other indexes may still name them."""
    corpus.add_file("a.wav", ONSETS, seconds=SECONDS)
    corpus.path("a.wav").write_bytes(corpus.path("a.wav").read_bytes()[:-20_000])
    first = corpus.export()
    (digest,) = [entry.digest for entry in first.indexes[0].shards]
    (names,) = names_of(corpus)
    assert names.judged == digest
    whole = corpus.settings.shards_dir / shard_name(digest)
    old = corpus.settings.shards_dir / shard_name(names.plain)
    old.parent.mkdir(parents=True, exist_ok=True)
    rejected = Rejected("a.wav", "truncated_audio", len(ONSETS), len(ONSETS), "as it was once")
    earlier = with_note(whole, rejected)
    old.write_bytes(earlier)
    again = corpus.export()
    assert again.shards_written == 0
    assert again.indexes == first.indexes
    whole.unlink()
    made = corpus.export()
    assert (made.shards_written, made.indexes) == (1, first.indexes)
    assert old.read_bytes() == earlier  # it may be in use
    assert check_dataset(corpus.settings, first.key).passed


@pytest.mark.parametrize(("name", "kind"), [("a.mp3", ("MP3", None)), ("a.opus", ("OGG", "OPUS"))])
def test_what_an_earlier_decoder_made_of_a_file_is_not_taken(corpus, name, kind):
    """An earlier version moved the decoder of an MP3 after every block, and its shards lie under the plain name."""
    corpus.path(name).parent.mkdir(parents=True)
    noise = np.random.default_rng(4).uniform(-0.5, 0.5, round(SECONDS * 48_000))
    sf.write(corpus.path(name), noise, 48_000, format=kind[0], subtype=kind[1])
    for onset in ONSETS:
        corpus.add_event(name, onset)
    first = corpus.export()
    (digest,) = [entry.digest for entry in first.indexes[0].shards]
    right = corpus.settings.shards_dir / shard_name(digest)
    rows = pq.read_table(right)
    (names,) = names_of(corpus)
    assert names.judged == digest
    old = corpus.settings.shards_dir / shard_name(names.plain)
    old.parent.mkdir(parents=True, exist_ok=True)
    right.rename(old)
    again = corpus.export()
    assert (again.shards_written, again.indexes) == (1, first.indexes)
    assert pq.read_table(right).equals(rows)


def names_of(corpus) -> list[write_shard.ShardNames]:
    """The names that the shards of an export may have."""
    found, original = [], write_shard.shard_names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_shard, "shard_names", lambda *inputs: found.append(original(*inputs)) or found[-1])
        corpus.export(overwrite=True)
    return found


def with_note(path, rejected) -> bytes:
    """A shard without rows that says that all its hits are lost."""
    import orjson

    table = pq.read_table(path).slice(0, 0)
    note = orjson.loads(pq.read_metadata(path).metadata[write_shard.FILE_KEY])
    note |= {"rejected": [dataclasses.asdict(rejected)], "by_split": {}, "frames_by_split": {}, "events": 0}
    table = table.replace_schema_metadata({**table.schema.metadata, write_shard.FILE_KEY: orjson.dumps(note)})
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def test_a_source_set_chooses_its_channel(corpus):
    one = np.random.default_rng(1).uniform(-0.5, 0.5, 44100)
    corpus.path("a.wav").parent.mkdir(parents=True)
    sf.write(corpus.path("a.wav"), np.stack([one, -0.5 * one, np.zeros(44100)], 1), 44100, subtype="FLOAT")
    corpus.add_event("a.wav", 0.3)
    found, digests = {}, set()
    for channel in ("mix", "left", "right", "loudest"):
        corpus.settings = dataclasses.replace(corpus.settings, sources={"kits": SourceSet("kits", channel=channel)})
        ((_, clip),) = clips_of(corpus).items()
        found[channel] = np.frombuffer(clip[44:], "<i2") / 32768
        result = corpus.export()
        assert result.shards_written == 0
        digests.add(result.indexes[0].digest)
        assert open_dataset(corpus.settings, result.key).spec.channel == "mix"
    expected = one[round(0.3 * 44100) - 3528 :][: len(found["mix"])]
    for channel, factor in (("mix", 1 / 6), ("left", 1.0), ("right", -0.5), ("loudest", 1.0)):
        np.testing.assert_allclose(found[channel], expected * factor, atol=1e-4)
    assert len(digests) == 4
    corpus.settings = dataclasses.replace(corpus.settings, sources={})
    with pytest.raises(Exception, match="channels changed since"):
        open_dataset(corpus.settings, result.key)


def test_channels_of_opposite_polarity_are_said_and_one_of_them_can_be_chosen(corpus):
    corpus.add_file("good.wav", ONSETS, seconds=SECONDS)
    corpus.add_file("a.wav", ONSETS, seconds=SECONDS)
    one = sf.read(corpus.path("a.wav"))[0]
    one[: 44100 // 2] = 0.0
    sf.write(corpus.path("a.wav"), np.stack([one, -one], 1), 44100, subtype="PCM_24")
    result = corpus.export()
    opposed = len(ONSETS) - 1
    assert losses_of(corpus, result.key) == [("a.wav", "opposite_polarity", opposed), ("a.wav", "silent_audio", 1)]
    files = read_index(index_path(corpus.settings, result.key, "kits")).rejected_files
    assert "opposite polarity" in files[0].message
    (noted,) = verify_manifest(corpus.settings, corpus.manifest, deep=True).noted_files
    assert "opposite polarity" in noted.why
    corpus.settings = dataclasses.replace(corpus.settings, sources={"kits": SourceSet("kits", channel="left")})
    assert corpus.export().to_json()["hits"] == opposed + len(ONSETS)


def test_a_name_in_another_unicode_form_is_found_and_exported(corpus):
    corpus.add_file("Schla\u0308gel/e\u0301.wav", [])
    for onset in (0.1, 0.5):
        corpus.add_event("Schl\u00e4gel/\u00e9.wav", onset)
    result = corpus.export()
    assert result.to_json()["hits"] == 2
    assert corpus.export().shards_written == 0
    assert {name for name, _ in clips_of(corpus)} == {"Schl\u00e4gel/\u00e9.wav"}
    agrees(corpus)


@pytest.mark.parametrize("budget", [1000, 96 << 20])
def test_a_file_that_changes_between_digest_and_decoding_is_an_error(corpus, monkeypatch, budget):
    monkeypatch.setattr(unit_audio, "MEMORY_BUDGET", budget)
    corpus.add_file("a.wav", [0.1])
    original = write_shard.read_unit

    def read(files, takes_parts):
        unit = original(files, takes_parts)
        for file in unit.read:
            file._held = None
        corpus.path("a.wav").write_bytes(corpus.path("a.wav").read_bytes() + b"\0")
        return unit

    monkeypatch.setattr(write_shard, "read_unit", read)
    with pytest.raises(AudioError, match="changed while it was read"):
        corpus.export()


def test_a_drive_that_fails_while_a_file_is_decoded_is_no_fault_of_the_file(corpus, monkeypatch):
    monkeypatch.setattr(unit_audio, "MEMORY_BUDGET", 1000)
    corpus.add_file("a.wav", [0.1])

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("beatsight_core.dataset.shards.cutting.open_blocks", fail)
    with pytest.raises(AudioError, match="cannot be read from its drive"):
        corpus.export()
    assert not list(corpus.settings.dataset_dir.glob("corpus-*/*.json"))
