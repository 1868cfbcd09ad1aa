"""The script behind the figures of calibration: coverage counts right, and held-back masks are asked and predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from borex.blackbox import Model
from borex.evaluation.benchmark.inputs import Input
from borex.evaluation.benchmark.methods import find_function
from tests.evaluation.benchmark.parts import model, write_inputs

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
coverage = find_function("calibration:coverage", BENCHMARKS)
rows_of = find_function("calibration:rows_of", BENCHMARKS)


def test_coverage_of_what_is_as_said_is_its_level_and_scales() -> None:
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=20_000), rng.uniform(0.5, 2.0, 20_000)
    answers = mean + std * rng.standard_normal(20_000)
    np.testing.assert_allclose(coverage(answers, mean, std), [0.5, 0.8, 0.95, 1.0], atol=0.015)
    # Twice as sure as it may be: P(|z| < 1.2816 / 2) = .478.
    np.testing.assert_allclose(coverage(answers, mean, std / 2)[1], 0.478, atol=0.015)
    np.testing.assert_allclose(coverage(answers, mean, std / 2)[3], 2.0, atol=0.03)


def test_an_image_gives_a_line_for_every_kind_of_mask(tmp_path: Path) -> None:
    write_inputs(tmp_path, 1)
    asked: list[int] = []
    probabilities = model()

    def counted(batch: np.ndarray) -> np.ndarray:
        asked.append(len(batch))
        return probabilities(batch)

    lines = rows_of(Model(counted, output="probabilities"), Input("p0", tmp_path, "p0.png", None, 1, "x"), 60, 7)
    assert [(line["masks"], line["kept"]) for line in lines] == [
        (kind, kept) for kind in ("boxes", "noise", "thompson") for kept in (True, False)
    ]
    assert sum(asked) == 60 + 6 * 7
    for line in lines:
        assert (line["input"], line["budget"], line["n"]) == ("p0", 60, 7)
        assert 0 <= line["inside_50"] <= line["inside_80"] <= line["inside_95"] <= 1
        assert line["spread"] > 0
