"""What a map with an early axis shows for each cell: the posterior of an average over its neighbours in space."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from borex import strategies
from borex.field import Field
from borex.masks import spread
from borex.refiner import Refiner
from borex.strategies import NEIGHBOURHOOD, averaged


def told(grid: tuple[int, ...], n: int = 40) -> Field:
    rng = np.random.default_rng(3)
    field = Field(grid, tuple(4 * size for size in grid))
    coverage = (rng.random((n, *grid)) < 0.4).astype(float)
    field.observe(coverage, coverage.reshape(n, -1) @ rng.normal(size=int(np.prod(grid))))
    field.fit()
    return field


def test_the_mean_is_blurred_in_space_alone() -> None:
    field = told((4, 5, 7))
    mean, _ = averaged(field)
    expected = gaussian_filter(field.mean(), (0, NEIGHBOURHOOD, NEIGHBOURHOOD), mode="reflect")
    np.testing.assert_allclose(mean, expected, atol=1e-12)
    assert np.abs(mean - field.mean()).max() > 0.1 * field.mean().std()
    np.testing.assert_allclose(mean.sum(axis=(1, 2)), field.mean().sum(axis=(1, 2)), rtol=1e-9)


def test_the_std_is_that_of_averaged_samples() -> None:
    field = told((3, 4, 5))
    _, std = averaged(field)
    draws = field.samples(6000, np.random.default_rng(5))
    spread_of_draws = gaussian_filter(draws, (0, 0, NEIGHBOURHOOD, NEIGHBOURHOOD), mode="reflect").std(axis=0)
    np.testing.assert_allclose(std, spread_of_draws, rtol=0.06)
    assert (std < field.std()).all()


@pytest.mark.parametrize("grid", [(5, 7), (1, 5, 7)])
def test_without_an_early_axis_each_cell_stands_for_itself(grid: tuple[int, ...]) -> None:
    field = told(grid)
    mean, std = averaged(field)
    np.testing.assert_array_equal(mean, field.mean())
    np.testing.assert_array_equal(std, field.std())


def test_the_map_and_its_profile_are_averaged_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of unequal size, so that an average over cells is none over pixels."""

    def result() -> tuple[np.ndarray, np.ndarray]:
        refiner = Refiner((6, 9, 11), target=0, output="probabilities", grid=(3, 4, 5), max_evals=60)
        inside = np.zeros((6, 9, 11), dtype=bool)
        inside[2:4, 3:6, 0:5] = True
        while len(masks := refiner.ask()):
            refiner.tell(masks, 0.05 + 0.9 * np.asarray(masks, dtype=float)[:, inside].mean(axis=1))
        field = refiner._strategy._fitted()  # type: ignore[attr-defined]
        draws = field.samples(4000, np.random.default_rng(1))
        size = strategies.NEIGHBOURHOOD
        draws = draws if size == 0 else gaussian_filter(draws, (0, 0, size, size), mode="reflect")
        of_pixels = spread(draws.reshape(-1, 3, 4, 5), (6, 9, 11)).mean(axis=(2, 3)).std(axis=0)
        found = refiner.result()
        assert found.profile_std is not None
        np.testing.assert_allclose(found.profile_std, of_pixels, rtol=0.06)
        return found.saliency, found.profile_std

    saliency, profile_std = result()
    monkeypatch.setattr(strategies, "NEIGHBOURHOOD", 1e-6)
    alone, std_alone = result()
    assert not np.allclose(saliency, alone)
    assert not np.allclose(profile_std, std_alone, rtol=1e-6)
