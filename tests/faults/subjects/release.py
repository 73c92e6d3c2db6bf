"""A promotion, a rollback and an archive. A promotion takes seconds, so a scenario of its own hurts them, not all.

The corpus is noise, so the runs are promoted by force. What is compared is what was decided: who is champion, what the
versions hold, what the pair under the application's names is. Left out are times of day and how fast a clip was.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from beatsight_core.errors import BeatSightError
from beatsight_core.files import sha256_file
from beatsight_core.leftovers import is_temporary
from beatsight_core.promotion.archive.check_archive import check_archive
from beatsight_core.promotion.version.write_version import versions
from beatsight_core.runs.lookup import verified_version
from beatsight_core.runs.roles import read_pointer
from beatsight_core.settings import Settings
from tests.faults.lab import DamagedError, Lab, View, content
from tests.faults.subjects.catalog import prepare_catalog
from tests.faults.subjects.export import EXPORT
from tests.faults.subjects.features import FEATURES
from tests.faults.subjects.training import command

FIRST, SECOND = "nobody was champion", "another was champion"
"""States before a verb; the states of other scenarios count as the second."""

PROMOTE = ["promote", "latest", "--device", "cpu", "--force", "to see what a kill leaves"]
VOLATILE = {"at", "by", "made", "promoted", "since", "gate", "digest", "backup"}
"""Names of what tells the time, or is the digest of something that does."""

_OF_TIME = {"card.md", "checksums.json", "infrastructure.json", "gate.json", "version.json"}
"""Files of a version whose digests in its list differ from run to run."""

_OWN = re.compile(r"^(models/|reports/archive/|reports/metrics/|runs/[^/]+/gates/|.*\.lock$|.*/\.locks/)")


class ReleaseSubject:
    """A verb of the release.

    Args:
        name: In reports.
        verb: As typed.
        before: Verbs that come before it, after all that a promotion needs.
    """

    workers = 1

    def __init__(self, name: str, verb: list[str], before: list[list[str]]):
        self.name, self._verb, self._before = name, verb, before

    def arguments(self, root: Path) -> list[str]:
        return self._verb

    def prepare(self, lab: Lab, root: Path, state: str) -> None:
        if self._before:
            lab.fresh_root(PROMOTION, state, root)
            for verb in self._before:
                lab.must(verb, root)
        else:
            self._train(lab, root, state)

    def _train(self, lab: Lab, root: Path, state: str) -> None:
        prepare_catalog(lab, root, "fresh")
        lab.must(EXPORT, root)
        lab.must(FEATURES, root)
        for seed in (2,) if state == FIRST else (1, 2):
            lab.must(command(epochs=1, seed=seed), root)
            lab.must([*PROMOTE, "--dry-run"], root)  # judges, so that the record is there
            if seed == 1:
                lab.must(PROMOTE, root)

    def look(self, settings: Settings) -> View:
        return {**models_view(settings), **archives_view(settings)}

    def pieces(self, root: Path) -> list[Path]:
        return []

    def under_way(self, root: Path) -> list[Path]:
        return []

    def content(self, root: Path) -> dict[str, str]:
        """What lies in the root; what was released by what was decided."""
        files = {name: digest for name, digest in content(root).items() if not _OWN.match(name)}
        released = {
            f"{path.relative_to(root).as_posix()}": _settled(path)
            for path in [*root.glob("models/*"), *root.glob("models/versions/*/*")]
            if path.is_file() and path.name != ".lock"
        }
        kept = {
            f"archive/{path.relative_to(folder).as_posix()}": _settled(path)
            for folder in root.glob("reports/archive/*/*/")
            for path in folder.rglob("*")
            if path.is_file()
        }
        return {**files, **released, **kept}


def models_view(settings: Settings) -> View:
    """Who is champion, what each version holds, and whose pair an application finds; nothing is repaired for it."""
    view: dict[str, str | None] = {}
    try:
        standing = read_pointer(settings)
        view["champion"] = str(standing.version) if standing else None
        for version in versions(settings):
            folder = verified_version(settings, version)
            view[f"version {version}"] = sha256_file(folder / "model.pth")
        view["pair"] = _pair(settings)
    except (BeatSightError, OSError, ValueError, KeyError) as error:
        raise DamagedError(f"models: {error}") from error
    return view


def _pair(settings: Settings) -> str | None:
    weights, sidecar = (settings.models_dir / f"current_drum_classifier.{suffix}" for suffix in ("pth", "json"))
    if not weights.is_file() and not sidecar.is_file():
        return None
    if not (weights.is_file() and sidecar.is_file()):
        raise DamagedError("there is one of the weights and their sidecar without the other")
    told = json.loads(sidecar.read_text())
    of_version = sha256_file(verified_version(settings, told["version"]) / "model.pth")
    if not sha256_file(weights) == told["sha256"] == of_version:
        raise DamagedError("the weights and their sidecar are of two versions")
    return str(told["version"])


def archives_view(settings: Settings) -> View:
    """Each archive that readers find, all its files compared with its list."""
    view: dict[str, str | None] = {}
    for folder in sorted(settings.archive_dir.glob("*/*/")):
        if not is_temporary(folder):
            check = check_archive(folder)
            if not check.whole:
                raise DamagedError(f"an archive is not whole: {check.to_json()}")
            view[f"archive {folder.name}"] = str(check.files)
    return view


def _settled(path: Path) -> str:
    """The digest of a file without what tells the time."""
    if path.suffix in (".json", ".jsonl"):
        told = [_without(json.loads(line)) for line in _documents(path)]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return "there" if path.name in ("card.md", "SHA256SUMS") else sha256_file(path)


def _documents(path: Path) -> list[str]:
    text = path.read_text()
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(inner) for name, inner in value.items() if name not in VOLATILE | {"checks", *_OF_TIME}}
    return [_without(inner) for inner in value] if isinstance(value, list) else value


PROMOTION = ReleaseSubject("promotion", PROMOTE, [])
ROLLBACK = ReleaseSubject("rollback", ["rollback", "1", "--why", "to see what a kill leaves"], [PROMOTE])
"""Named by its number, so that the same words typed again mean the same."""

ARCHIVE = ReleaseSubject("archive", ["archive"], [PROMOTE])

SUBJECTS: list[ReleaseSubject] = []
"""For the other scenarios: none."""
