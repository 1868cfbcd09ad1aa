"""Copies that an adapter composes where its model runs score as the copies that NumPy makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from borex.baselines import box_blur
from borex.blackbox import Asker, Device, Model, load, run
from borex.errors import InputError, ModelError
from borex.masks import CellMasks, masked
from borex.models import onnx
from borex.scores import checked_scores
from tests.models.graphs import CLASSES, CLIP, EXTENT, MEAN, STD, logits, media, normalised, ramp, write

GRIDS = {2: (3, 2), 3: (3, 2, 5)}  # neither divides its axes


def function(path: Path) -> Model:
    return Model(lambda batch: logits(normalised(batch)))


def onnx_float(path: Path) -> Model:
    return onnx.wrap(write(path / "m.onnx"), mean=MEAN, std=STD)


def onnx_half(path: Path) -> Model:
    return onnx.wrap(write(path / "m.onnx", dtype="float16"), mean=MEAN, std=STD)


def onnx_last(path: Path) -> Model:
    return onnx.wrap(write(path / "m.onnx", "NHWC", dtype="float64"), mean=MEAN, std=STD)


def onnx_uint8(path: Path) -> Model:
    return onnx.wrap(write(path / "m.onnx", dtype="uint8", normalises=True))


def onnx_fixed(path: Path) -> Model:
    return onnx.wrap(write(path / "m.onnx", batch=4), mean=MEAN, std=STD)


def onnx_clip(path: Path) -> Model:
    return onnx.wrap(write(path / "m.onnx", "NTCHW", extent=CLIP), layout="NTCHW", mean=MEAN, std=STD)


def torch_module(layout: str, **options: Any) -> Model:
    torch = pytest.importorskip("torch")
    from borex.models.torch import wrap

    extent = CLIP if "T" in layout else EXTENT

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv3d(3, 3, 1) if "T" in layout else torch.nn.Conv2d(3, 3, 1)
            self.conv.weight.data[:] = torch.eye(3).reshape(self.conv.weight.shape)
            self.conv.bias.data[:] = 0
            self.register_buffer("ramp", torch.from_numpy(ramp(extent)))

        def forward(self, x: Any) -> Any:
            self.seen = x
            x = (self.conv(x).float() * self.ramp).flatten(2).mean(2)
            return x @ torch.from_numpy(weights(3))

    from tests.models.graphs import weights

    return wrap(Net().eval(), mean=MEAN, std=STD, layout=layout, **options)


MODELS = {
    "function": function, "onnx": onnx_float, "onnx float16": onnx_half, "onnx NHWC": onnx_last,
    "onnx uint8": onnx_uint8, "onnx fixed batch": onnx_fixed, "onnx clip": onnx_clip,
    "torch": lambda path: torch_module("NCHW"),
    "torch channels last": lambda path: torch_module("NCHW", channels_last=True),
    "torch clip": lambda path: torch_module("NCTHW"),
    "torch clip, channels last": lambda path: torch_module("NCTHW", channels_last=True),
    "torch bf16": lambda path: torch_module("NCHW", precision="bf16"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["cells", "pixels", "soft"])
@pytest.mark.parametrize("name", MODELS)
def test_they_score_as_numpys_copies(tmp_path: Path, name: str, kind: str) -> None:
    model = MODELS[name](tmp_path)
    extent = CLIP if "clip" in name else EXTENT
    picture = media(1, extent)[0]
    baselines = np.stack([np.zeros_like(picture), np.rint(box_blur(picture, 0.5)).astype(np.uint8)])
    rng = np.random.default_rng(0)
    masks: Any = CellMasks(rng.random((7, *GRIDS[len(extent)])) < 0.5, extent)
    if kind != "cells":
        masks = rng.random((7, *extent)) < 0.5 if kind == "pixels" else rng.random((7, *extent)).astype(np.float32)
    compose = load(model, picture, baselines)
    for fills in (None, np.array([0, 1, 1, 0, 1, 0, 0])):
        copies = masked(picture, baselines[np.zeros(7, int) if fills is None else fills], masks)
        expected = checked_scores(model(copies), 7)
        found = checked_scores(run(model, [compose(masks, fills)]), 7)
        if kind == "soft" or "bf16" in name:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        else:
            assert (found == expected).all()
        if "bf16" not in name:
            np.testing.assert_allclose(
                expected, logits(normalised(copies)), rtol=2e-2 if "16" in name else 1e-4, atol=0.05
            )
    parts = [compose(masks[:3]), compose(masks[3:])]
    np.testing.assert_allclose(checked_scores(run(model, parts), 7), logits_of(model, picture, baselines[0], masks),
                               rtol=1e-5, atol=0.05 if "16" in name else 1e-4)  # fmt: skip


def logits_of(model: Model, picture: np.ndarray, baseline: np.ndarray, masks: Any) -> np.ndarray:
    return np.concatenate(
        [checked_scores(model(masked(picture, baseline, mask[None])), 1) for mask in np.asarray(masks)]
    )


@pytest.mark.parametrize("name", ["torch", "torch clip", "onnx", "onnx clip"])
def test_nothing_of_the_media_travels_after_it_was_loaded(tmp_path: Path, name: str) -> None:
    """Only masks do: the media may change behind the asker's back."""
    model = MODELS[name](tmp_path)
    extent = CLIP if "clip" in name else EXTENT
    picture = media(1, extent)[0]
    asker = Asker(model, picture, np.zeros_like(picture), 4)
    masks = CellMasks(np.random.default_rng(1).random((6, *GRIDS[len(extent)])) < 0.5, extent)
    before = asker(masks)
    picture[:] = 0
    assert (asker(masks) == before).all()


