import html.parser
import shutil

import orjson
import pytest

from beatsight_core.dataset.export import export_dataset
from beatsight_core.errors import StorageError
from beatsight_core.health.report import run_health

HOSTILE = '<script>alert("x")</script>'


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_a_report_is_written_as_json_and_as_a_page_and_as_the_latest(small_settings, corpus, drums):
    result = run_health(small_settings, corpus(drums.take("a") + drums.take("b")))
    assert result.passed
    report = orjson.loads(result.report_json.read_bytes())
    assert report["passed"] is True
    assert report["key"] == result.key
    assert result.report_json.parent == small_settings.health_dir / result.key
    for suffix in ("json", "html"):
        latest = small_settings.health_dir / f"dataset_health.{suffix}"
        assert latest.read_bytes() == result.report_json.with_name(f"report.{suffix}").read_bytes()
    assert orjson.dumps(result.to_json())
    assert result.to_json()["totals"]["hits"] == 24


def test_failed_gates_are_a_verdict_and_not_an_exception(small_settings, corpus, drums):
    result = run_health(small_settings, corpus(drums.take("a") + drums.take("gone"), without=("gone.wav",)))
    assert not result.passed
    assert {gate.name for gate in result.failed} == {
        "events without usable audio", "events of takes without usable audio",
    }  # fmt: skip
    assert "mount the drive" in result.report_html.read_text()


def test_hostile_names_are_shown_and_never_run(small_settings, corpus, drums):
    image = "'\"><img src=x onerror=alert(1)>"
    named = ("source_set", "drummer_id", "kit_id", "licence", "bleed_level")
    fields = {**dict.fromkeys(named, HOSTILE), "mix_context": image, "techniques": [HOSTILE]}
    rows = [
        row
        for session in range(12)
        for row in drums.take(f"{HOSTILE[:8]}{session}", 4, audio_path=f"{session}.wav", **fields)
    ]
    unknown = drums.event("z", 1, 0.5, HOSTILE, source_set="takes")
    manifest = corpus([*rows, *rows[:2], unknown, "{" + HOSTILE], without=tuple(f"{n}.wav" for n in range(12)))
    page = run_health(small_settings, manifest).report_html.read_text()
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert "img" not in tags.names
    assert not any(name.startswith("on") for name in tags.attributes)
    assert "&lt;script&gt;" in page


def test_a_page_names_the_files_that_are_missing_and_the_lines_that_were_refused(small_settings, corpus, drums):
    manifest = corpus([*drums.take("a"), *drums.take("gone"), "{broken"], without=("gone.wav",))
    page = run_health(small_settings, manifest).report_html.read_text()
    assert "gone.wav" in page
    assert "bad_json" in page


def test_a_page_names_files_that_repeat_the_content_of_another(small_settings, corpus, drums):
    manifest = corpus([*drums.take("a"), *drums.take("again")])
    audio = small_settings.data_root / "raw/takes"
    shutil.copy(audio / "a.wav", audio / "again.wav")
    assert "Copies:" not in run_health(small_settings, manifest).report_html.read_text()  # nobody has read them yet
    export_dataset(small_settings, manifest, workers=1)
    page = run_health(small_settings, manifest).report_html.read_text()
    assert "Copies: 1 files repeat the content of another" in page
    assert "takes/a.wav, takes/again.wav" in page


def test_a_drive_mounted_since_is_noticed(small_settings, corpus, drums):
    manifest = corpus(drums.take("a") + drums.take("gone"), without=("gone.wav",))
    assert not run_health(small_settings, manifest).passed
    drums.write_audio(small_settings, "gone.wav")
    assert run_health(small_settings, manifest).passed


def test_defect_5_kinds_of_lost_audio_are_counted_apart(small_settings, corpus, drums):
    late = drums.event("a", 50, 30.0, "snare")
    manifest = corpus([*drums.take("a"), late, *drums.take("gone"), *drums.take("broken")], without=("gone.wav",))
    (small_settings.data_root / "raw/takes/broken.wav").write_bytes(b"this is no audio")
    for _ in range(2):  # again, nothing is added up
        result = run_health(small_settings, manifest)
        audio = orjson.loads(result.report_json.read_bytes())["statistics"]["audio"]
        assert (audio["missing_events"], audio["unreadable_events"], audio["events_past_end"]) == (12, 12, 1)


def test_an_export_is_part_of_the_report(small_settings, corpus, drums):
    manifest = corpus(drums.take("a") + drums.take("b"))
    assert run_health(small_settings, manifest).totals.exported_hits is None
    export_dataset(small_settings, manifest, workers=1)
    result = run_health(small_settings, manifest)
    assert result.passed
    assert result.totals.exported_hits == 24
    assert "Peak level of clips" in result.report_html.read_text()


def test_an_approved_baseline_is_compared_with(small_settings, corpus, drums):
    first = run_health(small_settings, corpus(drums.take("a") + drums.take("b") + drums.take("c")))
    shutil.copy(first.report_json, small_settings.health_dir / "baseline.json")
    result = run_health(small_settings, corpus(drums.take("a"), name="smaller"))
    assert [gate.name for gate in result.failed] == ["largest drop of a class since the baseline"]
    page = result.report_html.read_text()
    assert "Since the baseline" in page


def test_a_corpus_of_one_hit_has_a_report(small_settings, corpus, drums):
    assert run_health(small_settings, corpus([drums.event("a", 1, 0.5, "kick")])).totals.hits == 1


def test_a_report_that_cannot_be_written_is_a_storage_error_and_no_half_file(small_settings, corpus, drums):
    manifest = corpus(drums.take("a"))
    result = run_health(small_settings, manifest)
    result.report_html.unlink()
    result.report_html.mkdir()
    (result.report_html / "in the way").touch()
    with pytest.raises(StorageError):
        run_health(small_settings, manifest)
    assert orjson.loads(result.report_json.read_bytes())["key"] == result.key
    assert {path.name for path in result.report_json.parent.iterdir()} == {"report.json", "report.html"}


def test_a_report_can_be_judged_once_more_from_its_own_figures(small_settings, corpus, drums):
    from beatsight_core.health.corpus_gates import evaluate_gates
    from beatsight_core.health.figures.statistics import CorpusFigures
    from beatsight_core.typed_json import from_json

    manifest = corpus([*drums.take("a"), *drums.take("b"), *drums.take("gone")], without=("gone.wav",))
    export_dataset(small_settings, manifest, workers=1)
    report = orjson.loads(run_health(small_settings, manifest).report_json.read_bytes())
    again = [
        gate.to_json() for gate in evaluate_gates(from_json(CorpusFigures, report["statistics"]), small_settings.gates)
    ]
    judged = {gate["name"]: (gate["value"], gate["limit"], gate["passed"]) for gate in again}
    assert judged == {gate["name"]: (gate["value"], gate["limit"], gate["passed"]) for gate in report["gates"]}
    assert {"sound", "reconciliation", "audio"} <= {gate["group"] for gate in again}
