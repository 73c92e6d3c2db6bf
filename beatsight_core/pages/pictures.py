"""Small PNG pictures for places that cannot show a page: Dagster's metadata, a model card, a log-mel beside its sound.

Every picture is at most `LIMIT_BYTES`, as Dagster keeps it twice. matplotlib is imported where it draws, and used
without pyplot, so that nothing is kept between pictures and any thread may draw.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from beatsight_core.pages import charts, formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMIT_BYTES = 100_000
"""No picture is larger."""

_COLOURS = 64

TONES = ("#2f74b5", "#c4621a", "#7a5bbf", "#17806f", "#bd4670", "#65727f")
_INK, _SOFT, _LINE, _TRACK, _PASS, _FAIL = "#16202b", "#556170", "#dce2e8", "#e8ecf1", "#14693d", "#ac211a"
_DASHES = ("-", "--", ":", "-.")
_MAGIC = ((b"\x89PNG", "image/png"), (b"RIFF", "audio/wav"), (b"fLaC", "audio/flac"), (b"<svg", "image/svg+xml"))


def data_uri(data: bytes) -> str:
    """PNG, SVG, WAV or FLAC bytes as a `data:` URI, to stand inside a page or a line of Markdown.

    Raises:
        ValueError: The bytes are none of these.
    """
    kind = next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)
    if kind is None:
        raise ValueError(f"neither a picture nor a sound: the data begins with {data[:4]!r}")
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def curves(
    history: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    *,
    x: str = "epoch",
    title: str = "",
    limits: Mapping[str, float] | None = None,
) -> bytes:
    """Lines over epochs or steps.

    Args:
        history: Rows as in `history.jsonl`.
        keys: Keys with a line each; a row without the key leaves a gap.
        x: Key of the horizontal axis; the row's position where it is missing.
        title: Text above the picture.
        limits: Name -> a value marked by a level line, such as a gate.
    """

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, title)
        for position, key in enumerate(keys):
            values = [_number(row.get(key)) for row in history]
            places = [_number(row.get(x, index)) for index, row in enumerate(history)]
            marker = "o" if np.isfinite(values).sum() == 1 else "None"
            axes.plot(
                places, values, _DASHES[position % 4], color=TONES[position % 6], marker=marker, lw=1.8, label=key
            )
        for name, value in (limits or {}).items():
            axes.axhline(value, color=_INK, linewidth=1, linestyle=(0, (1, 2)))
            axes.annotate(f"{name} {formats.number(value)}", (0.995, value), xycoords=("axes fraction", "data"),
                          ha="right", va="bottom", fontsize=8, color=_INK)  # fmt: skip
        axes.set_xlabel(x, color=_SOFT, fontsize=9)
        axes.grid(color=_LINE, linewidth=0.8)
        if keys:
            axes.legend(frameon=False, fontsize=8, labelcolor=_INK)

    return _png(draw, width=6.4, height=3.0)


def bars(labels: Sequence[str], values: Sequence[float | None], *, title: str = "", kind: str = "count") -> bytes:
    """Horizontal bars with their values written out, first on top.

    Args:
        labels: Names of the bars.
        values: Numbers of the bars; None leaves one empty.
        title: Text above the picture.
        kind: Unit of the values, a name in `formats.FORMATS`.
    """

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, title)
        top = charts.largest(values) or 1.0
        rows = np.arange(len(labels))
        axes.barh(rows, [top] * len(labels), color=_TRACK, height=0.6)
        axes.barh(rows, [_number(value, 0.0) for value in values], color=TONES[0], height=0.6)
        for row, value in zip(rows, values, strict=True):
            axes.annotate(formats.shown(value, kind), (top * 1.02, row), va="center", fontsize=8, color=_INK)
        _name_rows(axes, labels)
        axes.set_xlim(0, top * 1.18)
        axes.set_xticks([])

    return _png(draw, width=6.4, height=_height(len(labels)))


class DrawnGate(Protocol):
    """What a picture shows of a gate; `gates.gate.WrittenGate` is one."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def passed(self) -> bool:
        """Verdict."""

    @property
    def value(self) -> str:
        """Figure with its unit."""

    @property
    def limit(self) -> str:
        """Sign and limit with its unit."""

    @property
    def shift(self) -> float | None:
        """Margin from -1 to 1; None where nothing was measured."""


