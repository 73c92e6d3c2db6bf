"""The sensor that sends offline runs."""

import socket
import subprocess
import sys

import dagster as dg
import pytest

from beatsight_core.settings import Settings
from beatsight_dagster.definitions import defs
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.sensors.wandb_sync import wandb_sync


def look(settings: Settings) -> str:
    resource = SettingsResource(data_root=str(settings.data_root))
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(
            instance=instance, repository_def=defs.get_repository_def(), resources={"settings": resource}
        ) as context,
    ):
        said = wandb_sync(context)
    assert isinstance(said, dg.SkipReason)
    return said.skip_message


def test_it_is_off_until_it_is_turned_on() -> None:
    assert wandb_sync.default_status is dg.DefaultSensorStatus.STOPPED
    assert wandb_sync.name in {sensor.name for sensor in defs.get_repository_def().sensor_defs}


def test_it_does_what_settings_ask_for_and_says_what_came_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(settings).startswith("not asked for")
    (settings.data_root / "beatsight.toml").write_text('[tracking]\nmode = "offline"\nsync = true\n')
    assert look(settings) == "nothing waits to be sent"

    settings.wandb_root.mkdir()
    script = "import sys, wandb; wandb.init(project='p', id='made', mode='offline', dir=sys.argv[1]).finish()"
    subprocess.run([sys.executable, "-c", script, settings.wandb_root], check=True, capture_output=True)
    monkeypatch.setattr("beatsight_core.training.tracking.sync.LIMIT_S", 2.0)
    monkeypatch.setenv("WANDB_API_KEY", "f" * 40)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        said = look(settings)
    assert said.startswith("0 offline runs sent to W&B; offline-run-")
    assert said.endswith("was not: W&B did not answer within 2 s")
