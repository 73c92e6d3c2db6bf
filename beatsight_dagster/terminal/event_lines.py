"""A run's events as lines for a terminal: what starts, ends, waits and fails, and the library's own progress lines."""

import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

import dagster as dg
from dagster import DagsterEventType

from beatsight_core.safe_text import paragraph_for_terminal
from beatsight_dagster.checks.told import BEGINS
from beatsight_dagster.failures import innermost

POLL_S = 0.3

_MARKS = {
    DagsterEventType.STEP_START: "▸",
    DagsterEventType.STEP_SUCCESS: "✓",
    DagsterEventType.STEP_FAILURE: "✗",
    DagsterEventType.STEP_SKIPPED: "–",
    DagsterEventType.STEP_UP_FOR_RETRY: "↻",
}


class EventPrinter:
    """Prints the events of one run, found by its tags, while the block runs. `failures` names what failed."""

    def __init__(self, instance: dg.DagsterInstance, tags: Mapping[str, str], say: Callable[[str], None]):
        self._instance, self._tags, self._say = instance, dict(tags), say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="event-printer", daemon=True)
        self._run_id: str | None = None
        self._cursor: str | None = None
        self._found: dict[str | None, list[str]] = {}
        self.failures: list[str] = []

    def __enter__(self) -> "EventPrinter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._print_new()

    def _follow(self) -> None:
        while not self._stop.wait(POLL_S):
            self._print_new()

    def _print_new(self) -> None:
        if self._run_id is None:
            runs = self._instance.get_runs(filters=dg.RunsFilter(tags=self._tags), limit=1)
            if not runs:
                return
            self._run_id = runs[0].run_id
        more = True
        while more:
            connection = self._instance.get_records_for_run(self._run_id, cursor=self._cursor, limit=500)
            self._cursor, more = connection.cursor, connection.has_more
            for record in connection.records:
                if line := self._line(record.event_log_entry):
                    indent = line[: len(line) - len(line.lstrip())]
                    self._say(indent + paragraph_for_terminal(line))

    def _line(self, entry: dg.EventLogEntry) -> str | None:
        event = entry.dagster_event
        if event is None:  # a progress line of the library
            said = entry.user_message
            # A failed check is told once, by its own line.
            return f"    {said}" if int(entry.level) >= logging.INFO and not said.startswith(BEGINS) else None
        if event.event_type in _MARKS:
            return self._step_line(event)
        if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            return self._check_line(event)
        if (
            event.event_type is DagsterEventType.ENGINE_EVENT
            and event.step_key
            and "Waits for" in (event.message or "")
        ):
            return f"… {event.step_key}: {event.message}"
        return None

    def _step_line(self, event: dg.DagsterEvent) -> str:
        line = f"{_MARKS[event.event_type]} {event.step_key}"
        if event.event_type is DagsterEventType.STEP_SUCCESS:
            return f"{line}, {event.step_success_data.duration_ms / 1000:.1f} s"
        if event.event_type is DagsterEventType.STEP_FAILURE:
            # Where a blocking check failed, what it found says more than that it failed.
            found = self._found.pop(event.step_key, [])
            self.failures.append(f"{event.step_key}: {'; '.join(found) or innermost(event)}")
            return f"{line}: {f'{len(found)} blocking checks failed' if found else innermost(event)}"
        return line

    def _check_line(self, event: dg.DagsterEvent) -> str | None:
        """A failed check; kept until its step fails for it."""
        check = event.asset_check_evaluation_data
        if check.passed:
            return None
        where = f" ({check.partition})" if "|" in (check.partition or "") else ""
        found = f"{check.check_name}{where}: {check.description or 'failed'}"
        if check.blocking and check.severity is dg.AssetCheckSeverity.ERROR:
            self._found.setdefault(event.step_key, []).append(found)
        return f"  ! {found}"
