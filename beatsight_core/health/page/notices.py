"""What a person should know of a corpus beside its gates: nothing here fails it."""

from collections.abc import Mapping
from typing import Any

from beatsight_core.health.figures.sound_figures import FEWEST
from beatsight_core.health.figures.split_balance import unvalidated
from beatsight_core.manifest.shifts import corrections_notice
from beatsight_core.metrics import MIN_POSITIVES
from beatsight_core.pages.formats import shown

_NAMED = 5


def notices(statistics: Mapping[str, Any], profile: str) -> list[dict[str, str]]:
    """Findings as `state` (warn or info) and `text`, the more serious first.

    Args:
        statistics: Figures of the corpus.
        profile: Name of the gate profile.
    """
    warnings = [
        *_class_warnings(statistics), *_audio_warnings(statistics), *_export_warnings(statistics),
        *_licence_warnings(statistics), *_split_warnings(statistics), *_copy_warnings(statistics),
    ]  # fmt: skip
    if moved := corrections_notice(statistics["corrections"]):
        warnings.append(f"{moved[:1].upper()}{moved[1:]}.")
    remarks = [*_leakage_remarks(statistics), *_sound_remarks(statistics), *_overlap_remarks(statistics)]
    if profile != "production":
        remarks.append(f"The gates are those of the {profile} profile, not of production.")
    return [{"state": "warn", "text": text} for text in warnings] + [
        {"state": "info", "text": text} for text in remarks
    ]


def _class_warnings(statistics: Mapping[str, Any]) -> list[str]:
    classes = statistics["hits"]["classes"]
    unheard = [label for label, counts in classes.items() if counts["hits"] and not counts["by_split"]["val"]]
    rare = [
        f"{label} ({counts['by_split']['val']})"
        for label, counts in classes.items()
        if 0 < counts["by_split"]["val"] < MIN_POSITIVES
    ]
    unlearnt = [label for label, counts in classes.items() if counts["hits"] and not counts["by_split"]["train"]]
    texts = []
    if unheard:
        texts.append(f"No validation hit holds {_names(unheard)}: nothing will be known of how well they are heard.")
    if rare:
        texts.append(
            f"Fewer than {MIN_POSITIVES} validation hits hold {_names(rare)}: their scores are mostly chance, and an "
            "evaluation leaves them out of its averages."
        )
    if unlearnt:
        texts.append(f"No training hit holds {_names(unlearnt)}: they cannot be learnt.")
    return texts


def _split_warnings(statistics: Mapping[str, Any]) -> list[str]:
    splits = statistics["hits"]["splits"]
    empty = [name for name, counts in splits.items() if not counts["hits"] and statistics["hits"]["hits"]]
    lacking = unvalidated(statistics["hits"]["balance"])
    unheard = [f"No validation hit of {source} holds {_names(labels)}." for source, labels in lacking.items()]
    return [*(f"The split {name} is empty." for name in empty), *statistics["split_notes"], *unheard]


def _copy_warnings(statistics: Mapping[str, Any]) -> list[str]:
    copies = statistics["leakage"].get("copies")
    if not copies or not copies["across"]:
        return []
    return [
        f"{shown(copies['across'], 'count')} recordings validate under one name and train under another: "
        f"{shown(copies['val_hits_shared'], 'count')} validation hits. Such as {copies['examples'][0]}."
    ]


def _sound_remarks(statistics: Mapping[str, Any]) -> list[str]:
    if statistics["sound"] is None:
        return []
    near = statistics["sound"]["near_duplicates"]
    texts = [
        f"{shown(near['val_near_training'], 'count')} of {shown(near['val'], 'count')} validation clips that were "
        "compared sound nearly like one that trains or tunes."
    ] if near["val_near_training"] else []  # fmt: skip
    untold = [name for name, source in statistics["sound"]["by_source"].items()
              if source["measured"] and source["alignment"]["median_ms"] is None
              and source["alignment"]["alone"] < FEWEST]  # fmt: skip
    if untold:
        texts.append(f"Too few strokes of {_names(untold)} stand alone to say whether they begin where labels say.")
    return texts


def _audio_warnings(statistics: Mapping[str, Any]) -> list[str]:
    audio = statistics["audio"]
    if audio is None:
        return []
    texts = [
        f"The root {root['root']} of {root['source_set']} is not mounted."
        for root in audio["roots"]
        if not root["mounted"] and audio["by_source"].get(root["source_set"], {}).get("missing_events")
    ]
    texts += _file_warnings(audio)
    for name, source in audio["by_source"].items():
        if source["unexpected_rate"]:
            expected, counted = str(source["expected_rate"]), source["sample_rates"].items()
            rates = ", ".join(f"{shown(count, 'count')} at {rate} Hz" for rate, count in counted if rate != expected)
            texts.append(
                f"{name} has {shown(source['unexpected_rate'], 'count')} files of another rate than the {expected} Hz "
                f"that are set: {rates}."
            )
    return texts


def _file_warnings(audio: Mapping[str, Any]) -> list[str]:
    """Files that can be used, and are not what they seem."""
    texts = []
    if hidden := audio.get("hidden_files"):
        one = hidden[0]
        texts.append(
            f"{_files(audio['hidden'], 'lies', 'lie')} in two roots with other content, and that of the first root is "
            f"used: such as {one['audio_path']} of {one['root']}, which differs from that of {one['hidden_root']}."
        )
    if audio.get("opposed"):
        has = "file has channels that cancel" if audio["opposed"] == 1 else "files have channels that cancel"
        texts.append(
            f"{shown(audio['opposed'], 'count')} {has} each other (opposite polarity), so that their mean is silent or "
            "nearly: set `channel` of their source set to left, right or loudest."
        )
    if audio.get("short"):
        texts.append(f"{_files(audio['short'], 'is', 'are')} cut short or damaged: only what is there of them is used.")
    return texts


def _files(number: int, one: str, several: str) -> str:
    return f"{shown(number, 'count')} {f'file {one}' if number == 1 else f'files {several}'}"


def _export_warnings(statistics: Mapping[str, Any]) -> list[str]:
    export = statistics["export"]
    if export is None:
        return ["The dataset was not exported yet: what it holds is not in this report."]
    absent = [name for name in statistics["hits"]["hits_by_source"] if name not in export["by_source"]]
    return [f"Not exported yet: {_names(absent)}."] if absent else []


def _licence_warnings(statistics: Mapping[str, Any]) -> list[str]:
    unnamed = [source for source, licences in statistics["hits"]["licences"].items() if "unknown" in licences]
    return [f"No licence is known for {_names(unnamed)}; a model card will say so."] if unnamed else []


def _leakage_remarks(statistics: Mapping[str, Any]) -> list[str]:
    texts = []
    for name in ("drummers", "kits", "rooms"):
        shared = statistics["leakage"][name]
        if shared["across"]:
            part = shown(shared["val_hits_shared"] / shared["val_hits"], "share")
            texts.append(
                f"{part} of the validation hits that name one of the {name} share it with training "
                f"({shared['across']} of {shared['different']} {name}): figures on val flatter unseen {name}."
            )
    return texts


def _overlap_remarks(statistics: Mapping[str, Any]) -> list[str]:
    negative = statistics["events"]["negative_events"]
    return [f"{shown(negative, 'count')} events are examples of silence and noise, without labels."] if negative else []


def _names(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
