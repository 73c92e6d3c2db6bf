"""Comparisons as parts of a page: what got better and worse, in tables whose every row says whether it is chance."""

from collections.abc import Mapping, Sequence
from typing import Any

FIGURES = (
    ("accuracy", "accuracy", 1),
    ("exact_match", "exact match", 1),
    ("top1_in_set", "surest was struck", 1),
    ("macro_f1", "macro-F1", 1),
    ("macro_ap", "macro-AP", 1),
    ("loss", "loss", -1),
)
"""Name, title, and 1 where more is better, -1 where less is."""

PAIRS_SHOWN = 40
"""Changed confusions that are listed on the page; the JSON has all."""


def comparisons(against: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the template shows of each rival: its title, notices, and tables.

    Args:
        against: From `against.compare_with_rivals`.
    """
    return [_comparison(row, row["change"]) for row in against]


def _comparison(about: Mapping[str, Any], change: Mapping[str, Any] | None) -> dict[str, Any]:
    shown = {
        "name": about["name"],
        "roles": " and ".join(filter(None, (", ".join(about["roles"][:-1]), about["roles"][-1]))),
        "notices": _notices(about),
        "compared": False,
    }
    if change is None:
        return shown
    figures = [{"what": title, **_judged(change[name], sign)} for name, title, sign in FIGURES]
    classes = [
        {"what": label, **_judged(row, 1)} for label, row in change["f1"].items() if row["difference"] is not None
    ]
    changed = [_pair(row) for row in change["confusions"]]
    return {
        **shown,
        "compared": True,
        "hits": change["hits"],
        "sessions": change["sessions"],
        "verdict": _verdict(change),
        "figures": figures,
        "classes": sorted(classes, key=lambda row: -abs(row["difference"])),
        "pairs": [_watched(name, row) for name, row in change["pairs"].items()],
        "confusions": changed[:PAIRS_SHOWN],
        "confusions_title": _counted(changed),
    }


def _notices(about: Mapping[str, Any]) -> list[dict[str, str]]:
    notices = []
    if about["why_not"]:
        notices.append({"state": "warn", "text": f"Not compared: {about['why_not']}."})
    elif not about["same_data"]:
        said = "It learned from another dataset, perhaps from some of the hits it is asked about here."
        notices.append({"state": "warn", "text": said})
    return notices


def _verdict(change: Mapping[str, Any]) -> str:
    parts = [f"{word}: {', '.join(change[word])}" if change[word] else f"none {word}" for word in ("better", "worse")]
    return f"Components whose F1 changed beyond chance: {'; '.join(parts)}."


def _judged(row: Mapping[str, Any], sign: int) -> dict[str, Any]:
    """A row with its verdict: better or worse only where the interval of the difference leaves zero out."""
    low, high = row["low"], row["high"]
    state, says = "info", "within chance"
    if row["difference"] == 0 and not low and not high:
        says = "the same"
    elif low is None or high is None:
        says = "one session: unknown"
    elif sign * low > 0 and sign * high > 0:
        state, says = "pass", "better"
    elif sign * low < 0 and sign * high < 0:
        state, says = "fail", "worse"
    return {**row, "state": state, "says": says}


def _watched(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"what": name, "before": row["before"]["rate"], "after": row["after"]["rate"]}


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    """A confusion that shrank is better; `difference` counts confusions."""
    return {**_judged(row, -1), "what": f"{row['struck']} → {row['said']}"}


def _counted(changed: Sequence[Mapping[str, Any]]) -> str:
    grew = sum(row["difference"] > 0 for row in changed)
    shown = f"; the {PAIRS_SHOWN} largest changes are listed" if len(changed) > PAIRS_SHOWN else ""
    return f"Confusions: {grew} grew, {len(changed) - grew} shrank{shown}"
