"""LRP: relevance sums to the output, layers get the rules they should, and what has none is named."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest

import borex
from borex.errors import InputError, MissingExtraError, ModelError
from borex.heatmaps import lrp
from borex.layout import resize
from borex.models.torch import wrap
from tests.heatmaps.nets import Conv, Last, Tokens, photo, seeded, state
from tests.heatmaps.test_cam import lived_in

torch = pytest.importorskip("torch")
models = pytest.importorskip("torchvision").models


def boxed(net: Any, extent: tuple[int, ...]) -> tuple[Any, str]:
    return wrap(net, layout="NCTHW" if len(extent) == 3 else "NCHW"), "THWC"[3 - len(extent) :]


def output(net: Any, media: np.ndarray, target: int) -> float:
    x = torch.from_numpy((media / 255).astype(np.float32)).movedim(-1, 0)[None]
    with torch.no_grad():
        return net.eval()(x)[0, target].item()


@pytest.mark.parametrize(
    ("make", "extent"),
    [
        (Conv, (40, 56)),
        (lambda: Conv(3), (6, 16, 20)),
        (lambda: models.resnet.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=5), (64, 96)),
        (lambda: models.video.resnet.VideoResNet(models.video.resnet.BasicBlock, [models.video.resnet.Conv3DSimple] * 4,
                                    [1, 1, 1, 1], models.video.resnet.BasicStem, num_classes=5), (8, 32, 48)),
        (lambda: models.video.resnet.VideoResNet(models.video.resnet.BasicBlock, [models.video.resnet.Conv2Plus1D] * 4,
                                    [1, 1, 1, 1], models.video.resnet.R2Plus1dStem, num_classes=5), (8, 32, 48)),
    ],
    ids=["conv", "conv3d", "resnet", "r3d", "r2plus1d"],
)  # fmt: skip
def test_relevance_sums_to_the_output(make: Any, extent: tuple[int, ...]) -> None:
    net, media = seeded(make), photo(extent)
    box, layout = boxed(net, extent)
    found = lrp(box, media, 1, layout=layout)
    expected = output(net, media, 1)
    assert found.shape == extent
    assert found.sum() == pytest.approx(expected, rel=2e-3)
    assert np.ptp(found) > 0
    pair = lrp(box, media, (1, 3), layout=layout)
    assert pair.sum() == pytest.approx(expected - output(net, media, 3), rel=2e-3, abs=1e-4)


def test_every_rule_by_hand() -> None:
    """Flat, then z+, then epsilon, each as a loop over what a value is made of; biases take nothing."""
    net = seeded(
        lambda: torch.nn.Sequential(
            torch.nn.Conv2d(2, 3, 1), torch.nn.ReLU(), torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3),
        ),
        seed=2,
    )  # fmt: skip
    x = np.random.default_rng(0).random((5, 7, 2)).astype(np.float32)
    w1, w2, w3 = (net[i].weight.detach().numpy().reshape(net[i].weight.shape[:2]).astype(float) for i in (0, 2, 6))
    b1, b2, b3 = (net[i].bias.detach().numpy().astype(float) for i in (0, 2, 6))
    first = np.maximum(x @ w1.T + b1, 0)
    second = np.maximum(first @ w2.T + b2, 0)
    pooled = second.mean((0, 1))
    scores = pooled @ w3.T + b3
    target = 1
    of_pooled = pooled * w3[target] / (pooled @ w3[target]) * scores[target]
    of_second = second / second.sum((0, 1)).clip(1e-9) * of_pooled
    expected = np.zeros((5, 7))
    for y, column in np.ndindex(5, 7):
        for k in range(4):
            parts = first[y, column] * np.maximum(w2[k], 0)
            # Every channel of the first layer spreads its share evenly over what it sees: here over one pixel.
            expected[y, column] += (parts / max(parts.sum(), 1e-9)).sum() * of_second[y, column, k]
    found = lrp(net, x, target, layout="HWC")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_batch_norms_are_merged_into_what_they_follow() -> None:
    net, media = seeded(Conv).eval(), photo()
    folded = seeded(Conv).eval()
    fuse = torch.nn.utils.fusion.fuse_conv_bn_eval
    folded.stem[0], folded.stem[1] = fuse(folded.stem[0], folded.stem[1]), torch.nn.Identity()
    folded.conv, folded.norm = fuse(folded.conv, folded.norm), torch.nn.Identity()
    found, expected = lrp(net, media, 1), lrp(folded, media, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_sums_are_split_in_proportion() -> None:
    class Two(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = (torch.nn.Conv2d(1, 1, 1, bias=False) for _ in range(2))
            self.head = torch.nn.Linear(6, 2, bias=False)

        def forward(self, x: Any) -> Any:
            a, b = self.left(x[..., :3]), self.right(x[..., 3:])
            a += b
            return self.head(a.flatten(1))

    net = seeded(Two)
    for part, weight in ((net.left, 0.5), (net.right, 1.5)):
        torch.nn.init.constant_(part.weight, weight)
    x = np.random.default_rng(0).random((2, 6, 1)).astype(np.float32)
    left, right = 0.5 * x[:, :3, 0], 1.5 * x[:, 3:, 0]
    of_sum = (left + right) * net.head.weight.detach().numpy()[1].reshape(2, 3)
    share = left / (left + right)
    expected = np.concatenate([share * of_sum, (1 - share) * of_sum], axis=1)
    np.testing.assert_allclose(lrp(net, x, 1, layout="HWC"), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            Tokens,
            r"no rule for the layer blocks\.0\.norm1 \(LayerNorm\)\. It knows .* take gradcam, or give composite=",
        ),
        (Last, r"the layer norm \(LayerNorm\)"),
        (lambda: torch.nn.Sequential(Conv(), torch.nn.Softmax(1)), r"the layer 1 \(Softmax\)"),
    ],
)
def test_a_layer_without_a_rule_is_named(make: Any, says: str) -> None:
    net = seeded(make)
    before = state(net)
    with pytest.raises(InputError, match=says):
        lrp(net, photo(), 1)
    assert state(net) == before


class Gate(torch.nn.Module):  # type: ignore[misc]
    """A network whose forward calls something that has no rule."""

    def __init__(self, code: Any) -> None:
        super().__init__()
        self.inner, self.code = Conv(), code
        self.head = torch.nn.Linear(5, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.code(self, self.inner(x)))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (lambda _, x: x * x.sigmoid(), "no rule for sigmoid, which the layer Gate calls"),
        (lambda _, x: x * x, "no rule for .*mul.*, which the layer Gate calls"),
        (lambda _, x: torch.nn.functional.layer_norm(x, (5,)), "no rule for layer_norm, which the layer Gate calls"),
        (lambda net, x: net.head(x), r"no rule for the layer head \(Linear\), which runs twice"),
    ],
)
def test_code_without_a_rule_is_named(code: Any, says: str) -> None:
    net = seeded(lambda: Gate(code))
    before = state(net)
    with pytest.raises(InputError, match=says):
        lrp(net, photo(), 1)
    assert state(net) == before


class Swish(torch.autograd.Function):  # type: ignore[misc]
    """A function with a backward of its own, as networks have that save memory."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        (x,) = ctx.saved_tensors
        s = x.sigmoid()
        return slope * s * (1 + x * (1 - s))


