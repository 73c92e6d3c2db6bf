"""Evaluating a real run of the platform: the same numbers as training's, the files, the refusals."""

import dataclasses
import html.parser
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from beatsight_core.errors import DatasetError, ModelError, UsageError
from beatsight_core.evaluation.compare_models import RivalComparison, compare_predictions
from beatsight_core.evaluation.evaluate import evaluate, features_for, find_evaluation, measure
from beatsight_core.evaluation.label_errors import CONFIDENT, LabelErrors, agreed, confident_mistakes
from beatsight_core.evaluation.page.evaluation_page import evaluation_page
from beatsight_core.evaluation.predictions import load_predictions
from beatsight_core.evaluation.slices import HitSelection, stratified
from beatsight_core.evaluation.subject import identity
from beatsight_core.features.build import build_features
from beatsight_core.files import sha256_file
from beatsight_core.gates.gate import Gate, at_least
from beatsight_core.metrics import Metrics, multilabel_metrics
from beatsight_core.runs.records import open_run
from beatsight_core.settings import load_settings
from beatsight_core.typed_json import from_json


def test_the_numbers_are_those_that_training_ended_with(trained):
    settings, run_id = trained
    result = evaluate(settings, "latest", device="cpu")
    run = open_run(settings, run_id)
    assert result.metrics == from_json(Metrics, run.metrics["metrics"])
    assert result.metrics.accuracy > 0.8
    assert list(result.metrics.per_class) == list(run.classes)
    assert result.content.digests["checkpoint"] == sha256_file(run.checkpoint)
    assert result.content.digests["dataset"] == run.dataset_digest
    assert result.content.digests["spec"] == run.spec.digest
    assert result.folder == find_evaluation(settings, run)
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["run_id"] == run_id


def test_the_numbers_can_be_made_again_from_the_predictions(trained):
    settings, run_id = trained
    result = evaluate(settings, run_id, device="cpu")
    stored = load_predictions(result.folder / "predictions.parquet")
    again = multilabel_metrics(stored.probabilities, stored.targets, stored.thresholds, stored.classes)
    assert again == result.metrics


