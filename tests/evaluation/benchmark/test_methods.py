"""What a method is given, what it may spend, and the methods of the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import borex
from borex.blackbox import Model
from borex.errors import BudgetError, InputError
from borex.evaluation.benchmark import Task
from borex.evaluation.benchmark.config import ModelSpec
from borex.evaluation.benchmark.methods import Meter, degraded, find_method, run_method, seed_of
from borex.evaluation.benchmark.models import make_model
from tests.evaluation.benchmark.parts import EXTENT, HERE, model


def task(budget: int = 60, seed: int = 0) -> tuple[Task, Meter]:
    meter = Meter(budget)
    media = np.full((*EXTENT, 3), 40, dtype=np.uint8)
    media[5:13, 20:32] = 255
    return Task(meter.metered(Model(model(), output="probabilities")), "bright", media, 1, budget, seed), meter


def run_it(run: str, budget: int = 60, seed: int = 0, noise: float = 0.0, **options: Any) -> tuple[Any, Meter]:
    given, meter = task(budget, seed)
    return run_method(run, given, Path(), options, noise), meter


def test_the_library_s_methods_are_the_library_s(few: Path) -> None:
    given, _ = task()
    found, meter = run_it("field", baseline="black")
    same = borex.refine(
        model(), given.media, target=1, max_evals=60, baseline="black", seed=0, output="probabilities", layout="HWC"
    )
    np.testing.assert_array_equal(found.saliency, same.saliency)
    assert meter.evals == same.evals == 60
    assert found.facts["stop_reason"] == same.stop_reason
    in_turn, _ = run_it("field", baseline=["black", "mean"])
    same = borex.refine(
        model(), given.media, target=1, max_evals=60, baseline=("black", "mean"), seed=0, output="probabilities",
        layout="HWC",
    )  # fmt: skip
    np.testing.assert_array_equal(in_turn.saliency, same.saliency)
    assert np.abs(in_turn.saliency - found.saliency).max() > 0
    published, meter = run_it("paper", baseline="black")
    assert meter.evals <= 60
    assert np.abs(published.saliency - found.saliency).max() > 0


def test_an_initial_map_is_paid_for_from_the_budget() -> None:
    found, meter = run_it("field", 100, initial={"run": "rise", "budget": 30, "baseline": "black"}, baseline="black")
    assert meter.evals == 100
    start, _ = run_it("rise", 30, baseline="black")
    given, _ = task()
    same = borex.refine(
        model(), given.media, start.saliency, target=1, max_evals=70, baseline="black", output="probabilities",
        layout="HWC",
    )  # fmt: skip
    np.testing.assert_array_equal(found.saliency, same.saliency)
    assert found.facts["trust"] == same.trust[0]  # type: ignore[index]
    assert found.facts["chosen"] in ("initial", "refined")


def test_a_degraded_initial_map_is_trusted_less() -> None:
    def trust(noise: float, seed: int) -> float:
        start = {"run": f"{HERE}:perfect", "budget": 30, "noise": noise}
        return run_it("field", 100, seed, initial=start, baseline="black")[0].facts["trust"]

    assert np.mean([trust(1.0, seed) for seed in range(3)]) < trust(0.0, 0) / 2


def test_rise_is_the_mean_of_its_masks() -> None:
    from borex.heatmaps.rise import RiseMasks

    found, meter = run_it("rise", 50, seed=3, baseline="black")
    given, _ = task()
    masks = RiseMasks(50, EXTENT, np.random.default_rng(3))[:]
    shown = (given.media[None] * masks[..., None]).round().astype(np.uint8)
    expected = np.tensordot(model()(shown)[:, 1], masks, axes=1) / 25
    np.testing.assert_allclose(found.saliency, expected, rtol=1e-5)
    assert meter.evals == 50


def test_nobody_asks_beyond_the_budget() -> None:
    given, meter = task(10)
    assert given.scores(np.ones((10, *EXTENT), dtype=bool)).shape == (10,)
    assert meter.evals == 10
    with pytest.raises(BudgetError, match="asked for 11 evaluations; the budget is 10"):
        given.scores(np.ones((1, *EXTENT), dtype=bool))
    assert meter.evals == 10


def test_noise_takes_the_place_of_the_map_from_none_to_all() -> None:
    heat_map = np.random.default_rng(0).random(EXTENT) ** 2
    rng = np.random.default_rng(1)
    assert degraded(heat_map, 0.0, rng) is heat_map
    correlation = []
    for level in (0.25, 0.5, 0.75, 1.0):
        worse = degraded(heat_map, level, np.random.default_rng(5))
        correlation.append(np.corrcoef(worse.ravel(), heat_map.ravel())[0, 1])
    np.testing.assert_allclose(correlation, np.sqrt(1 - np.array([0.25, 0.5, 0.75, 1.0]) ** 2), atol=0.06)
    assert np.isfinite(degraded(np.zeros(EXTENT), 0.5, rng)).all()


def test_chance_knows_nothing_of_the_media() -> None:
    maps = [run_it("random", seed=seed)[0].saliency for seed in range(40)]
    inside = [heat_map[5:13, 20:32].mean() - heat_map.mean() for heat_map in maps]
    assert abs(np.mean(inside)) < 3 * np.std(inside) / np.sqrt(40)


def test_seeds_of_inputs_differ_and_do_not_change() -> None:
    assert seed_of(0, "cat") == 1826620528
    assert len({seed_of(seed, name) for seed in range(5) for name in ("cat", "dog")}) == 10


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ("feild", "the method is 'feild'; expected one of field, paper, rise, random, or 'module:function'"),
        ("no_such_module:f", "there is no module 'no_such_module', neither in"),
        (f"{HERE}:EXTENT", "is no function"),
        ("needy:f", "'needy:f' needs the package 'no_such_package', which is not installed"),
    ],
)
def test_a_method_that_cannot_be_found_is_said(tmp_path: Path, run: str, text: str) -> None:
    (tmp_path / "needy.py").write_text("import no_such_package\n")
    with pytest.raises(InputError, match=text):
        find_method(run, tmp_path)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (ModelSpec("a", "lite9"), "the model is 'lite9'; expected lite0, motionnet, frame-mean, an .onnx file"),
        (ModelSpec("a", "lite0", {"depth": 3}), "the model 'a' does not take these options: .*depth"),
        (ModelSpec("a", "a.onnx"), "a.onnx' is not there"),
    ],
)
def test_a_model_that_cannot_be_made_is_said(tmp_path: Path, spec: ModelSpec, text: str) -> None:
    with pytest.raises((InputError, borex.FileError), match=text):
        make_model(spec, tmp_path)


def test_the_models_by_name() -> None:
    assert make_model(ModelSpec("a", "lite0"), Path()).extent == (224, 224)
    assert make_model(ModelSpec("a", "motionnet"), Path()).extent == (16, 112, 112)
    assert make_model(ModelSpec("a", "frame-mean", {"frames": 5}), Path()).extent == (5, 224, 224)
    made = make_model(ModelSpec("a", f"{HERE}:model", {"classes": 3}), Path())
    assert made(np.zeros((2, *EXTENT, 3))).shape == (2, 3)
    import borex.models

    path = Path(borex.models.__file__).parent / "motionnet"
    assert make_model(ModelSpec("a", "motionnet.onnx", {"layout": "NCTHW"}), path).extent == (16, 112, 112)
