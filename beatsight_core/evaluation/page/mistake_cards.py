"""Mistakes as cards of a page: what was struck and what was said, where, how sure, to see and to hear."""

from collections.abc import Mapping, Sequence
from typing import Any

from beatsight_core.evaluation.page.clips import HitClip


def mistake_cards(rows: Sequence[Mapping[str, Any]], clips: Mapping[int, HitClip]) -> list[dict[str, Any]]:
    """Cards for the macro `clip`.

    Args:
        rows: From `mistakes.mistake_row`.
        clips: By the `row` of a mistake; one that is missing has a card without picture and sound.
    """
    return [_card(row, clips.get(row["row"])) for row in rows]


def mistake_shelves(
    by_class: Mapping[str, Sequence[Mapping[str, Any]]], clips: Mapping[int, HitClip], per_class: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The same by component: label, cards, and how the component fares.

    Args:
        by_class: From `mistakes.mistakes_by_class`.
        clips: As above.
        per_class: Scores of each component.
    """
    return [
        {
            "label": label,
            "cards": mistake_cards(rows, clips),
            "precision": per_class[label]["precision"],
            "recall": per_class[label]["recall"],
        }
        for label, rows in by_class.items()
    ]


def suspect_cards(rows: Sequence[Mapping[str, Any]], clips: Mapping[int, HitClip]) -> list[dict[str, Any]]:
    """Cards of likely label errors, from `label_errors.agreed`."""
    return [
        {
            **_card(row, clips.get(row["row"])),
            "title": f"{_set(row['labels'])} → {_set(row['suggested'])}?",
            "lines": [*map(_statement, row["statements"]), *_place(row)],
        }
        for row in rows
    ]


def _statement(statement: Mapping[str, Any]) -> str:
    said = "is heard" if statement["kind"] == "invented" else "is not heard"
    least = min(statement["confidence"].values())
    return f"{statement['component']} {said}: ≥ {least:.2f} at {len(statement['confidence'])} checkpoints"


def _card(row: Mapping[str, Any], clip: HitClip | None) -> dict[str, Any]:
    return {
        "title": f"{_set(row['labels'])} → {_set(row['said'])}",
        "lines": [f"{row['component']} {row['kind']}, p = {row['probability']:.3f}", *_place(row)],
        "picture": clip and clip.picture,
        "sound": clip and clip.sound,
        "onset": clip and clip.onset,
    }


def _set(labels: Sequence[str]) -> str:
    return " + ".join(labels) or "nothing"


def _place(row: Mapping[str, Any]) -> list[str]:
    """Where a hit is: each line begins with what tells most, as its end may not be seen."""
    return [
        f"at {row['onset_time']:.3f} s · {row['audio_path'].rpartition('/')[2]}",
        f"session {row['session_id']}",
        row["source_set"],
    ]
