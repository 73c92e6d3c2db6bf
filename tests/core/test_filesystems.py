"""Which file systems are slow for random reads, by what the system says of its mounts."""

from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from beatsight_core.filesystems import slow_for_random_reads

Mount = namedtuple("Mount", "device mountpoint fstype opts")


@pytest.fixture
def mounts(monkeypatch):
    """Mounts as a machine with WSL, a NAS and a home folder on a disk has them."""
    listed = [
        Mount("/dev/sdc", "/", "ext4", ""), Mount("C:", "/mnt/c", "9p", ""), Mount("D:", "/mnt/d", "drvfs", ""),
        Mount("nas:/v", "/nas", "nfs4", ""), Mount("/dev/sdd", "/nas/local", "ext4", ""),
        Mount("//s/x", "/nas/local/far", "cifs", ""), Mount("a", "/twice", "ext4", ""), Mount("b", "/twice", "9p", ""),
    ]  # fmt: skip
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: listed)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/cache", None), ("/mnt/c/Users/me/cache", "9p"), ("/mnt/d", "drvfs"), ("/mnt/cache", None),
        ("/nas/cache", "nfs4"), ("/nas/local/cache", None), ("/nas/local/far/cache", "cifs"), ("/twice/x", "9p"),
    ],
)  # fmt: skip
def test_the_deepest_mount_decides(path, kind):
    found = slow_for_random_reads(Path(path))
    assert (found is None) == (kind is None)
    assert kind is None or found.startswith(f"{kind}, ")


def test_this_machines_own_drive_is_not_slow(tmp_path):
    assert slow_for_random_reads(tmp_path) is None


def test_a_link_is_followed_to_where_the_files_are(tmp_path, monkeypatch):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    listed = [Mount("/dev/sdc", "/", "ext4", ""), Mount("n:/", str(tmp_path / "far"), "nfs", "")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: listed)
    assert slow_for_random_reads(tmp_path / "near" / "x").startswith("nfs, a network drive")
