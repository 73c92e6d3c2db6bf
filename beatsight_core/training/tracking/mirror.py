"""The process that shows a run in Weights & Biases: follows `history.jsonl`, line by line, until training ends.

`python -m beatsight_core.training.tracking.mirror`, started by `tracking`, reads one line with what to do, then a line
for every epoch, then the end of its input. W&B is a view, so nothing is lost here that cannot be shown again:

- Online, a run that was begun before is continued: what the server has is asked for, and only later steps are sent.
- An offline folder always holds the whole run from its first epoch. Sent after an earlier one it takes its place, where
  a folder with the later epochs alone would wipe out the earlier ones. Older folders of the run are then deleted.
- Where W&B cannot be reached, or stops answering, an offline folder is written instead.
"""

import contextlib
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.files import exclusive_lock, read_json, write_json
from beatsight_core.runs import records
from beatsight_core.runs.environment import read_environment
from beatsight_core.training.tracking.tracking import MirrorOrder

INIT_TIMEOUT_S, UPLOAD_TIMEOUT_S = 20.0, 25.0
GIVE_UP_S = 60.0
"""Seconds after the end of training at which this process ends at the latest."""

TERM_GRACE_S = 5.0
"""The same after a SIGTERM, which goes to the whole group when a step is cancelled."""


def main() -> None:
    """Mirror the run that standard input names."""
    # Ctrl-C and SIGTERM are for training, whose end reaches here as the end of input; but who sends the latter waits.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: _end_within(TERM_GRACE_S))
    order = MirrorOrder(**orjson.loads(sys.stdin.buffer.readline()))
    news = _News()
    os.environ.update(_quiet_environment(Path(order.wandb_root)))
    with exclusive_lock(Path(order.lock)):
        mirror(order, news)


class _News:
    """New lines of the history, heard by a thread, so that no call into W&B delays the end of this process."""

    def __init__(self) -> None:
        self._fresh, self._ended = threading.Event(), False
        threading.Thread(target=self._listen, name="news", daemon=True).start()

    def _listen(self) -> None:
        while sys.stdin.buffer.readline():
            self._fresh.set()
        self._ended = True
        self._fresh.set()
        _end_within(GIVE_UP_S)

    def __iter__(self) -> Iterator[None]:
        """Give one turn at once, one for whatever is new, and a last one after the end."""
        while not self._ended:
            yield
            self._fresh.wait()
            self._fresh.clear()
        yield


