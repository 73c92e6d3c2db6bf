"""champion, previous, challenger: names that mean a model wherever one is asked for."""

import dataclasses
import json
import shutil

import pytest

from beatsight_core.errors import ModelError
from beatsight_core.gates.record import PROMOTION_RECORD
from beatsight_core.promotion.judge import judge
from beatsight_core.promotion.promote import rollback
from beatsight_core.promotion.version.model_list import list_models
from beatsight_core.runs.lookup import find_model
from beatsight_core.runs.roles import find_challenger


def test_champion_and_previous_are_versions(released):
    settings = released.settings
    versions = settings.models_dir / "versions"
    assert find_model(settings, "champion") == find_model(settings) == versions / "2"
    assert find_model(settings, "previous") == versions / "1"
    listed = list_models(settings).to_json()
    assert (listed["champion"], listed["previous"], listed["challenger"]) == (2, 1, None)
    rollback(settings)
    with pytest.raises(ModelError, match="Before version 1 there was no champion"):
        find_model(settings, "previous")


def test_the_challenger_is_the_run_judged_last_that_is_no_version(released):
    settings = released.settings
    with pytest.raises(ModelError, match="no challenger"):
        find_model(settings, "challenger")
    first, second = (
        settings.run_root / each.run_id / PROMOTION_RECORD.file for each in (released.first, released.second)
    )
    # Both were judged and are versions; with other weights than their versions' they stand again.
    for path, day in ((first, "2026-01-02"), (second, "2026-01-01")):
        record = json.loads(path.read_text())
        record["digests"]["checkpoint"] = "0" * 40
        path.write_text(json.dumps({**record, "made": {**record["made"], "at": day}}))
    assert find_model(settings, "challenger").run_id == released.first.run_id
    told = list_models(settings).to_json()["challenger"]
    assert (told["run_id"], told["passed"], told["failed"]) == (released.first.run_id, True, [])
    assert told["figures"]["accuracy"] > 0.8
    first.write_text("{")  # a broken record names nobody
    assert find_challenger(settings).run.run_id == released.second.run_id


def test_a_refused_run_is_the_challenger_and_is_listed_with_what_it_failed(released):
    settings = released.settings
    rollback(settings)
    shutil.rmtree(settings.models_dir / "versions" / "2")
    strict = dataclasses.replace(settings.gates, promotion={"accuracy": 0.9999})
    assert not judge(dataclasses.replace(settings, gates=strict), released.second.run_id, device="cpu").passed
    assert list_models(settings).to_json()["challenger"]["failed"] == ["accuracy"]
    assert find_model(settings, "challenger").run_id == released.second.run_id