def test_all_files_are_there_under_the_names_of_the_runbook_too(trained):
    settings, run_id = trained
    result = evaluate(settings, run_id, device="cpu").to_json()
    matrix = np.load(result["confusion_npy"])
    told = json.loads((settings.metrics_dir / "warmup_confusion.json").read_text())
    assert matrix.tolist() == told["matrix"] == np.load(settings.metrics_dir / "warmup_confusion.npy").tolist()
    assert matrix.shape == (18, 19)
    drawn = (settings.metrics_dir / "warmup_confusion.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert drawn == Path(result["confusion_png"]).read_bytes()
    written = json.loads((settings.metrics_dir / "warmup_misclassified.json").read_text())
    mistakes, by_class = written["mistakes"], written["by_class"]
    assert mistakes
    assert mistakes[0]["confidence"] >= mistakes[-1]["confidence"]
    assert mistakes[0]["audio_path"].endswith(".wav")
    page = (settings.metrics_dir / run_id / result["evaluation_id"] / "report.html").read_text()
    html.parser.HTMLParser().feed(page)
    suspects = json.loads(Path(result["label_errors_json"]).read_text())["suspects"]
    cards = len(mistakes) + sum(map(len, by_class.values())) + min(len(suspects), 24)
    assert page.count("data:image/png") == page.count("data:audio/flac") == page.count('<article class="clip"') == cards
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page


def test_evaluating_the_same_again_finds_the_same(trained):
    settings, run_id = trained
    first = evaluate(settings, run_id, device="cpu")
    written = {path: path.stat().st_mtime_ns for path in settings.metrics_dir.rglob("*") if path.is_file()}
    again = evaluate(settings, run_id, device="cpu")
    assert again.reused
    assert again.content == first.content
    assert {path: path.stat().st_mtime_ns for path in settings.metrics_dir.rglob("*") if path.is_file()} == written


def test_a_fraction_is_of_the_split_and_is_not_what_promotion_judges(trained):
    settings, run_id = trained
    run = open_run(settings, run_id)
    part = evaluate(settings, run_id, HitSelection(split="all", fraction=0.3), device="cpu")
    assert part.metrics.hits == round(0.3 * 420)
    assert find_evaluation(settings, run) is None
    assert not (settings.metrics_dir / "warmup_confusion.json").exists()
    evaluate(settings, run_id, HitSelection(fraction=0.5), device="cpu")
    assert find_evaluation(settings, run) is None
    whole = evaluate(settings, run_id, HitSelection(fraction=1.0), device="cpu")
    assert find_evaluation(settings, run) == whole.folder


def test_a_part_never_stands_under_the_name_of_the_whole(trained):
    settings, run_id = trained
    whole = evaluate(settings, run_id, device="cpu")
    part = evaluate(settings, run_id, HitSelection(fraction=0.5), device="cpu")
    for name in ("confusion.json", "confusion.npy", "confusion.png", "misclassified.json"):
        assert (settings.metrics_dir / f"warmup_{name}").read_bytes() == (whole.folder / name).read_bytes()
        assert (settings.metrics_dir / f"warmup_0.5_{name}").read_bytes() == (part.folder / name).read_bytes()


def test_an_evaluation_of_these_weights_goes_before_a_newer_one_of_others(trained):
    settings, run_id = trained
    run = open_run(settings, run_id)
    own = evaluate(settings, run_id, device="cpu").folder
    other = own.with_name("val-00000000")
    shutil.copytree(own, other)
    content = json.loads((own / "metrics.json").read_text())
    content |= {"made_at": "2999-01-01T00:00:00+00:00", "digests": content["digests"] | {"checkpoint": "0" * 64}}
    (other / "metrics.json").write_text(json.dumps(content))
    assert find_evaluation(settings, run) == own
    shutil.rmtree(own)
    assert find_evaluation(settings, run) == other


def test_another_manifest_needs_its_features_and_the_error_says_how(trained, make_corpus):
    from beatsight_core.dataset.export import export_dataset

    settings, run_id = trained
    other = make_corpus(settings.data_root, sessions=3, seed=9, name="other")
    with pytest.raises(DatasetError):
        evaluate(settings, run_id, HitSelection(on=other, split="all"), device="cpu")
    export_dataset(settings, other)
    with pytest.raises(DatasetError, match="beatsight features other-"):
        evaluate(settings, run_id, HitSelection(on=other, split="all"), device="cpu")
    build_features(settings, other, device="cpu")
    result = evaluate(settings, run_id, HitSelection(on=other, split="all"), device="cpu")
    assert result.metrics.hits == 90
    assert result.content.on.startswith("other-")
    assert result.content.learned_hits == 0
    assert find_evaluation(settings, open_run(settings, run_id)) is None


def test_hits_that_the_model_learned_from_are_told_whatever_manifest_names_them(trained, make_corpus):
    from beatsight_core.dataset.export import export_dataset

    settings, run_id = trained
    plain = evaluate(settings, run_id, device="cpu")
    assert plain.content.learned_hits == 0
    assert "figures flatter it" not in (plain.folder / "report.html").read_text()
    source = next(settings.manifests_dir.glob("*.jsonl"))
    part = source.with_name("part.jsonl")
    part.write_text("".join(source.read_text().splitlines(keepends=True)[:200]))
    export_dataset(settings, part)
    build_features(settings, part, device="cpu")
    for on in (None, part):
        found = evaluate(settings, run_id, HitSelection(on=on, split="all"), device="cpu")
        splits = features_for(settings, open_run(settings, run_id), found.content.on).meta["split"]
        learned = int((splits != "val").sum())
        assert 0 < found.content.learned_hits == learned < found.metrics.hits
        said = f"learned from {learned:,} of the {found.metrics.hits:,} hits"
        assert said in (found.folder / "report.html").read_text()


def test_defect_6_other_mel_settings_are_refused_by_name(trained):
    settings, run_id = trained
    changed = dataclasses.replace(settings, features=dataclasses.replace(settings.features, f_max_hz=3000.0))
    with pytest.raises(DatasetError, match=r"f_max_hz is 3000.0, was 4000.0"):
        evaluate(changed, run_id, device="cpu")


@pytest.mark.parametrize(("options", "said"), [({"split": "test"}, "no split"), ({"fraction": 0.0}, "fraction")])
def test_impossible_requests_are_usage_errors(trained, options, said):
    settings, run_id = trained
    with pytest.raises(UsageError, match=said):
        evaluate(settings, run_id, HitSelection(**options), device="cpu")


def test_an_unknown_or_unfinished_run_is_an_error(trained):
    settings, run_id = trained
    with pytest.raises(ModelError, match="no run"):
        evaluate(settings, "nothing")
    (settings.run_root / run_id / "metrics.json").unlink()
    with pytest.raises(ModelError, match="beatsight train"):
        evaluate(settings, run_id)


def test_a_broken_checkpoint_is_an_error(trained):
    settings, run_id = trained
    path = open_run(settings, run_id).checkpoint
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="broken"):
        evaluate(settings, run_id, device="cpu")


