"""The recordings of the benchmark corpus: which there are, of what format, and where they lie."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One of the three source sets: the format of its recordings, and where they lie."""

    name: str
    rate_hz: int
    channels: int
    subtype: str
    pattern: str


SLAKH = SourceKind("slakh2100", 44_100, 1, "PCM_16", "train/Track{0:05d}/stems/S{1:02d}.flac")
GROOVE = SourceKind("groove_mididataset", 44_100, 2, "PCM_16", "drummer{1}/session1/{0}_rock_120_beat_4-4.wav")
CAMBRIDGE = SourceKind("cambridge_multitrack", 48_000, 2, "PCM_24", "Band{0:03d}_Song{0:03d}/Drums_Mix.wav")
SOURCES = (SLAKH, GROOVE, CAMBRIDGE)


@dataclass(frozen=True, slots=True)
class Size:
    """How much audio: recordings, and events in each."""

    sessions: int
    events: int

    @property
    def name(self) -> str:
        """Names the corpus's folder."""
        return f"corpus-{self.sessions}x{self.events}"


@dataclass(frozen=True, slots=True)
class Recording:
    """One audio file and the ids of its session."""

    number: int
    source: SourceKind
    session_id: str
    audio_path: str


def recording_of(number: int, size: Size) -> Recording:
    """The recording of that number: the last ones are Cambridge's, those before Groove's, all others Slakh's."""
    cambridge = max(1, round(size.sessions * 0.02))
    groove = max(1, round(size.sessions * 0.14))
    first_groove = size.sessions - cambridge - groove
    if number < first_groove:
        path = SLAKH.pattern.format(number + 1, number % 12)
        return Recording(number, SLAKH, f"train_Track{number + 1:05d}", path)
    if number < first_groove + groove:
        path = GROOVE.pattern.format(number - first_groove + 1, number % 9 + 1)
        return Recording(number, GROOVE, path.removesuffix(".wav").replace("/", "_"), path)
    path = CAMBRIDGE.pattern.format(number - first_groove - groove + 1)
    return Recording(number, CAMBRIDGE, path.split("/", 1)[0], path)
