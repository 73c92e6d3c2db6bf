"""Weights & Biases as a view of `history.jsonl`. It may be off, offline or unreachable: training never notices.

Nothing of wandb is imported unless settings ask for it. No key or token is read or logged here.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

INIT_TIMEOUT_S = 30.0


class Tracker:
    """Tracks nothing; the base of what does."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Mirror one record of the history; its `step` is the tracker's step."""

    def finish(self, summary: Mapping[str, Any], *, failed: bool = False) -> None:
        """Close the run with its final figures."""


class WandbTracker(Tracker):
    """One W&B run; after the first failure it says so once and stays silent.

    Args:
        settings: Mode, project, entity, group, tags, and where offline files go.
        run_id: The same id in every sitting, so that a resumed run continues.
        config: Shown as the run's configuration.
        tags: Beside those of settings.
    """

    def __init__(self, settings: Settings, run_id: str, config: Mapping[str, Any], tags: tuple[str, ...] = ()):
        self._run: Any = None
        tracking = settings.tracking
        mode: Any = {"dryrun": "offline"}.get(tracking.mode, tracking.mode)
        with self._failing_quietly("start"):
            import wandb

            settings.wandb_root.mkdir(parents=True, exist_ok=True)
            self._run = wandb.init(
                project=tracking.project,
                entity=tracking.entity,
                group=tracking.group,
                tags=sorted({*tracking.tags, *tags}),
                id=run_id,
                name=run_id,
                config=dict(config),
                dir=str(settings.wandb_root),
                mode=mode,
                resume="allow",
                settings=wandb.Settings(
                    console="off",
                    silent=True,
                    disable_code=True,
                    disable_git=True,
                    init_timeout=INIT_TIMEOUT_S,
                    login_timeout=INIT_TIMEOUT_S,
                ),
            )

    def log(self, record: Mapping[str, Any]) -> None:
        """Mirror one record of the history; its `step` is the tracker's step."""
        if self._run is None:
            return
        with self._failing_quietly("log"):
            self._run.log(flat_numbers(record), step=int(record["step"]))

    def finish(self, summary: Mapping[str, Any], *, failed: bool = False) -> None:
        """Close the run with its final figures."""
        if self._run is None:
            return
        with self._failing_quietly("finish"):
            self._run.summary.update(flat_numbers(summary))
            self._run.finish(exit_code=1 if failed else 0)
        self._run = None

    @contextlib.contextmanager
    def _failing_quietly(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - W&B raises plain Exceptions, and none of them may stop training
            logger.warning("W&B tracking is off from here, it failed to %s: %s", what, type(error).__name__)
            self._run = None


def open_tracker(settings: Settings, run_id: str, config: Mapping[str, Any], tags: tuple[str, ...] = ()) -> Tracker:
    """The tracker that settings ask for."""
    if settings.tracking.mode == "disabled":
        return Tracker()
    return WandbTracker(settings, run_id, config, tags)


def flat_numbers(record: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a nested record as `outer/inner`; what is not a number is left out."""
    flat: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flat |= flat_numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[f"{prefix}{name}"] = value
    return flat
