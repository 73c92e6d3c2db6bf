"""A change of champion is an alert; what changes nothing is none."""

import pytest

from beatsight_core.alerts.outbox import waiting_alerts
from beatsight_core.promotion.promote import promote, rollback


@pytest.mark.slow
def test_a_promotion_and_a_rollback_are_told_and_a_look_is_not(released):
    file = released.root / "beatsight.toml"
    base = '[alerts]\nbase_url = "http://127.0.0.1:3000"\n'
    file.write_text(f'{file.read_text()}\n{base}[[alerts.receivers]]\nname = "log"\nkind = "log"\n')
    settings, first, second = released.settings, released.first, released.second
    rollback(settings, dry_run=True)
    promote(settings, second.run_id, device="cpu")  # it is the champion already
    assert waiting_alerts(settings) == []

    rollback(settings, why="it hears ghosts")
    rollback(settings, first.version)  # it is the champion already
    promote(settings, second.run_id, device="cpu")
    back, new = (each.alert for each in waiting_alerts(settings))
    assert (back.kind, back.subject) == ("rolled_back", f"version {first.version}")
    assert f"in place of version {second.version}. Reason: it hears ghosts" in back.what
    assert back.link == str(settings.models_dir / "versions" / str(first.version) / "card.md")
    assert (new.kind, new.subject) == ("promoted", f"version {second.version}")
    assert new.what.startswith(f"Run {second.run_id} is version {second.version}, the champion now")
    assert new.link.startswith(f"http://127.0.0.1:3000/reports/metrics/{second.run_id}/")
    page = settings.metrics_dir / new.link.partition("/reports/metrics/")[2]
    assert page.is_file()
