"""Links to reports: an address below the web UI where that is known, else a path."""

import pytest

from beatsight_core.alerts.report_link import report_link, run_link


@pytest.mark.parametrize("base", ["http://127.0.0.1:3000", "http://127.0.0.1:3000/"])
def test_a_report_has_an_address_below_its_folder(receivers, base):
    settings = receivers(f'[alerts]\nbase_url = "{base}"\n')
    page = settings.health_dir / "m 1%-12345678" / "report.html"
    assert report_link(settings, page) == "http://127.0.0.1:3000/reports/health/m%201%25-12345678/report.html"
    for name, folder in (
        ("metrics", settings.metrics_dir), ("archive", settings.archive_dir), ("datasets", settings.dataset_pages_dir),
    ):  # fmt: skip
        assert (
            report_link(settings, folder / "a" / "b?#.html") == f"http://127.0.0.1:3000/reports/{name}/a/b%3F%23.html"
        )
    assert run_link(settings, "a/b") == "http://127.0.0.1:3000/runs/a%2Fb"


def test_what_lies_elsewhere_keeps_its_path(receivers, data_root):
    settings = receivers('[alerts]\nbase_url = "http://127.0.0.1:3000"\n')
    for path in (data_root / "models" / "card.md", settings.health_dir, settings.health_dir / ".." / "x.html"):
        assert "://" not in report_link(settings, path)


def test_without_a_base_a_report_is_a_path(settings):
    page = settings.health_dir / "m-12345678" / "report.html"
    assert report_link(settings, page) == str(page)
    assert run_link(settings, "a") is None
