"""Files of the inbox as the world delivers them: clocks that are wrong, odd names, drives that are slow or broken."""

import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from beatsight_core.manifest.identity import manifest_key
from beatsight_core.settings import Settings
from beatsight_core.slow_work import SlowWork
from beatsight_dagster.definitions import defs
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.sensors import digesting, manifests
from beatsight_dagster.sensors.manifests import manifest_inbox
from beatsight_dagster.sensors.settling import UNFILLED_S, is_settled

HOUR = 3600.0
TEXT = b'{"event_id": "e1"}\n'


class Inbox:
    """An inbox, and looks at it whose time can be set."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch):
        self.settings, self.instance, self.cursor, self.said = settings, instance, None, ""
        self.now = time.time()
        self.folder = settings.manifests_dir
        self.folder.mkdir()
        clock = SimpleNamespace(time=lambda: self.now, monotonic=time.monotonic, time_ns=time.time_ns)
        monkeypatch.setattr(manifests, "time", clock)

    def write(self, name: str, text: bytes = TEXT, *, at: float | None = None) -> Path:
        """A file whose time is so many seconds ahead of now; a minute ago by default."""
        path = self.folder / name
        path.write_bytes(text)
        self.set_time(path, -60.0 if at is None else at)
        return path

    def set_time(self, path: Path, ahead_s: float) -> None:
        os.utime(path, (self.now + ahead_s, self.now + ahead_s))

    def look(self, times: int = 1, *, every_s: float = 15.0) -> set[str]:
        """Look some times; the keys that were asked for."""
        asked = set()
        for _ in range(times):
            resource = SettingsResource(data_root=str(self.settings.data_root))
            with dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, repository_def=defs.get_repository_def(),
                resources={"settings": resource},
            ) as context:  # fmt: skip
                result = manifest_inbox(context)
            assert isinstance(result, dg.SensorResult)
            self.cursor, self.said = result.cursor, str(result.skip_reason)
            asked |= {str(request.partition_key) for request in result.run_requests or []}
            self.now += every_s
        return asked


@pytest.fixture
def inbox(settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    return Inbox(settings, instance, monkeypatch)


@pytest.mark.parametrize("ahead_s", [2 * HOUR, 12 * HOUR, 70 * 365 * 24 * HOUR, 1.0, -0.5])
def test_the_clock_of_another_machine_keeps_no_file_waiting(inbox: Inbox, ahead_s: float) -> None:
    path = inbox.write("m.jsonl", at=ahead_s)
    assert inbox.look() == set()
    assert inbox.look() == {manifest_key(path)}
    assert inbox.look(3) == set()


@pytest.mark.parametrize("at", [0.0, 1.0, 315532800.0])
def test_a_time_of_1970_or_1980_is_as_good_as_any(inbox: Inbox, at: float) -> None:
    path = inbox.write("m.jsonl")
    os.utime(path, (at, at))
    assert inbox.look(2) == {manifest_key(path)}


def test_a_file_that_grows_is_not_settled_though_its_time_lies_ahead(inbox: Inbox) -> None:
    for size in range(1, 5):
        path = inbox.write("m.jsonl", TEXT * size, at=2 * HOUR)
        assert inbox.look() == set()
        assert "1 being written" in inbox.said
    assert inbox.look(2) == {manifest_key(path)}


def test_a_file_whose_time_alone_changes_is_not_settled(inbox: Inbox) -> None:
    path = inbox.write("m.jsonl")
    for ahead_s in (HOUR, HOUR + 1, HOUR + 2):
        inbox.set_time(path, ahead_s)
        assert inbox.look() == set()
    assert inbox.look() == {manifest_key(path)}


@pytest.mark.parametrize("step_s", [-HOUR, -3.0, HOUR])
def test_a_clock_that_is_set_between_two_looks_keeps_no_file_waiting(inbox: Inbox, step_s: float) -> None:
    path = inbox.write("m.jsonl", at=-1.0)
    assert inbox.look() == set()
    inbox.now += step_s
    assert inbox.look(3) == {manifest_key(path)}


def test_a_restart_keeps_what_was_seen(inbox: Inbox) -> None:
    path = inbox.write("m.jsonl", at=HOUR)
    inbox.look()
    inbox.cursor = json.dumps(json.loads(str(inbox.cursor)))
    assert inbox.look() == {manifest_key(path)}


def test_a_cursor_of_the_version_before_is_understood(inbox: Inbox) -> None:
    path = inbox.write("m.jsonl")
    status = path.stat()
    before = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "error": None}
    inbox.cursor = json.dumps({"m.jsonl": {**before, "key": None, "pending": True}})
    assert inbox.look() == {manifest_key(path)}
    inbox.instance.report_runless_asset_event(dg.AssetMaterialization("manifest", partition=manifest_key(path)))
    inbox.cursor = json.dumps({"m.jsonl": {**before, "key": manifest_key(path), "pending": False}})
    assert inbox.look(3) == set()


def test_a_size_that_was_allocated_and_not_filled_is_waited_for(inbox: Inbox) -> None:
    path = inbox.write("m.jsonl", TEXT.ljust(200, b"\0"), at=-24 * HOUR)
    assert inbox.look(3) == set()
    assert "it ends in zero bytes" in inbox.said
    inbox.write("m.jsonl", TEXT.ljust(199) + b"\n", at=-24 * HOUR)  # of the same size and, below, the same time
    os.utime(path, (1e9, 1e9))
    assert inbox.look(3) == {manifest_key(path)}


def test_a_file_that_stays_unfilled_is_taken_as_it_is_in_the_end(inbox: Inbox) -> None:
    path = inbox.write("m.jsonl", TEXT + bytes(64))
    assert inbox.look(int(UNFILLED_S / 15.0)) == set()
    assert inbox.look(3) == {manifest_key(path)}


def test_writing_that_keeps_size_and_time_is_seen(inbox: Inbox) -> None:
    path = inbox.write("m.jsonl", b"a" * 100, at=-HOUR)
    kept = path.stat()
    for letter in (b"b", b"c"):
        assert inbox.look() == set()
        path.write_bytes(letter * 100)
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert inbox.look() == set()
    assert inbox.look() == {manifest_key(path)}


def test_a_drive_that_invents_the_time_of_status_change_keeps_no_file_waiting() -> None:
    now, before = 1000.0, {}
    for look in range(10):
        state = {"size": 5, "mtime_ns": 0, "ctime_ns": look}
        settled = is_settled(before, state, now)
        before, now = {**state, "since": before.get("since", now)}, now + 15.0
        assert settled == (look >= 4)


def test_a_file_renamed_into_place_and_a_link_that_is_turned_are_new_content(inbox: Inbox) -> None:
    path = inbox.write("m.jsonl")
    assert len(inbox.look(2)) == 1
    other = inbox.write(".m.jsonl.part", b'{"event_id": "e2"}\n')
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert inbox.look(3) == {manifest_key(path)}
    targets = [inbox.write(f".{number}", b'{"event_id": "%d"}\n' % number) for number in (1, 2)]
    link = inbox.folder / "link.jsonl"
    for target in targets:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        assert inbox.look(3) == {manifest_key(link)}


def odd_entries(folder: Path) -> dict[str, str]:
    """Entries that are no manifests -> what is said of them."""
    (folder / "a-folder.jsonl").mkdir()
    os.mkfifo(folder / "a-fifo.jsonl")
    (folder / "a-link.jsonl").symlink_to(folder / "nowhere")
    (folder / "a-long-link.jsonl").symlink_to("x" * 300)
    (folder / "a-loop.jsonl").symlink_to("a-loop.jsonl")
    (folder / "a-device.jsonl").symlink_to("/dev/null")
    (folder / "A.JSONL").write_bytes(TEXT)
    (folder / "b.jsonl.bz2").write_bytes(TEXT)
    (folder / "c.json").write_bytes(TEXT)
    (folder / f"{'n' * 245}.jsonl").write_bytes(TEXT)
    (folder / "line\nbreak.jsonl").write_bytes(TEXT)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jsonl")).write_bytes(TEXT)
    return {
        "a-folder.jsonl": "it is a folder", "a-fifo.jsonl": "no regular file", "a-link.jsonl": "leads nowhere",
        "a-long-link.jsonl": "cannot be looked at", "a-loop.jsonl": "cannot be looked at",
        "a-device.jsonl": "no regular file", "A.JSONL": "does not end in", "b.jsonl.bz2": "does not end in",
        "c.json": "does not end in", "nnnn": "too long", "break": "cannot be shown", "caf": "not UTF-8",
    }  # fmt: skip


def test_odd_entries_hold_up_nobody_and_are_told(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(manifests, "_MOST_NOTES", 99)
    told = odd_entries(inbox.folder)
    (inbox.folder / "notes.txt").touch()
    broken = gzip.compress(TEXT * 100)[:-20]
    good = [inbox.write("m.jsonl"), inbox.write("M.jsonl"), inbox.write("broken.jsonl.gz", broken)]
    assert inbox.look(2) == set(map(manifest_key, good))
    assert inbox.look() == set()
    said = inbox.said.split("; ")
    for name, problem in told.items():
        assert any(name in each and "left out" in each for each in said), name
        assert problem in inbox.said
    assert "notes.txt" not in inbox.said
    assert inbox.said.isprintable()


def test_a_summary_stays_short(inbox: Inbox) -> None:
    for number in range(30):
        (inbox.folder / f"{number}-{'x' * 200}.json").touch()
    inbox.look()
    assert "and 25 more" in inbox.said
    assert len(inbox.said) < 2500


def test_a_manifest_that_takes_long_to_read_holds_up_nobody(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "BUDGET_S", 0.2)
    answered, plain, begun = threading.Event(), manifest_key, []

    def slow(path: Path) -> str:
        if path.name == "a-slow.jsonl":
            begun.append(path)
            assert answered.wait(30.0)
        return plain(path)

    monkeypatch.setattr("beatsight_core.manifest.read_manifest.manifest_key", slow)
    slow_file, quick = inbox.write("a-slow.jsonl"), inbox.write("quick.jsonl")
    began = time.monotonic()
    asked = inbox.look(2)
    for name, piece in list(digesting.KEYS._pieces.items()):
        if str(quick) in name:  # begun when the time for this look had gone to the other
            assert piece.done.wait(30.0)
    asked |= inbox.look(2)
    assert asked == {plain(quick)}
    assert time.monotonic() - began < 10.0
    assert "a-slow.jsonl: its content is being read" in inbox.said
    (piece,) = digesting.KEYS._pieces.values()
    answered.set()
    assert piece.done.wait(30.0)
    assert inbox.look() == {plain(slow_file)}
    assert begun == [slow_file]  # it was read once, over several looks


def test_what_is_lost_with_its_process_again_and_again_is_digested_by_another(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "BUDGET_S", 0.05)
    stopped = threading.Event()

    def endless(path: Path) -> str:
        stopped.wait(30.0)
        return "too late"

    monkeypatch.setattr("beatsight_core.manifest.read_manifest.manifest_key", endless)
    path = inbox.write("m.jsonl")
    inbox.look(3)
    for _ in range(2):
        assert digesting._CHILDREN == []
        monkeypatch.setattr(digesting, "KEYS", SlowWork[str]())  # another process
        monkeypatch.setattr(manifests, "KEYS", digesting.KEYS)
        assert inbox.look() == set()
    assert "by a process of its own" in inbox.said
    (child,) = digesting._CHILDREN
    assert child.wait(60.0) == 0
    assert inbox.look() == {manifest_key(path)}
    assert inbox.look(2) == set()
    stopped.set()


def test_a_file_that_goes_between_listing_and_reading_is_no_error(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = inbox.write("gone.jsonl"), inbox.write("stays.jsonl")
    plain = manifest_key

    def vanishing(file: Path) -> str:
        if file == path:
            path.unlink(missing_ok=True)
        return plain(file)

    inbox.look()
    monkeypatch.setattr("beatsight_core.manifest.read_manifest.manifest_key", vanishing)
    assert inbox.look() == {plain(other)}
    inbox.look()
    assert set(json.loads(str(inbox.cursor))) == {"stays.jsonl"}


def test_an_inbox_that_cannot_be_listed_says_so(inbox: Inbox) -> None:
    inbox.folder.rmdir()
    assert inbox.look() == set()
    assert "0 manifests" in inbox.said
    inbox.folder.write_text("a file where the inbox should be")
    with pytest.raises(Exception, match="is a file where a folder is needed"):
        inbox.look()
