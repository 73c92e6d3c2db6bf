"""Starts, watches and ends the processes of a run's steps; itself the queue that they wait in.

`launch_step` only queues. Every call of Dagster's loop pumps the queue: plain steps start as CPU slots come free, steps
with the tag `beatsight/gpu` start when they get a lease. A waiting step holds no slot, so plain steps overtake it.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dagster import DagsterEvent, DagsterEventType
from dagster._core.events import EngineEventData
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandler, StepHandlerContext

from beatsight_core.compute.devices import Device
from beatsight_core.compute.leases import Lease, device_environment
from beatsight_core.compute.tickets import Ticket
from beatsight_core.errors import BeatSightError
from beatsight_dagster.executor import GPU_TAG
from beatsight_dagster.executor.device_pool import DevicePool
from beatsight_dagster.executor.step_processes import StepOrder, StepProcess, StepProcesses

_FINAL_EVENTS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY}
_FIRST_REMINDER_S, _LONGEST_REMINDER_S = 60.0, 900.0


@dataclass(frozen=True, slots=True)
class HandlerConfig:
    """How a run's steps are started.

    Attributes:
        max_cpu_steps: Number of steps without a device that run at once.
        no_device: Behaviour of a step that wants devices on a machine without: "cpu" (run there) or "fail".
        max_memory_share: Share of a device's memory; a device of which others use more is left alone.
        grace_s: Seconds between SIGTERM and SIGKILL.
        devices: Number of devices by step, instead of what its tag says.
    """

    max_cpu_steps: int
    no_device: str
    max_memory_share: float
    grace_s: float
    devices: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class QueuedStep:
    """A step that was handed over by the run."""

    key: str
    context: StepHandlerContext
    asked_for: int = 0  # devices, as its tag or the launchpad says
    wanted: int = 0  # devices that it waits for: none on a machine without
    queued_at: float = field(default_factory=time.time)
    ticket: Ticket | None = None
    process: StepProcess | None = None
    started_at: float = 0.0
    devices: tuple[Device, ...] = ()
    refusal: str = ""
    ended_at_last_check: bool = False
    asked_to_end_at: float | None = None
    remind_at: float = 0.0
    reminder_s: float = _FIRST_REMINDER_S

    @property
    def note(self) -> dict[str, str | int]:
        """Note on who asks for devices."""
        return {"run": self.context.dagster_run.run_id[:8], "step": self.key, "pid": os.getpid()}


class DeviceStepHandler(StepHandler):
    """One process a step, with the devices that it asked for and no others in sight."""

    def __init__(self, config: HandlerConfig):
        super().__init__()
        self._config = config
        self._steps: dict[str, QueuedStep] = {}  # by step key, in the order of queueing
        self._pool = DevicePool(config.no_device, config.max_memory_share)
        self._processes = StepProcesses.shared or StepProcesses()

    @property
    def name(self) -> str:
        """Name of the handler in the run's log."""
        return "DeviceStepHandler"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Queue a step. A step that cannot run is reported by its health check: raising here would end the run."""
        key = _step_key(step_handler_context)
        step = self._steps[key] = QueuedStep(key, step_handler_context)
        try:
            tag = step_handler_context.step_tags[key].get(GPU_TAG, "0")
            step.asked_for = self._config.devices.get(key, int(tag))
            step.wanted = self._pool.count_for(step.asked_for)
            if step.wanted:
                step.ticket = self._pool.join_queue(step.wanted, step.note)
        except (ValueError, BeatSightError) as error:
            step.refusal = str(error)
            return
        self._pump()
        if step.process is None and not step.refusal:
            self._remind(step)
        yield from ()

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Start what can be started, then say whether this step waits, runs or has died."""
        self._pump()
        step = self._steps.get(_step_key(step_handler_context))
        if step is None:
            return CheckStepHealthResult.unhealthy("it was not started by this run's process")
        if step.refusal:
            self._forget(step)
            return CheckStepHealthResult.unhealthy(step.refusal)
        if step.process is None:
            if time.time() >= step.remind_at:
                self._remind(step)
            return CheckStepHealthResult.healthy()
        if not step.process.has_ended():
            return CheckStepHealthResult.healthy()
        # Its last event may be written and not yet read by the run: one more look before it is called dead.
        if not step.ended_at_last_check or _final_event_written(step):
            step.ended_at_last_check = True
            return CheckStepHealthResult.healthy()
        self._forget(step)
        return CheckStepHealthResult.unhealthy(_cause_of_death(step.process))

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """End a step's processes: SIGTERM, grace, SIGKILL."""
        step = self._steps.get(_step_key(step_handler_context))
        # A run that ends a step ends all of them, one call each: asked at the same time, they share the grace.
        for other in self._steps.values():
            _ask_to_end(other)
        if step is None:
            return
        if step.process is not None and step.asked_to_end_at is not None:
            message = f"Ended process {step.process.pid}"
            if not step.process.wait(step.asked_to_end_at + self._config.grace_s):
                message += f" by SIGKILL, after {self._config.grace_s:g} s"
            yield DagsterEvent.engine_event(step_handler_context.get_step_context(step.key), message, EngineEventData())
        self._forget(step)

    def prepare(self) -> None:
        """Start what steps are forked from, while the run does other things."""
        self._processes.prepare()

    def finish(self) -> None:
        """See every process of the run to its end: one that has reported and does not end is ended after the grace."""
        deadline = time.monotonic() + self._config.grace_s
        for step in list(self._steps.values()):
            if step.process is not None:
                step.process.wait(deadline)
            self._forget(step)
        if self._processes is not StepProcesses.shared:
            self._processes.close()

    def _pump(self) -> None:
        """Start every queued step that can start now."""
        on_cpu = 0
        for step in self._steps.values():
            if step.process is not None and not step.process.has_ended():
                on_cpu += not step.devices
        for step in list(self._steps.values()):
            if step.process is not None or step.refusal:
                continue
            if step.wanted:
                self._start_with_devices(step)
            elif on_cpu < self._config.max_cpu_steps:
                on_cpu += 1
                self._start(step, None)

    def _start_with_devices(self, step: QueuedStep) -> None:
        try:
            lease = self._pool.try_lease(step.wanted, step.note, step.ticket)
        except BeatSightError as error:
            step.refusal = str(error)
            return
        if lease is not None:
            self._start(step, lease)

    def _start(self, step: QueuedStep, lease: Lease | None) -> None:
        descriptors: Sequence[int] = lease.descriptors if lease else ()
        try:
            order = StepOrder(_environment(step, lease), self._config.grace_s)
            step.process = self._processes.start(order, descriptors)
        except OSError as error:
            step.refusal = f"its process could not be started: {error}"
            return
        finally:
            if lease:
                lease.close()  # the step's process is now the only holder
            if step.ticket:
                step.ticket.close()
        step.started_at = time.time()
        step.devices = lease.devices if lease else ()
        names = _names(step)
        waited = step.started_at - step.queued_at
        DagsterEvent.step_worker_starting(
            step.context.get_step_context(step.key),
            message=f"Started process {step.process.pid} on devices: {names}; waited {waited:.1f} s.",
            metadata={"pid": step.process.pid, "devices": names, "waited_s": waited},
        )

    def _remind(self, step: QueuedStep) -> None:
        """Say in the run's log what a step waits for; ever more rarely."""
        if step.wanted:
            message = f"Waits for {step.wanted} device(s): {self._pool.explain_wait(step.wanted, step.ticket)}."
        else:
            message = f"Waits for one of {self._config.max_cpu_steps} CPU slot(s)."
        waited = time.time() - step.queued_at
        message += f" Waiting for {waited:.0f} s." if waited >= 1 else ""
        DagsterEvent.engine_event(step.context.get_step_context(step.key), message, EngineEventData())
        step.remind_at = time.time() + step.reminder_s
        step.reminder_s = min(step.reminder_s * 2, _LONGEST_REMINDER_S)

    def _forget(self, step: QueuedStep) -> None:
        if step.ticket:
            step.ticket.close()
        self._steps.pop(step.key, None)


