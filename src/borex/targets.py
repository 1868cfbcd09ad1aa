"""What is explained: one class, one class against another, or a function of the outputs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, SupportsIndex

import numpy as np

from borex.blackbox import Output
from borex.errors import InputError, TargetError
from borex.scores import find_output, probabilities

# Log-odds beyond this say "surely" in either direction; without a bound a single sure answer outweighs all others.
CLIP = 1e-4

TargetLike = SupportsIndex | str | tuple[Any, Any] | Callable[[np.ndarray], np.ndarray] | None


def log_odds(probability: np.ndarray) -> np.ndarray:
    """`log(p / (1 - p))` of probabilities clipped to [1e-4, 1 - 1e-4]: within ±9.2."""
    p = np.clip(probability, CLIP, 1 - CLIP)
    return np.asarray(np.log(p / (1 - p)))


@dataclass(frozen=True)
class Target:
    """The quantity that a heat map explains, a function of the model's scores.

    `index`: the class; None for a function. `against`: the class it is set against, or None. `label`: what to call it.
    """

    index: int | None
    label: str
    against: int | None = None
    function: Callable[[np.ndarray], np.ndarray] | None = field(default=None, repr=False, compare=False)

    def value(self, scores: np.ndarray, output: Output = "auto") -> np.ndarray:
        """What is reported, `(n,)`, for scores `(n, classes)`: the probability of the class; for a pair the difference
        of the two probabilities; for a function what it returns."""
        if self.function is not None:
            try:
                # Copies: it may write into what it is given, and return a view of it.
                value = np.array(self.function(np.array(scores)), dtype=np.float64)
            except Exception as error:
                raise TargetError(
                    f"the target function failed for scores of shape {scores.shape}: {type(error).__name__}: {error}; "
                    f"expected values of shape ({len(scores)},). Index the classes on axis 1: lambda s: s[:, 7]"
                ) from error
            if value.shape != (len(scores),):
                raise TargetError(
                    f"the target function returned shape {value.shape} for scores {scores.shape}; expected values of "
                    f"shape ({len(scores)},)"
                )
            if not np.isfinite(value).all():
                bad = int(np.argmin(np.isfinite(value)))
                raise TargetError(
                    f"the target function returned {value[bad]} for the scores {scores[bad][:6]}; expected a finite "
                    "value for every row of scores"
                )
            return value
        p = self._probabilities(scores, output)
        return p[:, self.index] - p[:, self.against] if self.against is not None else p[:, self.index]

    def link(self, scores: np.ndarray, output: Output = "auto") -> np.ndarray:
        """What the field is told, `(n,)`: the log-odds of the class; for a pair the difference of the two log-odds;
        for a function its raw value."""
        if self.function is not None:
            return self.value(scores, output)
        p = self._probabilities(scores, output)
        odds = log_odds(p[:, self.index])
        return odds - log_odds(p[:, self.against]) if self.against is not None else odds

    def outputs(self, scores: np.ndarray, output: Output = "auto") -> np.ndarray:
        """All that the model said, `(n, k)`: the logarithm of every class's probability, less the mean over classes,
        float32; for a function, whose scores may be anything, its value alone."""
        if self.function is not None:
            return self.value(scores, output)[:, None]
        logs = np.log(np.maximum(self._probabilities(scores, output), CLIP))
        return np.asarray(logs - logs.mean(axis=1, keepdims=True), dtype=np.float32)

    def unmoved(self, scores: np.ndarray, output: Output = "auto") -> str:
        """Why nothing is salient, where the link of all `scores` `(n, classes)` is the same."""
        classes = [k for k in (self.index, self.against) if k is not None]
        if classes:
            p = self._probabilities(scores, output)[:, classes]
            raw = [k if k < scores.shape[1] else 0 for k in classes]  # of a model with one output, that one
            if ((p <= CLIP) | (p >= 1 - CLIP)).all() and np.ptp(scores[:, raw], axis=0).max() > 0:
                asked = " - ".join(f"scores[:, {k}]" for k in raw)
                if scores.shape[1] == 1:  # which speaks for the second of two classes
                    asked = "scores[:, 0]" if self.index == 1 else "-scores[:, 0]"
                return (
                    "whatever is hidden, the model is sure to 1 in 10,000 and log-odds are told no further apart; to "
                    f"explain its raw score, take target=lambda scores: {asked}"
                )
        return "the model's answer does not depend on what is hidden"

    def _probabilities(self, scores: np.ndarray, output: Output) -> np.ndarray:
        if self.index is None:
            raise TargetError(
                f"the target {self.label!r} was a function, and a file keeps only its name; give the function itself"
            )
        return probabilities(scores, output)


def check_target(target: TargetLike | Target, labels: Sequence[str] | None = None, classes: int | None = None) -> None:
    """Raises TargetError for what cannot be a target, as far as that shows without the model's scores."""
    labels = _both_labels(labels)
    classes = len(labels) if classes is None and labels is not None else classes
    if target is None or callable(target):
        return
    if isinstance(target, Target):
        for index in (target.index, target.against):
            if index is not None:
                _index(index, classes, None)
        return
    if isinstance(target, list) or (isinstance(target, tuple) and len(target) != 2):
        raise TargetError(
            f"target is {target!r}; expected one class for one input, or a pair (a, b), a tuple, for a against b. "
            "Explain the inputs of a batch one by one"
        )
    if isinstance(target, tuple):
        a, b = (_index(t, classes, labels) for t in target)
        if a == b:
            raise TargetError(f"target {target!r} sets a class against itself; expected two different classes")
    else:
        _index(target, classes, labels)


