"""What the assets are partitioned by: manifests, and manifest x source set; and how partitions come to be.

Both dimensions are dynamic: a manifest is a partition from the moment it is registered (by the sensor on the inbox or
by `python -m beatsight_dagster.partitions add`), a source set from the moment a catalog contains it. So a source set
that nobody configured needs no change anywhere. A pair that does not occur materializes as empty.

    python -m beatsight_dagster.partitions add MANIFEST…   register manifests (paths, names or keys)
    python -m beatsight_dagster.partitions sync            register all manifests of the inbox, and all catalogs
    python -m beatsight_dagster.partitions remove NAME…    remove partitions that name nothing (a typing error, say)
    python -m beatsight_dagster.partitions list            show what is registered

A manifest of which something is there is removed by `beatsight manifest forget`, with all that was made of it.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote

import dagster as dg

from beatsight_core.errors import BeatSightError, DatasetError, UsageError
from beatsight_core.safe_text import for_terminal, paragraph_for_terminal
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.previews import accepted_previews

MANIFESTS_NAME, SOURCE_SETS_NAME = "manifests", "source_sets"
MANIFESTS = dg.DynamicPartitionsDefinition(name=MANIFESTS_NAME)
SOURCE_SETS = dg.DynamicPartitionsDefinition(name=SOURCE_SETS_NAME)
MANIFEST_DIMENSION, SOURCE_DIMENSION = "manifest", "source_set"
MANIFEST_SOURCES = dg.MultiPartitionsDefinition({MANIFEST_DIMENSION: MANIFESTS, SOURCE_DIMENSION: SOURCE_SETS})
with accepted_previews():
    BY_MANIFEST = dg.MultiToSingleDimensionPartitionMapping(MANIFEST_DIMENSION)
"""A manifest's partition <-> those of all its source sets."""

_RESERVED = "|[],%"
"""Characters that mean something in a partition key of two dimensions."""


def to_partition(name: str) -> str:
    """A manifest key or source set as a partition key: itself, save characters that Dagster gives a meaning to.

    Bytes of a file's name that are no text (see `os.fsdecode`) are written as percent codes, too.
    """
    plain = "".join(_code(c) if c in _RESERVED or not c.isprintable() else c for c in name)
    return plain.replace("...", "%2E%2E%2E")


def from_partition(partition: str) -> str:
    """The manifest key or source set that a partition key stands for."""
    return unquote(partition, errors="surrogateescape")


