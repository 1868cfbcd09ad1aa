"""Which rule of LRP each layer of a network gets, and what residual sums and other code between layers get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from zennit.canonizers import NamedMergeBatchNorm
from zennit.composites import EpsilonPlus, MixedComposite, NameMapComposite
from zennit.layer import Sum
from zennit.rules import Flat, Norm
from zennit.types import Activation, AvgPool, BatchNorm, Convolution, Linear

from borex.errors import InputError

NO_RULE = (
    "lrp has no rule for {what}. It knows convolutions, linear layers, batch norms, pooling, activations and residual "
    "sums; for this network take gradcam, or give composite=, a composite of zennit that has the rule"
)
# They move values or leave them alone in eval mode: the gradient itself carries the relevance.
MOVING = ("Dropout", "Flatten", "Identity", "StochasticDepth", "Permute", "Pad", "MaxPool", "ChannelShuffle")
MOVING_CODE = (
    "flatten", "view", "reshape", "permute", "transpose", "movedim", "squeeze", "unsqueeze", "contiguous", "clone",
    "cat", "concat", "stack", "chunk", "split", "unbind", "__getitem__", "pad", "expand", "expand_as", "repeat", "roll",
    "dropout", "dropout2d", "dropout3d", "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d", "to", "float",
    "type", "double", "half", "requires_grad_", "narrow", "select", "alias", "stochastic_depth", "broadcast_tensors",
    "sum",
)  # fmt: skip
ADDING = ("add", "__add__", "__radd__", "__iadd__", "add_")
SUBTRACTING = ("sub", "__sub__", "__isub__", "sub_")
SCALING = ("mul", "__mul__", "__rmul__", "__imul__", "mul_", "div", "__truediv__", "__itruediv__", "div_")
AVERAGING = ("mean", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
             "adaptive_avg_pool3d")  # fmt: skip
ACTIVATING = ("relu", "relu_", "relu6", "hardtanh", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish",
              "softplus", "hardswish", "tanh", "clamp")  # fmt: skip


@contextmanager
def suited(module: Any, run: Callable[[], Any]) -> Iterator[Between]:
    """The rules of the layers in place for as long as the context lasts, and those of the code between them as a
    context for the way forward.

    `run`: runs the module once, so that it is seen which layer feeds which: norms are merged into the layer whose
    output they take, and the first layer is the one that runs first. Raises InputError for a layer without a rule.
    `Between.check` says the same of what only shows in the graph.
    """
    order, merged = _seen(module, run)
    first = next((name for name, layer in order if isinstance(layer, Linear)), None)
    composite = MixedComposite(
        [
            NameMapComposite([((first,), Flat())]),
            EpsilonPlus(zero_params=["bias"], canonizers=[NamedMergeBatchNorm(merged)]),
        ]
    )
    between = Between(module)
    with composite.context(module):
        try:
            yield between
        finally:
            between.remove()


def _seen(module: Any, run: Callable[[], Any]) -> tuple[list[tuple[str, Any]], list[tuple[tuple[str], str]]]:
    """The layers with a rule in the order of the run, and which batch norm takes the output of which linear layer."""
    order: list[tuple[str, Any]] = []
    made: dict[int, tuple[str, Any]] = {}  # by the output's id; the outputs themselves, so that no id comes twice
    merged: list[tuple[tuple[str], str]] = []

    def look(name: str) -> Any:
        def hook(layer: Any, given: Any, output: Any) -> None:
            if any(layer is other for _, other in order) and isinstance(layer, (Linear, AvgPool, BatchNorm)):
                raise InputError(NO_RULE.format(what=f"the layer {name} ({type(layer).__name__}), which runs twice"))
            order.append((name, layer))
            if isinstance(layer, Linear):
                made[id(output)] = name, output
            elif isinstance(layer, BatchNorm) and given and id(given[0]) in made and layer.affine:
                merged.append(((made.pop(id(given[0]))[0],), name))

        return hook

    handles = []
    try:
        for name, layer in module.named_modules():
            kind = type(layer).__name__
            if isinstance(layer, torch.jit.ScriptModule):  # its layers run where no rule can be put on them
                raise InputError(NO_RULE.format(what=f"the layer {name}, which was scripted or traced ({kind})"))
            if isinstance(layer, BatchNorm) and layer.running_var is None:
                raise InputError(NO_RULE.format(what=f"the layer {name} ({kind}), which normalises by its own batch"))
            if _ruled(layer):
                handles.append(layer.register_forward_hook(look(name)))
            elif not any(True for _ in layer.children()) and _computes(layer):
                handles.append(layer.register_forward_pre_hook(_refused(name, kind)))
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return order, merged


def _ruled(layer: Any) -> bool:
    """Whether zennit's composite has a rule for a layer, or it needs none."""
    if isinstance(layer, torch.nn.MultiheadAttention):  # zennit counts it as an activation
        return False
    named = any(word in type(layer).__name__ for word in MOVING) and not any(True for _ in layer.parameters())
    return isinstance(layer, (Linear, Convolution, BatchNorm, Activation, AvgPool)) or named


def _computes(layer: Any) -> bool:
    """Whether a layer without parts does more than the code between layers may do."""
    return isinstance(layer, torch.nn.Softmax) or any(True for _ in layer.parameters())


