"""Manifests that try to lead out of the roots: nothing out there is ever opened, by any process.

`strace` tells which files are opened, native libraries included. Where it is not installed, Python's own audit events
stand in for it, which do not hear of what native libraries open.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from tests.faults import steps
from tests.faults.corpus import RATE_HZ, Corpus
from tests.faults.lab import MANIFEST, Lab, Tally
from tests.faults.nursery import ROOT

PLACE, WHOLE, SHORT = 7, 20, 1

COMMAND = "from beatsight_core.cli.main import main; main()"
_OPENED = re.compile(r'open(?:at2?)?\((?:[^,"<]+(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"')
_INSTALLED = (
    sys.prefix, sys.base_prefix, sys.exec_prefix, str(ROOT), "/usr/", "/lib", "/proc/", "/sys/", "/dev/", "/etc/ld.so",
    "/etc/localtime", "/etc/python", "/etc/ssl/", "/etc/mime.types", "/etc/locale.alias", "/var/tmp/polars-",
)  # fmt: skip
"""What any Python process reads."""


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Verify and export a manifest full of ways out, with different numbers of dots, links and workers each round."""
    for verb in ("verify", "export"):
        tally = Tally(
            f"{verb}: paths that lead out of the roots, watched by {'strace' if _strace() else 'audit events'}"
        )
        for number in range(rounds):
            _try(lab, verb, tally, rng, workers=1 + number % 2)
        yield tally


def _strace() -> str | None:
    """`strace`, if it is here and may be used."""
    path = shutil.which("strace")
    works = path and subprocess.run([path, "-qq", "true"], capture_output=True, check=False).returncode == 0
    return path if works else None


def _try(lab: Lab, verb: str, tally: Tally, rng: random.Random, workers: int) -> None:
    place = lab.new_folder()
    root, outside = place / "data", place / "outside"
    inside = root / "raw" / "kits"
    for folder in (inside / "deep" / "er", outside / "kits"):
        folder.mkdir(parents=True)
        _take(folder / "x.wav", rng)
    _take(outside / "x.wav", rng)
    _take(inside / "good.wav", rng)
    paths = _ways_out(inside, outside, rng)
    events = [_event("kits", "good.wav", 0)]
    events += [_event("kits", path, number) for number, path in enumerate(paths, 1)]
    for number, source in enumerate(("../../outside", str(outside), "..", ".", "kits/../../../outside", "~")):
        events += [_event(source, name, 1000 + 2 * number + more) for more, name in enumerate(("x.wav", "kits/x.wav"))]
    corpus = Corpus(place / "nowhere", tuple(json.dumps(event).encode() + b"\n" for event in events))
    corpus.write_settings(root)
    (root / "beatsight.toml").write_text(
        re.sub(r"(?s)\[sources.*?(?=\[dataset)", "", (root / "beatsight.toml").read_text())
    )
    corpus.write_manifest(root / "manifests" / MANIFEST)
    options = ["--workers", str(workers)] if verb == "export" else []
    opened, ended = _watched([verb, MANIFEST, "--json", *options], place, root)
    case = f"{verb}, {workers} workers"
    tally.tried += len(events) - 1
    expected = 1 if verb == "verify" else 0  # its verdict: of most source sets there is no audio
    if not tally.expect(ended.returncode == expected, f"{case}: ended with {ended.returncode}: {ended.stderr[-500:]}"):
        return
    clips = json.loads(ended.stdout)["clips" if verb == "verify" else "hits"]
    tally.expect(clips == 1, f"{case}: {clips} clips, though one event alone has audio in a root")
    tally.expect(any(path.endswith("kits/good.wav") for path in opened), f"{case}: the watch saw nothing")
    allowed = (*_INSTALLED, str(root), str(place / "temporary"))
    beyond = sorted(path for path in opened if not path.startswith(allowed))
    tally.expect(not beyond, f"{case}: opened {beyond[:5]}")
    tally.count("opened outside", len(beyond))
    tally.count("opened in all", len(opened))
    shutil.rmtree(place)


