"""A process that sends one notice and ends; whoever started it kills it when it takes too long.

    python -m beatsight_core.alerts.send_process < {"receiver": {...}, "notice": {...}}

A name server that does not answer, a server that answers a byte a minute, or a library that hangs cannot be ended in
another way. It exits with 0, or prints why the notice did not go, without secrets, and exits with 1.
"""

import json
import sys
from dataclasses import dataclass

from beatsight_core.alerts.alert import AlertNotice
from beatsight_core.alerts.channels import CHANNELS_BY_KIND
from beatsight_core.alerts.receiver_secrets import redacted, secrets_of
from beatsight_core.errors import BeatSightError
from beatsight_core.settings import AlertReceiver
from beatsight_core.typed_json import from_json


@dataclass(frozen=True, slots=True)
class SendRequest:
    """The input of the process.

    Attributes:
        receiver: Receiver to send to.
        notice: AlertNotice to send.
    """

    receiver: AlertReceiver
    notice: AlertNotice


def main() -> int:
    """Send the notice that standard input holds."""
    request = from_json(SendRequest, json.load(sys.stdin))
    try:
        CHANNELS_BY_KIND[request.receiver.kind](request.receiver, request.notice)
    except Exception as error:  # noqa: BLE001 - of libraries and servers of any kind
        said = str(error) if isinstance(error, BeatSightError) else f"{type(error).__name__}: {error}"
        print(redacted(said, secrets_of(request.receiver)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