def _refused(name: str, kind: str) -> Any:
    """A hook that refuses the layer when it runs: one that never does needs no rule."""

    def hook(*_: Any) -> None:
        raise InputError(NO_RULE.format(what=f"the layer {name} ({kind})"))

    return hook


class Through(torch.autograd.Function):  # type: ignore[misc]
    """A function of one tensor whose relevance passes unchanged, as zennit's rule Pass has it for layers."""

    @staticmethod
    def forward(ctx: Any, given: Any, function: Any) -> Any:
        return function(given)

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        return slope, None


class Applied(torch.nn.Module):  # type: ignore[misc]
    """A linear function as a layer, so that a rule can be put on it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, given: Any) -> Any:
        return self.function(given)


class Between(TorchFunctionMode):  # type: ignore[misc]
    """Gives the code between layers its rules: sums and means are split in proportion, activations and factors let
    relevance pass, what only moves values needs none; anything else raises InputError with the layer's name."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module
        self._running = ExitStack()
        self._rules: list[Any] = []  # on sums and means: a hook holds its rule by a weak reference only
        self._inside: list[str] = []  # layers that are running, the innermost last
        self._seen = 0  # how many functions are running that came by here
        self._missed: str | None = None  # the first operation that ran without one
        self._ruled = 0  # how many of those have a rule: what they do inside is theirs

    def __enter__(self) -> Any:
        for name, layer in self._module.named_modules():
            ruled = _ruled(layer)
            # Before zennit's own hooks and after them, so that those count as inside.
            enter = layer.register_forward_pre_hook(self._entered(name, ruled), prepend=True)
            leave = layer.register_forward_hook(self._left(ruled))
            self._running.callback(enter.remove)
            self._running.callback(leave.remove)
        self._running.enter_context(Below(self._unseen))
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        self._running.close()
        super().__exit__(*error)

    def check(self, scores: Any) -> None:
        """Raises InputError where something of the way to the scores had no rule and could not be seen while it ran:
        scripted and traced code, whose interpreter would hide the error, and a torch.autograd.Function of the network's
        own, which runs without gradients, and whose backward would be taken for a rule."""
        if self._missed is not None:
            raise InputError(NO_RULE.format(what=self._missed))
        found, waiting = set(), [scores.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in found:
                continue
            found.add(node)
            waiting += [before for before, _ in node.next_functions]
            if isinstance(node, torch.autograd.function.BackwardCFunction):
                made = node._forward_cls
                if not made.__module__.startswith(("zennit.", "borex.")):
                    raise InputError(NO_RULE.format(what=f"{made.__name__}, a torch.autograd.Function"))

    def remove(self) -> None:
        """Takes away the rules of sums and means, once relevance has gone back through them."""
        for rule, handles in self._rules:
            handles.remove()
            rule.remove()
        self._rules.clear()

    def _entered(self, name: str, ruled: bool) -> Any:
        def hook(*_: Any) -> None:
            self._inside.append(name)
            self._ruled += ruled

        return hook

    def _left(self, ruled: bool) -> Any:
        def hook(*_: Any) -> None:
            self._inside.pop()
            self._ruled -= ruled

        return hook

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._seen += 1
        try:
            return self._ruled_by(func, args, kwargs or {})
        finally:
            self._seen -= 1

    def _unseen(self, name: str) -> None:
        if not self._seen and not self._ruled and self._missed is None:
            self._missed = f"{name} in scripted or traced code, which {self._at()} calls"

    def _at(self) -> str:
        name = self._inside[-1] if self._inside and self._inside[-1] else type(self._module).__name__
        return f"the layer {name}"

    def _ruled_by(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        inputs = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor) and one.requires_grad]
        name = getattr(func, "__name__", "")
        if self._ruled or not inputs or name in MOVING_CODE:
            return func(*args, **kwargs)
        if name in ADDING and len(inputs) == 2 and not kwargs:
            return self._put(Norm(), Sum())(torch.stack(torch.broadcast_tensors(*inputs), dim=-1))
        rest = [one for one in args if one is not inputs[0]]
        if len(inputs) == 1 and args and args[0] is inputs[0]:
            if name in AVERAGING:
                return self._put(Norm(), Applied(lambda x: func(x, *rest, **kwargs)))(inputs[0])
            if name in ACTIVATING or (name in SCALING + ADDING + SUBTRACTING and _same_shape(args)):
                return Through.apply(inputs[0], lambda x: func(x, *rest, **kwargs))
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor) and result.requires_grad:
            raise InputError(NO_RULE.format(what=f"{name}, which {self._at()} calls"))
        return result

    def _put(self, rule: Any, layer: Any) -> Any:
        """The layer with a rule on it."""
        self._rules.append((rule, rule.register(layer)))
        return layer


class Below(TorchDispatchMode):  # type: ignore[misc]
    """Says the name of every operation that runs, from wherever it is called."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._say(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def _same_shape(args: Any) -> bool:
    """Whether the first argument decides the shape, so that nothing is spread over more places."""
    other = args[1] if len(args) > 1 else None
    return not isinstance(other, torch.Tensor) or torch.broadcast_shapes(args[0].shape, other.shape) == args[0].shape