def test_hostile_names_reach_the_page_escaped(trained):
    settings, run_id = trained
    name = "<script>alert(1)</script>\"' \u202eabc"
    config = settings.run_root / run_id / "config.json"
    value = json.loads(config.read_text())
    config.write_text(json.dumps({**value, "preset": name}))
    page = (evaluate(settings, run_id, device="cpu").folder / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \u202e\u05e9\u05dc\u05d5\u05dd" + "w" * 300


def test_hostile_names_in_the_data_and_of_rivals_reach_the_page_escaped(contest):
    settings = contest.settings
    run = open_run(settings, contest.later)
    features = features_for(settings, run, run.key)
    rows = features.rows_of("val")
    named = features.meta[rows].with_columns(
        [
            pl.format("{}{}", pl.lit(HOSTILE), pl.col(name)).alias(name)
            for name in ("session_id", "source_set", "audio_path")
        ]
    )
    known = load_predictions(evaluate(settings, contest.later, device="cpu").folder / "predictions.parquet")
    predictions = dataclasses.replace(known, hits=named)
    change = compare_predictions(predictions, dataclasses.replace(predictions, probabilities=1 - known.probabilities))
    rival = RivalComparison(roles=("asked for",), name=HOSTILE, same_data=False, change=change, why_not=None)
    about = dataclasses.replace(
        identity(run, features, run.key, HitSelection(), []), preset=HOSTILE, trained_on=HOSTILE, on=HOSTILE
    )
    doubts = agreed(
        predictions, confident_mistakes(predictions), {HOSTILE: known.probabilities[confident_mistakes(known)]}
    )
    measured = measure(
        predictions,
        about,
        against=[rival, dataclasses.replace(rival, change=None, why_not=HOSTILE)],
        label_errors=LabelErrors(CONFIDENT, {HOSTILE: "0"}, len(doubts), tuple(doubts)),
        learned=None,
        curves=[Gate(HOSTILE, 0.0, at_least(1), HOSTILE)],
    )
    page = evaluation_page(measured, [{"epoch": 1, "train_loss": 1.0, "val_loss": 1.0}], {})
    assert page.index("do not look like learning") < page.index("from these hits is not known")  # warnings first
    assert page.count("&lt;script&gt;") > 10
    assert "<script" not in page
    assert "<img src=x" not in page
    elements = Elements()
    elements.feed(page)
    assert not {name for attributes in elements.seen for name in attributes if name.startswith("on")}


class Elements(html.parser.HTMLParser):
    """The names of all attributes of a page."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append([name for name, _ in attrs])


HITS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([(), ("kick",), ("snare",), ("crash", "kick")])), min_size=1
)


@given(HITS, st.floats(0.01, 1.0), st.randoms(use_true_random=False))
@hypothesis_settings(max_examples=60, deadline=None)
def test_a_stratified_part_keeps_every_proportion_and_ignores_the_order(hits, fraction, random):
    table = pl.DataFrame(
        {
            "hit_id": [f"{place:04d}" for place in range(len(hits))],
            "source_set": [source for source, _ in hits],
            "labels": [list(labels) for _, labels in hits],
        },
        schema_overrides={"labels": pl.List(pl.String)},
    )
    chosen = stratified(table, fraction)
    assert len(chosen) == len(set(chosen)) == max(1, int(len(hits) * fraction + 0.5))
    order = list(range(len(hits)))
    random.shuffle(order)
    mixed = table[order]
    assert set(mixed[stratified(mixed, fraction)]["hit_id"]) == set(table[chosen]["hit_id"])
    for stratum in set(hits):
        members = {place for place, hit in enumerate(hits) if hit == stratum}
        expected = len(members) * len(chosen) / len(hits)
        assert abs(len(members & set(chosen.tolist())) - expected) < 2


def test_settings_of_the_copy_point_into_the_copy(trained):
    settings, _ = trained
    assert load_settings(settings.data_root).run_root == settings.run_root


def test_the_page_tells_whether_the_curves_look_like_learning(trained):
    settings, run_id = trained
    healthy = evaluate(settings, run_id, device="cpu")
    assert all(row["passed"] for row in healthy.content.curves)
    assert "do not look like learning" not in (healthy.folder / "report.html").read_text()
    history = settings.run_root / run_id / "history.jsonl"
    rows = [json.loads(line) for line in history.read_text().splitlines()]
    history.write_text("".join(json.dumps(row | {"train_loss": row["epoch"]}) + "\n" for row in rows))
    climbing = evaluate(settings, run_id, HitSelection(fraction=0.5), device="cpu")
    failed = [row["name"] for row in climbing.content.curves if not row["passed"]]
    assert "training_falls" in failed
    page = (climbing.folder / "report.html").read_text()
    assert "do not look like learning: training falls" in page
    assert "training loss went from 1.0000 to 6.0000" in page