def test_channels_stay_last_in_memory() -> None:
    torch = pytest.importorskip("torch")
    for layout, last in (("NCHW", torch.channels_last), ("NCTHW", torch.channels_last_3d)):
        model = torch_module(layout, channels_last=True)
        extent = CLIP if "T" in layout else EXTENT
        picture = media(1, extent)[0]
        masks = CellMasks(np.random.default_rng(1).random((6, *GRIDS[len(extent)])) < 0.5, extent)
        Asker(model, picture, np.zeros_like(picture))(masks)
        assert model.scores._module.seen.is_contiguous(memory_format=last)  # type: ignore[attr-defined]


def test_precision_is_torchs_own_again_afterwards() -> None:
    torch = pytest.importorskip("torch")
    seen: list[tuple[bool, bool]] = []

    class Looks(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            seen.append((torch.backends.cuda.matmul.allow_tf32, torch.is_autocast_enabled("cpu")))
            if len(seen) == 4:
                raise RuntimeError("stop")
            return x.flatten(1)[:, :CLASSES]

    from borex.models.torch import wrap

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    for precision in (None, "fp32", "tf32", "bf16"):
        model = wrap(Looks(), precision=precision)
        if precision == "bf16":
            with pytest.raises(RuntimeError, match="stop"):
                model(media(2))
        else:
            model(media(2))
    assert seen == [(before[0], False), (False, False), (True, False), (False, True)]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(InputError, match="precision is 'fp16'; expected one of 'fp32', 'tf32', 'bf16', or None"):
        wrap(Looks(), precision="fp16")


def test_media_that_the_model_refuses_is_an_error_before_it_is_asked(tmp_path: Path) -> None:
    grey = media(1, channels=1)[0]
    with pytest.raises(InputError, match="takes 3 channels; the media has 1"):
        Asker(onnx_float(tmp_path), grey, np.zeros_like(grey))


def test_a_device_that_fails_on_the_media_is_the_models_failure() -> None:
    class Broken(Device):
        def __call__(self, batch: np.ndarray) -> np.ndarray:
            return np.ones((len(batch), 2))

        def load(self, picture: np.ndarray, baselines: np.ndarray) -> Any:
            raise RuntimeError("no such device")

        def run(self, parts: Any) -> Any:
            raise AssertionError

    picture = media(1)[0]
    with pytest.raises(ModelError, match="could not take the media in: RuntimeError: no such device"):
        Asker(Model(Broken()), picture, picture)
