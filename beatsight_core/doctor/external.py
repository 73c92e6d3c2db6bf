"""External files that follow the champion: whether those that settings name can be, and are, in line."""

import functools
from collections.abc import Callable

from beatsight_core.doctor.findings import Finding
from beatsight_core.errors import BeatSightError
from beatsight_core.promotion.external.configs import present_value
from beatsight_core.promotion.external.external_files import CHANGED, REFUSED, places_to_tell
from beatsight_core.promotion.external.status_pages import check_pages
from beatsight_core.runs.roles import POINTER
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject

_APPLY = "See the lines with `beatsight models`; `beatsight models --apply` writes them"


def examine_external_files(settings: Settings, findings: list[Finding]) -> JsonObject:
    """Look whether configurations and pages of `[release]` say what they should of the champion.

    Args:
        settings: Settings that name the files.
        findings: List that receives what is wrong.

    Returns:
        The section `external files`: the file and value of each place -> its state.
    """
    places = places_to_tell(settings)
    for each in places:
        level = "error" if each.dead or each.state == REFUSED else "warning"
        kept = "or leave it: it stays until the champion changes"
        do = {REFUSED: "Mend it, or promotions stop there", CHANGED: f"{_APPLY}, {kept}"}.get(each.state, _APPLY)
        findings.append(Finding(level, str(each).rstrip("."), do))
    shown: JsonObject = {f"{each.file}, {each.key}": each.state for each in places}
    first = not (settings.models_dir / POINTER).is_file()
    for target in settings.release.configs:
        shown.setdefault(f"{target.file}, {target.key}", "no champion yet" if first else "in line")
    if first:
        _examine_before_the_first(settings, findings)
    return shown


def _examine_before_the_first(settings: Settings, findings: list[Finding]) -> None:
    """Look for what would stop the first promotion, of which no place can tell yet."""
    checks: list[Callable[[], str | None]] = [
        functools.partial(present_value, settings, target) for target in settings.release.configs
    ]
    checks.append(functools.partial(check_pages, settings))
    for check in checks:
        try:
            check()
        except BeatSightError as problem:
            findings.append(Finding("error", str(problem).rstrip("."), "Mend it, or promotions stop there"))
