"""What is seen where a mask hides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from borex import baselines
from borex.baselines import BLUR_SHARE, baseline_of, baselines_of, box_blur
from borex.errors import InputError

MEDIA = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32", "float64"])
@pytest.mark.parametrize(
    "baseline", ["blur", "soft", "mean", "black", 7, 7.4, MEDIA.mean(axis=(0, 1)), MEDIA // 2, lambda m: m / 2]
)
def test_every_kind_has_the_medias_shape_and_dtype(dtype: str, baseline: object) -> None:
    media = MEDIA.astype(dtype)
    found = baseline_of(baseline, media)  # type: ignore[arg-type]
    assert found.shape == media.shape
    assert found.dtype == media.dtype


def test_each_kind_by_hand() -> None:
    assert not baseline_of("black", MEDIA).any()
    assert (baseline_of(7.6, MEDIA) == 8).all()
    assert (baseline_of(255.4, MEDIA) == 255).all()
    assert (baseline_of("mean", MEDIA) == np.rint(MEDIA.mean(axis=(0, 1)))).all()
    assert (baseline_of("mean", MEDIA, np.array([1.0, 2.0, 3.0])) == [1, 2, 3]).all()
    assert (baseline_of(lambda m: m[::-1], MEDIA) == MEDIA[::-1]).all()
    assert (baseline_of(np.arange(9)[:, None], MEDIA)[2, :, 1] == np.arange(9)).all()


def test_a_repeated_name_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(baselines, "box_blur", lambda *given: made.append(1) or box_blur(*given))
    found, turn = baselines_of(("blur", MEDIA // 2, "blur", 0, "black", "mean"), MEDIA)
    assert made == [1]
    assert turn == (0, 1, 0, 2, 2, 3)
    for one, name in zip(found, ("blur", MEDIA // 2, 0, "mean"), strict=True):
        assert (one == baseline_of(name, MEDIA)).all()


@pytest.mark.parametrize("shape", [(20, 30, 2), (4, 30, 40, 3)])
def test_a_blur_is_the_mean_of_a_box_in_space(shape: tuple[int, ...]) -> None:
    media = np.random.default_rng(1).normal(size=shape)
    size = round(BLUR_SHARE * min(shape[-3:-1])) | 1
    half = size // 2
    padded = np.pad(media, [(0, 0)] * (len(shape) - 3) + [(half, half), (half, half), (0, 0)], mode="reflect")
    found = box_blur(media, BLUR_SHARE)
    for y, x in [(0, 0), (3, 17), (shape[-3] - 1, shape[-2] - 1)]:
        box = padded[..., y : y + size, x : x + size, :].mean(axis=(-3, -2))
        np.testing.assert_allclose(found[..., y, x, :], box, atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 224, 3), (224, 1, 3), (2, 2, 1), (4, 4, 3), (3, 1, 9, 1)])
def test_a_blur_hides_something_in_every_media(shape: tuple[int, ...]) -> None:
    media = np.random.default_rng(2).integers(0, 255, shape, dtype=np.uint8)
    assert (baseline_of("blur", media) != media).mean() > 0.5


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_frozen_is_the_mean_over_time_in_every_frame(dtype: str) -> None:
    clip = np.random.default_rng(3).integers(0, 255, (5, 6, 9, 2)).astype(dtype)
    found = baseline_of("frozen", clip)
    assert (found.shape, found.dtype) == (clip.shape, clip.dtype)
    mean = sum(clip[t].astype(float) for t in range(5)) / 5
    for frame in found:
        np.testing.assert_allclose(frame, np.rint(mean) if dtype == "uint8" else mean, rtol=1e-6)
    still = np.broadcast_to(clip[:1], clip.shape)
    np.testing.assert_array_equal(baseline_of("frozen", still), still)


def test_an_image_has_no_time_to_freeze() -> None:
    with pytest.raises(InputError, match=r'"frozen" is the mean over time, but the media has shape \(6, 9, 3\)'):
        baseline_of("frozen", MEDIA)


def test_what_is_no_baseline_is_refused() -> None:
    expected = r"baseline is 'blurr'; expected one of 'blur', 'soft', 'mean', 'black', 'frozen', a number"
    with pytest.raises(InputError, match=expected):
        baseline_of("blurr", MEDIA)
    with pytest.raises(
        InputError, match=r"the baseline is ndarray of shape \(5,\); expected .* broadcasts to .*\(6, 9, 3\)"
    ):
        baseline_of(np.zeros(5), MEDIA)
    with pytest.raises(InputError, match=r"the baseline function returned ndarray of shape \(5,\)"):
        baseline_of(lambda m: np.zeros(5), MEDIA)
    with pytest.raises(InputError, match=r"baseline function failed for media of shape \(6, 9, 3\): KeyError: 'no'"):
        baseline_of(lambda m: {}["no"], MEDIA)
    for bad in (np.nan, np.inf, np.where(np.arange(3) == 1, -np.inf, 0.0)):
        with pytest.raises(InputError, match="the baseline is an array with NaN or Inf"):
            baseline_of(bad, MEDIA)
    with pytest.raises(InputError, match="expected a number or an array"):
        baseline_of({"a": 1}, MEDIA)  # type: ignore[arg-type]


@pytest.mark.parametrize("several", [["blur", "mean"], ["blur", 7], [np.ndarray.copy, 7], [MEDIA, MEDIA // 2]])
def test_several_baselines_in_a_list_are_told_to_be_a_tuple(several: list[Any]) -> None:
    for baseline in (several, (several, "black")):
        with pytest.raises(InputError, match=r"^the baseline is a list of 2; .* Several .* go in a tuple: \(.*\)$"):
            baselines_of(baseline, MEDIA)  # type: ignore[arg-type]
    assert (baseline_of([1, 2, 3], MEDIA) == [1, 2, 3]).all()  # type: ignore[arg-type]
    assert (baseline_of([*MEDIA], MEDIA) == MEDIA).all()  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"of shape \(2,\).*channels last\)$"):
        baseline_of([1, 2], MEDIA)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("media", "baseline", "says"),
    [
        (MEDIA, 0.5, "the baseline is 0.5, but the media is uint8, from 0 to"),
        (MEDIA, MEDIA / 255, "the baseline is 0 to 0.* but the media is uint8"),
        (MEDIA, 1000, "the baseline is 1000, but the media is uint8"),
        (MEDIA, -300, "the baseline is -300, but"),
        (MEDIA / np.float32(255), 128, "the baseline is 128, but the media is float32, from 0.0 to"),
    ],
)
def test_a_baseline_in_another_range_than_the_media_is_refused(media: np.ndarray, baseline: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        baseline_of(baseline, media)
    with pytest.raises(InputError, match=says):
        baselines_of(("blur", baseline), media)


def test_what_may_belong_to_the_media_is_a_baseline() -> None:
    for media, baseline in (
        (MEDIA / 255.0, -2.1),
        (MEDIA / 255.0, 3.0),
        (MEDIA / 127.5 - 1, 30.0),
        (MEDIA * 1.0, 300.0),
    ):
        assert (baseline_of(baseline, media) == baseline).all()
    assert not baseline_of(np.zeros((1, 1, 3)), MEDIA).any()
    # A mean of a dark picture is a share; what overshoots is cut; of zeros and ones a half is between.
    dark = np.where(MEDIA > 250, 3, 0).astype(np.uint8)
    assert not baseline_of(lambda media: media.mean(axis=(0, 1)), dark).any()
    assert set(np.unique(baseline_of(np.resize([-60.0, 310.0], MEDIA.shape), MEDIA))) == {0, 255}
    assert not baseline_of(0.5, (MEDIA > 100).astype(np.int64)).any()
