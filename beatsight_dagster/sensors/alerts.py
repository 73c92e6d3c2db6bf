"""Alerts are raised from what runs do, and sent to their receivers. Without a receiver both sensors do nothing.

To raise one writes a small file. To send them takes as long as a receiver takes, so that is done in threads beside the
looks, one for each receiver: neither the daemon nor another receiver waits for one that does not answer.
"""

import functools
import time
from typing import TYPE_CHECKING

import dagster as dg

from beatsight_core.errors import BeatSightError
from beatsight_core.safe_text import for_terminal
from beatsight_core.settings import Settings
from beatsight_core.slow_work import NotYetError, SlowWork
from beatsight_dagster.resources.settings import SettingsResource

if TYPE_CHECKING:
    from beatsight_core.alerts.alert_delivery import ReceiverDelivery

_NOBODY = "no receiver: [[alerts.receivers]] of the settings names none"
_WAIT_S = 2.0
_MOST_RECEIVERS = 64

_DELIVERIES: "SlowWork[ReceiverDelivery]" = SlowWork(_MOST_RECEIVERS)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises alerts of runs and gates that fail, and of steps without progress; see [alerts].",
)
def alerts_of_runs(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SensorResult:
    """Follow the events of runs. Nothing from before the first receiver was named is told."""
    current = settings.load()
    if not current.alerts.receivers:
        return dg.SensorResult(skip_reason=_NOBODY, cursor="")
    from beatsight_core.alerts.outbox import raise_alert
    from beatsight_dagster.sensors.run_watch import RunWatch

    watch, raised = RunWatch.of(context.cursor, time.time()), 0
    for alert in watch.look(context.instance, current):
        raise_alert(current, alert)
        raised += 1
    said = f"{raised} alerts raised; {len(watch.runs)} runs are under way"
    return dg.SensorResult(skip_reason=said, cursor=watch.to_cursor())


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at roots and free space, and sends what waits to the receivers of alerts; see [alerts].",
)
def alert_delivery(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SkipReason:
    """Look around, and send; what is not sent in a moment goes on beside the looks."""
    current = settings.load()
    if not current.alerts.receivers:
        return dg.SkipReason(_NOBODY)
    from beatsight_core.alerts.look_around import look_around

    try:
        look_around(current)
    except BeatSightError as error:  # what waits is sent all the same
        context.log.error(for_terminal(f"roots and disks are not looked at: {error}"))
    return dg.SkipReason(for_terminal("; ".join(_send(current)) or "nothing waits"))


def _send(settings: Settings) -> list[str]:
    """Begin to send to each receiver; what came of it so far."""
    from beatsight_core.alerts.alert_delivery import deliver_to
    from beatsight_core.alerts.outbox import anything_waits

    if not anything_waits(settings):
        return []
    receivers, said = settings.alerts.receivers, []
    for receiver in receivers:
        name, work = f"{settings.data_root}: {receiver.name}", functools.partial(deliver_to, settings, receiver)
        try:
            if _DELIVERIES.is_under_way(name):  # since an earlier look, which did not see all that waits now
                _DELIVERIES.answer(name, work, 0.0)
            result = _DELIVERIES.answer(name, work, _WAIT_S / len(receivers))
            said.append(f"{receiver.name}: {result.sent} sent{f'; {result.problem}' if result.problem else ''}")
        except NotYetError:
            said.append(f"{receiver.name}: being sent")
    return said
