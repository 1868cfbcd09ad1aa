"""What the white-box maps share: a module and its input, what is explained, and a module that is left as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from borex.blackbox import Model
from borex.errors import InputError, MissingExtraError, ModelError, ModelOutputError
from borex.layout import fits, to_extent
from borex.models import as_model
from borex.refine import read_input
from borex.scores import find_output, scores_of, unwrap
from borex.targets import Target, TargetLike, find_target

NO_MODULE = (
    "{name} looks inside the network, so it needs a torch.nn.Module: give the module itself or "
    'borex.models.torch.wrap(module, ...). Of a model that can only be asked for scores, "rise", "lime" and "shap" '
    "make a map"
)
UNREACHABLE = (
    "{name} works with hooks and gradients, and {why} a {kind}. Give the module from before it was scripted, traced or "
    "quantised, without torch.no_grad or detach in its forward; or take rise, lime or shap, which need scores alone"
)


@dataclass(frozen=True)
class Opened:
    """A module, one input of it, and what is explained of the answer.

    `x`: the input tensor of a batch of one, in the module's own layout. `extent`: of the media as it was given.
    """

    module: Any
    x: Any
    layout: str
    extent: tuple[int, ...]
    target: Target

    def answer(self, x: Any) -> Any:
        """The module's scores `(1, classes)`, a tensor with its graph."""
        try:
            return scores_in(self.module(x.clone()))  # which it may write into
        except (InputError, ModelOutputError):
            raise
        except Exception as error:
            raise ModelError(
                f"the module failed on the media, a tensor of shape {tuple(x.shape)}: {type(error).__name__}: {error}"
            ) from error

    def value(self, scores: Any) -> Any:
        """The number that is explained: the score of the class, or the difference of two; raw, as the module gives it.
        A single output speaks for the second of two classes."""
        row = scores[0]
        parts = [row[0] * (1 if i == 1 else -1) if len(row) == 1 else row[i] for i in self._classes()]
        return parts[0] - parts[1] if len(parts) == 2 else parts[0]

    def _classes(self) -> list[int]:
        return [i for i in (self.target.index, self.target.against) if i is not None]


@contextmanager
def opened(name: str, model: Any, media: Any, target: TargetLike | Target, layout: str = "auto") -> Iterator[Opened]:
    """The module in a model, in eval mode with gradients towards its input only, for as long as the context lasts.

    `model`: a `torch.nn.Module`, or a Model that one was wrapped in. `media`, `target`, `layout`: as in
    `borex.refine`. Raises InputError where there is no module, or one that lets no hook or no gradient through,
    TargetError where there is no such class.
    """
    import torch

    box = as_model(model)
    if box.white_box is None:
        raise InputError(NO_MODULE.format(name=name))
    if callable(target) or (isinstance(target, Target) and target.index is None):
        raise InputError(f"the target is a function; {name} explains a class, or a pair (a, b) for a against b")
    if layout == "auto" and "T" not in box.white_box.layout and len(getattr(media, "shape", ())) == 4:
        fitting = [name for name in ("NCHW", "NHWC") if fits(name, tuple(media.shape))]  # no clip, as it is no model of
        layout = fitting[0] if len(fitting) == 1 else layout
    shown, _ = read_input(media, layout, box.extent)
    extent = shown.shape[:-1]
    working = to_extent(shown, box.extent or extent)
    module = getattr(box.white_box.module, "_orig_mod", box.white_box.module)  # what torch.compile was given
    kind = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(UNREACHABLE.format(name=name, why="no hook runs inside", kind=kind))
    with untouched(module):
        x = box.white_box.feed(working[None])
        found = Opened(module, x, box.white_box.layout, extent, _target(box, module, x, target))
        if not _has_gradient(found):
            raise InputError(UNREACHABLE.format(name=name, why="no gradient gets through", kind=kind))
        yield found


def _has_gradient(box: Opened) -> bool:
    """Whether the scores have a gradient towards the input: some layers break it without a word."""
    x = box.x.detach().requires_grad_()
    scores = box.answer(x)
    if scores.requires_grad:
        scores.sum().backward()
    return x.grad is not None


