"""PyTorch modules: fed as they take it, left as they were."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import borex
from borex.errors import InputError, LayoutError
from borex.scores import checked_scores
from tests.models.graphs import CLASSES, CLIP, EXTENT, MEAN, STD, logits, media, normalised, ramp, weights

torch = pytest.importorskip("torch")
wrap = pytest.importorskip("borex.models.torch").wrap


class Tiny(torch.nn.Module):  # type: ignore[misc]
    """The classifier of graphs.py; it drops everything in train mode, so that mode shows in the answer."""

    def __init__(
        self, layout: str = "NCHW", extent: tuple[int, ...] = EXTENT, pack: Callable[[Any], Any] = lambda x: x
    ):
        super().__init__()
        ours = layout.replace("C", "") + "C"
        self.order, self.pack = [layout.index(axis) for axis in ours], pack
        self.linear = torch.nn.Linear(3, CLASSES, bias=False)
        self.linear.weight.data = torch.from_numpy(weights(3).T.copy())
        self.register_buffer("ramp", torch.from_numpy(ramp(extent))[..., None])
        self.dropout = torch.nn.Dropout(0.999)
        self.norm = torch.nn.BatchNorm1d(CLASSES, affine=False, eps=0)

    def forward(self, x: Any) -> Any:
        self.seen = x
        x = x.permute(self.order) * self.ramp
        return self.pack(self.norm(self.linear(self.dropout(x.flatten(1, -2).mean(1)))))


def close(answer: object, expected: np.ndarray, atol: float = 1e-4) -> None:
    np.testing.assert_allclose(checked_scores(answer, len(expected)), expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NCTHW", "NTCHW", "NTHWC"])
def test_every_layout_answers_alike(layout: str) -> None:
    extent = CLIP if "T" in layout else EXTENT
    batch = media(3, extent)
    close(wrap(Tiny(layout, extent), mean=MEAN, std=STD, layout=layout)(batch), logits(normalised(batch)))


def test_images_are_channels_first_and_clips_must_be_stated() -> None:
    close(wrap(Tiny())(media(2)), logits(media(2) / 255))
    with pytest.raises(LayoutError, match=r'got clips, a batch of shape .*layout="NCTHW"\) or layout="NTCHW"'):
        wrap(Tiny("NCTHW", CLIP))(media(2, CLIP))
    with pytest.raises(LayoutError, match=r"got clips, extent \(7, 6, 5\)"):
        wrap(Tiny("NCTHW", CLIP), extent=CLIP)
    with pytest.raises(LayoutError, match=r"takes clips .*layout NCTHW; got a batch of shape"):
        wrap(Tiny("NCTHW", CLIP), layout="NCTHW")(media(2))
    with pytest.raises(LayoutError, match="layout is 'CHW'; expected \"auto\" or one of NCHW"):
        wrap(Tiny(), layout="CHW")


def test_colours_are_as_in_the_onnx_adapter() -> None:
    batch = media(3)
    model = wrap(Tiny(), mean=MEAN, std=STD)
    close(model(batch), logits(normalised(batch)))
    close(model(batch.astype(np.float64)), logits(normalised(batch)))
    np.testing.assert_allclose(model.mean, 255 * MEAN)
    close(wrap(Tiny(), mean=torch.tensor(MEAN).reshape(3, 1, 1), std=STD, scale=1)(batch / 255), model(batch))
    with pytest.raises(InputError, match=r"wrap\(\.\.\., scale=1\)"):
        model(batch / 255)
    assert wrap(Tiny()).mean is None
    close(wrap(Tiny())(batch / 255), logits(batch / 255))


def test_a_preset_brings_mean_std_and_extent() -> None:
    preset = SimpleNamespace(mean=MEAN.tolist(), std=STD.tolist(), crop_size=[6], resize_size=[8])
    model = wrap(Tiny(), preprocess=preset)
    assert model.extent == (6, 6)
    assert wrap(Tiny(), preprocess=preset, extent=EXTENT).extent == EXTENT
    close(model(media(2)), logits(normalised(media(2))))
    assert wrap(Tiny("NCTHW", CLIP), preprocess=preset, layout="NCTHW").extent is None
    with pytest.raises(InputError, match="give either them or preprocess"):
        wrap(Tiny(), preprocess=preset, mean=MEAN)
    with pytest.raises(InputError, match=r"preprocess is Compose; expected a preset with \.mean and \.std"):
        wrap(Tiny(), preprocess=type("Compose", (), {})())


def test_a_torchvision_preset() -> None:
    models = pytest.importorskip("torchvision").models
    model = wrap(models.mobilenet_v3_small(), preprocess=models.MobileNet_V3_Small_Weights.DEFAULT.transforms())
    assert model.extent == (224, 224)
    np.testing.assert_allclose(model.mean, 255 * np.array([0.485, 0.456, 0.406]))


@pytest.mark.parametrize(
    "pack",
    [
        lambda x: (x, x.exp()),
        lambda x: [x, x.exp()],
        lambda x: {"logits": x},
        lambda x: {"hidden": x.exp(), "logits": x},
        lambda x: {"out": x},
        lambda x: SimpleNamespace(logits=x),
    ],
)
def test_tuples_dicts_and_hugging_face_outputs(pack: Callable[[Any], Any]) -> None:
    batch = media(3)
    answer = wrap(Tiny(pack=pack))(batch)
    assert isinstance(answer, np.ndarray)
    close(answer, logits(batch / 255))


@pytest.mark.parametrize("fails", [False, True])
def test_the_module_is_asked_in_eval_mode_and_left_as_it_was(fails: bool) -> None:
    def pack(x: Any) -> Any:
        assert not torch.is_grad_enabled()
        if fails:
            raise RuntimeError("midway")
        return x

    module = Tiny(pack=pack)
    module.train()
    module.norm.eval()
    module.linear.weight.requires_grad_(False)
    seen = []
    module.linear.register_forward_hook(lambda *_: seen.append(1))
    batch, before = media(3), {name: value.clone() for name, value in module.state_dict().items()}
    if fails:
        with pytest.raises(RuntimeError, match="midway"):
            wrap(module)(batch)
    else:
        close(wrap(module)(batch), logits(batch / 255))
    assert [module.training, module.linear.training, module.dropout.training, module.norm.training] == [
        True,
        True,
        True,
        False,
    ]
    assert not module.linear.weight.requires_grad
    assert len(module.linear._forward_hooks) == len(seen) == 1
    assert not torch.is_inference_mode_enabled()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_module_stays_where_it_is() -> None:
    close(wrap(Tiny(), device="cpu")(media(2)), logits(media(2) / 255))
    with pytest.raises(InputError, match=r"device is 'meta', but the module is on 'cpu'. Move it, module.to\('meta'\)"):
        wrap(Tiny(), device="meta")
    with pytest.raises(InputError, match="device is 'gpu'; expected one that torch knows"):
        wrap(Tiny(), device="gpu")
    if torch.cuda.is_available():
        close(wrap(Tiny().cuda(), device="cuda")(media(2)), logits(media(2) / 255))
    without = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    for device in (None, "cpu"):
        close(wrap(without, device=device)(media(2)), (media(2) / 255).mean(axis=(1, 2)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_the_module_is_fed_in_its_own_dtype(dtype: str) -> None:
    module = Tiny().to(getattr(torch, dtype))
    close(wrap(module)(media(2)), logits(media(2) / 255), atol=0.05)
    assert module.seen.dtype == getattr(torch, dtype)


def test_channels_last_keeps_them_last_in_memory() -> None:
    for channels_last in (False, True):
        module = Tiny()
        close(wrap(module, channels_last=channels_last)(media(2)), logits(media(2) / 255))
        assert module.seen.shape == (2, 3, *EXTENT)
        assert module.seen.is_contiguous() is not channels_last
        assert module.seen.is_contiguous(memory_format=torch.channels_last) is channels_last


def test_read_only_and_strided_media() -> None:
    batch = media(3)
    turned = batch[:, ::-1]
    close(wrap(Tiny())(turned), logits(turned / 255))
    batch.setflags(write=False)  # torch warns of it, once in a process
    close(wrap(Tiny())(batch), logits(batch / 255))


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a torch\.nn\.Module; got function"):
        wrap(logits)
    with pytest.raises(InputError, match="output is 'softmax'"):
        wrap(Tiny(), output="softmax")
    assert wrap(Tiny(), output="logits", labels=list("abcd")).labels == list("abcd")
    with pytest.raises(InputError, match="one text a class"):
        wrap(Tiny(), labels=4)
    assert "torch" in sys.modules


def test_labels_by_index() -> None:
    assert wrap(torch.nn.Flatten(), labels={"1": "dog", "0": "cat"}).labels == ["cat", "dog"]
    assert wrap(torch.nn.Flatten(), labels={0: "cat", 1: "dog"}).labels == ["cat", "dog"]  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["exported", "frozen"])
def test_what_has_no_training_flag_is_asked_all_the_same(how: str) -> None:
    net, x = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten()).eval(), torch.zeros(2, 3, 5, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is on its way out; files of it are about
        made = torch.export.export(net, (x,)).module() if how == "exported" else torch.jit.freeze(torch.jit.script(net))
    batch = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)
    np.testing.assert_allclose(wrap(made).scores(batch), wrap(net).scores(batch), rtol=1e-5)


def test_a_module_that_keeps_a_tensor_can_be_trained_afterwards() -> None:
    class Keeps(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.places = torch.nn.Parameter(torch.ones(1)), None

        def forward(self, x: Any) -> Any:
            if self.places is None:
                self.places = torch.linspace(0, 1, x.shape[-1])
            return (x * self.places * self.scale).mean(dim=(2, 3))

    module = Keeps()
    wrap(module).scores(media(2))
    module(torch.rand(2, 3, *EXTENT)).sum().backward()
    assert module.scale.grad is not None


def test_the_extent_may_be_an_array() -> None:
    assert wrap(torch.nn.Flatten(), extent=np.array([6, 5])).extent == (6, 5)  # type: ignore[arg-type]


def test_media_in_another_range_is_refused_whatever_hides() -> None:
    model = wrap(Tiny(), mean=MEAN, std=STD)
    for baseline in (None, "mean", "black", ("blur", "mean")):
        with pytest.raises(InputError, match=r"Multiply media in \[0, 1\] by 255"):
            borex.refine(model, media(1)[0] / 255, baseline=baseline, max_evals=20)


def test_of_normalised_media_the_models_own_mean_is_left_out() -> None:
    normalised = (media(1)[0] / 255 - MEAN) / STD
    with pytest.raises(InputError, match=r"floats in \[-.* If it is normalised already, leave out mean and std\. Mult"):
        borex.refine(wrap(Tiny(), mean=MEAN, std=STD), normalised, max_evals=20)
    assert borex.refine(wrap(Tiny()), normalised, max_evals=20, output="logits").evals == 20
    with pytest.raises(InputError) as caught:
        borex.refine(wrap(Tiny(), mean=MEAN, std=STD), media(1)[0] / 255, max_evals=20)
    assert "normalised already" not in str(caught.value)
