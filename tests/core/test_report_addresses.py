import dataclasses
from pathlib import Path
from urllib.parse import unquote

import pytest

from beatsight_core.report_addresses import MEDIA_TYPES, REPORTS, report_address, report_file, report_folders


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


@pytest.mark.parametrize("name", ["plain", "a b", "50%25", "#1?x=2", "naïve", "'q'\"", "%2e%2e", "a+b"])
def test_an_address_leads_back_to_its_file(settings, name):
    for kind, folder in report_folders(settings).items():
        file = write(folder / name / "report.html")
        address = report_address(settings, file)
        assert address is not None
        assert address.startswith(f"{REPORTS}{kind}/")
        assert "?" not in address
        assert "#" not in address
        assert report_file(settings, unquote(address).removeprefix(REPORTS)) == file.resolve()


def test_folders_that_were_moved_are_served_from_where_they_are(settings, tmp_path):
    moved = dataclasses.replace(settings, health_dir=tmp_path / "elsewhere")
    file = write(tmp_path / "elsewhere" / "m" / "report.html")
    assert report_address(moved, file) == "/reports/health/m/report.html"
    assert report_file(moved, "health/m/report.html") == file.resolve()
    assert report_file(settings, "health/m/report.html") is None


def test_other_files_have_no_address(settings):
    assert report_address(settings, settings.data_root / "beatsight.toml") is None
    assert report_address(settings, settings.run_root / "r" / "metrics.json") is None
    assert report_address(settings, settings.metrics_dir / "r" / "e" / "predictions.parquet") is None


@pytest.mark.parametrize(
    "address",
    [
        "", "health", "health/", "health//report.html", "nowhere/m/report.html", "../beatsight.toml",
        "health/../../beatsight.toml", "health/m/../../../beatsight.toml", "health/./m/report.html", "/etc/passwd",
        "health//etc/passwd", "health/m/.hidden.html", "health/.m.tmp-1/report.html", "health/m/report.html/",
        "health/m/report.html\0.png", "health/m\\report.html", "health/m", "health/m/page.svg", "health/m/run.js",
        "health/m/archive.gz", "health/out.html", "health/away/beatsight.toml", "health/circle/report.html",
        "health/" + "x" * 5000 + ".html", "health/m/absent.html",
    ],
)  # fmt: skip
def test_nothing_but_a_report_is_behind_an_address(settings, address):
    write(settings.data_root / "beatsight.toml")
    folder = settings.health_dir
    for name in ("report.html", ".hidden.html", "page.svg", "run.js", "archive.gz"):
        write(folder / "m" / name)
    write(folder / ".m.tmp-1" / "report.html")
    (folder / "out.html").symlink_to(settings.data_root / "beatsight.toml")
    (folder / "away").symlink_to(settings.data_root)
    (folder / "circle").symlink_to("circle")
    assert report_file(settings, address) is None


def test_nothing_that_is_served_can_run(settings):
    assert not {".js", ".mjs", ".svg", ".xml", ".xhtml", ".htm", ".pdf", ".wasm"} & MEDIA_TYPES.keys()
