"""Drums named in recordings and in clips, for any program: the one public way to a trained model.

    from beatsight_core.inference import load

    classifier = load("drum_model")                      # a model's folder; without an argument the champion
    heard = classifier.classify_file("groove.wav")       # onsets are detected, unless given
    for hit in heard.hits:
        print(hit.onset_s, hit.components, hit.velocity)

A folder needs nothing beside it: no data root, no settings. Importing this package loads neither torch nor onnxruntime.
"""

from beatsight_core.inference.answers import Answers
from beatsight_core.inference.backend import Adaptation, Backend
from beatsight_core.inference.classification import Classification, ClassifiedHit
from beatsight_core.inference.classifier import Classifier
from beatsight_core.inference.loading import load
from beatsight_core.inference.onset_files import read_onsets
from beatsight_core.inference.onsets import detect_onsets

__all__ = [
    "Adaptation",
    "Answers",
    "Backend",
    "Classification",
    "ClassifiedHit",
    "Classifier",
    "detect_onsets",
    "load",
    "read_onsets",
]
