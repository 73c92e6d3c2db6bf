"""Two models on the same hits: what got better, what got worse, and whether that is more than chance."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import DatasetError
from beatsight_core.evaluation.bootstrap import (
    CLASS_SCORES,
    RESAMPLES,
    SCORES,
    SEED,
    codes,
    percentiles,
    resample,
    sampled_scores,
    tally,
)
from beatsight_core.evaluation.confusion import WATCHED_PAIRS, missed_as, watched_pair
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import MIN_POSITIVES, NOTHING, confusions, finite_or_none, ratio


def compare_predictions(
    before: Predictions,
    after: Predictions,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    min_positives: int = MIN_POSITIVES,
) -> dict[str, Any]:
    """Differences after - before on the hits that both have, by a paired bootstrap over sessions.

    Paired: each resample draws the same sessions for both models, so what makes a session hard for both cancels out.

    Returns:
        JSON-safe: `hits`, `sessions`; each of `SCORES`, and of `CLASS_SCORES` by label, as `{before, after,
        difference, low, high}`, low and high the 95 % interval of the difference (None with one session); `better` and
        `worse`: components whose F1 changed beyond that interval; `pairs`: the watched confusions before and after;
        `confusions`: all pairs that grew or shrank, see `_changed_confusions`.

    Raises:
        DatasetError: The two share no hit or no component.
    """
    before, after = _aligned(before, after)
    sums = tally(before), tally(after)
    averaged = before.struck.sum(axis=0) >= max(min_positives, 1)
    drawn = resample(sums[0].strata, resamples, seed)
    everything = np.ones((1, len(sums[0].hits)))
    whole, sampled = (
        [sampled_scores(each, sum_, times, averaged) for each, sum_ in zip((before, after), sums, strict=True)]
        for times in (everything, drawn)
    )
    enough = len(sums[0].hits) > 1

    def change(name: str, column: int | None = None) -> dict[str, float | None]:
        place = (slice(None),) if column is None else (slice(None), column)
        old, new = (float(each[name][place][0]) for each in whole)
        low, high = percentiles(sampled[1][name][place] - sampled[0][name][place]) if enough else (None, None)
        values = {"before": old, "after": new, "difference": new - old}
        return {**{key: finite_or_none(value) for key, value in values.items()}, "low": low, "high": high}

    by_label = {
        name: {label: change(name, column) for column, label in enumerate(before.classes)} for name in CLASS_SCORES
    }
    f1 = by_label["f1"]
    return {
        "hits": len(before),
        "sessions": len(sums[0].hits),
        **{name: change(name) for name in SCORES},
        **by_label,
        "better": [label for label, row in f1.items() if row["low"] is not None and row["low"] > 0],
        "worse": [label for label, row in f1.items() if row["high"] is not None and row["high"] < 0],
        "pairs": _pairs(before, after),
        "confusions": _changed_confusions(before, after, drawn),
    }


def _aligned(before: Predictions, after: Predictions) -> tuple[Predictions, Predictions]:
    """Both on their common hits and components, in the order of the first."""
    left, right = (each.hits.select("hit_id").with_row_index(name) for each, name in ((before, "l"), (after, "r")))
    common = left.join(right, on="hit_id", how="inner").sort("l")
    classes = [label for label in before.classes if label in after.classes]
    if len(common) == 0 or not classes:
        raise DatasetError(
            f"Two evaluations share {len(common)} hits and {len(classes)} components: they cannot be compared",
            do="evaluate both runs on the same manifest",
        )
    old = before.part(common["l"].to_numpy(), classes)
    new = after.part(common["r"].to_numpy(), classes)
    return dataclasses.replace(old, targets=new.targets), new  # one truth for both: the later one


def _pairs(before: Predictions, after: Predictions) -> dict[str, dict[str, Any]]:
    struck = before.struck.sum(axis=0)
    matrices = missed_as(before), missed_as(after)
    return {
        name: {
            when: watched_pair(matrix, struck, before.classes, one, other)
            for when, matrix in zip(("before", "after"), matrices, strict=True)
        }
        for name, one, other in WATCHED_PAIRS
    }


def _changed_confusions(before: Predictions, after: Predictions, drawn: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Every pair of components that is confused more often or less often than before, the largest change first.

    Args:
        before: On the same hits as
        after: the later ones.
        drawn: (resamples, S) how often each session is drawn.

    Returns:
        Rows of struck, said (or "nothing"), before, after, difference (counts), rate_before, rate_after (of the strokes
        of what was struck), low, high (95 % interval of the difference; None with one session).
    """
    classes = len(before.classes)
    then, now = (_confusions_by_session(each, drawn.shape[1]) for each in (before, after))
    change = now - then
    strokes = before.struck.sum(axis=0)
    changed = np.flatnonzero(change.sum(axis=0))
    sampled = drawn @ change[:, changed]
    rows = []
    for place, cell in enumerate(changed):
        struck, said = divmod(int(cell), classes + 1)
        counts = int(then[:, cell].sum()), int(now[:, cell].sum())
        low, high = percentiles(sampled[:, place]) if drawn.shape[1] > 1 else (None, None)
        rows.append(
            {
                "struck": before.classes[struck],
                "said": (*before.classes, NOTHING)[said],
                "before": counts[0],
                "after": counts[1],
                "difference": counts[1] - counts[0],
                "rate_before": ratio(counts[0], float(strokes[struck])),
                "rate_after": ratio(counts[1], float(strokes[struck])),
                "low": low,
                "high": high,
            }
        )
    return sorted(rows, key=lambda row: -abs(row["difference"]))


def _confusions_by_session(predictions: Predictions, sessions: int) -> NDArray[np.float64]:
    """(S, C * (C + 1)) how often each cell of `confusion_counts` was met in each session."""
    cells = len(predictions.classes) * (len(predictions.classes) + 1)
    rows, met = confusions(predictions.probabilities, predictions.struck, predictions.said)
    places = codes(predictions.hits["session_id"])[rows] * cells + met
    return np.bincount(places, minlength=sessions * cells).reshape(sessions, cells).astype(np.float64)
