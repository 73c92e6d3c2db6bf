"""A piece played on a kit, in a room and through a chain of its own, all drawn at random: its sound and its events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beatsight_core.demo.manifest_lines import LICENCE, event_id
from beatsight_core.demo.mixing import choke
from beatsight_core.recast.exchange import Exchange, HitComponent
from beatsight_core.recast.pieces import RATE_HZ, Hit, Piece
from beatsight_core.synthesis.cymbals import OPEN_STEPS
from beatsight_core.synthesis.kit import TAKES, Kit
from beatsight_core.synthesis.loudness import integrated_loudness, peak_dbfs
from beatsight_core.synthesis.room import Room, convolve, echoes
from beatsight_core.synthesis.synth import Signal, gain
from beatsight_core.taxonomy import CORE, velocity_bucket
from beatsight_core.typed_json import JsonObject

Pcm = npt.NDArray[np.int16]

_FULL_SCALE = 32767.0
_SHUTS = frozenset({"hihat_closed", "hihat_pedal", "hihat_foot_splash"})
_CHOKE_S = 0.012
_HALF_OPEN, _WIDE_OPEN = 0.55, 0.85
_LOOSENESS_S = 0.003
_SOFTEST = 0.05
_CYMBALS = CORE.group("cymbals")
_HATS = CORE.group("hats")
_KIT_POWER = 1.2
"""By which power of the velocity a kit's strokes are weighted already."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One stroke of a hit.

    Attributes:
        sample: Moment of contact.
        played: Component that is played, and how hard.
        variant: Index of the component's body.
    """

    sample: int
    played: HitComponent
    variant: int


@dataclass(frozen=True, slots=True)
class Chain:
    """The recording chain between the kit and the file.

    Attributes:
        room: Room that is recorded; None for a dry recording.
        power: Power of the velocity by which strokes grow louder.
        levels: Component -> factor, faders and microphones together.
        drive: Saturation of what is 15 dB over the mean; None for none.
        hiss_db: Noise relative to the peak.
        peak_dbfs: Peak level of the file.
    """

    room: Room | None
    power: float
    levels: dict[str, float]
    drive: float | None
    hiss_db: float
    peak_dbfs: float

    @classmethod
    def draw(cls, rng: np.random.Generator, seed: tuple[int, ...], session_id: str) -> "Chain":
        """Draw a chain."""
        hats_db, cymbals_db = rng.uniform(-12.0, 2.0), rng.uniform(-10.0, 2.0)
        groups = dict.fromkeys(_HATS, hats_db) | dict.fromkeys(_CYMBALS, cymbals_db)
        room = Room(
            f"room of {session_id}", seed, t60_s=float(rng.uniform(0.15, 1.0)), wet_db=float(rng.uniform(-22.0, -6.0)),
            first_s=float(rng.uniform(0.002, 0.014)),
        )  # fmt: skip
        return cls(
            room=room if rng.random() < 0.7 else None,
            power=float(rng.uniform(0.8, 1.8)),
            levels={name: float(gain(rng.normal(0.0, 2.0) + groups.get(name, 0.0))) for name in CORE.components},
            drive=float(rng.uniform(0.3, 2.0)) if rng.random() < 0.4 else None,
            hiss_db=float(rng.uniform(-75.0, -45.0)),
            peak_dbfs=float(rng.uniform(-9.0, -1.0)),
        )


@dataclass(frozen=True, slots=True)
class Rendition:
    """A piece as it is played, before it sounds.

    Attributes:
        piece: Piece that is played.
        kit: Kit that it is played on.
        chain: Chain that it is recorded with.
        hits: Blows of each hit, the first of them at the hit's sample.
    """

    piece: Piece
    kit: Kit
    chain: Chain
    hits: tuple[tuple[Blow, ...], ...]

    @classmethod
    def draw(cls, piece: Piece) -> "Rendition":
        """Cast a piece and play it."""
        rng = np.random.default_rng([*piece.seed, 0])
        auxiliary = ("cowbell", "tambourine")[int(rng.integers(2))]
        kit = Kit(f"kit of {piece.session_id}", (*piece.seed, 1), auxiliary, RATE_HZ, varied=True)
        chain = Chain.draw(rng, (*piece.seed, 2), piece.session_id)
        exchange = Exchange.draw(rng, tuple(piece.spelling))
        hits = tuple(_blows(piece, hit, exchange, kit, rng) for hit in piece.hits)
        return cls(piece, kit, chain, hits)

    def sound(self) -> Pcm:
        """Return the samples (n,) of its file."""
        piece, chain = self.piece, self.chain
        rng = np.random.default_rng([*piece.seed, 3])
        out = np.zeros(piece.samples, dtype=np.float32)
        for blow, shut in _with_choke(self.hits):
            self._add(out, blow, shut, int(rng.integers(TAKES)))
        if chain.room is not None:
            out += convolve(out, echoes(chain.room, 0, RATE_HZ))
        if chain.drive is not None:
            loud = 6.0 * np.sqrt(np.mean(out**2))
            out = np.tanh(out * np.float32(chain.drive / max(float(loud), 1e-6)))
        hiss = rng.standard_normal(out.size, dtype=np.float32)
        out += hiss * np.float32(gain(chain.hiss_db) * np.abs(out).max())
        scale = _FULL_SCALE * float(gain(chain.peak_dbfs)) / max(float(np.abs(out).max()), 1e-6)
        return np.asarray(np.rint(out * np.float32(scale)), dtype=np.int16)

    def events(self, sound: Pcm) -> list[JsonObject]:
        """Return the events of the manifest, one a hit.

        Args:
            sound: Samples from `sound`, for their loudness.
        """
        heard = (sound.astype(np.float32) / np.float32(_FULL_SCALE))[None]
        loudness: JsonObject = {
            "LUFS_i": round(integrated_loudness(heard, RATE_HZ), 1),
            "peak_dbfs": round(peak_dbfs(heard), 1),
        }
        return [
            self._event(number, hit, blows, loudness)
            for number, (hit, blows) in enumerate(zip(self.piece.hits, self.hits, strict=True))
        ]

    def _add(self, out: Signal, blow: Blow, shut: int | None, take: int) -> None:
        component, velocity = blow.played.component, max(blow.played.velocity, _SOFTEST)
        level = self.chain.levels[component] * velocity ** (self.chain.power - _KIT_POWER)
        sound = self.kit.stroke(component, blow.variant, velocity, take)[: out.size - blow.sample] * np.float32(level)
        if shut is not None:
            choke(sound, shut - blow.sample, _CHOKE_S * RATE_HZ)
        out[blow.sample : blow.sample + sound.size] += sound

    def _event(self, number: int, hit: Hit, blows: Sequence[Blow], loudness: JsonObject) -> JsonObject:
        piece, room = self.piece, self.chain.room
        return {
            "event_id": event_id(piece.session_id, number),
            "session_id": piece.session_id,
            "source_set": piece.source_set,
            "audio_path": piece.audio_path,
            "onset_time": round(hit.sample / RATE_HZ, 6),
            "components": [self._component(blow) for blow in blows],
            "is_synthetic": True,
            "kit_id": self.kit.kit_id,
            "room_id": "dry" if room is None else room.room_id,
            "bleed_level": "none",
            "mix_context": "drums_only",
            "loudness": loudness,
            "licence": LICENCE,
            **hit.about,
        }

    def _component(self, blow: Blow) -> JsonObject:
        played = blow.played
        component: JsonObject = {
            "label": self.piece.spelling[played.component],
            "velocity": played.velocity,
            "dynamic_bucket": velocity_bucket(played.velocity),
        }
        if played.component in ("hihat_closed", "hihat_pedal"):
            component["openness"] = 0.0
        elif played.component == "hihat_open":
            component["openness"] = OPEN_STEPS[blow.variant]
        elif played.component == "aux_percussion":
            component["instrument_variant"] = self.kit.auxiliary
        return component


def _blows(piece: Piece, hit: Hit, exchange: Exchange, kit: Kit, rng: np.random.Generator) -> tuple[Blow, ...]:
    played = hit.written if piece.as_written else exchange.play(hit.written, rng)
    late = np.abs(rng.normal(0.0, _LOOSENESS_S, len(played)))
    delays = ((late - late.min()) * RATE_HZ).astype(int).tolist()
    return tuple(
        Blow(hit.sample + delay, stroke, _variant(stroke, len(kit.bodies[stroke.component]), rng))
        for stroke, delay in zip(played, delays, strict=True)
    )


def _variant(played: HitComponent, count: int, rng: np.random.Generator) -> int:
    if played.component == "hihat_open" and played.openness is not None:
        return int(played.openness > _HALF_OPEN) + int(played.openness > _WIDE_OPEN)
    return int(rng.integers(count))


def _with_choke(hits: Sequence[Sequence[Blow]]) -> Iterator[tuple[Blow, int | None]]:
    """Each blow with the sample at which it stops ringing: an open hat where a later hit shuts the pair."""
    shut: int | None = None
    stops: list[int | None] = []
    for blows in reversed(hits):
        stops.append(shut)
        shut = min((blow.sample for blow in blows if blow.played.component in _SHUTS), default=shut)
    for blows, stop in zip(hits, reversed(stops), strict=True):
        for blow in blows:
            yield blow, stop if blow.played.component == "hihat_open" else None
