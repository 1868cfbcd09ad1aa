"""Grad-CAM and Grad-CAM++: against Captum and by hand, in every kind of network, and nothing is left behind."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest
from captum.attr import LayerGradCam

import borex
from borex.errors import InputError, MissingExtraError, ModelError, TargetError
from borex.heatmaps import gradcam, gradcam_plus_plus
from borex.layout import resize
from borex.models.torch import wrap
from tests.heatmaps.nets import Conv, Last, Tokens, photo, seeded, state

torch = pytest.importorskip("torch")
models = pytest.importorskip("torchvision").models

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]


def fed(media: np.ndarray) -> Any:
    return torch.from_numpy(((media / 255 - MEAN) / STD).astype(np.float32)).movedim(-1, 0)[None]


@pytest.mark.parametrize("target", [0, 3, (3, 0)])
def test_it_is_captums_layer_gradcam(target: Any) -> None:
    net, media = seeded(Conv), photo()
    found = gradcam(wrap(net, mean=MEAN, std=STD), media, target)
    net.eval()
    share = torch.zeros(5)
    share[list(target) if isinstance(target, tuple) else [target]] = torch.tensor([1.0, -1.0][: np.size(target)])
    expected = LayerGradCam(lambda x: net(x) @ share, net.relu).attribute(fed(media), relu_attributions=True)
    assert found.shape == media.shape[:2]
    assert found.max() > 0
    np.testing.assert_allclose(found, resize(expected.detach().numpy()[0, 0], media.shape[:2]), atol=1e-6)


def test_grad_cam_plus_plus_by_hand() -> None:
    net, media = seeded(Conv).eval(), photo()
    features: list[Any] = []
    net.relu.register_forward_hook(lambda *args: features.append(args[2]))
    score = net(fed(media))[0, 1]
    a, slope = (t.detach().numpy()[0].astype(float) for t in (features[0], torch.autograd.grad(score, features[0])[0]))
    expected = np.zeros(a.shape[1:])
    for channel, g in zip(a, slope, strict=True):
        alpha = np.where(g != 0, g**2 / (2 * g**2 + channel.sum() * g**3), 0)
        expected += (alpha * np.maximum(g, 0)).sum() * channel
    expected = resize(np.maximum(expected, 0), media.shape[:2])
    found = gradcam_plus_plus(wrap(net, mean=MEAN, std=STD), media, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert not np.allclose(found, gradcam(wrap(net, mean=MEAN, std=STD), media, 1))


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Which layer was found, and the shape that its output was given."""
    from borex.heatmaps import layers

    seen: list[Any] = []
    real = layers.find

    def find(calls: Any, value: Any, extent: Any) -> Any:
        layer, reshape = real(calls, value, extent)
        name, output = next((call.name, call.output) for call in calls if call.layer is layer)
        seen.append((name, tuple(reshape(output).shape)))
        return layer, reshape

    monkeypatch.setattr(layers, "find", find)
    return seen


NETWORKS = [
    (Conv, (40, 56), "relu", (1, 8, 20, 28)),
    (lambda: Conv(3), (6, 16, 20), "relu", (1, 8, 3, 8, 10)),
    (Tokens, (40, 56), "blocks.1.norm1", (1, 16, 5, 7)),
    (Last, (40, 56), "norm", (1, 12, 10, 14)),
    (lambda: models.resnet18(num_classes=4), (64, 96), "layer4", (1, 512, 2, 3)),
    (lambda: models.densenet121(num_classes=4), (64, 96), "features.denseblock4", (1, 1024, 2, 3)),
    (lambda: models.squeezenet1_1(num_classes=4), (64, 96), "classifier.2", (1, 4, 3, 5)),
    (lambda: models.video.r3d_18(num_classes=4), (8, 32, 48), "layer4", (1, 512, 1, 2, 3)),
]