def _end_within(seconds: float) -> None:
    """End this process at the latest so long from now, whatever it waits for."""
    watchdog = threading.Timer(seconds, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()


def mirror(order: MirrorOrder, news: Iterable[None]) -> None:
    """Show a run as `order` says, online if that works and offline if not, and write `tracking.json`.

    Args:
        order: Order that `tracking` made.
        news: Iterable with a turn for each look at the history; ends after the run.
    """
    problem = None
    if order.online:
        try:
            _show(order, news, online=True, problem=None)
            return
        except Exception as error:  # noqa: BLE001 - W&B raises what it likes, and none of it may matter
            problem = f"it could not be reached, or refused ({_said(error)}); the run is kept offline instead"
            _tear_down()
    try:
        _show(order, news, online=False, problem=problem)
    except Exception as error:  # noqa: BLE001 - as above
        _note(order, "offline", problem=f"the run is not tracked, W&B failed ({_said(error)})")


def _said(error: Exception) -> str:
    """Return the kind of an error and its first line, without the key that it might quote."""
    text = str(error).strip().split("\n", 1)[0][:200]
    if key := os.environ.get("WANDB_API_KEY"):
        text = text.replace(key, "***")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _show(order: MirrorOrder, news: Iterable[None], *, online: bool, problem: str | None) -> None:
    """Show one W&B run from its opening to its end.

    Raises:
        Exception: Whatever W&B raises, a TimeoutError where not everything could be sent.
    """
    folder, mode = Path(order.folder), "online" if online else "offline"
    known = read_json(folder / records.TRACKING) if (folder / records.TRACKING).exists() else {}
    run = _open(order, folder, online=online, resume=online and bool(known.get("online_id") == order.id))
    place: str = run.url if online else str(Path(run.dir).parent)
    shown = {"place": place, "problem": problem, "online_id": order.id if online else known.get("online_id")}
    sent = run.starting_step - 1
    _note(order, mode, step=sent, **shown)
    for _ in news:
        for record in records.read_history(folder):
            if record["step"] > sent:
                sent = record["step"]
                run.log(flat_numbers(record), step=sent, commit=True)
        _note(order, mode, step=sent, **shown)
    finished = (folder / records.METRICS).exists()
    if finished:
        _show_outcome(run, folder, sent + 1, online=online)
    kept = Path(run.dir).parent
    run.finish(exit_code=0 if finished else 1)
    _drop_older(Path(order.wandb_root), order.id, kept)


def _open(order: MirrorOrder, folder: Path, *, online: bool, resume: bool) -> Any:
    import wandb

    root = Path(order.wandb_root)
    root.mkdir(parents=True, exist_ok=True)
    init_s = min(float(os.environ.get("WANDB_INIT_TIMEOUT") or INIT_TIMEOUT_S), INIT_TIMEOUT_S)
    return wandb.init(
        id=order.id,
        name=order.name,
        project=order.project,
        entity=order.entity,
        group=order.group,
        tags=order.tags,
        config={**read_json(folder / records.CONFIG), "environment": read_environment(folder)},
        dir=str(root),
        mode="online" if online else "offline",
        resume="allow" if resume else None,
        settings=wandb.Settings(
            console="off", silent=True, disable_code=True, disable_git=True, x_disable_stats=True, x_disable_meta=True,
            init_timeout=init_s, login_timeout=init_s, finish_timeout=UPLOAD_TIMEOUT_S,
            finish_timeout_raises=True,
        ),
    )  # fmt: skip


def _show_outcome(run: Any, folder: Path, step: int, *, online: bool) -> None:
    """Show final figures, the tables of confusions and of precision and recall, and online the best weights."""
    import wandb

    run.summary.update(flat_numbers(read_json(folder / records.METRICS)["metrics"]))
    if (folder / records.CURVES).exists():
        curves = read_json(folder / records.CURVES)
        confused = [
            [label, said, count]
            for label, row in zip(curves["classes"], curves["confusion"], strict=True)
            for said, count in zip(curves["columns"], row, strict=True)
        ]
        traded = [
            [label, *point]
            for label, curve in curves["precision_recall"].items()
            for point in zip(curve["recall"], curve["precision"], curve["threshold"], strict=True)
        ]
        tables = {
            "confusion": wandb.Table(columns=["struck", "said", "hits"], data=confused),
            "precision_recall": wandb.Table(columns=["component", "recall", "precision", "threshold"], data=traded),
        }
        run.log(tables, step=step, commit=True)
    if online:
        artifact = wandb.Artifact(f"{run.id}-best", type="model")
        for path in (folder / records.CHECKPOINTS / "best.pt", folder / records.THRESHOLDS, folder / records.CONFIG):
            artifact.add_file(str(path), policy="immutable", skip_cache=True)
        run.log_artifact(artifact, aliases=["best"])


def _drop_older(wandb_root: Path, name: str, kept: Path) -> None:
    """Delete the folders of earlier attempts, which the one kept, or the server, replaces."""
    for path in run_folders(wandb_root, name):
        if path.resolve() != kept.resolve():
            shutil.rmtree(path, ignore_errors=True)


def run_folders(wandb_root: Path, name: str = "") -> list[Path]:
    """Return W&B's folders of one run, or of all, oldest first."""
    pattern = re.compile(rf"^(offline-)?run-\d{{8}}_\d{{6}}-{re.escape(name) or '.+'}$")
    found = [path for path in (wandb_root / "wandb").glob("*run-*") if pattern.match(path.name)]
    return sorted(found, key=lambda path: path.name.removeprefix("offline-"))


def _note(order: MirrorOrder, mode: str, **values: str | int | None) -> None:
    """Write `tracking.json`. A run that is being thrown away has no folder any more."""
    with contextlib.suppress(Exception):
        if Path(order.folder).is_dir():
            state = {"mode": mode, "id": order.id, "project": order.project, "tags": order.tags}
            write_json(Path(order.folder) / records.TRACKING, {**state, **values})


def _tear_down() -> None:
    """Forget the failed run, whose id would else be in use."""
    with contextlib.suppress(Exception):
        import wandb

        wandb.teardown()


def _quiet_environment(root: Path) -> dict[str, str]:
    """Return variables that keep W&B's own files below its root and let it report to its server alone."""
    wanted = {
        "WANDB_CACHE_DIR": str(root / "cache"),
        "WANDB_DATA_DIR": str(root / "staging"),
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def flat_numbers(record: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of a nested record as `outer/inner`; what is not a number is left out."""
    flat: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flat |= flat_numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[f"{prefix}{name}"] = value
    return flat


if __name__ == "__main__":
    main()
