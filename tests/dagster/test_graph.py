"""The graph is what it was: a change of it is made on purpose."""

from collections.abc import Callable
from types import ModuleType

from beatsight_core.gates.release_limits import PROFILES
from beatsight_dagster.checks import promotion as promotion_checks

ASSETS = {
    "manifest", "audio_inventory", "dataset", "dataset_health", "feature_cache", "warmup_probe", "baseline_model",
    "long_run_model", "evaluation_report", "promoted_model", "run_archive",
}  # fmt: skip


def test_the_graph_is_the_snapshot(beside: Callable[[str], ModuleType]) -> None:
    snapshot = beside("graph_snapshot")
    told = "the graph changed; if that is meant: python tests/dagster/graph_snapshot.py"
    assert snapshot.as_text(snapshot.graph()) == snapshot.SNAPSHOT.read_text(encoding="utf-8"), told


def test_the_contract_of_keys_groups_and_partitions(beside: Callable[[str], ModuleType]) -> None:
    assets = beside("graph_snapshot").graph()["assets"]
    assert set(assets) == ASSETS
    assert {entry["group"] for entry in assets.values()} == {"beatsight"}  # several would be shown folded
    for name, entry in assets.items():
        by_source = name in ("dataset", "feature_cache")
        expected = {"manifest": "dynamic manifests", "source_set": "dynamic source_sets"} if by_source else None
        assert entry["partitions"] == (expected or "dynamic manifests")
        assert all(check["partitions"] == entry["partitions"] for check in entry["checks"].values())
        assert entry["owners"] == ["team:beatsight"]
        assert entry["summary"]
    asking = {name for name, entry in assets.items() if entry["op_tags"].get("beatsight/gpu") == "1"}
    judging = {"evaluation_report", "promoted_model"}
    assert asking == {"feature_cache", "warmup_probe", "baseline_model", "long_run_model", *judging}


def test_each_promotion_criterion_has_its_check() -> None:
    figures = set(PROFILES["production"])
    others = {"no_class_worse", "slice_0.3", "evaluation_matches", "exported_model"}
    assert set(promotion_checks.CRITERIA) == figures | others
