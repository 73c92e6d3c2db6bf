"""Digests a manifest in a process of its own: `python -m beatsight_core.manifest.inbox.digest_process FILE FOLDER`.

For files that take longer to read than the process lives that wants the digest. It is left in FOLDER, where all look
for it (`identity.digest_memory`). Of several processes for one file all but the first end at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from beatsight_core.errors import BeatSightError
from beatsight_core.files import exclusive_lock
from beatsight_core.manifest.identity import manifest_sha256
from beatsight_core.names import file_name


def main(arguments: Sequence[str] | None = None) -> int:
    """Digest a file unless another process is at it, and return the exit code."""
    file, memory = map(Path, sys.argv[1:] if arguments is None else arguments)
    try:
        with exclusive_lock(memory / ".reading" / file_name(file.name), timeout_s=0.0):
            manifest_sha256(file, memory)
    except TimeoutError:
        return 0
    except BeatSightError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
