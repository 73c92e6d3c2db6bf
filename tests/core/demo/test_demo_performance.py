"""What is played and how: two hands, two feet, hits that stay together, and enough of everything where it is needed."""

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.demo.grooves import FEET, FILLS, GROOVES, HATS
from beatsight_core.demo.performance import Drummer, Section, perform
from beatsight_core.demo.planning import SIZES, plan_sessions
from beatsight_core.demo.recording import play
from beatsight_core.manifest.splits import split_of_group
from beatsight_core.settings import DatasetSettings
from beatsight_core.taxonomy import CORE

DRUMMER = Drummer("someone", looseness_s=0.006, foot_lead_s=0.003, lag_s=0.008, touch=1.0, wildness=0.05)
BARS = [(groove.name, groove.steps, bar) for groove in GROOVES for bar in groove.bars]


def struck(bar, step):
    return [component for component, line in bar.items() if line[step] != "."]


@pytest.mark.parametrize(("name", "steps", "bar"), [*BARS, *(("fill", 8, fill) for fill in FILLS)])
def test_a_drummer_has_two_hands_and_two_feet(name, steps, bar):
    assert {len(line) for line in bar.values()} == {steps}
    assert set("".join(bar.values())) <= set("Xxogfb.")
    assert bar.keys() <= set(CORE.components)
    for step in range(steps):
        components = struck(bar, step)
        assert len([component for component in components if component not in FEET]) <= 2, (name, step)
        assert len([component for component in components if component in HATS]) <= 1, (name, step)


def test_grooves_and_fills_play_all_core_components():
    played = {component for _, _, bar in BARS for component in bar}
    assert played == set(CORE.components)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(GROOVES), st.floats(70, 138), st.sampled_from([None, "crash", "splash", "china"]),
    st.sampled_from([None, *range(len(FILLS))]), st.integers(0, 10_000),
)  # fmt: skip
def test_strokes_of_one_step_are_one_hit_and_of_two_steps_are_two(groove, tempo_bpm, cymbal, fill, seed):
    fill = fill if groove.steps_per_beat == 4 else None
    section = Section(groove, 3, tempo_bpm, cymbal, fill)
    strokes = perform((section, section), DRUMMER, np.random.default_rng(seed), lead_in_s=0.05)
    assert [stroke.time_s for stroke in strokes] == sorted(stroke.time_s for stroke in strokes)
    assert all(stroke.time_s >= 0 and 0.15 < stroke.velocity <= 1 for stroke in strokes)
    steps = defaultdict(list)
    for stroke in strokes:
        steps[stroke.bar, stroke.beat].append(stroke)
    for together in steps.values():
        bark = any("hihat_bark" in stroke.techniques for stroke in together)
        times = [stroke.time_s for stroke in together if not (bark and stroke.component == "hihat_pedal")]
        assert max(times) - min(times) < 0.0295
    firsts = sorted(min(stroke.time_s for stroke in together) for together in steps.values())
    assert all(later - earlier > 0.045 for earlier, later in pairwise(firsts))


def test_a_hat_rings_until_the_pair_is_shut():
    section = Section(GROOVES[0], 2, 100.0)
    strokes = perform((section,), DRUMMER, np.random.default_rng(1), lead_in_s=0.3)
    hats = [stroke for stroke in strokes if stroke.component in HATS]
    opened = [place for place, stroke in enumerate(hats) if stroke.component == "hihat_open" and place + 1 < len(hats)]
    assert opened
    for place in opened:
        assert hats[place].choke_s == hats[place + 1].time_s
        assert hats[place + 1].component == "hihat_closed"
        assert hats[place].openness > 0.3 > hats[place + 1].openness


@pytest.mark.parametrize("seed", [7, 8])
def test_the_demo_holds_enough_of_every_component_where_it_is_needed(seed):
    plan = plan_sessions(seed, SIZES["demo"])
    counts = defaultdict(Counter)
    for session in plan.sound:
        assert split_of_group(session.session_id, DatasetSettings()) == session.split
        counts[session.split].update(stroke.component for stroke in play(session).strokes)
    everything = sum(counts.values(), Counter())
    assert 5000 <= everything.total() <= 7500
    for component in CORE.components:
        assert everything[component] >= 230, component
        assert counts["val"][component] >= 25, component
        assert counts["calibration"][component] >= 10, component


def test_another_seed_makes_other_kits_and_performances():
    seven, eight = (plan_sessions(seed, SIZES["tiny"]) for seed in (7, 8))
    assert play(seven.sound[0]).strokes != play(eight.sound[0]).strokes
    assert seven.sound[0].kit.levels != eight.sound[0].kit.levels