@pytest.mark.parametrize(("make", "extent", "layer", "shape"), NETWORKS, ids=lambda x: x if isinstance(x, str) else "")
def test_the_layer_is_found(
    make: Any, extent: tuple[int, ...], layer: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = looked_at(monkeypatch)
    net = seeded(make)
    box = wrap(net, layout="NCTHW" if len(extent) == 3 else "NCHW")
    layout = "THWC" if len(extent) == 3 else "HWC"
    found = gradcam(box, photo(extent), 1, layout=layout)
    assert seen == [(layer, shape)]
    assert found.shape == extent
    assert np.isfinite(found).all()
    # Named by the user, the same layer gives the same map.
    by_path = gradcam(box, photo(extent), 1, layer, layout=layout)
    by_module = gradcam(box, photo(extent), 1, net.get_submodule(layer), layout=layout)
    assert np.array_equal(found, by_path)
    assert np.array_equal(found, by_module)


def test_the_users_own_reshape() -> None:
    net, media = seeded(Tokens), photo((40, 56))
    own = gradcam(net, media, 1, "blocks.0.norm2", reshape=lambda t: t[:, 1:].transpose(1, 2).reshape(1, 16, 5, 7))
    assert np.array_equal(own, gradcam(net, media, 1, "blocks.0.norm2"))
    with pytest.raises(InputError, match=r"came as shape \(1, 36, 16\); expected \(1, channels, \*grid\)"):
        gradcam(net, media, 1, "blocks.0.norm2", reshape=lambda t: t)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_number_of_channels_and_odd_sizes(channels: int) -> None:
    net = seeded(lambda: Conv(channels=channels))
    found = gradcam(net, photo((33, 47), channels), 2, layout="HWC")
    assert found.shape == (33, 47)
    grey = photo((33, 47), 1)[..., 0]
    if channels == 1:
        assert np.array_equal(gradcam(net, grey, 2), gradcam(net, grey[..., None], 2))


def test_tensors_labels_and_outputs_of_every_kind() -> None:
    class Packed(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, pack: Any) -> None:
            super().__init__()
            self.net, self.pack = seeded(Conv), pack

        def forward(self, x: Any) -> Any:
            return self.pack(self.net(x))

    media = photo()
    x = fed(media)
    expected = gradcam(seeded(Conv), x, 3)
    for pack in (lambda y: (y, 0), lambda y: {"logits": y}, lambda y: type("Out", (), {"logits": y})()):
        assert np.array_equal(gradcam(Packed(pack), x, 3), expected)
    np.testing.assert_allclose(gradcam(wrap(seeded(Conv), mean=MEAN, std=STD), media, 3), expected, atol=1e-6)
    named = wrap(seeded(Conv), labels=["a", "b", "c", "dog", "e"])
    assert np.array_equal(gradcam(named, x, "dog"), expected)
    top = int(seeded(Conv).eval()(x).argmax())
    assert np.array_equal(gradcam(named, x), gradcam(named, x, top))
    single = seeded(Conv)
    single.head = torch.nn.Linear(8, 1)
    assert not np.allclose(gradcam(single, x, 1), gradcam(single, x, 0))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_modules_of_other_precision(dtype: str) -> None:
    net = seeded(Conv).to(getattr(torch, dtype))
    expected = gradcam(seeded(Conv), photo(), 1)
    np.testing.assert_allclose(gradcam(net, photo(), 1), expected, atol=0.1 * expected.max())


def lived_in() -> Any:
    """A module in use: partly in train mode, partly frozen, with gradients, hooks and odd attributes."""
    net = seeded(Conv).train()
    net.norm.eval()
    net.conv.weight.requires_grad_(False)
    net.head.weight.grad = torch.ones_like(net.head.weight)
    net.stem.register_forward_hook(lambda *_: None)
    net.cache = {"a": [1]}
    return net


class Fails(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        raise RuntimeError("on the way back")


@pytest.mark.parametrize("where", ["nowhere", "forward", "second forward", "backward"])
@pytest.mark.parametrize("make", [gradcam, gradcam_plus_plus])
def test_the_module_is_left_as_it_was(make: Any, where: str) -> None:
    net = lived_in()
    runs = []

    def interfere(_: Any, args: Any) -> Any:
        runs.append(1)
        if where == "forward" or (where == "second forward" and len(runs) > 2):
            raise RuntimeError("on the way")
        return (Fails.apply(args[0]),) if where == "backward" else None

    net.head.register_forward_pre_hook(interfere)
    before, global_state = state(net), torch.get_rng_state().tolist()
    with torch.no_grad():
        if where == "nowhere":
            assert make(net, photo(), 1).max() >= 0
        else:
            with pytest.raises((ModelError, RuntimeError), match="on the way"):
                make(net, photo(), 1)
        assert not torch.is_grad_enabled()
    assert state(net) == before
    assert torch.get_rng_state().tolist() == global_state
    net.zero_grad()
    assert state(net) != before


def test_what_comes_behind_in_place_changes_nothing() -> None:
    net = seeded(Conv)
    found = gradcam(net, photo(), 1, "stem.1")
    net.stem[2].inplace = False
    assert np.array_equal(found, gradcam(net, photo(), 1, "stem.1"))
    assert not np.array_equal(found, gradcam(net, photo(), 1, "stem.2"))


def test_same_input_same_bits() -> None:
    net = seeded(Conv)
    assert np.array_equal(gradcam(net, photo(), 1), gradcam(net, photo(), 1))


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"layer": "stem.9"}, InputError, "the module has no layer 'stem.9'; close to it: 'stem.3', 'stem.2'"),
        ({"layer": torch.nn.ReLU()}, InputError, "layer is ReLU, which is no part of the module; expected one of its"),
        ({"layer": "head"}, InputError, r"output of the layer 'head' has shape \(1, 5\); which axes .* reshape="),
        ({"target": 5}, TargetError, "target is class 5; the model has classes 0 to 4"),
        ({"target": "cat"}, TargetError, "labels are not known"),
        ({"target": lambda s: s[:, 0]}, InputError, "the target is a function; Grad-CAM explains a class, or a pair"),
        ({"media": photo((1, 1)), "layout": "HWC"}, InputError, "the media has one pixel"),
        ({"model": lambda x: x}, InputError, 'Grad-CAM looks inside .* needs a torch.nn.Module: .*"rise", "lime" and'),
        ({"media": photo(channels=4), "layout": "HWC"}, ModelError, r"failed on the media, .*\(1, 4, 40, 56\)"),
    ],
)
def test_what_cannot_be_used(options: dict[str, Any], kind: Any, says: str) -> None:
    given = {"model": seeded(Conv), "media": photo(), "target": 1, **options}
    with pytest.raises(kind, match=says):
        gradcam(given.pop("model"), given.pop("media"), given.pop("target"), **given)


