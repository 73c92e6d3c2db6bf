"""A cache that was damaged: what is said when it is opened, what --verify finds, and what --heal makes again."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.errors import DatasetError
from beatsight_core.features.build import build_features
from beatsight_core.features.cache import open_features
from beatsight_core.features.verify_cache import check_features


def files(settings):
    return sorted(settings.cache_dir.rglob("*.safetensors"))


@pytest.fixture
def warm(exported):
    """Settings, key, and the bytes of every file of a warm cache."""
    settings, key = exported
    build_features(settings, key, device="cpu")
    return settings, key, {path: path.read_bytes() for path in files(settings)}


def missing(settings, victim, whole):
    victim.unlink()


def empty(settings, victim, whole):
    victim.write_bytes(b"")


def cut(settings, victim, whole):
    victim.write_bytes(whole[victim][:-1])


def longer(settings, victim, whole):
    victim.write_bytes(whole[victim] + b"x")


def flipped_header(settings, victim, whole):
    flip(victim, whole[victim], 100)


def flipped_picture(settings, victim, whole):
    flip(victim, whole[victim], len(whole[victim]) - 1000)


def flipped_label(settings, victim, whole):
    flip(victim, whole[victim], len(whole[victim]) - 100)


def of_another_shard(settings, victim, whole):
    victim.write_bytes(next(data for path, data in whole.items() if path != victim))


def of_another_spec(settings, victim, whole):
    other = dataclasses.replace(settings, features=dataclasses.replace(settings.features, f_max_hz=3000.0))
    build_features(other, "made", device="cpu")
    [same_shard] = [path for path in files(settings) if path.name == victim.name and path.parent != victim.parent]
    victim.write_bytes(same_shard.read_bytes())


def flip(path, data, place):
    path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])


FAULTS = (
    missing, empty, cut, longer, flipped_header, flipped_picture, flipped_label, of_another_shard, of_another_spec,
)  # fmt: skip


@pytest.mark.parametrize("damage", FAULTS)
def test_every_damage_is_found_and_only_that_is_made_again(warm, damage):
    settings, key, whole = warm
    victim = sorted(whole)[1]
    damage(settings, victim, whole)
    times = {path: path.stat().st_mtime_ns for path in whole if path != victim}

    with pytest.raises(DatasetError, match="beatsight features"):
        open_features(settings, key, verify=True)
    found = check_features(settings, key)
    lost = "missing" if damage is missing else "broken"
    assert {"broken": found.broken, "missing": found.missing}[lost] == (str(victim),)
    assert (found.checked, found.healed, found.passed) == (len(whole), 0, False)

    healed = check_features(settings, key, heal=True, device="cpu")
    assert (healed.healed, healed.passed) == (1, True)
    assert {path: path.read_bytes() for path in whole} == whole
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert check_features(settings, key).passed


def test_flips_and_cuts_anywhere_are_found(warm):
    settings, key, whole = warm
    random = np.random.default_rng(11)
    for path, data in whole.items():
        for place in random.integers(0, len(data), 60):
            flip(path, data, int(place))
            assert check_features(settings, key).broken == (str(path),)
        for length in random.integers(0, len(data), 12):
            path.write_bytes(data[: int(length)])
            assert check_features(settings, key).broken == (str(path),)
        path.write_bytes(data)
    assert check_features(settings, key).passed


def test_a_whole_cache_is_left_alone_by_healing(warm):
    settings, key, whole = warm
    times = {path: path.stat().st_mtime_ns for path in whole}
    assert check_features(settings, key, heal=True).to_json() == {
        "key": key, "checked": len(whole), "broken": [], "missing": [], "healed": 0, "passed": True,
    }  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in whole} == times


def test_the_verb_says_so_by_its_exit_code(warm):
    settings, key, whole = warm

    def run(*options):
        command = ["features", key, "--data-root", str(settings.data_root), "--device", "cpu", "--json", *options]
        return CliRunner().invoke(beatsight, command)

    assert run("--verify").exit_code == 0
    flip(sorted(whole)[0], whole[sorted(whole)[0]], 2000)
    broken = run("--verify")
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["broken"] == [str(sorted(whole)[0])]
    assert run("--heal").exit_code == 0
    assert {path: path.read_bytes() for path in whole} == whole
