"""One notice to one receiver, within a time limit that nothing can exceed. What went wrong is told without secrets."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import orjson

from beatsight_core.alerts.alert import AlertNotice
from beatsight_core.alerts.channels import AlertError, apprise_problem
from beatsight_core.alerts.receiver_secrets import addresses, password, redacted, secrets_of
from beatsight_core.alerts.send_process import SendRequest
from beatsight_core.errors import BeatSightError
from beatsight_core.files import json_bytes, storage_errors
from beatsight_core.process_groups import signal_group
from beatsight_core.safe_text import paragraph_for_terminal
from beatsight_core.settings import AlertReceiver, Settings

START_S = 10.0
"""Time that a process has to begin, on top of what a delivery may take."""

_SAID_BYTES = 2000


def send(settings: Settings, receiver: AlertReceiver, notice: AlertNotice) -> str | None:
    """Send a notice; return why it did not go, None if it did. Raises no error.

    Args:
        settings: Settings that say where the log lies.
        receiver: Receiver to send to.
        notice: AlertNotice to send.
    """
    try:
        if receiver.kind == "log":
            _append(settings, notice)
        elif receiver.kind == "command":
            _run(receiver.command, json_bytes(notice.to_json()), receiver.timeout_s)
        else:
            request = json_bytes(SendRequest(receiver, notice))
            words = [sys.executable, "-P", "-m", "beatsight_core.alerts.send_process"]
            _run(words, request, receiver.timeout_s, START_S)
    except (BeatSightError, OSError) as error:
        return paragraph_for_terminal(redacted(str(error), secrets_of(receiver)))
    return None


def problem_of(receiver: AlertReceiver) -> str | None:
    """Return why a receiver cannot be used, as far as that is known without sending; None if it can."""
    try:
        if receiver.kind == "command" and shutil.which(receiver.command[0]) is None:
            return f"there is no program {receiver.command[0]}"
        if receiver.kind in ("webhook", "apprise"):
            addresses(receiver)
        if receiver.user:
            password(receiver)
    except BeatSightError as error:
        return redacted(str(error), secrets_of(receiver))
    return apprise_problem() if receiver.kind == "apprise" else None


def _append(settings: Settings, notice: AlertNotice) -> None:
    path = settings.alerts_dir / "alerts.jsonl"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as handle:
            if handle.tell() and os.pread(handle.fileno(), 1, handle.tell() - 1) != b"\n":  # a writer was killed
                handle.write(b"\n")
            handle.write(orjson.dumps(notice.to_json(), option=orjson.OPT_APPEND_NEWLINE))
            handle.flush()
            os.fsync(handle.fileno())


def _run(words: Sequence[str], text: bytes, timeout_s: float, start_s: float = 0.0) -> None:
    """Run a program that reads a text; it is killed with all that it started when it takes too long.

    Raises:
        AlertError: The program cannot be started, took too long, or failed.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(text)
        given.seek(0)
        try:
            process = subprocess.Popen(words, stdin=given, stdout=said, stderr=said, start_new_session=True)
        except OSError as error:
            raise AlertError(f"The program cannot be started: {error.strerror}") from None
        try:
            code = process.wait(timeout_s + start_s)
        except subprocess.TimeoutExpired:
            raise AlertError(f"It took longer than {timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                signal_group(process.pid, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(START_S)
        if code:
            said.seek(-min(_SAID_BYTES, said.tell()), os.SEEK_END)
            last = said.read().decode("utf-8", "replace").strip()
            raise AlertError(last or f"The program ended with code {code}")
