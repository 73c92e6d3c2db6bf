"""Where a manifest stands once its candidate was judged: promoted, archived, or judged by other limits."""

import shutil
from dataclasses import replace

from beatsight_core.promotion.archive.write_archive import archive_run
from beatsight_core.settings import Settings
from beatsight_core.status.manifest_status import status_of
from beatsight_core.status.stage import Stage
from tests.core.promotion.conftest import Released


def stage(settings: Settings, key: str, name: str) -> Stage:
    return next(stage for stage in status_of(settings, key).stages if stage.name == name)


def test_a_champion_is_archived_next_and_then_its_stages_are_done(released: Released) -> None:
    settings, run_id = released.settings, released.second.run_id
    (key,) = (path.name for path in settings.catalog_dir.glob("tiny-*"))
    promotion = stage(settings, key, "promotion")
    assert (promotion.state, promotion.says) == ("done", f"{run_id} is version 2, the champion")
    archive = stage(settings, key, "archive")
    assert (archive.state, archive.next) == ("not yet", f"beatsight archive {run_id}")
    archive_run(settings, run_id)
    assert stage(settings, key, "archive").state == "done"


def test_a_verdict_that_no_version_came_of_holds_as_long_as_the_limits_do(released: Released) -> None:
    settings, run_id = released.settings, released.second.run_id
    (key,) = (path.name for path in settings.catalog_dir.glob("tiny-*"))
    shutil.rmtree(settings.models_dir)
    promotion = stage(settings, key, "promotion")
    assert (promotion.state, promotion.next) == ("under way", f"beatsight promote {run_id}")
    assert "meets every criterion" in promotion.says
    stricter = replace(settings, gates=replace(settings.gates, promotion={"accuracy": 0.99}))
    promotion = stage(stricter, key, "promotion")
    assert (promotion.state, promotion.next) == ("out of date", f"beatsight judge {run_id}")
    assert any("accuracy" in finding for finding in promotion.findings)
