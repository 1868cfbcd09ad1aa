"""BOREx as one of Captum's attribution methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.errors import InputError, MissingExtraError
from borex.interop.single import is_single, output_target
from borex.refine import refine

try:
    import torch
    from captum.attr import Attribution
    from captum.log import log_usage
except ImportError as error:
    raise MissingExtraError("borex.interop.captum", "captum", "heatmaps") from error


class Refined(Attribution):  # type: ignore[misc]
    """Refined heat maps by the calls of Captum: `Refined(model).attribute(inputs, target=3)`."""

    def __init__(self, forward_func: Any, **options: Any) -> None:
        """`forward_func`: a module or function from inputs `(n, C, H, W)` or `(n, C, T, H, W)` to scores
        `(n, classes)` or `(n,)`; it is called as it is: bring a module to eval mode first. `options`: those of
        `borex.refine`, such as `max_evals`, `method`, `seed`."""
        super().__init__(forward_func)
        self.options = options

    @log_usage()  # type: ignore[untyped-decorator]  # by which NoiseTunnel finds what it wraps
    def attribute(
        self,
        inputs: Any,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        initial: Any = None,
    ) -> Any:
        """Attributions of the shape, dtype and device of `inputs`; their sum over channels is the refined heat map.

        `inputs`: a tensor `(n, C, H, W)` or `(n, C, T, H, W)`, or a tuple of one. `baselines`: what hidden values
        become: a number, a tensor that broadcasts to an input or one for each; None: a blur. `target`: a class, or one
        an input (list or tensor); None: the top class of each. Of a single output, None and 0 are that output itself,
        whatever its sign. `additional_forward_args`:
        passed on; tensors of `n` rows go with their input. `initial`: the map to refine, as in `borex.refine`; of
        arrays and tensors one for each input, `(n, C, *extent)`, such as another attribution of Captum, or
        `(n, *extent)`.
        """
        tensor = inputs[0] if isinstance(inputs, tuple) and len(inputs) == 1 else inputs
        if not isinstance(tensor, torch.Tensor) or tensor.ndim not in (4, 5) or not len(tensor):
            got = tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise InputError(f"inputs are {got}; expected one tensor (n, C, H, W) or (n, C, T, H, W), n at least 1")
        layout = "NCHW" if tensor.ndim == 4 else "NCTHW"
        maps: list[torch.Tensor] = []
        for at in range(len(tensor)):
            one = tensor[at : at + 1]
            model = self._black_box(one, *_rows(additional_forward_args, at, len(tensor)))
            if at == 0:  # one answer tells it for all
                single = is_single(model, one, layout)
            explanation = refine(
                model,
                one,
                _own(initial, at, len(tensor), tensor.ndim),
                target=output_target(_target(target, at, len(tensor)), single),
                baseline=_baseline(baselines, at, len(tensor), tensor.ndim),
                layout=layout,
                **self.options,
            )
            maps.append(torch.from_numpy(explanation.saliency / one.shape[1]))
        attributions = torch.stack(maps)[:, None].to(tensor).expand_as(tensor).clone()
        return (attributions,) if isinstance(inputs, tuple) else attributions

    def _black_box(self, one: Any, arguments: list[Any], are_rows: list[bool]) -> Any:
        def scores(batch: np.ndarray) -> Any:
            x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(batch, -1, 1))).to(one)
            pairs = zip(arguments, are_rows, strict=True)
            given = (a.expand(len(x), *a.shape[1:]) if is_row else a for a, is_row in pairs)
            with torch.no_grad():
                answer = self.forward_func(x, *given)
            return answer[:, None] if isinstance(answer, torch.Tensor) and answer.ndim == 1 else answer

        return scores


def _rows(arguments: Any, at: int, n: int) -> tuple[list[Any], list[bool]]:
    """The further arguments of one input, of a tensor of `n` rows its own; and which of them are such rows."""
    every = () if arguments is None else arguments if isinstance(arguments, tuple) else (arguments,)
    are_rows = [isinstance(a, torch.Tensor) and a.ndim > 0 and len(a) == n for a in every]
    return [a[at : at + 1] if is_row else a for a, is_row in zip(every, are_rows, strict=True)], are_rows


def _own(initial: Any, at: int, n: int, axes: int) -> Any:
    """The initial map of one input: its own of an array or tensor for all of them, with channels or without."""
    initial = initial[0] if isinstance(initial, tuple) and len(initial) == 1 else initial
    if not isinstance(initial, (torch.Tensor, np.ndarray)) or initial.ndim < axes - 1:
        return initial
    if len(initial) != n:
        raise InputError(
            f"the initial maps have shape {tuple(initial.shape)} for {n} inputs; expected one for each, (n, *extent) "
            "or (n, channels, *extent)"
        )
    return initial[at]


def _target(target: Any, at: int, n: int) -> Any:
    if isinstance(target, tuple):
        raise InputError(f"target is {target!r}, an index into scores of several axes; expected a class for each input")
    values = target.tolist() if isinstance(target, torch.Tensor) else target
    if not isinstance(values, list):
        return values
    if len(values) not in (1, n):
        raise InputError(f"target has {len(values)} classes for {n} inputs; expected one, or one for each")
    return values[at if len(values) == n else 0]


def _baseline(baselines: Any, at: int, n: int, axes: int) -> Any:
    """What hides one input of a batch of so many axes, channels last."""
    baselines = baselines[0] if isinstance(baselines, tuple) and len(baselines) == 1 else baselines
    if not isinstance(baselines, torch.Tensor):
        return baselines
    if baselines.ndim == axes and len(baselines) not in (1, n):
        raise InputError(
            f"the baselines have shape {tuple(baselines.shape)} for {n} inputs; expected one, or one for each"
        )
    own = baselines[at if len(baselines) == n else 0] if baselines.ndim == axes else baselines
    return own.detach().cpu().float().movedim(0, -1).numpy() if own.ndim > 2 else own.detach().cpu().numpy()
