"""The sessions of a corpus, drawn before any sound is made: player, sections, kit, room and file of each."""

from dataclasses import dataclass

import numpy as np

from beatsight_core.demo.casting import KITS_PER_SOURCE, Deck, draw_drummers, draw_kits, draw_rooms, session_id_in
from beatsight_core.demo.grooves import GROOVES, Groove
from beatsight_core.demo.performance import Drummer, Section
from beatsight_core.demo.source_formats import SOURCES, STEMS, TAKES, SourceFormat
from beatsight_core.manifest.splits import SPLITS
from beatsight_core.synthesis.kit import Kit
from beatsight_core.synthesis.room import Room

_TEMPO_BPM = (92.0, 120.0)
_MODULATION = (4.0 / 3.0, 3.0 / 4.0)
_MODULATION_PIVOT_BPM = 104.0
_MODULATE_EVERY = 6
_KITS, _DRUMMERS, _ROOMS, _DECKS, _SESSIONS = range(5)


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a corpus.

    Attributes:
        sessions: Number of sessions of each source set, in the order of `SOURCES`.
        sections: Number of sections per session.
        faulty_sections: Number of sections per session whose file is missing or cut.
        grooves: Styles that are dealt out.
        val: Numbers of the sessions that are to validate.
        calibration: Numbers of the sessions that are to tune thresholds.
        fill_chance: Share of sections that end in a fill.
        deal_by_split: True to deal the styles out anew for each split, so that each holds all of them equally often.
    """

    sessions: tuple[int, ...]
    sections: int
    faulty_sections: int
    grooves: tuple[Groove, ...]
    val: tuple[int, ...]
    calibration: tuple[int, ...]
    fill_chance: float
    deal_by_split: bool

    def split(self, number: int) -> str:
        """Return the split that a session is to fall into."""
        return "val" if number in self.val else "calibration" if number in self.calibration else "train"


SIZES = {
    "demo": Size(
        (22, 15, 10), 6, 2, GROOVES, (0, 1, 22, 23, 37, 38), (2, 24, 39), fill_chance=0.36, deal_by_split=True
    ),
    "tiny": Size((2, 2, 2), 2, 1, GROOVES[:12], (2,), (4,), fill_chance=0.0, deal_by_split=False),
}


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """The plan of a session: everything but its sound.

    Attributes:
        session_id: Id of the session in events.
        number: Number within the whole corpus, from 0.
        split: Split that the platform's rule puts it into.
        seed: Seed of its playing and mixing.
        source: Source set, and how its files are written.
        root: Folder under the data root that holds the file.
        audio_path: Path of the file, relative to that folder.
        kit: Kit that is played.
        drummer: Drummer who plays.
        room: Room that is played in.
        sections: Sections that are played.
        lead_in_s: Time of the first beat.
        tail_s: Time from the last stroke to the end of the file.
        band_db: Level of the accompaniment relative to the drums; None for none.
    """

    session_id: str
    number: int
    split: str
    seed: tuple[int, ...]
    source: SourceFormat
    root: str
    audio_path: str
    kit: Kit
    drummer: Drummer
    room: Room
    sections: tuple[Section, ...]
    lead_in_s: float
    tail_s: float
    band_db: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The sessions of a corpus.

    Attributes:
        sound: Sessions without a fault.
        missing: Session whose file is not to be written.
        truncated: Session whose file is to be cut.
    """

    sound: tuple[SessionPlan, ...]
    missing: SessionPlan
    truncated: SessionPlan


def plan_sessions(seed: int, size: Size) -> Plan:
    """Draw all sessions of a corpus."""
    casting = _Casting(seed, size)
    sources = [source for source, count in zip(SOURCES, size.sessions, strict=True) for _ in range(count)]
    sound = tuple(
        casting.session(source, number, size.split(number), size.sections) for number, source in enumerate(sources)
    )
    missing = casting.session(TAKES, len(sources), "train", size.faulty_sections)
    return Plan(sound, missing, casting.session(STEMS, len(sources) + 1, "train", size.faulty_sections))


class _Casting:
    """Deals styles, kits, drummers and rooms out to sessions."""

    def __init__(self, seed: int, size: Size):
        self._seed, self._size = seed, size
        self._kits = {
            source.name: draw_kits((seed, _KITS, place), place, source) for place, source in enumerate(SOURCES)
        }
        self._drummers = draw_drummers(np.random.default_rng([seed, _DRUMMERS]))
        self._rooms = draw_rooms((seed, _ROOMS))
        self._decks = {
            split: Deck(np.random.default_rng([seed, _DECKS, place]), size.grooves)
            for place, split in enumerate(SPLITS)
        }

    def session(self, source: SourceFormat, number: int, split: str, sections: int) -> SessionPlan:
        seed = (self._seed, _SESSIONS, number)
        rng = np.random.default_rng(seed)
        session_id = session_id_in(source, number, split)
        kit = self._kits[source.name][number % KITS_PER_SOURCE]
        with_band = source is not STEMS and rng.random() < 0.5
        return SessionPlan(
            session_id=session_id,
            number=number,
            split=split,
            seed=seed,
            source=source,
            # Each kit is found under each root, and neighbours under different ones.
            root=source.roots[(number + number // KITS_PER_SOURCE) % len(source.roots)],
            audio_path=f"{kit.kit_id}/{session_id}.{source.extension}",
            kit=kit,
            drummer=self._drummers[int(rng.integers(len(self._drummers)))],
            room=self._rooms[int(rng.integers(len(self._rooms)))],
            sections=self._sections(number, self._deck(split), sections, rng),
            # Now and then the recording starts on the first stroke, or stops right after the last.
            lead_in_s=0.02 if rng.random() < 0.1 else round(float(rng.uniform(0.25, 0.6)), 3),
            tail_s=0.12 if rng.random() < 0.1 else 1.6,
            band_db=round(float(rng.uniform(-27.0, -22.0)), 1) if with_band else None,
        )

    def _deck(self, split: str) -> "Deck":
        return self._decks[split if self._size.deal_by_split else "train"]

    def _sections(self, number: int, deck: "Deck", count: int, rng: np.random.Generator) -> tuple[Section, ...]:
        tempo_bpm = round(float(rng.uniform(*_TEMPO_BPM)), 1)
        modulated = number % _MODULATE_EVERY == 1
        sections: list[Section] = []
        for place in range(count):
            techniques: tuple[str, ...] = ()
            if modulated and place == count // 2:
                tempo_bpm = round(
                    tempo_bpm * (_MODULATION[0] if tempo_bpm < _MODULATION_PIVOT_BPM else _MODULATION[1]), 1
                )
            if modulated and place >= count // 2:
                techniques += ("metric_modulation",)
            groove = deck.groove()
            if sections and groove.meter != sections[-1].groove.meter:
                techniques += ("variable_meter",)
            sections.append(self._section(groove, tempo_bpm, techniques, deck, rng))
        return tuple(sections)

    def _section(
        self, groove: Groove, tempo_bpm: float, techniques: tuple[str, ...], deck: "Deck", rng: np.random.Generator
    ) -> Section:
        filled = groove.steps_per_beat == 4 and rng.random() < self._size.fill_chance
        return Section(
            groove=groove,
            bars=3 if filled else 2,
            tempo_bpm=tempo_bpm,
            cymbal=deck.cymbal() if rng.random() < 0.7 else None,
            fill=deck.fill() if filled else None,
            techniques=techniques,
        )
