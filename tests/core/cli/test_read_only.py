"""Looking at a data root in which nothing may be written: a read-only drive, another user's folder."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.health.report import run_health
from beatsight_core.leftovers import host_mark
from beatsight_core.settings import load_settings
from tests.faults.drives import may_mount

LOOKS = (
    ("models",), ("models", "--json"), ("devices",), ("dataset", "ls"), ("dataset", "show", "tiny"), ("dataset", "du"),
    ("dataset", "prune"), ("dataset", "rm", "tiny"), ("manifest", "check", "tiny.jsonl"),
    ("manifest", "stats", "tiny.jsonl"), ("manifest", "diff", "tiny.jsonl", "tiny.jsonl"), ("verify", "tiny.jsonl"),
    ("archive", "--verify"), ("export", "tiny.jsonl", "--verify"), ("features", "tiny.jsonl", "--verify"),
    ("alerts", "list"),
)  # fmt: skip


@contextlib.contextmanager
def read_only(root: Path, place: Path) -> Iterator[Path]:
    """The same folder where nobody may write into it, whoever is at work."""
    if os.geteuid() != 0:
        folders = [path for path in [root, *root.rglob("*")] if path.is_dir() and not path.is_symlink()]
        for folder in folders:
            folder.chmod(0o555)
        yield root
        for folder in folders:
            folder.chmod(0o755)
        return
    if not may_mount():
        pytest.skip("needs another user than root, or a right to mount")
    place.mkdir()
    subprocess.run(["mount", "--bind", root, place], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def call(*words):
    return CliRunner().invoke(beatsight, [str(word) for word in words])


@pytest.fixture
def root(trained, monkeypatch, tmp_path) -> Path:
    """A data root with all that a run needs, and what a killed writer left in it."""
    settings, _ = trained
    monkeypatch.setenv("BEATSIGHT_LEASE_DIR", str(tmp_path / "leases"))
    for folder in (settings.health_dir, settings.catalog_dir, settings.models_dir):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".x.tmp-{host_mark()}-{2**22 + 1}-00000000").write_text("")
    return settings.data_root


@pytest.mark.parametrize("with_catalog", [True, False])
def test_every_listing_works_where_nothing_may_be_written(root, tmp_path, with_catalog):
    if not with_catalog:
        shutil.rmtree(root / "catalog")
    with read_only(root, tmp_path / "there") as place:
        for words in LOOKS:
            shown = call(*words, "--data-root", place)
            makes_it = words[:2] == ("manifest", "check") and not with_catalog
            assert shown.exit_code == (4 if makes_it else 0), (words, shown.output)
        shown = call("doctor", "--data-root", place)
        assert "cannot be written to" in shown.stdout


def test_health_is_judged_and_its_report_goes_elsewhere(root, tmp_path, monkeypatch):
    usual = run_health(load_settings(root), "tiny.jsonl")
    shutil.rmtree(root / "reports" / "health")
    shutil.rmtree(root / "catalog")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with read_only(root, tmp_path / "there") as place:
        shown = call("health", "tiny.jsonl", "--json", "--data-root", place)
        said = json.loads(shown.stdout)
        verdicts = [(gate["name"], gate["passed"], gate["value"]) for gate in said["gates"]]
        assert verdicts == [(gate.name, gate.passed, gate.value) for gate in usual.gates]
        assert Path(said["report_html"]).is_relative_to(tmp_path)
        assert Path(said["report_html"]).is_file()
        assert "BEATSIGHT_HEALTH_DIR" in shown.stderr
        monkeypatch.setenv("BEATSIGHT_HEALTH_DIR", str(tmp_path / "reports"))
        said = json.loads(call("health", "tiny.jsonl", "--json", "--data-root", place).stdout)
        assert Path(said["report_html"]).is_relative_to(tmp_path / "reports")
        assert list(Path(place / "reports").glob("health/*")) == []
    assert not list(tmp_path.glob("beatsight-catalog-*"))


def test_what_writes_says_that_it_cannot(root, tmp_path):
    with read_only(root, tmp_path / "there") as place:
        for words in (("export", "tiny.jsonl", "--overwrite"), ("dataset", "prune", "--yes"), ("judge", "latest")):
            refused = call(*words, "--data-root", place)
            assert refused.exit_code == 4, (words, refused.output)
