"""Play the sessions of a kit, mix them and write the files: what one process does at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from beatsight_core.demo.mixing import mix, session_samples
from beatsight_core.demo.performance import Stroke, perform
from beatsight_core.demo.planning import SessionPlan
from beatsight_core.demo.source_formats import SourceFormat
from beatsight_core.files import atomic_path
from beatsight_core.synthesis.loudness import integrated_loudness, peak_dbfs
from beatsight_core.synthesis.synth import Signal


@dataclass(frozen=True, slots=True)
class PlayedSession:
    """A session that was played, and what its sound measures.

    Attributes:
        plan: The session.
        strokes: Strokes in order of time.
        samples: Length in samples per channel.
        lufs: Integrated loudness, if it was recorded.
        peak_dbfs: Level of the largest sample, if it was recorded.
    """

    plan: SessionPlan
    strokes: tuple[Stroke, ...]
    samples: int
    lufs: float | None = None
    peak_dbfs: float | None = None

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / self.plan.source.rate_hz

    def path(self, data_root: Path) -> Path:
        """Return where the file lies, or would lie."""
        return data_root / self.plan.root / self.plan.audio_path


def play(plan: SessionPlan) -> PlayedSession:
    """Play a session without recording it."""
    strokes = perform(plan.sections, plan.drummer, np.random.default_rng([*plan.seed, 0]), plan.lead_in_s)
    return PlayedSession(plan, strokes, session_samples(plan, strokes))


def record(data_root: Path, plans: Sequence[SessionPlan]) -> list[PlayedSession]:
    """Play, mix and write sessions that share a kit.

    Args:
        data_root: Folder that the plans' roots lie in.
        plans: Sessions of one kit; its sounds are made once for all of them.

    Raises:
        StorageError: A file cannot be written.
    """
    kit = plans[0].kit
    recordings = []
    for plan in plans:
        played = play(plan)
        sound = mix(plan, played.strokes, kit)
        _write(played.path(data_root), sound, plan.source)
        lufs, peak = integrated_loudness(sound, plan.source.rate_hz), peak_dbfs(sound)
        recordings.append(PlayedSession(plan, played.strokes, played.samples, lufs, peak))
    return recordings


def _write(path: Path, sound: Signal, source: SourceFormat) -> None:
    """Write samples (channels, n) in a source set's format."""
    bits = int(source.subtype.removeprefix("PCM_"))
    full_scale = float(2 ** (bits - 1) - 1)
    values = np.rint(np.clip(sound.T.astype(np.float64), -1.0, 1.0) * full_scale)
    # libsndfile takes 24 bits as the upper bytes of 32.
    integers = values.astype(np.int16) if bits == 16 else values.astype(np.int32) << 8
    with atomic_path(path) as temporary:
        soundfile.write(temporary, integers, source.rate_hz, format=source.container, subtype=source.subtype)
