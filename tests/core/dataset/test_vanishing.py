"""A root that goes away while it is read: one error about that root, and the same command goes on when it is back."""

import contextlib

import pytest

from beatsight_core.audio.inventory import build_inventory
from beatsight_core.dataset.verify_export import verify_manifest
from beatsight_core.errors import AudioError
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.progress import SilentProgress


class Unplugs(SilentProgress):
    """Renames a root away when it hears of the first step of a task; leaves an empty folder there if asked to."""

    def __init__(self, task, root, *, leave_mount_point=False):
        super().__init__()
        self._task, self._root, self._leave = task, root, leave_mount_point
        self.away = root.with_name("unplugged")

    @contextlib.contextmanager
    def task(self, name, total=None, unit=""):
        with super().task(name, total, unit) as task:
            yield self._watched(task) if name == self._task else task

    def _watched(self, task):
        advance = task.advance

        def unplug(*args, **numbers):
            advance(*args, **numbers)
            if not self.away.exists():
                self._root.rename(self.away)
                if self._leave:
                    self._root.mkdir()

        task.advance = unplug
        return task

    def plug_in(self):
        if self._root.exists():
            self._root.rmdir()
        self.away.rename(self._root)


@pytest.fixture
def many(corpus):
    """Many files, so that most are still to come when the first is done."""
    for number in range(200):
        corpus.add_file(f"take{number:03d}.wav", [0.05], seconds=0.1)
    corpus.write()
    return corpus


@pytest.fixture(params=[False, True], ids=["gone", "empty mount point"])
def unplugs(request, many):
    return lambda task: Unplugs(task, many.path(""), leave_mount_point=request.param)


def assert_one_error(error, many):
    text = str(error.value)
    assert error.value.exit_code == 3
    assert "vanished" in text
    assert str(many.path("")) in text
    assert "take" not in text
    assert "mount the drive" in text


def test_the_inventory(many, unplugs):
    catalog = build_catalog(many.settings, many.manifest)
    progress = unplugs("audio inventory")
    with pytest.raises(AudioError) as error:
        build_inventory(many.settings, catalog, progress=progress)
    assert_one_error(error, many)
    assert not (catalog.folder / "inventory.json").exists()
    progress.plug_in()
    totals = build_inventory(many.settings, catalog).to_json()
    assert (totals["ok"], totals["missing"], totals["unreadable"]) == (200, 0, 0)


def test_verify(many, unplugs):
    progress = unplugs("audio inventory")
    with pytest.raises(AudioError) as error:
        verify_manifest(many.settings, many.manifest, progress=progress)
    assert_one_error(error, many)
    progress.plug_in()
    assert verify_manifest(many.settings, many.manifest).clips == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_an_export(many, unplugs, workers):
    progress = unplugs("export")
    with pytest.raises(AudioError) as error:
        many.export(progress=progress, workers=workers)
    assert_one_error(error, many)
    assert not list(many.settings.dataset_dir.glob("corpus-*/*.json")), "nothing is committed"
    done = many.shard_files()
    progress.plug_in()
    again = many.export().to_json()
    assert again["rejects_by_reason"]["missing_audio"] == 0
    assert again["hits"] == 200
    assert again["shards_reused"] >= len([name for name in done if name.endswith(".parquet")])


def test_one_file_that_vanishes_is_only_that_file(many):
    catalog = build_catalog(many.settings, many.manifest)
    build_inventory(many.settings, catalog)

    class Removes(SilentProgress):
        @contextlib.contextmanager
        def task(self, name, total=None, unit=""):
            with super().task(name, total, unit) as task:
                if name == "export":
                    many.path("take199.wav").unlink()
                yield task

    result = many.export(progress=Removes()).to_json()
    assert result["rejects_by_reason"]["missing_audio"] == 1
    assert result["hits"] == 199
