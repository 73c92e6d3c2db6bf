"""Alerts of real runs: one that fails, a check that fails, a step that says nothing, and their way to a receiver."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from beatsight_core.alerts.alert import Alert
from beatsight_core.alerts.outbox import raise_alert, waiting_alerts
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.definitions import defs
from beatsight_dagster.failures import failure
from beatsight_dagster.previews import accepted_previews
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.sensors import alerts
from beatsight_dagster.sensors.alerts import alert_delivery, alerts_of_runs
from beatsight_dagster.sensors.run_watch import RunWatch

LOG = '[[alerts.receivers]]\nname = "log"\nkind = "log"\n'
GO_ON, BEGUN = threading.Event(), threading.Event()


@dg.op
def breaks() -> None:
    raise failure("The drive is gone. What to do: mount it")


@dg.op
def waits() -> None:
    BEGUN.set()
    assert GO_ON.wait(60)


PARTITIONS = dg.StaticPartitionsDefinition(["m-12345678"])


def spec(name: str, *, blocking: bool = False) -> dg.AssetCheckSpec:
    with accepted_previews():
        return dg.AssetCheckSpec(name, asset="judged", blocking=blocking, partitions_def=PARTITIONS)


@dg.asset(check_specs=[spec("every_gate", blocking=True), spec("only_a_hint")], partitions_def=PARTITIONS)
def judged(context):  # type: ignore[no-untyped-def]
    warn = dg.AssetCheckSeverity.WARN
    return dg.MaterializeResult(
        metadata={"report as a file": dg.MetadataValue.path(context.run.tags["report"])},
        check_results=[
            dg.AssetCheckResult(passed=False, check_name="every_gate", description="kick 3, must be >= 300"),
            dg.AssetCheckResult(passed=False, check_name="only_a_hint", severity=warn),
        ],
    )


@dg.job
def failing() -> None:
    breaks()


@dg.job
def waiting() -> None:
    waits()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose databases are files, as those of a data root."""
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        yield instance


@pytest.fixture
def written(data_root: Path) -> Callable[[str], Settings]:
    def write(text: str) -> Settings:
        (data_root / "beatsight.toml").write_text(text)
        return load_settings(data_root)

    return write


def look(instance: dg.DagsterInstance, settings: Settings, cursor: str | None) -> tuple[str, str]:
    """One tick of the sensor that follows runs: what it says, and its cursor."""
    resource = SettingsResource(data_root=str(settings.data_root))
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=defs.get_repository_def(), resources={"settings": resource}
    ) as context:
        result = alerts_of_runs(context)
    assert isinstance(result, dg.SensorResult)
    assert isinstance(result.skip_reason, dg.SkipReason)
    return result.skip_reason.skip_message, str(result.cursor)


