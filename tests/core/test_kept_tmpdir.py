import os
import tempfile

from beatsight_core import sockets
from beatsight_core.compute.leases import lease_folder
from beatsight_core.sockets import restore_temporary_folder, service_environment


def test_services_get_a_short_folder_and_steps_the_users_own_back(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    long = tmp_path / ("x" * 120)
    long.mkdir()
    assert service_environment() == {}
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    leases = lease_folder({})
    environment = service_environment()
    assert len(environment["TMPDIR"]) < 60
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert tempfile.gettempdir() == environment["TMPDIR"]
    restore_temporary_folder()
    assert tempfile.gettempdir() == str(long)
    assert sockets.KEPT not in os.environ
    assert lease_folder({}) == leases
