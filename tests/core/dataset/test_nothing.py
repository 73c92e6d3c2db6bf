"""An export of not one clip is an error that says why, and leaves what was exported before as it was."""

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.dataset.index import index_paths
from beatsight_core.errors import InputError


def all_gone(corpus):
    corpus.add_file("a.wav", [0.1, 0.5])
    corpus.add_file("b.wav", [0.2])
    for name in ("a.wav", "b.wav"):
        corpus.path(name).unlink()
    return "missing_audio 3 (a.wav: not found in any root, b.wav: not found in any root)"


def links_that_lead_out(corpus, tmp_path_factory):
    corpus.add_file("a.wav", [0.1, 0.5])
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.wav"
    corpus.path("a.wav").rename(elsewhere)
    corpus.path("a.wav").symlink_to(elsewhere)
    return "a symbolic link leads out of the root"


def broken(corpus):
    corpus.add_file("a.wav", [0.1, 0.5])
    corpus.path("a.wav").write_bytes(b"no sound at all" * 99)
    return "unreadable_audio 2 (a.wav: "


def beyond_the_end(corpus):
    corpus.add_file("a.wav", [7.1, 7.5])
    return "past_end 2 (a.wav: "


def muted(corpus):
    corpus.add_file("a.wav", [0.1, 0.5])
    sf.write(corpus.path("a.wav"), np.zeros(44100), 44100)
    return "silent_audio 2 (a.wav: "


def another_case(corpus):
    corpus.add_file("a.wav", [0.1])
    corpus.path("a.wav").rename(corpus.path("A.WAV"))
    return "differs in upper and lower case"


@pytest.mark.parametrize("lose", [all_gone, links_that_lead_out, broken, beyond_the_end, muted, another_case])
def test_the_reason_is_named_and_where_it_was_looked_for(corpus, lose, tmp_path_factory):
    said = lose(corpus, tmp_path_factory) if lose is links_that_lead_out else lose(corpus)
    with pytest.raises(InputError, match="Not one clip could be made") as caught:
        corpus.export()
    assert said in caught.value.why
    assert str(corpus.settings.data_root / "raw" / "kits") in caught.value.where
    assert caught.value.exit_code == 3
    assert index_paths(corpus.settings, "corpus") == []


def test_an_earlier_dataset_stays(corpus):
    corpus.add_file("a.wav", [0.1, 0.5])
    paths = corpus.export().index_paths
    before = [path.read_bytes() for path in paths]
    for shard in corpus.settings.shards_dir.rglob("*.parquet"):
        shard.unlink()
    corpus.path("a.wav").unlink()  # the drive is gone, its folder is still there
    with pytest.raises(InputError, match="Not one clip"):
        corpus.export()
    assert [path.read_bytes() for path in paths] == before


def test_one_clip_is_enough(corpus):
    corpus.add_file("a.wav", [0.1])
    corpus.add_event("gone.wav", 0.5)
    assert corpus.export().to_json()["hits"] == 1
