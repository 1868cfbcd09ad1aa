"""`refine`: the loop around `Refiner`, with the model called here."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.baselines import Baseline, baseline_of
from borex.blackbox import Asker, Output
from borex.errors import InputError, ModelError
from borex.explanation import Explanation
from borex.layout import checked_initial, resize_media, to_channels_last
from borex.refiner import Refiner
from borex.settings import METHODS
from borex.targets import Target, TargetLike, find_target

# An initial map that makes evaluations may spend this share of the budget, and no more than so many.
INITIAL_SHARE, INITIAL_EVALS = 0.25, 100


def refine(
    model: Any,
    media: Any,
    initial: Any = None,
    *,
    target: TargetLike | Target = None,
    method: str = "field",
    max_evals: int = 200,
    batch_size: int = 32,
    baseline: Baseline = None,
    layout: str = "auto",
    output: Output = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Explanation:
    """What in `media` made the model answer as it did: a refined heat map, and how sure it is.

    `model`: a callable from a batch `(n, *extent, channels)` in the media's own dtype and range to scores
    `(n, classes)`; a `torch.nn.Module`; an ONNX file's path or session; a `Model`; None: the embedded
    EfficientNet-Lite0.
    `media`: an image `(H, W, C)` or clip `(T, H, W, C)`, an array, tensor, PIL image or a file's path.
    `initial`: the heat map to refine, any resolution; "rise": made here, from the budget; None: flat.
    `target`: class index, label, a pair `(a, b)` for a against b, a function of the scores; None: the top class.
    `method`: "field" (ours) or "paper" (as published). `max_evals`: the budget in model inputs, all included.
    `batch_size`: model inputs in one call; it does not change the result. `baseline`: what is seen where a mask hides:
    "blur", "mean", "black", a number, an array or a function; None: the method's own (field: blur, paper: mean).
    `layout`: of the media, for example "CHW"; "auto": found, or an error. `output`: "probabilities" or "logits";
    "auto": found, or an error. `seed`: same seed, same result.

    Raises InputError and its kin before the model is asked where that is possible; a ModelError midway carries the
    Refiner with everything observed so far as its `refiner`.
    """
    from borex.models import as_model

    box = as_model(model, output=output)
    media = _read(media)
    shown, _ = to_channels_last(media, layout)
    extent = shown.shape[:-1]
    if box.extent is not None and len(box.extent) != len(extent):
        raise InputError(
            f"the media has extent {extent}, but the model takes {box.extent}; expected {len(box.extent)} axes"
        )
    working = resize_media(shown, box.extent or extent)
    if method not in METHODS:
        raise InputError(f"method is {method!r}; expected one of {', '.join(map(repr, METHODS))}")
    default = "mean" if method == "paper" else "blur"
    hiding = baseline_of(default if baseline is None else baseline, working, box.mean)
    asker = Asker(box, working, hiding, batch_size)
    options: dict[str, Any] = {
        "target": target, "method": method, "max_evals": max_evals, "output": box.output, "labels": box.labels,
        "seed": seed,
    }  # fmt: skip
    named = isinstance(initial, str)
    given = None if initial is None or named else checked_initial(initial, extent)
    refiner = Refiner(working.shape[:-1], given, **options)
    if named:
        refiner = _from_named(initial, refiner, asker, options)
    with _bar(progress, max_evals) as bar:
        while len(masks := refiner.ask()):
            _answer(refiner, asker, masks)
            bar.update(len(masks))
    return refiner.result().at(shown, given)


def _answer(refiner: Refiner, asker: Asker, masks: Any) -> None:
    try:
        scores = asker(masks)
    except ModelError as error:
        answered = getattr(error, "answered", None)
        if answered is not None:
            refiner.tell(masks[: len(answered)], answered)
        error.refiner = refiner  # type: ignore[attr-defined]
        raise
    refiner.tell(masks, scores)


def _from_named(name: str, refiner: Refiner, asker: Asker, options: dict[str, Any]) -> Refiner:
    """A Refiner that starts from a heat map made by name; what that cost is told to it as data."""
    from borex.heatmaps import NAMES
    from borex.heatmaps.rise import RiseMasks

    if name not in NAMES:
        raise InputError(
            f"initial is {name!r}; expected a heat map, one of the names {', '.join(map(repr, NAMES))}, or None (flat)"
        )
    settings = refiner.settings
    n = min(INITIAL_EVALS, int(settings.max_evals * INITIAL_SHARE))
    masks = RiseMasks(n, refiner.extent, np.random.default_rng([settings.seed, 1]))
    whole = np.ones((1, *refiner.extent), dtype=bool)
    first = asker(whole)
    scores = asker(masks)
    output = options["output"]
    found = find_target(options["target"], first, options["labels"], output)
    heat_map = masks.heat_map(found.value(scores, output))
    made = Refiner(refiner.extent, heat_map, **{**options, "target": found})
    made.tell(whole, first)
    made.tell(masks, scores)
    return made


def _read(media: Any) -> Any:
    from os import PathLike

    if isinstance(media, (str, PathLike)):
        from borex.media.read import read_image

        return read_image(media)
    return media


def _bar(progress: bool, total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="eval", disable=not progress, leave=False)
