"""The figures of an audio inventory: what became of the files that a manifest names, and which events they cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from beatsight_core.audio.roots import RootStatus

INVENTORY, INVENTORY_FILES = "inventory.json", "inventory.parquet"
"""Files of an inventory in the folder of its catalog: its figures, and a row for each audio file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioCounts:
    """The counts of audio files, and of the events and hits that they cost.

    Attributes:
        files: Number of files.
        ok: Files that can be used.
        missing: Files that are not to be had, unsafe ones among them.
        unsafe: Files whose path leads out of their root.
        unreadable: Files that cannot be read.
        short: Files that can be used, and of which a part is missing.
        opposed: Files whose channels cancel each other.
        hidden: Files that hide another of the same path in a later root.
        events: Events of all files.
        hits: Hits of all files.
        missing_events: Events whose file is missing.
        unreadable_events: Events whose file cannot be read.
        missing_hits: Hits whose file is missing.
        unreadable_hits: Hits whose file cannot be read.
        events_past_end: Events at or after the end of their file.
        hits_past_end: Hits at or after the end of their file.
    """

    files: int
    ok: int
    missing: int
    unsafe: int
    unreadable: int
    short: int = 0
    opposed: int = 0
    hidden: int = 0
    events: int
    hits: int
    missing_events: int
    unreadable_events: int
    missing_hits: int
    unreadable_hits: int
    events_past_end: int
    hits_past_end: int

    @property
    def lost_events(self) -> int:
        """Number of events without usable audio."""
        return self.missing_events + self.unreadable_events + self.events_past_end


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAudio(AudioCounts):
    """Audio of a source set.

    Attributes:
        found_by_root: Root -> files that were found there.
        sample_rates: Rate in Hz -> files.
        channels: Number of channels -> files.
        seconds: Length of all files.
        expected_rate: Rate in Hz that files should have, where settings say.
        unexpected_rate: Number of files of another rate.
    """

    found_by_root: Mapping[str, int]
    sample_rates: Mapping[str, int]
    channels: Mapping[str, int]
    seconds: float
    expected_rate: int | None = None
    unexpected_rate: int


@dataclass(frozen=True, slots=True)
class LostFile:
    """A file that costs events.

    Attributes:
        source_set: Name of its source set.
        audio_path: Path of the file in the manifest.
        status: Kind of loss.
        events: Number of events that it costs.
        why: Reason in words.
    """

    source_set: str
    audio_path: str
    status: str
    events: int
    why: str


@dataclass(frozen=True, slots=True)
class NotedFile:
    """A file that can be used, and of which there is something to know.

    Attributes:
        source_set: Name of its source set.
        audio_path: Path of the file in the manifest.
        events: Number of its events.
        why: Finding in words.
    """

    source_set: str
    audio_path: str
    events: int
    why: str


@dataclass(frozen=True, slots=True)
class HiddenFile:
    """A file that hides another of the same path and of other content.

    Attributes:
        source_set: Name of its source set.
        audio_path: Path of both in the manifest.
        events: Number of its events.
        root: Root of the file that is used.
        hidden_root: Root of the one that is hidden.
        why: Finding in words.
    """

    source_set: str
    audio_path: str
    events: int
    root: str
    hidden_root: str
    why: str


@dataclass(frozen=True, slots=True)
class CopyGroup:
    """Files of one content.

    Attributes:
        digest: Digest of the content.
        events: Events of all of them.
        files: Source set and path of each.
    """

    digest: str
    events: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CopiedFiles:
    """Files whose content another file has too.

    Attributes:
        known: Files whose content was read.
        extra_files: Files that would be left out if each content counted once.
        extra_events: Events of those.
        across_sources: Contents that several source sets have.
        by_source: Source set -> its files whose content an earlier file of the same set has.
        groups: Largest groups of copies.
    """

    known: int
    extra_files: int
    extra_events: int
    across_sources: int
    by_source: Mapping[str, int]
    groups: tuple[CopyGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFigures(AudioCounts):
    """Audio of a manifest.

    Attributes:
        key: Key of the manifest.
        by_source: Source set -> its audio.
        lost_files: Files that cost events, the dearest first.
        noted_files: Files that can be used, and of which there is something to know.
        hidden_files: Files that hide another.
        duplicates: Files whose content another has too.
        roots: Roots in the order in which they are searched.
    """

    key: str
    by_source: Mapping[str, SourceAudio]
    lost_files: tuple[LostFile, ...]
    noted_files: tuple[NotedFile, ...] = ()
    hidden_files: tuple[HiddenFile, ...] = ()
    duplicates: CopiedFiles
    roots: tuple[RootStatus, ...]