def _ways_out(inside: Path, outside: Path, rng: random.Random) -> list[str]:
    """Paths of a manifest that a naive reader would follow out of its root."""
    (inside / "link.wav").symlink_to(outside / "x.wav")
    (inside / "relative.wav").symlink_to("../../../outside/x.wav")
    (inside / "folder").symlink_to(outside)
    (inside / "chain.wav").symlink_to("link.wav")
    (inside / "deep" / "up").symlink_to("../../../..")
    (inside / "loop.wav").symlink_to("loop.wav")
    up = "../" * rng.randint(3, 12)
    return [
        "../../../outside/x.wav", f"deep/{up}outside/x.wav", f"{up}etc/passwd", str(outside / "x.wav"), "/etc/passwd",
        f"//{outside}/x.wav", f"./{up}outside/x.wav", "link.wav", "relative.wav", "folder/x.wav", "folder/kits/x.wav",
        "chain.wav", "deep/up/outside/x.wav", "loop.wav", "good.wav\0../../../outside/x.wav", "C:\\outside\\x.wav",
        "C:/outside/x.wav", "\\\\server\\share\\x.wav", "..\\..\\..\\outside\\x.wav", f"file://{outside}/x.wav",
        "%2e%2e/%2e%2e/%2e%2e/outside/x.wav", "．．/．．/．．/outside/x.wav", "~/x.wav", "~root/x.wav", "$HOME/x.wav",
        "deep//..//..//..//..//outside/x.wav", "x/" * rng.randint(1000, 3000) + "x.wav", "x" * rng.randint(300, 5000),
        "deep/er/", ".", "./", "..", "/", " ", "\n", "good.wav/", "good.wav/../../../outside/x.wav",
        "/proc/self/environ",
        "deep/\u202e/../../../../outside/x.wav", "-", "|cat /etc/passwd", "http://localhost:9/x.wav",
    ]  # fmt: skip


def _watched(arguments: list[str], place: Path, root: Path) -> tuple[set[str], "subprocess.CompletedProcess[str]"]:
    """Run a verb and tell every path that it or any of its processes tried to open."""
    log, temporary = place / "opened", place / "temporary"
    temporary.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("BEATSIGHT_", "WANDB_"))},
        "BEATSIGHT_DATA_ROOT": str(root), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [sys.executable, "-c", COMMAND, *arguments]
    strace = _strace()
    if strace:
        command = [strace, "-f", "-qq", "-y", "-s", "8192", "-e", "trace=open,openat,openat2", "-o", str(log), *command]
    else:
        plan = steps.Plan(folder="/", log=str(log), reads=True)
        site = Path(__file__).parents[1] / "site"
        environment |= {steps.VARIABLE: plan.to_text(), "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    ended = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    lines = log.read_text(errors="replace").splitlines()
    if not strace:
        return {line.strip().removeprefix("open ") for line in lines}, ended
    return {_path(found, root) for line in lines if (found := _OPENED.search(line))}, ended


def _path(found: "re.Match[str]", root: Path) -> str:
    """The path of a call, links followed, so that a link in a root counts as what it leads to."""
    folder, name = found[1] or str(root), found[2]
    try:
        return os.path.realpath(os.path.join(folder, name))  # noqa: PTH118 - the name may be anything
    except (OSError, ValueError):
        return os.path.normpath(os.path.join(folder, name))  # noqa: PTH118


def _take(path: Path, rng: random.Random) -> None:
    noise = np.random.default_rng(rng.randrange(1 << 30)).uniform(-0.5, 0.5, RATE_HZ)
    sf.write(path, noise, RATE_HZ)


def _event(source: str, path: str, number: int) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "session_id": "s", "source_set": source, "audio_path": path, "onset_time": 0.2,
        "components": [{"label": "kick"}],
    }  # fmt: skip
