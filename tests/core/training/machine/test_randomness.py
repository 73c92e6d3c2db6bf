"""Random state of every kind goes into a checkpoint and comes back."""

import io
import random

import numpy as np
import torch

from beatsight_core.training.machine.randomness import own_random_state, random_state, restore_random_state, seed_all


def draw():
    return random.random(), np.random.random(), np.random.normal(), float(torch.rand(())), random.gauss(0, 1)


def test_every_generator_goes_on_where_it_was():
    with own_random_state():
        seed_all(5)
        draw()
        buffer = io.BytesIO()
        torch.save(random_state(), buffer)
        expected = [draw() for _ in range(3)]
        seed_all(6)
        buffer.seek(0)
        restore_random_state(torch.load(buffer, weights_only=True))
        assert [draw() for _ in range(3)] == expected


def test_seeding_decides_every_generator_and_nothing_outside():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    outside = draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    drawn = []
    for _ in range(2):
        with own_random_state():
            seed_all(1337)
            drawn.append(draw())
    assert drawn[0] == drawn[1]
    assert draw() == outside
