"""A module is what it was, whatever was done to it in between."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import borex
from borex.errors import InputError, ModelOutputError
from borex.heatmaps import gradcam, gradcam_plus_plus, lrp
from borex.heatmaps.whitebox import untouched
from tests.heatmaps.nets import Conv, photo, seeded, state
from tests.heatmaps.test_cam import lived_in

torch = pytest.importorskip("torch")


def disturb(net: Any, fails: bool) -> None:
    """Everything that a library which fails midway could leave behind."""
    net.train()
    net.conv.register_forward_hook(lambda *_: None)
    net.head.register_full_backward_hook(lambda *_: None)
    net.stem[0].register_forward_pre_hook(lambda *_: None)
    net.norm.weight.data = torch.zeros_like(net.norm.weight)
    net.norm.running_mean.data = torch.ones_like(net.norm.running_mean)
    net.stem[0].bias = torch.nn.Parameter(torch.zeros(8))
    net.head.weight = torch.nn.Parameter(torch.zeros(5, 8))
    net.conv.weight.requires_grad_(True)
    net.conv.bias.grad = torch.ones_like(net.conv.bias)
    net.forward = lambda x: x
    net.extra = torch.nn.Linear(2, 2)
    net.cache["b"] = 2
    del net.dropout.p
    net.zero_grad()
    if fails:
        raise RuntimeError("midway")


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(fails: bool) -> None:
    net = lived_in()
    kept = net.head.weight.grad
    handle = net.relu.register_forward_hook(lambda *_: None)
    before, expected = state(net), net.eval()(torch.ones(1, 3, 20, 24))
    net.train()
    net.norm.eval()
    assert state(net) == before
    with pytest.raises(RuntimeError, match="midway") if fails else nullcontext(), untouched(net):
        disturb(net, fails)
    assert state(net) == before
    assert net.head.weight.grad is kept
    assert net.cache == {"a": [1]}
    assert torch.equal(net.eval()(torch.ones(1, 3, 20, 24)), expected)
    assert len(net.relu._forward_hooks) == 1
    handle.remove()  # handles from before still lead to their hooks
    assert len(net.relu._forward_hooks) == 0


def test_inside_nothing_is_trained_and_nothing_is_in_place() -> None:
    net = lived_in()
    with torch.no_grad(), untouched(net):
        assert torch.is_grad_enabled()
        assert not any(part.training for part in net.modules())
        assert not any(parameter.requires_grad for parameter in net.parameters())
        assert not net.relu.inplace
        x = torch.from_numpy(photo()).float().movedim(-1, 0)[None].requires_grad_()
        assert net(x).requires_grad
    assert net.relu.inplace


class Before(torch.nn.Module):  # type: ignore[misc]
    """A network whose forward begins with some code."""

    def __init__(self, code: Any) -> None:
        super().__init__()
        self.code, self.net = code, Conv()

    def forward(self, x: Any) -> Any:
        return self.net(self.code(x))


@pytest.mark.parametrize("make", [gradcam, gradcam_plus_plus, lrp])
@pytest.mark.parametrize(
    ("code", "in_place"),
    [(lambda x: x - 0.4, lambda x: x.sub_(0.4)), (lambda x: x / 0.2, lambda x: x.div_(0.2))],
)
def test_a_module_may_write_into_its_input(make: Any, code: Any, in_place: Any) -> None:
    found, expected = (make(seeded(lambda code=code: Before(code)), photo(), 1) for code in (in_place, code))
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


class Wrapped(torch.nn.Module):  # type: ignore[misc]
    """A network whose forward is run by some code."""

    def __init__(self, run: Any) -> None:
        super().__init__()
        self.run, self.net = run, Conv()

    def forward(self, x: Any) -> Any:
        return self.run(self.net, x)


def without_gradients(net: Any, x: Any) -> Any:
    with torch.no_grad():
        return net(x)


def quantised() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(Conv().eval(), {torch.nn.Linear})


@pytest.mark.parametrize("make", [gradcam, gradcam_plus_plus, lrp])
@pytest.mark.parametrize(
    ("module", "why"),
    [
        (
            lambda: torch.jit.script(torch.nn.Sequential(torch.nn.Conv2d(3, 5, 20))),
            "no hook runs inside a RecursiveScriptModule",
        ),
        (lambda: torch.jit.trace(Conv().eval(), torch.rand(1, 3, 20, 24)), "no hook runs inside a TopLevelTraced"),
        (lambda: Wrapped(without_gradients), "no gradient gets through a Wrapped"),
        (lambda: Wrapped(lambda net, x: net(x).detach()), "no gradient gets through a Wrapped"),
        (quantised, "no gradient gets through a Conv"),
    ],
)
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore:quantized:UserWarning")
def test_a_module_that_lets_nothing_through_is_refused(make: Any, module: Any, why: str) -> None:
    with pytest.raises(
        InputError, match=why + r".*\. Give the module from before it was scripted, traced or quantised"
    ):
        make(seeded(module), photo(), 1)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_grad_cam_looks_past_a_scripted_part() -> None:
    plain, partly = seeded(Conv), seeded(Conv)
    partly.stem[0] = torch.jit.script(partly.stem[0])
    np.testing.assert_allclose(gradcam(partly, photo(), 1), gradcam(plain, photo(), 1), rtol=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"max_evals": 5}, {"grid": (300, 300)}, {"seed": -1}, {"method": "fields"}, {"target": -1}]
)
def test_arguments_are_checked_before_the_map_is_made(wrong: dict[str, Any]) -> None:
    net, calls = seeded(Conv), []
    net.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(InputError):
        borex.refine(net, photo(), "gradcam", **wrong)
    assert not calls


def test_which_of_several_arrays_are_the_scores_is_not_guessed() -> None:
    class Several(Conv):
        def forward(self, x: Any) -> Any:
            scores = super().forward(x)
            return {"features": scores[:, :2], "scores": scores}

    with pytest.raises(ModelOutputError, match=r"a dict with 2 arrays of two axes, 'features' .* and 'scores'"):
        gradcam(seeded(Several), photo())
