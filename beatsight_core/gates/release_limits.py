"""What a probe and a candidate must reach: the limits of each profile, and what settings may set. Pure numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from beatsight_core.errors import SettingsError
from beatsight_core.gates.gate import Limit, above, at_least, at_most
from beatsight_core.settings import Settings
from beatsight_core.settings.sections import PromotionFigure
from beatsight_core.settings.validation import nearest
from beatsight_core.taxonomy import MIN_POSITIVES, PROTECTED

DEMO_NOTICE = "demo profile: not for production"


def _profile(accuracy: float, f1: float, loss: float, exact_match: float) -> dict[str, Limit]:
    return {
        "accuracy": at_least(accuracy),
        **{f"f1_{label}": above(f1) for label in PROTECTED},
        "loss": at_most(loss),
        "exact_match": at_least(exact_match),
    }


PROFILES = {
    "production": _profile(accuracy=0.93, f1=0.90, loss=0.45, exact_match=0.80),
    "demo": _profile(accuracy=0.80, f1=0.75, loss=0.45, exact_match=0.60),
}
"""Profile -> figure -> limit."""


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """What a probe must reach, and the 0.3 slice before a promotion.

    Attributes:
        accuracy: Least micro-F1 over components.
        recall: Recall that every watched component must exceed.
        min_positives: Hits with a component that it needs to be judged.
        max_confusion_growth: Greatest growth of the rate of a watched confusion against the previous probe, beyond what
            chance explains.
    """

    accuracy: float
    recall: float
    min_positives: int = MIN_POSITIVES
    max_confusion_growth: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Return the limits by name."""
        return asdict(self)


PROBE_PROFILES: Mapping[str, ProbeLimits] = {
    "production": ProbeLimits(accuracy=0.72, recall=0.25),
    "demo": ProbeLimits(accuracy=0.40, recall=0.0),
}
"""Gates profile -> limits. The demo's data are too few to hear every cymbal after eight short epochs."""

_GREATER_IS_LOOSER = ("min_positives", "max_confusion_growth")


def limits_for(settings: Settings) -> dict[str, Limit]:
    """Return the limits that hold: the profile's, with those of `[gates.promotion]`; `f1` there means all three F1.

    Raises:
        SettingsError: A value would loosen a limit and no reason is given, is impossible, or names no figure; all
            problems in one message.
    """
    limits = dict(PROFILES[settings.gates.profile])
    problems: list[str] = []
    for name, value in _spelled_out(settings.gates.promotion).items():
        if name not in limits:
            problems.append(_no_such(name, limits))
        elif limits[name].is_loosened_by(value) and "promotion" not in settings.gates.loosened:
            problems.append(f"{name} = {value:g} is looser than the profile's {limits[name].value:g}")
        elif not 0 <= value <= 1:
            problems.append(f"{name} = {value:g} cannot be reached")
        else:
            limits[name] = Limit(value, limits[name].sign)
    _refuse(settings, "promotion", problems)
    return limits


def probe_limits(settings: Settings) -> ProbeLimits:
    """Return the limits of a probe that hold: the profile's, with those of `[gates.probe]`.

    Raises:
        SettingsError: A value would loosen a limit without a reason, is impossible, or names no figure.
    """
    profile = PROBE_PROFILES[settings.gates.profile]
    values: dict[str, float] = profile.to_json()
    problems: list[str] = []
    for name, value in settings.gates.probe.items():
        if name not in values:
            problems.append(_no_such(name, values))
        elif _is_looser(name, value, values[name]) and "probe" not in settings.gates.loosened:
            problems.append(f"{name} = {value:g} is looser than the profile's {values[name]:g}")
        elif value < 0 or (name != "min_positives" and value > 1):
            problems.append(f"{name} = {value:g} cannot be reached")
        else:
            values[name] = value
    _refuse(settings, "probe", problems)
    return ProbeLimits(**{**values, "min_positives": round(values["min_positives"])})  # type: ignore[arg-type]


def profile_notice(settings: Settings) -> str | None:
    """Return the notice that records, cards and listings show of limits that are not production's."""
    notices = [DEMO_NOTICE] if settings.gates.profile == "demo" else []
    figures = PROFILES[settings.gates.profile]
    own = [
        f"{name} {limit.value:g} instead of {figures[name].value:g}"
        for name, limit in limits_for(settings).items()
        if figures[name].is_loosened_by(limit.value)
    ]
    notices += [_loosened(settings, "promotion", own)] if own else []
    if said := probe_notice(settings):
        notices.append(said)
    return "; ".join(notices) or None


def probe_notice(settings: Settings) -> str | None:
    """Return what is said of limits of the probe that are looser than the profile's."""
    profile, now = PROBE_PROFILES[settings.gates.profile].to_json(), probe_limits(settings).to_json()
    own = [
        f"{name} {now[name]:g} instead of {profile[name]:g}"
        for name in now
        if _is_looser(name, now[name], profile[name])
    ]
    return _loosened(settings, "probe", own) if own else None


def _loosened(settings: Settings, table: str, figures: list[str]) -> str:
    return f"{table} limits loosened ({', '.join(figures)}): {settings.gates.loosened[table]}"


def _is_looser(name: str, value: float, than: float) -> bool:
    return value > than if name in _GREATER_IS_LOOSER else value < than


def _no_such(name: str, known: Iterable[str]) -> str:
    return f"there is no criterion {name}{nearest(name, known)}"


def _refuse(settings: Settings, table: str, problems: list[str]) -> None:
    if problems:
        raise SettingsError(
            f"{table.capitalize()} criteria are wrong: " + "; ".join(problems),
            where=settings.file,
            do=f"mend these; gates.{table} tightens, and loosens only with a reason beside the limits, as "
            "loosened = \"a first corpus\", that is shown for ever; gates.profile = 'demo' is for trying things out",
        )


def _spelled_out(given: Mapping[PromotionFigure, float]) -> dict[str, float]:
    whole: dict[str, float] = {name: value for name, value in given.items() if name != "f1"}
    if "f1" in given:
        whole = {**{f"f1_{label}": given["f1"] for label in PROTECTED}, **whole}
    return whole
