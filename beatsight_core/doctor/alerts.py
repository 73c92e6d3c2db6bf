"""Receivers of alerts: whether each can be used, as far as that is known without sending anything."""

from beatsight_core.alerts.sending import problem_of
from beatsight_core.doctor.findings import Finding
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject


def examine_alerts(settings: Settings, findings: list[Finding]) -> JsonObject:
    """Look whether library, program, variable and file of every receiver of alerts are there.

    Args:
        settings: Settings that name the receivers.
        findings: List that receives what is wrong.

    Returns:
        The section `alerts`: name of each receiver -> "fine", or "cannot be used".
    """
    shown: JsonObject = {}
    for receiver in settings.alerts.receivers:
        problem = problem_of(receiver)
        shown[receiver.name] = "cannot be used" if problem else "fine"
        if problem:
            what = f"The receiver of alerts {receiver.name} cannot be used: {problem.rstrip('.')}"
            findings.append(Finding("warning", what, "Try it with `beatsight alerts test` when that is mended"))
    return shown