def find_target(
    target: TargetLike | Target, scores: np.ndarray, labels: Sequence[str] | None = None, output: Output = "auto"
) -> Target:
    """The Target meant by `target`, given the scores `(1, classes)` of the untouched media.

    None: the class with the largest score. An index, a label's text (its exact text, or one of its comma-separated
    synonyms, or a part of exactly one label, letter case ignored), a pair `(a, b)` for a *against* b, or a function
    from scores `(n, classes)` to `(n,)`. Raises TargetError where there is no such class.
    """
    labels = _both_labels(labels)
    if isinstance(target, Target):
        check_target(target, None, 2 if scores.shape[1] == 1 else scores.shape[1])
        index, against = (None if one is None else operator.index(one) for one in (target.index, target.against))
        return replace(target, index=index, against=against)
    if callable(target):
        found = Target(None, getattr(target, "__name__", "function"), function=target)
        found.value(scores, output)
        return found
    p = probabilities(scores, output)
    if labels is not None and len(labels) != p.shape[1]:
        such = f", such as {labels[0]!r}," if labels else ""
        raise InputError(
            f"labels names {len(labels)} classes{such} but the model has {p.shape[1]}; expected one name for each, in "
            "the order of its scores"
        )
    check_target(target, labels, p.shape[1])
    # Of one output class 0 is all else, and nobody who says 0 for the first of one should take it for the class.
    names = _both_labels(["class 1"]) if labels is None and np.shape(scores)[1] == 1 else labels
    if isinstance(target, tuple):
        a, b = (_index(t, p.shape[1], labels) for t in target)
        return Target(a, f"{_name(a, names)} against {_name(b, names)}", against=b)
    index = int(np.argmax(p[0])) if target is None else _index(target, p.shape[1], labels)
    return Target(index, _name(index, names))


def found_output(target: TargetLike | Target, scores: np.ndarray, output: Output) -> Output:
    """What scores `(n, classes)` are, found once from the first of them, where `output` does not say it; as `output`
    says for a function, which is told the raw scores. Raises InputError where they could be either."""
    is_function = callable(target) or (isinstance(target, Target) and target.function is not None)
    return output if output != "auto" or is_function else find_output(scores)


def _both_labels(labels: Sequence[str] | None) -> Sequence[str] | None:
    """A model with one output may name only the class that it speaks for, which is the second of two."""
    return (f"not {labels[0]}", labels[0]) if labels is not None and len(labels) == 1 else labels


def _name(index: int, labels: Sequence[str] | None) -> str:
    return labels[index] if labels is not None and index < len(labels) else f"class {index}"


def _index(target: Any, classes: int | None, labels: Sequence[str] | None) -> int:
    if isinstance(target, str):
        return _index(_index_of_label(target, labels), classes, None)
    if np.ndim(target) > 0:
        raise TargetError(
            f"target has {int(np.prod(np.shape(target)))} values; expected one class for one input. "
            "Explain the inputs of a batch one by one"
        )
    try:
        if isinstance(target, bool):
            raise TypeError("a truth value is no class")
        index = operator.index(target)  # takes what argmax gives: an integer of NumPy, a tensor of one value
    except TypeError as error:
        raise TargetError(
            f"target is {target!r}; expected a class index, a label, a pair of them or a function"
        ) from error
    if index < 0 or (classes is not None and index >= classes):
        known = "expected an index from 0" if classes is None else f"the model has classes 0 to {classes - 1}"
        raise TargetError(f"target is class {index}; {known}")
    return index


def _index_of_label(text: str, labels: Sequence[str] | None) -> int:
    if labels is None:
        raise TargetError(
            f"target is the label {text!r}, but the model's labels are not known; give a class index, or the labels to "
            "the model's adapter"
        )
    wanted = text.strip().lower()
    names = [label.lower() for label in labels]
    if not wanted:
        raise TargetError("target is an empty label; expected a class index or a label's text")
    synonyms = [[part.strip() for part in name.split(",")] for name in names]
    for matches in (
        [i for i, name in enumerate(names) if name == wanted],
        [i for i, parts in enumerate(synonyms) if parts[0] == wanted],
        [i for i, parts in enumerate(synonyms) if wanted in parts],
        [i for i, name in enumerate(names) if wanted in name],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            several = ", ".join(f"{i} {labels[i]!r}" for i in matches[:6])
            raise TargetError(f"the label {text!r} fits {len(matches)} classes ({several}); give the index of one")
    import difflib

    close = difflib.get_close_matches(wanted, [part for parts in synonyms for part in parts], n=3)
    hint = f"; close to it: {', '.join(map(repr, close))}" if close else ""
    raise TargetError(f"no label of the model is {text!r}{hint}")
