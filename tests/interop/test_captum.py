"""BOREx as a method of Captum: its shapes, targets, baselines and further arguments, and back as an initial map."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

import borex
from borex.errors import InputError, MissingExtraError
from tests.closed_form import bumps

torch = pytest.importorskip("torch")
attr = pytest.importorskip("captum.attr")

from borex.interop.captum import Refined  # noqa: E402

EXTENT = (20, 27)
WEIGHTS = torch.from_numpy(bumps(EXTENT)).float()


class Linear(torch.nn.Module):  # type: ignore[misc]
    """Logits of two classes that read different places, in the first channel."""

    def forward(self, x: Any, gain: Any = 1.0) -> Any:
        a, b = (x[:, 0] * WEIGHTS).flatten(1).sum(1), (x[:, 0] * WEIGHTS.flip(0, 1)).flatten(1).sum(1)
        return torch.stack([torch.as_tensor(gain).reshape(-1) * a, b, 0 * a - 3], dim=1)


def inputs(n: int = 2) -> Any:
    return torch.ones(n, 3, *EXTENT)


OPTIONS: dict[str, Any] = {"max_evals": 200, "output": "logits"}


def test_attributions_are_like_any_other_of_captum() -> None:
    found = Refined(Linear(), **OPTIONS).attribute(inputs(), baselines=0, target=[0, 1])
    assert isinstance(Refined(Linear()), attr.Attribution)
    assert found.shape == inputs().shape
    assert found.dtype == torch.float32
    maps = found.sum(1).numpy()
    assert spearmanr(maps[0].ravel(), WEIGHTS.numpy().ravel()).statistic > 0.6
    assert spearmanr(maps[1].ravel(), WEIGHTS.flip(0, 1).numpy().ravel()).statistic > 0.6
    occluded = attr.Occlusion(Linear()).attribute(inputs(1), (3, 5, 5), 2, 0, target=0)
    assert spearmanr(maps[0].ravel(), occluded.sum(1).numpy().ravel()).statistic > 0.6


def test_it_is_what_refine_gives() -> None:
    found = Refined(Linear(), **OPTIONS).attribute(inputs(1), baselines=0, target=1)
    same = borex.refine(Linear(), inputs(1), target=1, baseline=0, layout="NCHW", **OPTIONS)
    np.testing.assert_allclose(found.sum(1)[0].numpy(), same.saliency, rtol=1e-5, atol=1e-6)


def test_targets_of_every_kind() -> None:
    method = Refined(Linear(), max_evals=40, output="logits")
    one = method.attribute(inputs(), 0, target=1)
    assert torch.equal(one, method.attribute(inputs(), 0, target=[1, 1]))
    assert torch.equal(one, method.attribute(inputs(), 0, target=torch.tensor([1, 1])))
    assert torch.equal(one, method.attribute(inputs(), 0, target=torch.tensor(1)))
    assert torch.equal(one, method.attribute((inputs(),), (0,), target=1)[0])
    with pytest.raises(InputError, match=r"target is \(1, 2\), an index into scores of several axes"):
        method.attribute(inputs(), 0, target=(1, 2))
    with pytest.raises(InputError, match="target has 3 classes for 2 inputs"):
        method.attribute(inputs(), 0, target=[1, 2, 0])
    with pytest.raises(InputError, match=r"inputs are \(3, 4\); expected one tensor \(n, C, H, W\)"):
        method.attribute(torch.ones(3, 4))
    with pytest.raises(InputError, match=r"inputs are \(0, 3, 8, 8\); .*, n at least 1"):
        method.attribute(torch.ones(0, 3, 8, 8))
    with pytest.raises(InputError, match=r"baselines have shape \(5, .*\) for 2 inputs; expected one, or one for each"):
        method.attribute(inputs(), torch.zeros(5, 3, *EXTENT), target=1)


def test_scores_of_one_axis_further_arguments_and_baselines() -> None:
    def score(x: Any, gain: Any) -> Any:
        return Linear()(x, gain)[:, 0]

    method = Refined(score, max_evals=40, output="logits")
    gains = torch.tensor([1.0, -1.0])
    up, down = method.attribute(inputs(), 0, additional_forward_args=(gains,), target=1).sum(1)
    assert spearmanr(up.ravel(), -down.ravel()).statistic > 0.7
    zeros = torch.zeros(3, *EXTENT)
    for baselines in (zeros, zeros[None], torch.zeros(2, 3, *EXTENT), 0.0):
        assert torch.equal(method.attribute(inputs(), baselines, 1, (gains,)).sum(1)[0], up)


def test_a_baseline_of_a_clip_with_and_without_a_batch() -> None:
    colours = torch.tensor([0.0, 0.5, 1.0])[:, None, None, None]
    for baseline in (colours, colours.expand(3, 4, *EXTENT), colours[None], colours.expand(2, 3, 4, *EXTENT)):
        asked = []

        def forward(x: Any, asked: list[Any] = asked) -> Any:
            asked.append(x.clone())
            return Linear()(x.mean(2))

        Refined(forward, max_evals=20, output="logits").attribute(torch.full((2, 3, 4, *EXTENT), 0.9), baseline, 0)
        hidden = torch.cat(asked).flatten(2).mean(2)
        assert torch.isclose(hidden, colours.flatten(), atol=1e-6).all(1).any()


def test_clips_and_an_initial_map_of_captums() -> None:
    clip = torch.ones(1, 3, 4, *EXTENT)
    found = Refined(lambda x: Linear()(x.mean(2)), max_evals=40, output="logits").attribute(clip, 0, target=0)
    assert found.shape == clip.shape
    first = attr.Saliency(Linear()).attribute(inputs().requires_grad_(), target=0)
    refined = Refined(Linear(), **OPTIONS).attribute(inputs(), 0, target=0, initial=first)
    one = borex.refine(
        Linear(), inputs(1), first[:1], target=0, baseline=0, layout="NCHW", **OPTIONS
    )  # what Captum gives is an initial map as it is
    np.testing.assert_allclose(refined.sum(1)[0].numpy(), one.saliency, rtol=1e-5, atol=1e-6)


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "borex.interop.captum")
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match=r"needs the package 'captum', .*borex\[heatmaps\]"):
        importlib.import_module("borex.interop.captum")


def test_further_arguments_that_are_no_rows_are_passed_on_as_they_are() -> None:
    shapes = []

    def forward(x: Any, weights: Any, row: Any) -> Any:
        shapes.append((tuple(weights.shape), len(row) == len(x)))
        return Linear()(x)

    arguments = (torch.ones(5), torch.ones(2, 1))
    Refined(forward, max_evals=20, output="logits").attribute(inputs(), 0, 0, arguments)
    assert {*shapes} == {((5,), True)}


def test_a_single_output_is_explained_itself_whatever_its_sign() -> None:
    def forward(x: Any) -> Any:
        return (x[:, 0] * WEIGHTS).flatten(1).sum(1) - 6  # class 0 is the likelier

    found, same = (Refined(forward, **OPTIONS).attribute(inputs(1), 0, target) for target in (None, 1))
    assert torch.equal(found, same)
    assert same.std() > 0
    column = Refined(lambda x: forward(x)[:, None], **OPTIONS)
    for target in (0, [0], torch.tensor(0), torch.tensor([0])):  # Captum takes no other
        assert torch.equal(column.attribute(inputs(1), 0, target), same)
    theirs = attr.Occlusion(lambda x: forward(x)[:, None]).attribute(inputs(1), (3, 5, 5), 2, 0, target=0)
    assert spearmanr(same.sum(1).ravel(), theirs.sum(1).ravel()).statistic > 0.6
    named = column.attribute(inputs(1), 0, 0, initial="rise")
    assert torch.equal(named, column.attribute(inputs(1), 0, 1, initial="rise"))


def test_each_input_has_its_own_initial_map() -> None:
    method = Refined(Linear(), max_evals=24, output="logits", method="paper")
    maps = np.zeros((3, *EXTENT), np.float32)
    for i in range(3):
        maps[i, 6 * i : 6 * i + 4, 3:9] = i + 1
    seen = []

    def recorded(*arguments: Any, **options: Any) -> Any:
        found = borex.refine(*arguments, **options)
        seen.append(found.initial)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("borex.interop.captum.refine", recorded)
        for given in (maps, torch.from_numpy(maps), maps[:, None], (torch.from_numpy(maps[:, None]),)):
            method.attribute(inputs(3), 0, 0, initial=given)
    assert len(seen) == 12
    for i, one in enumerate(seen):
        np.testing.assert_allclose(one, maps[i % 3])
    with pytest.raises(
        InputError, match=r"the initial maps have shape \(2, 20, 27\) for 3 inputs; expected one for each"
    ):
        method.attribute(inputs(3), 0, 0, initial=maps[:2])


def test_a_noise_tunnel_may_be_laid_around_it() -> None:
    found = attr.NoiseTunnel(Refined(Linear(), max_evals=24, output="logits")).attribute(
        inputs(1), nt_samples=2, target=0
    )
    assert found.shape == inputs(1).shape
