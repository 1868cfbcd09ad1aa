"""BOREx inside Quantus: its own check of attributions, and two of its metrics."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import borex
from borex.errors import InputError
from borex.interop.quantus import explain
from tests.closed_form import box
from tests.heatmaps.nets import Conv, seeded

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it builds on parts of other libraries that warn of their age when imported
    quantus = pytest.importorskip("quantus")
    asserts = pytest.importorskip("quantus.helpers.asserts")

EXTENT = (16, 22)
INSIDE = box(EXTENT)


class Seen(torch.nn.Module):  # type: ignore[misc]
    """As sure of class 1 as it sees bright pixels of the object."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(8.0))
        self.register_buffer("inside", torch.from_numpy(INSIDE / INSIDE.sum()).float())

    def forward(self, x: Any) -> Any:
        logit = self.gain * ((x.mean(1) * self.inside).sum((1, 2)) - 0.5)
        return torch.stack([-logit, logit], 1)


X = np.ones((2, 3, *EXTENT), dtype=np.float32)
Y = np.array([1, 1])
OPTIONS: dict[str, Any] = {"max_evals": 60, "baseline": 0, "output": "logits"}


def test_its_check_of_attributions() -> None:
    found = explain(Seen(), X, Y, device="cpu", **OPTIONS)
    assert found.shape == (2, 1, *EXTENT)
    asserts.assert_attributions(X, found)
    with pytest.raises(AssertionError):
        asserts.assert_attributions(X, np.zeros_like(found))
    same = borex.refine(Seen(), X[:1], target=1, layout="NCHW", **OPTIONS)
    assert np.array_equal(found[0, 0], same.saliency)


def test_pixel_flipping_falls_faster_than_by_chance() -> None:
    metric = quantus.PixelFlipping(features_in_step=22, perturb_baseline=0.0, disable_warnings=True)
    common: dict[str, Any] = {"model": Seen().eval(), "x_batch": X, "y_batch": Y, "device": "cpu", "softmax": True}
    ours = np.array(metric(**common, explain_func=explain, explain_func_kwargs=OPTIONS))
    noise = np.random.default_rng(0).normal(size=(2, 1, *EXTENT)).astype(np.float32)
    by_chance = np.array(metric(**common, a_batch=noise))
    assert ours.shape == by_chance.shape == (2, 48)
    assert ours.mean() < 0.7 * by_chance.mean()


def test_its_pointing_game_and_the_mass_in_the_mask() -> None:
    masks = np.broadcast_to(INSIDE, (2, 1, *EXTENT))
    common: dict[str, Any] = {"model": Seen().eval(), "x_batch": X, "y_batch": Y, "s_batch": masks, "device": "cpu"}
    for metric in (quantus.PointingGame, quantus.RelevanceRankAccuracy):
        scores = metric(disable_warnings=True)(**common, explain_func=explain, explain_func_kwargs=OPTIONS)
        assert np.mean(scores) > 0.6


def test_target_0_of_a_single_output_is_that_output() -> None:
    class One(Seen):
        def forward(self, x: Any) -> Any:
            return super().forward(x)[:, 1:]

    found = explain(One(), X[:1], [0], **OPTIONS)
    assert np.array_equal(found, explain(One(), X[:1], [1], **OPTIONS))
    assert found[0, 0][INSIDE].mean() > 0


def test_the_name_that_evaluate_gives_it_is_no_method() -> None:
    found = explain(Seen(), X[:1], Y[:1], method="BOREx", **OPTIONS)
    assert np.array_equal(found, explain(Seen(), X[:1], Y[:1], **OPTIONS))
    assert not np.array_equal(found, explain(Seen(), X[:1], Y[:1], method="paper", **OPTIONS))
    scores = quantus.evaluate(
        metrics={"sparseness": quantus.Sparseness(disable_warnings=True)},
        xai_methods={"BOREx": explain},
        model=Seen().eval(),
        x_batch=X,
        y_batch=Y,
        explain_func_kwargs=OPTIONS,
    )
    assert np.isfinite(scores["BOREx"]["sparseness"]).all()


def test_clips_and_wrong_shapes() -> None:
    net = seeded(lambda: Conv(3))
    found = explain(net, np.ones((1, 3, 4, 12, 14), np.float32), [2], max_evals=20, output="logits")
    assert found.shape == (1, 1, 4, 12, 14)
    with pytest.raises(InputError, match=r"inputs have shape \(3, 4\); expected \(n, C, H, W\)"):
        explain(Seen(), np.ones((3, 4)), [1])
