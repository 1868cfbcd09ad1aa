"""What a map with an early axis shows for each cell: the posterior of an average over neighbours that look alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from borex import neighbours
from borex.field import Field
from borex.masks import spread
from borex.neighbours import REACH, REACH_OF_ALL, Neighbours, averaged
from borex.refiner import Refiner


def told(grid: tuple[int, ...], n: int = 40) -> Field:
    rng = np.random.default_rng(3)
    field = Field(grid, tuple(4 * size for size in grid))
    coverage = (rng.random((n, *grid)) < 0.4).astype(float)
    field.observe(coverage, coverage.reshape(n, -1) @ rng.normal(size=int(np.prod(grid))))
    field.fit()
    return field


def looks(grid: tuple[int, ...]) -> np.ndarray:
    """The left half dark, the right half bright, with some noise of its own: `(*grid, 2)`."""
    found = np.random.default_rng(1).normal(size=(*grid, 2), scale=0.1)
    found[..., grid[-1] // 2 :, :] += 5.0
    return found


def slowly(values: np.ndarray, appearance: np.ndarray | None) -> np.ndarray:
    """`values` `(t, h, w)` averaged, one pair of cells after the other."""
    found = np.empty_like(values)
    features = None if appearance is None else appearance - appearance.mean(axis=(0, 1, 2))
    for t, y, x in np.ndindex(*values.shape):
        total = weight = 0.0
        for v, u in np.ndindex(*values.shape[1:]):
            near = np.exp(-0.5 * ((y - v) ** 2 + (x - u) ** 2) / (REACH_OF_ALL if features is None else REACH) ** 2)
            if features is not None:
                size = np.sqrt((features**2).sum(axis=-1).mean())
                apart = np.sqrt(3) * np.linalg.norm(features[t, y, x] - features[t, v, u]) / size / 0.5
                near *= (1 + apart) * np.exp(-apart)
            total, weight = total + near * values[t, v, u], weight + near
        found[t, y, x] = total / weight
    return found


@pytest.mark.parametrize("is_known", [True, False])
def test_the_mean_is_of_what_is_near_and_looks_alike(is_known: bool) -> None:
    grid = (4, 5, 6)
    field, appearance = told(grid), looks(grid) if is_known else None
    mean, _ = averaged(field, Neighbours(grid, appearance))
    np.testing.assert_allclose(mean, slowly(field.mean(), appearance), atol=1e-12)
    assert np.abs(mean - field.mean()).max() > 0.1 * field.mean().std()


def test_an_outline_stays() -> None:
    grid = (2, 8, 8)
    halves = np.zeros(grid)
    halves[..., 4:] = 1.0
    weights = [Neighbours(grid, looks(grid)).weights(t) for t in range(2)]
    for t, of_moment in enumerate(weights):
        assert np.abs(of_moment @ halves[t].ravel() - halves[t].ravel()).max() < 0.01
    blurred = Neighbours(grid, np.zeros((*grid, 2))).weights(0) @ halves[0].ravel()  # all look the same
    assert np.abs(blurred - gaussian_filter(halves[0], REACH_OF_ALL).ravel()).max() < 0.01
    assert np.abs(blurred - halves[0].ravel()).max() > 0.2


def test_the_std_is_that_of_averaged_samples() -> None:
    grid = (3, 4, 5)
    field, around = told(grid), Neighbours(grid, looks(grid))
    _, std = averaged(field, around)
    draws = field.samples(6000, np.random.default_rng(5)).reshape(6000, 3, 20)
    draws = np.stack([draws[:, t] @ around.weights(t).T for t in range(3)], axis=1)
    np.testing.assert_allclose(std, draws.std(axis=0).reshape(grid), rtol=0.06)


@pytest.mark.parametrize("grid", [(5, 7), (1, 5, 7)])
def test_without_an_early_axis_each_cell_stands_for_itself(grid: tuple[int, ...]) -> None:
    field = told(grid)
    mean, std = averaged(field, Neighbours(grid, looks(grid)))
    np.testing.assert_array_equal(mean, field.mean())
    np.testing.assert_array_equal(std, field.std())


def test_two_early_axes_are_moments_as_well() -> None:
    grid = (2, 3, 4, 5)
    field, appearance = told(grid, 60), looks(grid)
    mean, std = averaged(field, Neighbours(grid, appearance))
    assert mean.shape == std.shape == grid
    np.testing.assert_allclose(
        mean.reshape(6, 4, 5), slowly(field.mean().reshape(6, 4, 5), appearance.reshape(6, 4, 5, 2)), atol=1e-12
    )


def test_the_map_and_its_profile_are_averaged_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of unequal size, so that an average over cells is none over pixels."""
    grid, extent = (3, 4, 5), (6, 9, 11)

    def result() -> tuple[np.ndarray, np.ndarray]:
        refiner = Refiner(extent, target=0, output="probabilities", grid=grid, max_evals=60, appearance=looks(grid))
        inside = np.zeros(extent, dtype=bool)
        inside[2:4, 3:6, 0:5] = True
        while len(masks := refiner.ask()):
            refiner.tell(masks, 0.05 + 0.9 * np.asarray(masks, dtype=float)[:, inside].mean(axis=1))
        field = refiner._strategy._fitted()  # type: ignore[attr-defined]
        around = Neighbours(grid, looks(grid))
        draws = field.samples(4000, np.random.default_rng(1)).reshape(4000, 3, 20)
        draws = np.stack([draws[:, t] @ around.weights(t).T for t in range(3)], axis=1)
        of_pixels = spread(draws.reshape(-1, *grid), extent).mean(axis=(2, 3)).std(axis=0)
        found = refiner.result()
        assert found.profile_std is not None
        np.testing.assert_allclose(found.profile_std, of_pixels, rtol=0.06)
        return found.saliency, found.profile_std

    saliency, profile_std = result()
    monkeypatch.setattr(neighbours, "REACH", 1e-6)
    alone, std_alone = result()
    assert not np.allclose(saliency, alone)
    assert not np.allclose(profile_std, std_alone, rtol=1e-6)
