import re
from html import unescape
from urllib.parse import unquote

from beatsight_core.dataset.page.dataset_page import write_dataset_page
from beatsight_core.evaluation.evaluate import evaluate
from beatsight_core.health.report import run_health
from beatsight_core.report_addresses import REPORTS, report_file
from beatsight_core.report_index.index_page import index_page, message_page, with_links


def links_of(page):
    return [unescape(href) for href in re.findall(r'href="(/[^"]*)"', page)]


def test_an_empty_data_root_says_how_to_begin(settings):
    page = index_page(settings)
    assert "manifests/" in page
    assert "Nothing was trained yet" in page
    assert "Nothing was promoted yet" in page
    assert "Nothing was archived yet" in page
    assert list(settings.data_root.iterdir()) == []


def test_every_report_is_one_click_away_and_every_link_leads_somewhere(trained):
    settings, run_id = trained
    before = index_page(settings)
    assert "not judged yet" in before
    assert f"beatsight evaluate {run_id}" in before
    key = next(settings.catalog_dir.glob("tiny-*")).name
    run_health(settings, key)
    write_dataset_page(settings, key)
    evaluated = evaluate(settings, run_id, device="cpu")
    page = index_page(settings)
    assert run_id in page
    assert f"beatsight judge {run_id}" in page
    reports = [link for link in links_of(page) if link != "/"]
    assert {f"{REPORTS}health/{key}/report.html", f"{REPORTS}datasets/{key}.html"} <= set(reports)
    assert f"{REPORTS}metrics/{run_id}/{evaluated.folder.name}/report.html" in reports
    for link in reports:
        assert report_file(settings, unquote(link).removeprefix(REPORTS)), link


def test_a_broken_run_and_a_file_that_is_no_manifest_are_listed_and_hide_nothing(trained):
    settings, run_id = trained
    (settings.manifests_dir / "notes.json").write_text("{}")
    (settings.run_root / run_id / "metrics.json").write_text("{")
    page = index_page(settings)
    assert "notes.json" in page
    assert "broken" in page
    assert "tiny-" in page


def test_reports_about_one_manifest_lead_to_each_other(trained):
    settings, _ = trained
    key = next(settings.catalog_dir.glob("tiny-*")).name
    page = "<html><body>\n<p>x</p>"
    write_dataset_page(settings, key)
    alone = with_links(settings, page, f"datasets/{key}.html")
    assert links_of(alone) == [REPORTS, "/"]
    run_health(settings, key)
    assert f"{REPORTS}health/{key}/report.html" in links_of(with_links(settings, page, f"datasets/{key}.html"))
    assert f"{REPORTS}datasets/{key}.html" in links_of(with_links(settings, page, f"health/{key}/report.html"))


def test_what_a_name_holds_stays_text(settings):
    name = "<script>x</script>"
    (settings.manifests_dir).mkdir()
    (settings.manifests_dir / "<script>x<.json").write_text("{}")
    assert "<script" not in index_page(settings)
    assert "<script" not in message_page(name, name)
    assert "<script" not in with_links(settings, "<body>", f"datasets/{name}.html")
