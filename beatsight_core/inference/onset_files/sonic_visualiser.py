"""Onsets of a layer that Sonic Visualiser exported as XML (.svl): points at frames of a sample rate.

The file may come from anywhere, so nothing in it is resolved: a document that declares entities is refused, and none
is fetched.
"""

from xml.parsers import expat

from beatsight_core.errors import InputError
from beatsight_core.inference.onset_files.times import not_a_time, written

_DO = "export the layer of time instants again, or as a text file"


class _Layers:
    """What is in the document, as far as it matters here."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self.rates: list[str] = []
        self.datasets: list[list[tuple[int, str]]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "model" and attributes.get("type", "sparse") == "sparse":
            self.rates.append(attributes.get("sampleRate", ""))
        elif name == "dataset":
            self.datasets.append([])
        elif name == "point" and self.datasets:
            self.datasets[-1].append((self._parser.CurrentLineNumber, attributes.get("frame", "")))


class _DeclaredError(Exception):
    """The document declares what may stand for anything."""


def _declared(*_: object) -> int:
    raise _DeclaredError


def times_of_layer(text: str, where: str) -> list[tuple[str, float]]:
    """Return where each point stands in the document, and its time in seconds.

    Raises:
        InputError: The text is no such document, holds several layers, or a point has no frame.
    """
    parser = expat.ParserCreate()
    layers = _Layers(parser)
    parser.StartElementHandler = layers.start
    parser.EntityDeclHandler = _declared
    parser.ExternalEntityRefHandler = _declared
    try:
        parser.Parse(text.lstrip(), True)
    except _DeclaredError as error:
        raise InputError("The onsets declare entities, which no layer needs", where=where, do=_DO) from error
    except expat.ExpatError as error:
        raise InputError("The onsets are not valid XML", where=where, why=str(error), do=_DO) from error
    filled = [points for points in layers.datasets if points]
    rates = {rate for rate in layers.rates if rate}
    if len(filled) != 1 or len(rates) != 1:
        why = f"it has {len(filled)} layers with points, of {len(rates)} sample rates"
        raise InputError("Onsets are read from one layer", where=where, why=why, do=_DO)
    rate = written(rates.pop())
    if rate is None or rate.value <= 0:
        raise InputError("A layer has no sample rate", where=where, do=_DO)
    return [(f"line {line}", _frame(frame, f"{where}, line {line}") / rate.value) for line, frame in filled[0]]


def _frame(text: str, where: str) -> float:
    frame = written(text)
    if frame is None or not frame.is_whole or frame.value < 0:
        raise not_a_time(text, where, "a point needs the number of its frame")
    return frame.value
