"""What the black-box maps share: a heat map with the masks that were asked for it and the scores they got."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from borex.baselines import Baseline, baselines_of, fitted
from borex.blackbox import Asker, Output
from borex.errors import InputError
from borex.layout import resize, to_extent
from borex.settings import is_whole
from borex.targets import Target, TargetLike, find_target, found_output

# Scores (n, classes) of masks (n, *extent).
Ask = Callable[[Any], np.ndarray]


class Asked(NamedTuple):
    """A heat map and what it was made from.

    `heat_map`: `(*extent,)` of the media. `masks`: `(n, *extent)` at the model's own extent, 1 = kept, an array or what
    gives one for a slice. `scores`: `(n, classes)`, what the model answered. `target`: what the map explains.
    """

    heat_map: np.ndarray
    masks: Any
    scores: np.ndarray
    target: Target


class Question(NamedTuple):
    """What a black-box map is made from: `media` `(*extent, channels)` as the model sees it, `ask`, `value` (from
    scores `(n, classes)` to what is explained, `(n,)`), the scores `(2, classes)` of `ends`, all kept and all hidden,
    how many more inputs may be asked for, and the seed."""

    media: np.ndarray
    ask: Ask
    value: Callable[[np.ndarray], np.ndarray]
    ends: np.ndarray
    n: int
    seed: int


def ends_of(extent: tuple[int, ...]) -> np.ndarray:
    """Two bool masks `(2, *extent)`: everything is kept, everything is hidden."""
    return np.stack([np.ones(extent, dtype=bool), np.zeros(extent, dtype=bool)])


def alone(
    make: Callable[[Question], tuple[np.ndarray, Any, np.ndarray]],
    model: Any,
    media: Any,
    target: TargetLike | Target,
    n: int,
    baseline: Baseline,
    batch_size: int,
    layout: str,
    output: Output,
    seed: int,
) -> Asked:
    """The map that `make` makes of a question, outside of `refine`: `n` inputs of the model, the two ends included.
    `baseline`: one, no tuple of several."""
    from borex.models import as_model, embedded
    from borex.refine import read_input

    if not is_whole(n, 4):
        raise InputError(f"n is {n!r}; expected a whole number of model inputs, at least 4")
    if not is_whole(seed, 0):
        raise InputError(f"seed is {seed!r}; expected a whole number, at least 0")
    box = None if model is None else as_model(model, output=output)
    shown, _ = read_input(media, layout, None if box is None else box.extent)
    box = as_model(embedded(shown.ndim - 1), output=output) if box is None else box
    working = to_extent(shown, box.extent or shown.shape[:-1])
    hides = fitted("mean" if baseline is None else baseline, shown.shape, working.shape[:-1])
    hiding, turn = baselines_of(hides, working, box.mean)
    if len(turn) > 1:
        raise InputError(
            f"the baseline is a tuple of {len(turn)}; lime, shap and rise hide with one. Give one of them; "
            "borex.refine(..., initial=) makes these maps with the first and refines with all, in turn"
        )
    ask = Asker(box, working, hiding, batch_size)
    ends = ends_of(working.shape[:-1])
    first = ask(ends)
    known = found_output(target, first, box.output)
    found = find_target(target, first[:1], box.labels, known)

    def value(scores: np.ndarray) -> np.ndarray:
        return found.value(scores, known)

    heat_map, masks, scores = make(Question(working, ask, value, first, int(n) - 2, int(seed)))
    return Asked(resize(heat_map, shown.shape[:-1]), masks, scores, found)