def test_a_layer_that_is_called_twice_or_never() -> None:
    net = seeded(Conv)
    net.unused = torch.nn.Conv2d(3, 3, 1)
    with pytest.raises(InputError, match="'unused' is called never in one run; expected one call"):
        gradcam(net, photo(), 1, "unused")
    net.norm = net.stem[1]
    with pytest.raises(InputError, match=r"'stem\.1' is called 2 times in one run"):
        gradcam(net, photo(), 1, "stem.1")


def test_a_network_without_a_grid() -> None:
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40 * 56 * 3, 3))
    with pytest.raises(InputError, match=r"no layer was found .* Name it: layer=\"1\" .*reshape="):
        gradcam(flat, photo(), 1)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(MissingExtraError, match=re.escape("Grad-CAM needs the package 'grad-cam', which is not inst")):
        gradcam(seeded(Conv), photo(), 1)


@pytest.mark.parametrize("name", ["gradcam", "gradcam++"])
def test_by_name_in_refine(name: str) -> None:
    net, media = seeded(Conv), photo()
    box = wrap(net, mean=MEAN, std=STD, extent=(32, 48), output="logits")
    found = borex.refine(box, media, name, target=1, max_evals=30)
    make = {"gradcam": gradcam, "gradcam++": gradcam_plus_plus}[name]
    small = borex.layout.resize_media(media, (32, 48))
    np.testing.assert_allclose(found.initial, resize(make(box, small, 1), media.shape[:2]), rtol=1e-5, atol=1e-9)
    assert found.evals == 30
    assert found.trust is not None


def test_by_name_of_a_black_box_costs_nothing() -> None:
    asked = []
    with pytest.raises(InputError, match=r'Grad-CAM looks inside .*"rise", "lime" and "shap" make a map'):
        borex.refine(lambda batch: asked.append(1), photo(), "gradcam")
    assert not asked


def test_a_single_output_between_0_and_1_is_explained_as_refine_does() -> None:
    class Sigmoid(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)
            torch.nn.init.constant_(self.conv.weight, 0.01)

        def forward(self, x: Any) -> Any:
            return torch.sigmoid(torch.relu(self.conv(x)).mean(dim=(1, 2, 3))[:, None] - 2)

    net, image = Sigmoid(), photo((20, 24))
    assert 0 < float(net(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).detach()) < 0.5
    assert borex.refine(net, image, max_evals=20, layout="HWC").target.index == 0
    assert np.array_equal(gradcam(net, image, layout="HWC"), gradcam(net, image, 0, layout="HWC"))
    assert not np.array_equal(gradcam(net, image, layout="HWC"), gradcam(net, image, 1, layout="HWC"))


def test_a_scripted_module_cannot_be_looked_into() -> None:
    import torch

    with pytest.warns(FutureWarning):
        module = torch.jit.script(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(inplace=True),
                                                      torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()))  # fmt: skip
    with pytest.raises(InputError, match=r"no hook runs inside a .* take rise, lime or shap"):
        borex.refine(module, photo(), "gradcam", max_evals=20)
    assert borex.refine(module, photo(), max_evals=20, output="logits").evals == 20
