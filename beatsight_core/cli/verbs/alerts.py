"""Verbs of alerts: test, list, deliver."""

import datetime
from typing import TYPE_CHECKING

import click

from beatsight_core.cli import text
from beatsight_core.cli.verb import Session, verb
from beatsight_core.typed_json import to_json

if TYPE_CHECKING:
    from beatsight_core.alerts.alert_delivery import Deliveries, TriedReceivers
    from beatsight_core.alerts.alert_list import AlertList

_RECENT = 20


@click.group()
def alerts() -> None:
    """Try the receivers of alerts, and see what they were told. `[alerts]` of the settings names them."""


@click.argument("receiver", required=False)
@verb
def test(session: Session, receiver: str | None) -> int:
    """Send a test alert to every receiver, or to RECEIVER, now; exit 1 if one was not reached."""
    from beatsight_core.alerts.alert_delivery import TriedReceivers, try_receivers

    result = TriedReceivers(tuple(try_receivers(session.settings, receiver)))
    session.show_as(TriedReceivers, to_json(result), _show_test)
    return 0 if all(tried.sent for tried in result.receivers) else 1


@click.option("--most", type=click.IntRange(1), default=_RECENT, show_default=True, help="Past alerts to list.")
@verb
def ls(session: Session, most: int) -> int:
    """List the alerts that wait, and the newest of those that every receiver is done with."""
    from beatsight_core.alerts.alert_list import AlertList, list_alerts

    session.show_as(AlertList, to_json(list_alerts(session.settings, most)), _show_list)
    return 0


@verb
def deliver(session: Session) -> int:
    """Tell the receivers of what waits, as the daemon does by itself; exit 1 if one was not reached."""
    from beatsight_core.alerts.alert_delivery import Deliveries
    from beatsight_core.alerts.alert_delivery import deliver as send_what_waits

    result = Deliveries(tuple(send_what_waits(session.settings)))
    session.show_as(Deliveries, to_json(result), _show_delivery)
    return 1 if any(receiver.problem for receiver in result.receivers) else 0


alerts.add_command(test)
alerts.add_command(ls, "list")
alerts.add_command(deliver)


def _show_test(result: "TriedReceivers") -> None:
    for tried in result.receivers:
        said = click.style("sent", fg="green") if tried.sent else click.style("NOT SENT", fg="red", bold=True)
        click.echo(f"{tried.name} ({tried.kind}, {tried.place}): {said}{f': {tried.problem}' if tried.problem else ''}")


def _show_delivery(result: "Deliveries") -> None:
    if not result.receivers:
        text.headline("There is no receiver of alerts")
    for each in result.receivers:
        click.echo(f"{each.name}: {each.sent} notices sent{f'; NOT SENT: {each.problem}' if each.problem else ''}")


def _show_list(result: "AlertList") -> None:
    if not result.waiting:
        text.headline("No alert waits")
    rows: list[dict[str, text.Figure]] = [
        {"raised": _moment(each.raised), "alert": each.group, "waits for": ", ".join(each.receivers)}
        for each in result.waiting
    ]
    text.table(rows, ["raised", "alert", "waits for"], "Alerts that wait")
    text.figures({f"{name} was not reached": problem for name, problem in result.problems.items()})
    past: list[dict[str, text.Figure]] = [
        {"raised": _moment(each.raised), "alert": each.group, "what": each.what, "receivers": {**each.outcomes}}
        for each in result.done
    ]
    text.table(past, ["raised", "alert", "what", "receivers"], "Past alerts, the newest first")


def _moment(raised: float) -> str:
    return datetime.datetime.fromtimestamp(raised).strftime("%Y-%m-%d %H:%M:%S")
