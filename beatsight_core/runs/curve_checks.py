"""Do a run's loss curves look like learning? What a person looks for in them, as gates.

Rules (losses by epoch; the first epoch is 1):

- `finite`: every loss is a number.
- `training_falls`: the training loss ends below where it began.
- `training_smooth`: it never climbs back by more than `MAX_RELAPSE` of all that it falls.
- `validation_flat`: among the epochs up to `EARLY_EPOCHS`, the later half (its median) is lower than the best of the
  earlier half by at least `LEAST_FALL`. After that epoch a curve may flatten.
- `validation_rising`: the last three of those epochs (their median) are at most `MAX_EARLY_RISE` above the best before
  them.
- `validation_end`: the last epoch is at most `MAX_END_RISE` above the best of all: more is overfitting.
- `oscillation`: after the warm-up, the validation loss does not swing: of each two neighbouring moves in opposite
  directions the smaller one counts, and their mean over all pairs is at most `MAX_SWING` of the median loss.

A run shorter than `EARLY_EPOCHS` is judged by the same rules over the epochs that it has. Where these are fewer than
`FEWEST_EPOCHS` (for `training_*`: one) there is nothing to tell; the check then passes at its limit and says so.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from beatsight_core.gates.gate import Gate, Limit, above, at_least, at_most

EARLY_EPOCHS = 15
"""Until this epoch the validation loss is expected to fall."""
FEWEST_EPOCHS = 4
MAX_RELAPSE = 0.2
LEAST_FALL = 0.01
MAX_EARLY_RISE = 0.1
MAX_END_RISE = 0.25
MAX_SWING = 0.1
LEARNED = 1e-3
"""A validation loss below this has nowhere left to fall to: it is neither flat nor rising."""


def check_curves(history: Sequence[Mapping[str, Any]], warmup_epochs: float) -> list[Gate]:
    """Judge the epochs of a run.

    Args:
        history: Records with `train_loss` and `val_loss`, in order; `epoch` (from 1) where it is not their place.
        warmup_epochs: Number of epochs over which the learning rate rose; as in training, at most half of all count.

    Returns:
        The checks in the order above; `finite` alone if a loss is no number or there is no epoch.
    """
    train, val = _losses(history, "train_loss"), _losses(history, "val_loss")
    epochs = [int(record.get("epoch", place)) for place, record in enumerate(history, 1)]
    broken = sum(not math.isfinite(loss) for loss in [*train, *val])
    said = f"{broken} losses are not numbers" if history else "there is no epoch"
    wrong = broken + (not history)
    finite = Gate("finite", wrong, at_most(0), said if wrong else "every loss is a number")
    if not finite.passed:
        return [finite]
    early = [loss for epoch, loss in zip(epochs, val, strict=True) if epoch <= EARLY_EPOCHS]
    settled = min(warmup_epochs, epochs[-1] / 2)
    after = [loss for epoch, loss in zip(epochs, val, strict=True) if epoch > settled]
    return [finite, *_training(train), _flat(early), _rising(early), _end(val), _oscillation(after)]


def _training(train: Sequence[float]) -> list[Gate]:
    if len(train) == 1:
        said = "one epoch alone shows no course"
        falls = Gate("training_falls", 0.0, at_least(0.0), said, format="decimal")
        return [falls, _too_short("training_smooth", at_most(MAX_RELAPSE), said)]
    went = f"training loss went from {train[0]:.4f} to {train[-1]:.4f}"
    falls = Gate("training_falls", train[0] - train[-1], above(0.0), went, format="decimal")
    best, climb = train[0], 0.0
    for loss in train[1:]:
        climb, best = max(climb, loss - best), min(best, loss)
    whole = max(train[0] - best, 1e-12)
    back = f"climbed back by up to {climb:.4f}, {min(climb / whole, 99):.1%} of its fall"
    said = f"training loss {back if climb else 'never climbed back'}"
    return [falls, _at_most("training_smooth", min(climb / whole, 99.0), MAX_RELAPSE, said)]


def _flat(early: Sequence[float]) -> Gate:
    if len(early) < FEWEST_EPOCHS:
        return _too_short("validation_flat", at_least(LEAST_FALL), _too_few(len(early)))
    middle = len(early) // 2
    before, later = min(early[:middle]), statistics.median(early[middle:])
    if before < LEARNED:
        said = f"validation loss was {before:.2g} already: nothing left to fall"
        return _too_short("validation_flat", at_least(LEAST_FALL), said)
    fall = 1.0 - later / before
    said = f"validation loss {_moved(fall)} from the earlier to the later half of the first {len(early)} epochs"
    return Gate("validation_flat", fall, at_least(LEAST_FALL), said, format="share")


def _rising(early: Sequence[float]) -> Gate:
    if len(early) < FEWEST_EPOCHS:
        return _too_short("validation_rising", at_most(MAX_EARLY_RISE), _too_few(len(early)))
    best = max(min(early[:-3]), LEARNED)
    rise = max(statistics.median(early[-3:]), LEARNED) / best - 1.0
    said = f"at the end of the first {len(early)} epochs the validation loss {_moved(-rise)} against the best before"
    return _at_most("validation_rising", rise, MAX_EARLY_RISE, said)


def _end(val: Sequence[float]) -> Gate:
    best = max(min(val), LEARNED)
    rise = max(val[-1], LEARNED) / best - 1.0
    above = f"{rise:.1%} above its best" if rise >= 0.0005 else "at its best"
    said = f"validation loss ended {above}, {min(val):.4f}"
    return _at_most("validation_end", rise, MAX_END_RISE, said)


def _oscillation(after: Sequence[float]) -> Gate:
    if len(after) < FEWEST_EPOCHS:
        return _too_short("oscillation", at_most(MAX_SWING), _too_few(len(after), "after the warm-up "))
    moves = [later - earlier for earlier, later in pairwise(after)]
    pairs = list(pairwise(moves))
    swings = [min(abs(one), abs(other)) if one * other < 0 else 0.0 for one, other in pairs]
    share = statistics.fmean(swings) / max(statistics.median(after), LEARNED)
    turns = sum(swing > 0 for swing in swings)
    course = f"turned {turns} times and swung by {share:.1%} of itself" if turns else "never turned"
    said = f"after the warm-up the validation loss {course}"
    return _at_most("oscillation", share, MAX_SWING, said)


def _losses(history: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [math.nan if record.get(name) is None else float(record[name]) for record in history]


def _at_most(name: str, value: float, limit: float, found: str) -> Gate:
    return Gate(name, value, at_most(limit), found, format="share")


def _too_short(name: str, limit: Limit, found: str) -> Gate:
    """A gate over too few epochs: its value is its limit, so it passes."""
    return Gate(name, limit.value, limit, found, format="share")


def _too_few(epochs: int, which: str = "") -> str:
    return f"{epochs} epochs {which}are too few to tell"


def _moved(fall: float) -> str:
    return f"fell by {fall:.1%}" if fall >= 0 else f"rose by {-fall:.1%}"
