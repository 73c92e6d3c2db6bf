"""The champion's weights and their sidecar under the names an application loads: they change in one step or not at all.

    models/current_drum_classifier.pth     a link to current/current_drum_classifier.pth
    models/current_drum_classifier.json    a link to current/current_drum_classifier.json
    models/current                         a link to pairs/<digest>: the one thing that is replaced
    models/pairs/<digest>/                 both files, whole, named by what they hold

A reader opens a name and gets the file that `current` leads to at that moment. Whoever needs both files of one champion
resolves `models/current` once and opens them there, as the champion may change in between. The files of the champion
before stay for readers that are on their way.

Where a drive refuses links both files are plain copies. The sidecar is then taken away first and written last: what is
there is of one version, and for an instant, or after a kill until the next command, there is no sidecar.
"""

import contextlib
import errno
import shutil
from pathlib import Path

from beatsight_core.files import atomic_folder, digest_bytes, replace_link, sha256_file, storage_errors, write_bytes
from beatsight_core.leftovers import never, remove_leftovers, temporary_path

CURRENT_WEIGHTS = "current_drum_classifier.pth"
CURRENT_SIDECAR = "current_drum_classifier.json"
CURRENT, PAIRS = "current", "pairs"

_NAMES = (CURRENT_WEIGHTS, CURRENT_SIDECAR)
_REFUSED = {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""How drives say that they have no links."""


def put_pair(models: Path, weights: Path, sidecar: bytes) -> None:
    """Make readers find these weights with this sidecar. Does nothing if they do. The caller holds the lock.

    Args:
        models: Folder of the models.
        weights: File whose bytes the .pth is to hold.
        sidecar: Bytes that the .json is to hold.

    Raises:
        StorageError: The drive refused; readers find the files before, or these.
    """
    digest = sha256_file(weights)
    if holds_pair(models, digest, sidecar):
        return
    if _takes_links(models):
        _by_links(models, _pair(models, weights, digest, sidecar))
    else:
        _by_copies(models, weights, sidecar)


def prepare_pair(models: Path, weights: Path, sidecar: bytes) -> None:
    """Write both files where readers do not look yet; `put_pair` follows. A full drive is told before any change.

    Args:
        models: Folder of the models.
        weights: File whose bytes the .pth is to hold.
        sidecar: Bytes that the .json is to hold.

    Raises:
        StorageError: The drive refused; readers find the files before.
    """
    digest = sha256_file(weights)
    if not holds_pair(models, digest, sidecar) and _takes_links(models):
        _pair(models, weights, digest, sidecar)


def holds_pair(folder: Path, digest: str, sidecar: bytes) -> bool:
    """Return whether the two names in a folder are weights of this SHA-256 and this very sidecar."""
    weights, other = (folder / name for name in _NAMES)
    with storage_errors(folder):
        found = weights.is_file() and other.is_file() and other.read_bytes() == sidecar
    return found and sha256_file(weights) == digest


def _takes_links(models: Path) -> bool:
    probe = temporary_path(models / CURRENT)
    with storage_errors(models):
        models.mkdir(parents=True, exist_ok=True)
        try:
            probe.symlink_to(PAIRS)
        except OSError as error:
            if error.errno in _REFUSED:
                return False
            raise
        probe.unlink()
    return True


def _pair(models: Path, weights: Path, digest: str, sidecar: bytes) -> Path:
    """Return the folder of weights and sidecar, made unless it is there."""
    folder = models / PAIRS / digest_bytes(digest.encode(), sidecar)[:16]
    if folder.parent.is_dir():
        remove_leftovers(folder.parent, never)
    if not holds_pair(folder, digest, sidecar):
        with atomic_folder(folder, replace=True) as temporary:
            # A copy, as someone who writes through the name would else write into the version.
            shutil.copyfile(weights, temporary / CURRENT_WEIGHTS)
            (temporary / CURRENT_SIDECAR).write_bytes(sidecar)
    return folder


def _by_links(models: Path, folder: Path) -> None:
    """Lead the names to weights and sidecar. Nobody reads through `current` before both names are links."""
    weights, sidecar = (models / name for name in _NAMES)
    plain = [path for path in (weights, sidecar) if path.is_file() and not path.is_symlink()]
    if len(plain) == len(_NAMES):  # as copies left them: first links to what they hold, which is no change
        _lead(models, _pair(models, weights, sha256_file(weights), sidecar.read_bytes()))
    for name in _NAMES:
        target = Path(CURRENT) / name
        if not (models / name).is_symlink() or (models / name).readlink() != target:
            replace_link(models / name, target)
    kept = {(models / CURRENT).resolve(), folder.resolve()}
    _lead(models, folder)
    for other in (models / PAIRS).iterdir():
        if other.resolve() not in kept:
            shutil.rmtree(other, ignore_errors=True)


def _lead(models: Path, folder: Path) -> None:
    """Lead `current` to weights and sidecar: the step that changes both names."""
    current = models / CURRENT
    if current.is_dir() and not current.is_symlink():  # a copy of a data root, made without links
        with storage_errors(current):
            shutil.rmtree(current)
    replace_link(current, Path(PAIRS) / folder.name)


def _by_copies(models: Path, weights: Path, sidecar: bytes) -> None:
    with storage_errors(models), contextlib.suppress(FileNotFoundError):
        (models / CURRENT_SIDECAR).unlink()
    write_bytes(models / CURRENT_WEIGHTS, weights.read_bytes())
    write_bytes(models / CURRENT_SIDECAR, sidecar)
