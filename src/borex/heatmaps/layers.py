"""Which layer Grad-CAM looks at: the last one that still knows where things are, found by running the network once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from borex.errors import InputError

# They move or drop what others have found, and a pooled map is coarser, or an enlarged one no finer.
PASSIVE = ("Pool", "Dropout", "Flatten", "Identity", "Unflatten", "StochasticDepth", "Softmax")
SPECIAL_TOKENS = 8  # class, distillation and register tokens in front of the patches, at most

Reshape = Callable[[Any], Any]


@dataclass(frozen=True)
class Call:
    """One layer's output in the order of the run; `times`: how often the layer was called."""

    name: str
    layer: Any
    output: Any
    version: int
    times: int


@contextmanager
def recorded(module: Any) -> Iterator[list[Call]]:
    """The list that calls of submodules are added to while the context lasts."""
    import torch

    calls: list[Call] = []
    times: dict[Any, int] = {}
    handles = []

    def hook(name: str) -> Any:
        def note(layer: Any, _: Any, output: Any) -> None:
            times[layer] = times.get(layer, 0) + 1
            version = output._version if isinstance(output, torch.Tensor) else 0
            calls.append(Call(name, layer, output, version, times[layer]))

        return note

    try:
        for name, part in module.named_modules():
            if name and not isinstance(part, torch.jit.RecursiveScriptModule):  # a scripted part takes no hooks
                handles.append(part.register_forward_hook(hook(name)))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def find(calls: list[Call], value: Any, extent: tuple[int, ...]) -> tuple[Any, Reshape]:
    """The layer, and how its output becomes `(1, channels, *grid)`.

    Of all layers the last one in the run whose output lies on a grid over the input `extent` and whose gradient of
    `value` is not zero in at least two of its places: in a CNN what is pooled, in a vision transformer the first norm
    of the last block (behind it only the class token has a gradient). Raises InputError where there is none.
    """
    import torch

    repeated = {call.layer for call in calls if call.times > 1}
    grids = _grids(calls)
    found = []
    for call in calls:
        if not isinstance(call.output, torch.Tensor) or not call.output.requires_grad or call.layer in repeated:
            continue
        if call.output._version != call.version or any(word in type(call.layer).__name__ for word in PASSIVE):
            continue
        reshape = arrangement(call.layer, tuple(call.output.shape), extent, grids)
        if reshape is not None:
            found.append((call, reshape))
    slopes = torch.autograd.grad(value, [call.output for call, _ in found], allow_unused=True) if found else ()
    reached = [
        0 if s is None else int((r(s)[0].abs().sum(0) > 0).sum()) for (_, r), s in zip(found, slopes, strict=True)
    ]
    for (call, reshape), places in zip(reversed(found), reversed(reached), strict=True):
        if places > 1 or not any(reached):  # where nothing matters anywhere, the map is flat whatever the layer
            return call.layer, reshape
    raise InputError(
        "no layer was found whose output lies on a grid over the input, as Grad-CAM needs. Name it: "
        f'layer="{calls[len(calls) // 2].name if calls else "features.0"}" (a dotted path or the module itself), and '
        "where its output is not (1, channels, *grid), reshape=, a function that makes it so"
    )


def named(
    module: Any, layer: Any, calls: list[Call], extent: tuple[int, ...], found: Reshape | None
) -> tuple[Any, Reshape]:
    """The layer that the user named, by module or dotted path, and how its output becomes `(1, channels, *grid)`:
    `found`, where the user said it."""
    names = {name: part for name, part in module.named_modules() if name}
    if isinstance(layer, str):
        if layer not in names:
            close = difflib.get_close_matches(layer, names, n=3) or list(names)[-3:]
            raise InputError(f"the module has no layer {layer!r}; close to it: {', '.join(map(repr, close))}")
        layer = names[layer]
    name = next((name for name, part in names.items() if part is layer), None)
    if name is None:
        raise InputError(
            f"layer is {type(layer).__name__}, which is no part of the module; expected one of its submodules or a "
            f"dotted path such as {next(reversed(names), 'features')!r}"
        )
    outputs = [call.output for call in calls if call.layer is layer]
    if len(outputs) != 1 or not hasattr(outputs[0], "shape"):
        said = "never" if not outputs else f"{len(outputs)} times" if len(outputs) > 1 else "and returns no tensor"
        raise InputError(f"the layer {name!r} is called {said} in one run; expected one call that returns a tensor")
    shape = tuple(outputs[0].shape)
    reshape = found or arrangement(layer, shape, extent, _grids(calls), strict=False)
    if reshape is None:
        raise InputError(
            f"the output of the layer {name!r} has shape {shape}; which axes of it lie on a grid over the input "
            f"{extent} cannot be told. Say it: reshape=, a function from it to (1, channels, *grid)"
        )
    return layer, reshape


def arrangement(
    layer: Any, shape: tuple[int, ...], extent: tuple[int, ...], grids: list[tuple[int, ...]], strict: bool = True
) -> Reshape | None:
    """How an output of this shape becomes `(1, channels, *grid)`; None where it does not lie on a grid.

    Channels first as convolutions have it, channels last (Swin), or tokens `(1, n, channels)` of one of the `grids`
    that were seen in the run, special tokens in front. `strict`: tokens of norms only, and no grid out of proportion.
    """
    import torch

    axes = len(extent)
    if shape[0] != 1:
        return None
    if len(shape) == axes + 2:
        first, last = _fits(shape[2:], extent), _fits(shape[1:-1], extent)
        plain_norm = type(layer) is torch.nn.LayerNorm  # over the last axis, which therefore is channels
        if last and (not first or plain_norm):
            return lambda tensor: tensor.movedim(-1, 1)
        return (lambda tensor: tensor) if first or not strict else None
    if len(shape) == 3 and ("Norm" in type(layer).__name__ or not strict):
        for special in range(SPECIAL_TOKENS):
            for grid in grids:
                if len(grid) == axes and prod(grid) == shape[1] - special and _fits(grid, extent):
                    return lambda tensor: tensor[:, special:].movedim(-1, 1).reshape(1, -1, *grid)
    return None


def _grids(calls: list[Call]) -> list[tuple[int, ...]]:
    """The grids of everything convolutional in the run, the latest first."""
    shapes = [tuple(call.output.shape) for call in reversed(calls) if hasattr(call.output, "shape")]
    return list(dict.fromkeys(shape[2:] for shape in shapes if len(shape) in (4, 5)))


def _fits(grid: tuple[int, ...], extent: tuple[int, ...]) -> bool:
    """Whether a grid may lie over the extent: nowhere finer, in its last two axes in proportion, and more than a point
    of space."""
    if any(cells > size for cells, size in zip(grid, extent, strict=True)):
        return False
    (rows, columns), (height, width) = grid[-2:], extent[-2:]
    off = min(abs(columns - width * rows / height), abs(rows - height * columns / width))
    return rows * columns > 1 and off <= 1 + 0.1 * min(rows, columns)
