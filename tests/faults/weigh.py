"""What reading audio files takes, each by itself: `python -m tests.faults.weigh FOLDER`.

One line of JSON for each file: processor time, the most memory that the process had more than before it, and what the
probe of the inventory found. The file is looked at as the inventory does, and then decoded as the export does.
"""

import contextlib
import json
import re
import sys
import time
from pathlib import Path

from beatsight_core.audio.decoding.decode import decode_at_rate
from beatsight_core.audio.decoding.opened_file import UnusableAudioError
from beatsight_core.audio.inspection import probe

RATE_HZ = 44_100


def main(folder: Path) -> None:
    """Weigh the files of a folder, in the order of their names."""
    for path in sorted(folder.iterdir()):
        before = _memory()
        began = time.process_time()
        found = probe(path, deep=True)
        with contextlib.suppress(UnusableAudioError):
            decode_at_rate(path, RATE_HZ)
        seconds = time.process_time() - began
        verdict = {"status": str(found.status), "message": found.message, "frames": found.frames}
        weighed = {"name": path.name, "seconds": round(seconds, 3), "bytes": max(_memory() - before, 0)}
        print(json.dumps(weighed | verdict))


def _memory() -> int:
    """The most memory that this process had since it was last asked."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return int(peak[1]) << 10 if peak else 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
