"""What a model returned: the array of scores inside it, checked, and whether it is probabilities or logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.errors import InputError, ModelOutputError
from borex.stated import Output


def unwrap(answer: Any, n: int | None = None, is_device: bool = False) -> np.ndarray:
    """The array of scores inside what a model returned for `n` inputs: an array or tensor as it is, `.logits`, a dict's
    `"logits"`, or the first array of a tuple, list or dict (what Hugging Face and torchvision models return). A list of
    arrays of one axis, or of `n` arrays `(1, classes)`, is one row of scores for each input. `is_device`: as
    `checked_scores` takes it. Raises ModelOutputError for a dict of several arrays of two axes without `"logits"`."""
    if hasattr(answer, "logits"):
        answer = answer.logits
    elif isinstance(answer, dict):
        answer = scores_of(answer, is_device)
    elif isinstance(answer, list) and answer and hasattr(answer[0], "shape"):
        are_rows = len(answer) == n and all(getattr(row, "shape", ())[:-1] == (1,) for row in answer)
        if are_rows or len(answer[0].shape) < 2:
            answer = [unwrap(row)[0] if are_rows else unwrap(row) for row in answer]
        else:
            answer = answer[0]
    elif isinstance(answer, tuple):
        answer = answer[0] if answer else None
    if hasattr(answer, "detach"):  # a torch tensor, without importing torch
        answer = answer.detach().cpu()
        answer = answer.float() if str(answer.dtype) in ("torch.bfloat16", "torch.float16") else answer
    try:
        if answer is None or np.iscomplexobj(answer):  # NumPy would make NaN of one and drop half of the other
            raise TypeError("nothing at all" if answer is None else "complex numbers")
        # A copy: the model may write its next answer where this one lies.
        return np.array(np.asarray(answer), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelOutputError(
            f"the model returned {type(answer).__name__}, which is no array of scores ({error}); expected "
            "(batch, classes). Wrap it in a function that returns the scores"
        ) from error


def scores_of(answer: dict[Any, Any], is_device: bool) -> Any:
    """What a dict calls "logits", or its one array of two axes, else its first value; raises ModelOutputError where
    several could be the scores."""
    if "logits" in answer:
        return answer["logits"]
    tables = {key: shape for key, value in answer.items() if len(shape := _shape(value)) == 2}
    if len(tables) > 1:
        listed = " and ".join(f"{key!r} {shape}" for key, shape in tables.items())
        ways = " or ".join(f"lambda x: f(x)[{key!r}]" for key in tables)
        way = "Return the scores alone from forward" if is_device else f"Say which are the scores: {ways}"
        raise ModelOutputError(
            f"the model returned a dict with {len(tables)} arrays of two axes, {listed}; expected one, or one called "
            f"'logits'. {way}"
        )
    return answer[next(iter(tables or answer))] if answer else None


def _shape(value: Any) -> tuple[int, ...]:
    try:
        return tuple(np.shape(value))
    except (TypeError, ValueError, RuntimeError):  # a ragged list, or one of tensors
        return ()


def checked_scores(answer: Any, n: int, first_mask: int = 0, is_device: bool = False) -> np.ndarray:
    """Scores `(n, classes)`, float64, from what a model returned for `n` inputs; raises ModelOutputError otherwise.

    `is_device`: the model is a `Device`, which no function of arrays can be put around. One number an input is refused:
    a score and the number of a class look alike.
    """
    scores = unwrap(answer, n, is_device)
    if scores.ndim != 2 or len(scores) != n or scores.shape[1] == 0:
        is_one_each = scores.shape == (n,) or (is_device and n == 1 and scores.ndim == 0)  # squeeze() takes every axis
        way = "return scores.reshape(-1, 1) from forward" if is_device else "lambda x: f(x)[:, None]"
        hint = f" If it returns one score an input, add an axis: {way}" if is_one_each else ""
        raise ModelOutputError(
            f"the model returned shape {scores.shape} for a batch of {n}; expected ({n}, classes).{hint}"
        )
    bad = ~np.isfinite(scores).all(axis=1)
    if bad.any():
        raise ModelOutputError(
            f"the model returned NaN or Inf for mask {first_mask + int(np.argmax(bad))}; expected finite scores. "
            "Check its preprocessing, or look at that mask. The Refiner keeps what was answered before that batch"
        )
    return scores


def probabilities(scores: np.ndarray, output: Output = "auto") -> np.ndarray:
    """Probabilities `(n, classes)`, in [0, 1], from scores `(n, classes)`; one column counts as two classes.

    `output="auto"`: scores in [0, 1] whose rows sum to 1 (or a single column in [0, 1]) are probabilities; scores with
    a value outside [0, 1] are logits, brought to probabilities by softmax (sigmoid for a single column); anything else
    is ambiguous and raises InputError.
    """
    scores = np.asarray(scores, dtype=np.float64)
    single = scores.shape[1] == 1
    if output == "auto":
        output = find_output(scores)
    if output == "logits":
        if single:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        raise InputError(
            f"the model's scores lie between {scores.min():.3g} and {scores.max():.3g}; expected [0, 1] of what "
            'output="probabilities" or, with output="auto", its first answers said. If they are logits, say '
            'output="logits"'
        )
    scores = np.clip(scores, 0.0, 1.0)
    return np.concatenate([1 - scores, scores], axis=1) if single else scores


def find_output(scores: np.ndarray) -> Output:
    """Whether scores `(n, classes)` are "probabilities" or "logits"; InputError where they could be either, or are
    percentages."""
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        sums = scores.sum(axis=1)
        if scores.min() >= 0 and scores.shape[1] > 1 and np.allclose(sums, 100, atol=1, rtol=0):
            raise InputError(
                f"the model's scores lie between 0 and 100 and sum to {sums.min():.3g}..{sums.max():.3g} an input, as "
                'percentages do; divide them by 100. If they are logits all the same, say output="logits"'
            )
        return "logits"
    if scores.shape[1] == 1 or np.allclose(scores.sum(axis=1), 1.0, atol=1e-2):
        return "probabilities"
    sums = scores.sum(axis=1)
    raise InputError(
        f"the model's scores lie in [0, 1] but sum to {sums.min():.3g}..{sums.max():.3g} an input, so they could be "
        'logits or independent probabilities. Say which: output="logits" or output="probabilities"'
    )


def check_classes(scores: np.ndarray, before: list[np.ndarray], at: int) -> None:
    """Raises ModelOutputError unless scores from mask `at` on have as many classes as those `before`."""
    if before and scores.shape[1] != before[0].shape[1]:
        raise ModelOutputError(
            f"the model returned {scores.shape[1]} classes for the batch that starts at mask {at}, and "
            f"{before[0].shape[1]} before; expected as many for every batch"
        )