def send(settings: Settings) -> str:
    resource = SettingsResource(data_root=str(settings.data_root))
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(
            instance=instance, repository_def=defs.get_repository_def(), resources={"settings": resource}
        ) as context,
    ):
        result = alert_delivery(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message


def raised(settings: Settings) -> list[tuple[str, str]]:
    return [(each.alert.kind, each.alert.subject) for each in waiting_alerts(settings)]


def test_without_a_receiver_both_do_nothing(home: dg.DagsterInstance, settings: Settings) -> None:
    began = time.monotonic()
    said, cursor = look(home, settings, '{"of": "another version"}')
    assert said.startswith("no receiver")
    assert cursor == ""
    assert send(settings).startswith("no receiver")
    assert time.monotonic() - began < 5
    assert not settings.alerts_dir.exists()
    names = {sensor.name: sensor.default_status for sensor in defs.get_repository_def().sensor_defs}
    assert names["alerts_of_runs"] is names["alert_delivery"] is dg.DefaultSensorStatus.RUNNING


def test_a_run_that_fails_is_told_once_in_its_own_words(
    home: dg.DagsterInstance, written: Callable[[str], Settings]
) -> None:
    settings = written('[alerts]\nbase_url = "http://127.0.0.1:3000"\n' + LOG)
    failing.execute_in_process(instance=home, raise_on_error=False)  # before anybody listened
    _, cursor = look(home, settings, None)
    assert raised(settings) == []
    run = failing.execute_in_process(instance=home, raise_on_error=False)
    said, cursor = look(home, settings, cursor)
    assert said == "1 alerts raised; 0 runs are under way"
    (stored,) = waiting_alerts(settings)
    assert (stored.alert.kind, stored.alert.subject) == ("run_failed", "failing")
    words = f"failing failed. Run {run.run_id[:8]} said: The drive is gone. What to do: mount it."
    assert stored.alert.what == words
    assert stored.alert.link == f"http://127.0.0.1:3000/runs/{run.run_id}"
    for _ in range(2):
        said, cursor = look(home, settings, cursor)
        assert said.startswith("0 alerts")
    assert "log: 1 sent" in send(settings)
    line = json.loads((settings.alerts_dir / "alerts.jsonl").read_text())
    assert line["what"] == words
    assert send(settings) == "nothing waits"


def test_a_gate_that_fails_is_told_with_its_report(
    home: dg.DagsterInstance, written: Callable[[str], Settings]
) -> None:
    settings = written('[alerts]\nbase_url = "http://127.0.0.1:3000"\n' + LOG)
    _, cursor = look(home, settings, None)
    report = settings.health_dir / "m-12345678" / "report.html"
    dg.materialize(
        [judged], instance=home, raise_on_error=False, partition_key="m-12345678", tags={"report": str(report)}
    )
    look(home, settings, cursor)
    found = {each.alert.kind: each.alert for each in waiting_alerts(settings)}
    gate = found["gate_failed"]
    assert gate.subject == "every_gate, judged of m-12345678"
    assert gate.what.endswith("failed: kick 3, must be >= 300")
    assert gate.link == "http://127.0.0.1:3000/reports/health/m-12345678/report.html"
    assert "only_a_hint" not in str(raised(settings))


def test_a_step_that_says_nothing_is_told_once(home: dg.DagsterInstance, written: Callable[[str], Settings]) -> None:
    settings = written("[alerts]\nstuck_minutes = 30\n" + LOG)
    GO_ON.clear()
    thread = threading.Thread(target=lambda: waiting.execute_in_process(instance=home), daemon=True)
    thread.start()
    try:
        assert BEGUN.wait(60)
        now = time.time()
        watch = RunWatch.of(None, now - 60)
        assert list(watch.look(home, settings, now)) == []
        assert list(watch.look(home, settings, now + 29 * 60)) == []
        watch = RunWatch.of(watch.to_cursor(), 0.0)  # as the sensor remembers it
        (alert,) = watch.look(home, settings, now + 31 * 60)
        assert (alert.kind, alert.subject) == ("step_stuck", "waits, waiting")
        assert "has said nothing for 31 minutes" in alert.what
        assert abs(alert.since - now) < 60
        assert list(watch.look(home, settings, now + 90 * 60)) == []
        never = written("[alerts]\nstuck_minutes = 0\n" + LOG)
        assert list(RunWatch.of(None, now).look(home, never, now + 1e6)) == []
    finally:
        GO_ON.set()
        thread.join()
    assert list(watch.look(home, settings, time.time())) == []
    assert watch.runs == {}


def test_what_waits_is_sent_although_nobody_can_look_around(written: Callable[[str], Settings]) -> None:
    settings = written(LOG)
    raise_alert(settings, Alert("test", "x", "y", "z", 0.0))
    (settings.alerts_dir / "look.lock").mkdir()
    assert send(settings) == "log: 1 sent"


def test_another_versions_cursor_is_begun_anew(home: dg.DagsterInstance, written: Callable[[str], Settings]) -> None:
    said, cursor = look(home, written(LOG), '{"of": "another version"}')
    assert said.startswith("0 alerts")
    assert RunWatch.of(cursor, 0.0).since > time.time() - 60


def test_a_long_log_is_read_over_several_looks(
    home: dg.DagsterInstance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beatsight_dagster.sensors.run_watch.PAGE_EVENTS", 3)
    watch = RunWatch.of(None, time.time())
    failing.execute_in_process(instance=home, raise_on_error=False)
    monkeypatch.setattr("beatsight_dagster.sensors.run_watch.BUDGET_S", -1.0)
    assert list(watch.look(home, settings)) == []
    monkeypatch.setattr("beatsight_dagster.sensors.run_watch.BUDGET_S", 15.0)
    assert [alert.kind for alert in watch.look(home, settings)] == ["run_failed"]


def test_a_dead_receiver_delays_neither_the_look_nor_another_receiver(
    written: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "_WAIT_S", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = f"http://127.0.0.1:{server.getsockname()[1]}"
        settings = written(
            f'[alerts]\nmin_free_gb = 1e9\n[[alerts.receivers]]\nname = "dead"\nkind = "webhook"\nurl = "{dead}"\n{LOG}'
        )
        began = time.monotonic()
        assert send(settings) == "dead: being sent; log: 1 sent"
        assert time.monotonic() - began < 9
    assert json.loads((settings.alerts_dir / "alerts.jsonl").read_text())["kind"] == "disk_low"
