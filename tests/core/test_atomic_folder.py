import pytest

from beatsight_core.errors import StorageError
from beatsight_core.files import atomic_folder


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "one").write_text("1")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "deep" / "one").read_text() == "1"
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "b") as folder:  # noqa: PT012
        (folder / "half").write_text("1")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_of_two_writers_the_first_stays(tmp_path):
    with atomic_folder(tmp_path / "a") as slow:
        (slow / "who").write_text("slow")
        with atomic_folder(tmp_path / "a") as quick:
            (quick / "who").write_text("quick")
    assert (tmp_path / "a" / "who").read_text() == "quick"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError), atomic_folder(tmp_path / "file" / "a"):
        pass
