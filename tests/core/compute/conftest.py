"""A folder of leases for each test."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "leases"
    monkeypatch.setenv("BEATSIGHT_LEASE_DIR", str(folder))
    return folder
