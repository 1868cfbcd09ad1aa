"""Initial maps of clips: every name runs on a network of clips through `refine`; maps of frames, stacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import borex
from borex.blackbox import Model
from borex.errors import InputError
from borex.heatmaps import NAMES, gradcam, gradcam_plus_plus, lime, lrp, per_frame, rise, shap
from tests.closed_form import box, share_seen

T, H, W = 8, 24, 28
CLIP = np.random.default_rng(0).integers(0, 256, (T, H, W, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_every_map_by_name_is_refined_on_a_clip(name: str) -> None:
    for package in ("torch", "captum", "pytorch_grad_cam", "zennit", "skimage"):
        pytest.importorskip(package)
    from borex.models.torch import wrap
    from tests.heatmaps.nets import Conv, seeded

    model = wrap(seeded(lambda: Conv(axes=3)), mean=0.45, std=0.1, layout="NCTHW")
    found = borex.refine(model, CLIP, name, target=1, max_evals=80, output="logits", layout="THWC")
    assert found.saliency.shape == found.initial.shape == (T, H, W)
    assert np.ptp(found.initial) > 0
    assert np.ptp(found.initial.mean(axis=(1, 2))) > 0  # it knows of time
    assert found.check is not None
    assert found.trust is not None
    assert found.evals <= 80


@pytest.mark.parametrize("make", [lime, shap, rise, gradcam, gradcam_plus_plus, lrp])
def test_maps_read_what_refine_reads(make: Any, tmp_path: Path) -> None:
    for package in ("torch", "captum", "pytorch_grad_cam", "zennit", "skimage", "av"):
        pytest.importorskip(package)
    from borex.media.video import read_clip, write_clip
    from borex.models.torch import wrap
    from tests.heatmaps.nets import Conv, seeded

    model = wrap(seeded(lambda: Conv(axes=3)), mean=0.45, std=0.1, layout="NCTHW", extent=(4, 12, 14))
    write_clip(tmp_path / "clip.mp4", CLIP, 8)
    (tmp_path / "frames").mkdir()
    frames = read_clip(tmp_path / "clip.mp4").frames
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{i}.png")
    options = {"output": "logits", "n": 12} if make in (lime, shap, rise) else {}
    path = tmp_path / "clip.mp4"
    maps = [
        np.asarray(getattr(found, "heat_map", found))
        for found in (
            make(model, frames, 1, layout="THWC", **options),
            *(make(model, media, 1, **options) for media in (path, str(path), read_clip(path), tmp_path / "frames")),
        )
    ]
    assert maps[0].shape == (T, H, W)
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])


@pytest.mark.parametrize("make", [lime, shap, rise])
def test_maps_take_the_baselines_that_refine_takes(make: Any) -> None:
    for package in ("captum", "skimage"):
        pytest.importorskip(package)
    image, hidden = CLIP[0], np.zeros((H, W, 3), np.uint8)
    model = Model(share_seen(box((12, 14))), extent=(12, 14), output="probabilities")
    expected = make(model, image, 1, n=20, baseline=0)
    for baseline in (hidden, hidden[..., 0], Image.fromarray(hidden), (0, 0, 0), hidden[::2, ::2]):
        np.testing.assert_array_equal(make(model, image, 1, n=20, baseline=baseline).heat_map, expected.heat_map)
    with pytest.raises(InputError, match=r"the baseline is a tuple of 2; lime, shap and rise hide with one. Give one"):
        make(model, image, 1, n=20, baseline=("blur", "mean"))


def test_maps_of_frames_are_stacked_in_their_order() -> None:
    found = per_frame(lambda frame: frame[::2, ::3, 0].astype(float), CLIP)
    np.testing.assert_array_equal(found, CLIP[:, ::2, ::3, 0])
    fewer = per_frame(lambda frame: frame[..., 1], CLIP, frames=3)
    np.testing.assert_array_equal(fewer, CLIP[[1, 4, 6], :, :, 1])


def test_a_map_of_frames_is_where_a_refinement_starts() -> None:
    inside = box((T, H, W))
    image = inside.any(axis=0)
    initial = per_frame(lambda frame: image + 0.0, CLIP, frames=2)
    found = borex.refine(share_seen(inside), CLIP, initial, target=1, baseline="black", max_evals=300, layout="THWC")
    assert found.trust is not None
    assert found.trust[0] > 2 * found.trust[1]  # the place was right, and the answers say so
    mean, _ = found.time_profile()
    assert inside[int(np.argmax(mean))].any()  # the time, which the initial map did not know


@pytest.mark.parametrize(
    ("make", "clip", "frames", "message"),
    [
        (lambda frame: frame, CLIP, None, r"the map of frame 0 has shape \(24, 28, 3\); expected \(h, w\)"),
        (
            lambda frame: frame[: 2 + frame[0, 0, 0] % 5, :, 0],
            CLIP,
            None,
            r"and \(.*\) before; expected \(h, w\), all alike",
        ),
        (
            lambda frame: frame[..., 0],
            CLIP[0],
            None,
            r"the clip has shape \(24, 28, 3\); expected \(T, H, W, channels\)",
        ),
        (lambda frame: frame[..., 0], CLIP, 0, "frames is 0; expected a whole number"),
    ],
)
def test_what_is_no_clip_or_no_map(make: object, clip: np.ndarray, frames: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        per_frame(make, clip, frames=frames)  # type: ignore[arg-type]