def gates(items: Sequence[DrawnGate], *, title: str = "") -> bytes:
    """Gates as on the page: the limit in the middle, room to spare to the right, what is missing to the left.

    Args:
        items: Gates, as they are written.
        title: Text above the picture.
    """

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, title)
        rows = np.arange(len(items))
        axes.barh(rows, [2.0] * len(items), left=-1.0, color=_TRACK, height=0.5)
        for row, gate in zip(rows, items, strict=True):
            color = _PASS if gate.passed else _FAIL
            axes.barh(row, gate.shift or 0.0, color=color, height=0.5)
            figures = f"{'✓' if gate.passed else '✗'}  {gate.value} {gate.limit}"
            axes.annotate(figures, (1.06, row), va="center", fontsize=8, color=color)
        axes.axvline(0, color=_INK, linewidth=1.4)
        _name_rows(axes, [gate.name for gate in items])
        axes.set_xlim(-1, 1.9)
        axes.set_xticks([])

    return _png(draw, width=6.8, height=_height(len(items)))


def heatmap(
    values: npt.ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    axes_names: tuple[str, str] = ("", ""),
) -> bytes:
    """A table of numbers as tints, each written in its cell: a confusion matrix, counts of pairs.

    Args:
        values: Array (rows, columns), not negative; NaN leaves a cell empty.
        rows: Names from the top.
        columns: Names from the left.
        title: Text above the picture.
        axes_names: Names of the rows' and the columns' axes, such as ("struck", "said").
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.shape != (len(rows), len(columns)):
        raise ValueError(f"values are {matrix.shape}, names are {(len(rows), len(columns))}")

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, title)
        top = charts.largest(matrix.ravel().tolist()) or 1.0
        axes.imshow(matrix / top, cmap="Blues", vmin=0, vmax=1.1, aspect="auto")
        for row, column in zip(*np.nonzero(np.isfinite(matrix) & (matrix != 0)), strict=True):
            color = "white" if matrix[row, column] / top > 0.6 else _INK
            axes.text(
                column,
                row,
                _brief(matrix[row, column]),
                ha="center",
                va="center",
                fontsize=6.5,
                color=color,
                in_layout=False,
            )
        axes.set_xticks(
            range(len(columns)), [_plain(name) for name in columns], rotation=60, ha="right", rotation_mode="anchor"
        )
        axes.set_yticks(range(len(rows)), [_plain(name) for name in rows])
        axes.set_ylabel(axes_names[0], color=_SOFT, fontsize=9)
        axes.set_xlabel(axes_names[1], color=_SOFT, fontsize=9)

    return _png(draw, width=1.6 + 0.36 * len(columns), height=1.6 + 0.3 * len(rows))


confusion = heatmap
"""A confusion matrix is a heat map with the reference in rows and the predictions in columns."""


def _png(draw: Callable[["Figure"], None], *, width: float, height: float) -> bytes:
    """Draw at falling resolutions until the picture is small enough."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    data = b""
    for dots in (110, 80, 55, 35):
        figure = Figure(figsize=(width, height), dpi=dots, facecolor="white", layout="constrained")
        canvas = FigureCanvasAgg(figure)
        draw(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        # With few colours the first resolution is nearly always small enough; each drawing takes a second or two.
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert("RGB").quantize(_COLOURS).save(buffer, format="png", optimize=True)
        data = buffer.getvalue()
        if len(data) <= LIMIT_BYTES:
            break
    return data


def _axes(figure: "Figure", title: str) -> "Axes":
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    axes.tick_params(length=0, labelsize=8, colors=_SOFT)
    axes.set_title(_plain(title), loc="left", fontsize=10, color=_INK, fontweight="bold")
    return axes


def _name_rows(axes: "Axes", labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [_plain(label) for label in labels], color=_INK)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.spines["bottom"].set_visible(False)


def _height(rows: int) -> float:
    return 0.55 + 0.24 * max(rows, 1)


def _number(value: Any, missing: float = float("nan")) -> float:
    return float(value) if isinstance(value, int | float | np.number) else missing


def _brief(value: float) -> str:
    if not float(value).is_integer():
        return f"{value:.2f}".lstrip("0")
    return f"{value:.0f}" if value < 10_000 else f"{value / 1000:.0f}k"


def _plain(text: str, longest: int = 40) -> str:
    """User text that matplotlib takes as it is: no mathematics between dollars, no endless name, no lost glyph."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    text = "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in text if letter.isprintable())
    return (text if len(text) <= longest else f"{text[: longest - 1]}…").replace("$", r"\$")
