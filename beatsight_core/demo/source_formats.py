"""The demo's source sets and how each is written: three formats, one of them over two drives."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """A source set of the demo and how its files are written.

    Attributes:
        name: Name of the source set in events.
        roots: Folders under the data root, in lookup order.
        extension: Extension of its files.
        container: Name of the container in libsndfile.
        subtype: Name of the sample format in libsndfile.
        rate_hz: Samples per second.
        channels: Number of channels, 1 or 2.
    """

    name: str
    roots: tuple[str, ...]
    extension: str
    container: str
    subtype: str
    rate_hz: int
    channels: int


STEMS = SourceFormat("demo_stems", ("raw/demo_stems",), "flac", "FLAC", "PCM_16", 44100, 1)
TAKES = SourceFormat("demo_takes", ("raw/demo_takes",), "wav", "WAV", "PCM_16", 44100, 2)
MULTITRACK = SourceFormat(
    "demo_multitrack", ("raw/demo_multitrack_a", "raw/demo_multitrack_b"), "wav", "WAV", "PCM_24", 48000, 2
)
SOURCES = (STEMS, TAKES, MULTITRACK)