def _code(character: str) -> str:
    try:
        return quote(character, safe="", errors="surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair that stands for no byte
        return quote(character, safe="", errors="surrogatepass")


def pair_partition(manifest: str, source_set: str) -> str:
    """The partition key of a manifest's source set."""
    return f"{to_partition(manifest)}|{to_partition(source_set)}"


def by_manifest(partitions: Iterable[str]) -> dict[str, list[str]]:
    """Manifest key -> source sets, of partition keys of two dimensions."""
    table: dict[str, list[str]] = {}
    for partition in partitions:
        manifest, source_set = (from_partition(part) for part in str(partition).split("|"))
        table.setdefault(manifest, []).append(source_set)
    return table


def register(instance: dg.DagsterInstance, manifests: Iterable[str] = (), source_sets: Iterable[str] = ()) -> None:
    """Add partitions that are not there yet."""
    for definition, names in ((MANIFESTS_NAME, manifests), (SOURCE_SETS_NAME, source_sets)):
        known = set(instance.get_dynamic_partitions(definition))
        new = [key for key in map(to_partition, names) if key not in known]
        if new:
            instance.add_dynamic_partitions(definition, new)


def source_range(instance: dg.DagsterInstance, manifest: str, source_sets: Iterable[str]) -> tuple[str, str]:
    """The smallest range of partitions of a manifest that holds these source sets, as its first and last key.

    Partitions stand in the order in which they were registered; others in between, which the manifest lacks, are
    materialized as empty.
    """
    wanted = {to_partition(name) for name in source_sets}
    ordered = [key for key in instance.get_dynamic_partitions(SOURCE_SETS_NAME) if key in wanted]
    return pair_partition(manifest, from_partition(ordered[0])), pair_partition(manifest, from_partition(ordered[-1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Register or list partitions; see the module's text."""
    from beatsight_dagster.endings import told_at_the_end

    parser = argparse.ArgumentParser(prog="python -m beatsight_dagster.partitions", description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", help="folder that holds everything")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("add", help="register manifests").add_argument("manifests", nargs="+", metavar="MANIFEST")
    verbs.add_parser("sync", help="register the inbox and all catalogs")
    verbs.add_parser("remove", help="remove what names nothing").add_argument("manifests", nargs="+", metavar="NAME")
    verbs.add_parser("list", help="show what is registered")
    given = parser.parse_args(arguments)
    try:
        _carry_out(load_settings(given.data_root), given.verb, getattr(given, "manifests", []))
    except Exception as error:  # noqa: BLE001 - the program ends with a paragraph
        return told_at_the_end(error)
    return 0


def _carry_out(settings: Settings, verb: str, manifests: Sequence[str]) -> None:
    from beatsight_core.manifest.catalog import list_catalogs
    from beatsight_core.manifest.read_manifest import manifest_key, resolve_manifest
    from beatsight_dagster.instance import use_home

    use_home(settings)
    with dg.DagsterInstance.get() as instance:
        if verb == "add":
            keys = [manifest_key(resolve_manifest(settings, name)) for name in manifests]
            register(instance, keys, _known_source_sets(settings, keys))
        elif verb == "sync":
            keys = _keys_of_inbox(settings) + [catalog.key for catalog in list_catalogs(settings)]
            register(instance, sorted(set(keys)), _known_source_sets(settings, keys))
        elif verb == "remove":
            _remove(instance, settings, manifests)
        for definition in (MANIFESTS_NAME, SOURCE_SETS_NAME):
            print(f"{definition}:")
            for key in instance.get_dynamic_partitions(definition):
                print(f"  {key}")


def _keys_of_inbox(settings: Settings) -> list[str]:
    """The keys of the inbox's manifests; what cannot be one is named, and holds up no other."""
    from beatsight_core.manifest.inbox.entries import inbox_entries
    from beatsight_core.manifest.read_manifest import manifest_key

    keys = []
    for entry in inbox_entries(settings):
        problem = entry.problem
        try:
            keys += [] if problem else [manifest_key(entry.path)]
        except BeatSightError as error:
            problem = paragraph_for_terminal(str(error))
        if problem:
            print(f"Left out: {for_terminal(entry.path.name)}: {problem}", file=sys.stderr)
    return keys


def _remove(instance: dg.DagsterInstance, settings: Settings, names: Sequence[str]) -> None:
    """Remove partitions that name nothing.

    Raises:
        UsageError: One of them names something, or there is no such partition; nothing is removed then.
    """
    from beatsight_core.storage.forget import known_keys

    keys = {*known_keys(settings), *_keys_of_inbox(settings)}
    in_use = {MANIFESTS_NAME: keys, SOURCE_SETS_NAME: set(_known_source_sets(settings, keys))}
    found = []
    for name in names:
        mine = [each for each in in_use if to_partition(name) in instance.get_dynamic_partitions(each)]
        if not mine:
            raise UsageError(f"There is no partition {name!r}", do="`list` shows all")
        if any(name in in_use[each] for each in mine):
            raise UsageError(
                f"{name!r} is in use",
                why="the settings, a catalog, a dataset or a manifest of the inbox has that name",
                do="forget a manifest by `beatsight manifest forget`",
            )
        found += [(each, to_partition(name)) for each in mine]
    for definition, partition in found:
        instance.delete_dynamic_partition(definition, partition)


def _known_source_sets(settings: Settings, keys: Iterable[str]) -> list[str]:
    """Source sets of the settings, and of those catalogs that exist."""
    from beatsight_core.manifest.read_manifest import open_catalog

    names = set(settings.sources)
    for key in keys:
        with contextlib.suppress(DatasetError):  # there is none, or it is not whole and will be made again
            names |= set(open_catalog(settings, key).source_sets)
    return sorted(names)


if __name__ == "__main__":
    sys.exit(main())
