"""BeatSight's domain: manifests, audio, datasets, features, training, judgement, release. No Dagster in here."""

import logging
import os

from beatsight_core.safe_text import SafeLog

# Torch's worker threads spin while they wait for each other. On cores that are shared with anything else that makes
# training several times slower (24 against 80 clips/s beside four other processes on two cores); waiting threads sleep
# instead. The runtime reads this once, when torch is loaded, so it is set before anything here can load it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Recent wheels of onnxruntime write a device's id into the user's folders and report their use to its maker, from their
# import on, unless the environment forbids it. Nothing here tells anybody what a user listens to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Whoever shows these messages, a verb, a worker or Dagster, shows them on a terminal.
logging.getLogger("beatsight").addFilter(SafeLog())