def _scripted(_: Any, x: Any) -> Any:
    """A function that TorchScript runs."""
    return torch.jit.trace(lambda given: given * given.sigmoid(), x.detach(), check_trace=False)(x)


def small() -> Any:
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(4, 5),
    )  # fmt: skip


def traced(net: Any) -> Any:
    return torch.jit.trace(net, torch.rand(1, 3, *photo().shape[:2]))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Gate(lambda _, x: Swish.apply(x)), "no rule for Swish, a torch.autograd.Function. It knows"),
        (lambda: Gate(_scripted), "no rule for sigmoid in scripted or traced code, which the layer Gate"),
        (
            lambda: torch.nn.Sequential(traced(small()[:2]), *small()[2:]),
            "no rule for the layer 0, which was .* traced",
        ),
        (lambda: torch.nn.Sequential(torch.jit.script(small()[0]), *small()[1:]), "no rule for the layer 0, which was"),
    ],
)
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_code_that_no_rule_reaches_is_named(make: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        lrp(seeded(make).eval(), photo(), 1)


@pytest.mark.parametrize("code", [lambda _, x: 3 * x.relu() + 1, lambda _, x: torch.nn.functional.gelu(x) / 2])
def test_factors_and_activations_let_relevance_pass(code: Any) -> None:
    net, media = seeded(lambda: Gate(code)), photo()
    assert lrp(net, media, 1).sum() == pytest.approx(output(net, media, 1), rel=2e-2)


def test_the_users_own_composite() -> None:
    composites = pytest.importorskip("zennit.composites")
    net, media = seeded(Conv), photo()
    before = state(net)
    own = lrp(net, media, 1, composite=composites.EpsilonGammaBox(low=0.0, high=1.0))
    assert own.shape == media.shape[:2]
    assert not np.allclose(own, lrp(net, media, 1))
    assert state(net) == before


@pytest.mark.parametrize("where", ["nowhere", "forward", "way forward with rules", "backward"])
def test_the_module_is_left_as_it_was(where: str) -> None:
    net, runs = lived_in(), []

    def interfere(_: Any, args: Any) -> Any:
        runs.append(1)
        if where == "forward" or (where == "way forward with rules" and len(runs) > 2):
            raise RuntimeError("on the way")
        if where == "backward" and args[0].requires_grad:
            args[0].register_hook(fail)
        return None

    def fail(_: Any) -> None:
        raise RuntimeError("on the way back")

    net.head.register_forward_pre_hook(interfere)
    before, global_state = state(net), torch.get_rng_state().tolist()
    if where == "nowhere":
        lrp(net, photo(), 1)
    else:
        with pytest.raises((ModelError, RuntimeError), match="on the way"):
            lrp(net, photo(), 1)
    assert state(net) == before
    assert torch.get_rng_state().tolist() == global_state


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_odd_sizes_and_same_bits(channels: int) -> None:
    net = seeded(lambda: Conv(channels=channels))
    found = lrp(net, photo((33, 47), channels), 2, layout="HWC")
    assert found.shape == (33, 47)
    assert found.sum() == pytest.approx(output(net, photo((33, 47), channels), 2), rel=2e-3)
    assert np.array_equal(found, lrp(net, photo((33, 47), channels), 2, layout="HWC"))


def test_by_name_in_refine() -> None:
    net, media = seeded(Conv), photo()
    box = wrap(net, extent=(32, 48), output="logits")
    found = borex.refine(box, media, "lrp", target=1, max_evals=30)
    small = borex.layout.resize_media(media, (32, 48))
    np.testing.assert_allclose(found.initial, resize(lrp(box, small, 1), media.shape[:2]), rtol=1e-4, atol=1e-8)
    assert found.evals == 30


def test_without_zennit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zennit", None)
    with pytest.raises(MissingExtraError, match=re.escape("LRP needs the package 'zennit', which is not installed")):
        lrp(seeded(Conv), photo(), 1)