def _target(box: Model, module: Any, x: Any, target: TargetLike | Target) -> Target:
    import torch

    with torch.no_grad():
        scores = unwrap(Opened(module, x, "", (), Target(0, "")).answer(x))
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise ModelError(
            f"the module returned shape {scores.shape}, or NaN or Inf; expected finite scores (1, classes)"
        )
    # The class alone is needed, and the largest logit is the largest probability: what cannot be told is no question.
    # A single output is the exception: .3 as a probability is for the first of two classes, as a logit for the second.
    output = box.output
    if output == "auto":
        output = find_output(scores) if scores.shape[1] == 1 else "logits"
    return find_target(target, scores, box.labels, output)


def scores_in(answer: Any) -> Any:
    """The tensor of scores in what a module returned, as `borex.scores.unwrap` finds it, with its graph."""
    if hasattr(answer, "logits"):
        answer = answer.logits
    elif isinstance(answer, dict):
        answer = scores_of(answer, is_device=True)
    elif isinstance(answer, (tuple, list)):
        answer = answer[0] if answer else None
    if not hasattr(answer, "requires_grad") or answer.ndim != 2 or len(answer) != 1:
        got = f"shape {tuple(answer.shape)}" if hasattr(answer, "shape") else type(answer).__name__
        raise InputError(f"the module returned {got} for a batch of one; expected scores (1, classes)")
    return answer


def needs(what: str, package: str, import_it: Callable[[], Any]) -> Any:
    """What `import_it` returns; MissingExtraError, naming the extra "heatmaps", where a package is not installed."""
    try:
        return import_it()
    except ImportError as error:
        raise MissingExtraError(what, package, "heatmaps") from error


@contextmanager
def untouched(module: Any) -> Iterator[None]:
    """Eval mode, gradients on but not towards parameters, nothing in place; afterwards the module is what it was.

    That is every attribute of every submodule, its training flag, hooks, parameters and buffers (the same tensors with
    the same storage), `requires_grad` and `.grad`, whatever happened in between. Nothing may have been written *into* a
    tensor; no map does.
    """
    import torch

    parts = list(module.modules())
    # Handles of hooks hold on to the very dictionaries, so those are filled again, not replaced.
    before = [(p, dict(p.__dict__), {k: dict(v) for k, v in p.__dict__.items() if isinstance(v, dict)}) for p in parts]
    tensors = [*module.parameters(), *module.buffers()]
    held = [(t, t.data, t.requires_grad, t.grad if t.is_leaf else None) for t in tensors]
    try:
        try:
            module.eval()
            for part in parts:
                if getattr(part, "inplace", False) is True:  # else what a hook has seen is overwritten
                    part.inplace = False
        except (RuntimeError, NotImplementedError) as error:
            raise InputError(
                f"a map of what is inside a {type(module).__name__} cannot be made, for torch lets nobody change it "
                f"({error}); give the module that it was scripted or exported from, or take rise, lime or shap, which "
                "need scores alone"
            ) from error
        with torch.inference_mode(False), torch.enable_grad():
            for tensor in tensors:
                if tensor.requires_grad and tensor.is_leaf:
                    tensor.requires_grad_(False)
            yield
    finally:
        for part, attributes, dictionaries in before:
            for name in [*part.__dict__]:
                if name not in attributes:
                    del part.__dict__[name]
            for name, value in attributes.items():
                if part.__dict__.get(name) is not value or name not in part.__dict__:
                    part.__dict__[name] = value
            for name, entries in dictionaries.items():
                live = attributes[name]
                if live.keys() != entries.keys() or any(live[key] is not entries[key] for key in entries):
                    live.clear()
                    live.update(entries)
        for tensor, data, wanted, grad in held:
            if tensor.data_ptr() != data.data_ptr() or tensor.shape != data.shape:
                tensor.data = data
            if tensor.is_leaf and tensor.requires_grad is not wanted:
                tensor.requires_grad_(wanted)
            if tensor.is_leaf and tensor.grad is not grad:
                tensor.grad = grad
