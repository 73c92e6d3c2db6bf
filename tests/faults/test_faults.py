"""A short form of every scenario of the fault harness; `make faults` runs them whole."""

import random
import sys

import pytest

from tests.faults.lab import Lab, open_lab, scenarios

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches /proc and mounts drives in memory")


@pytest.fixture(scope="module")
def lab():
    with open_lab(files=12, runs=1) as lab:
        yield lab


LONG = {"any_exception", "disk_full", "kills", "release", "training"}
"""These take up to two minutes even so."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in scenarios()]
)
def test_nothing_is_lost(lab: Lab, name: str):
    scenario = scenarios()[name]
    tallies = list(scenario.run(lab, scenario.SHORT, random.Random(7)))
    assert sum(tally.tried for tally in tallies) >= scenario.SHORT
    assert [f"{tally.what}: {failure}" for tally in tallies for failure in tally.failures] == []
