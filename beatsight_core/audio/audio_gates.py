"""How much audio may be missing: the gates of an inventory, before hours are spent on what is there."""

from beatsight_core.audio.inventory_figures import AudioCounts, AudioFigures
from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.settings import Settings


def missing_audio_gates(figures: AudioFigures, settings: Settings) -> list[Gate]:
    """Return the shares of events without usable audio, of all and of each source set, beside their limits.

    Args:
        figures: Figures of the inventory.
        settings: Settings whose `[gates]` hold the limits; the health report uses the same.
    """
    limits = profile_of(settings.gates)
    of_sources = limits.max_missing_rate_per_source
    gates = [_gate("all events", figures, limits.max_missing_rate)]
    return gates + [_gate(f"events of {name}", source, of_sources) for name, source in figures.by_source.items()]


def _gate(name: str, audio: AudioCounts, limit: float) -> Gate:
    lost = audio.lost_events
    rate = lost / audio.events if audio.events else 0.0
    found = f"{lost:,} of {audio.events:,} {name} ({rate:.2%}) are without usable audio, limit {limit:.1%}"
    return Gate(name, rate, at_most(limit), found, format="share", group="audio")