def _environment(step: QueuedStep, lease: Lease | None) -> dict[str, str]:
    arguments = {entry["name"]: entry["value"] for entry in step.context.execute_step_args.get_command_env()}
    return {**os.environ, **arguments, **(lease.environment if lease else device_environment(()))}


def _names(step: QueuedStep) -> str:
    """The devices that a step was given, for the run's log."""
    if step.devices:
        return ", ".join(f"{device.index} ({device.name})" for device in step.devices)
    return "none (it wanted one, and this machine has none: it runs on the CPU)" if step.asked_for > 0 else "none (CPU)"


def _step_key(context: StepHandlerContext) -> str:
    (key,) = context.execute_step_args.step_keys_to_execute or ()
    return str(key)


def _ask_to_end(step: QueuedStep) -> None:
    if step.process is not None and step.asked_to_end_at is None and not step.process.has_ended():
        step.asked_to_end_at = time.monotonic()
        step.process.send_signal(signal.SIGTERM)


def _final_event_written(step: QueuedStep) -> bool:
    context = step.context
    records = context.instance.get_records_for_run(context.dagster_run.run_id, of_type=_FINAL_EVENTS).records
    entries = [record.event_log_entry for record in records]
    return any(entry.step_key == step.key and entry.timestamp >= step.started_at for entry in entries)


def _cause_of_death(process: StepProcess) -> str:
    status = process.returncode or 0
    if status < 0:
        return f"its process {process.pid} was killed by {signal.Signals(-status).name}"
    return f"its process {process.pid} ended with exit code {status} before it could report"
