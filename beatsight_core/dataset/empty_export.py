"""An export without a single clip: one error that says what became of the hits, and where the audio was looked for."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from beatsight_core.audio.inventory import Inventory
from beatsight_core.audio.roots import Status
from beatsight_core.dataset.accounts import absent
from beatsight_core.dataset.export_plan import Unit
from beatsight_core.dataset.index import Rejected
from beatsight_core.dataset.shards.write_shard import ShardOutcome
from beatsight_core.errors import InputError

NAMED = 3
"""Files that the error names for each reason."""


def require_clips(inventory: Inventory, units: Sequence[Unit], outcomes: Mapping[Unit, ShardOutcome]) -> None:
    """Raise an error if an export has no clip. Asked before its index is committed, so that an earlier one stays.

    Args:
        inventory: Inventory of the manifest's audio.
        units: Units of the export.
        outcomes: Unit -> its shard.

    Raises:
        InputError: Not one of the hits became a clip; the message says why.
    """
    hits = sum(unit.rows for unit in units)
    if not hits or any(outcome.rows for outcome in outcomes.values()):
        return
    lost = [entry for unit in units for entry in absent(unit)]
    lost += [entry for outcome in outcomes.values() for entry in outcome.rejected]
    by_reason: Counter[str] = Counter()
    for entry in lost:
        by_reason[entry.reason] += entry.hits
    why = "; ".join(f"{reason} {count:,}{_examples(reason, lost)}" for reason, count in by_reason.most_common())
    raise InputError(
        f"Not one clip could be made: all {hits:,} hits are lost",
        where=f"looked in {_roots(inventory, {unit.source_set for unit in units})}",
        why=f"{why}{_links(inventory)}",
        do="mount the drive, set the roots in beatsight.toml, or mend the files; `beatsight verify` names all of them. "
        "An earlier dataset of this manifest is as it was",
    )


def _examples(reason: str, lost: Iterable[Rejected]) -> str:
    """The first files of a reason, each with what was found of it."""
    mine = [entry for entry in lost if entry.reason == reason]
    named = ", ".join(f"{entry.audio_path}{entry.message and f': {entry.message}'}" for entry in mine[:NAMED])
    more = f", and {len(mine) - NAMED:,} more files" if len(mine) > NAMED else ""
    return f" ({named}{more})"


def _roots(inventory: Inventory, source_sets: Iterable[str]) -> str:
    wanted = set(source_sets)
    mine = [one for one in inventory.roots if one.source_set in wanted]
    return ", ".join(dict.fromkeys(f"{one.root}{'' if one.mounted else ' (not there)'}" for one in mine))


def _links(inventory: Inventory) -> str:
    """How many files are links that lead out of their root, which are never followed."""
    unsafe = inventory.files.filter(pl.col("status") == Status.UNSAFE).height
    return f"; {unsafe:,} files are not followed: links that lead out of their root, or unsafe paths" if unsafe else ""
