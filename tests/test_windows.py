"""The GP over windows against scikit-learn's, and its grid against the same points one by one."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from borex.published import HALF_WIDTHS
from borex.windows import WindowGP, fit_length_scales, log_evidence

START = np.array([12.0, 12.0, 10.0])
BOUNDS = np.ones(3), np.full(3, 20.0)

# scikit-learn says so when a length scale ends at its bound, as the published ones often do.
at_bounds = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def some_windows(n, rng):
    """Windows at 224 x 224, half of them in a cluster so that they tell about the length scales."""
    y, x = rng.uniform(0, 224, (2, n))
    y[: n // 2], x[: n // 2] = rng.normal(100, 25, (2, n // 2))
    points = np.stack([y, x, rng.choice(HALF_WIDTHS, n) + rng.normal(0, 0.5, n)], axis=1)
    return points, np.sin(points[:, 0] / 15) * np.cos(points[:, 1] / 30) + rng.normal(0, 0.1, n)


def sklearn_gp(points, values, start=START, bounds=BOUNDS):
    kernel = Matern(length_scale=start, length_scale_bounds=np.stack(bounds, axis=1), nu=1.5)
    return GaussianProcessRegressor(kernel, alpha=0.01).fit(points, values)


@at_bounds
@pytest.mark.parametrize(("n", "seed"), [(1, 0), (2, 1), (12, 2), (50, 3), (50, 4)])
def test_gp_equals_scikit_learn(n, seed):
    rng = np.random.default_rng(seed)
    points, values = some_windows(n, rng)
    oracle = sklearn_gp(points, values)
    scales = fit_length_scales(points, values, START, BOUNDS, 0.01)
    assert scales == pytest.approx(oracle.kernel_.length_scale, rel=1e-4)
    evidence, _ = log_evidence(np.log(scales), points, values, 0.01)
    assert evidence >= oracle.log_marginal_likelihood_value_ - 1e-6

    at = np.concatenate([some_windows(200, rng)[0], points])
    mean, std = WindowGP.given(points, values, oracle.kernel_.length_scale, 0.01).predict(at)
    expected_mean, expected_std = oracle.predict(at, return_std=True)
    assert mean == pytest.approx(expected_mean, abs=1e-9)
    assert std == pytest.approx(expected_std, abs=1e-9)
    mean, std = WindowGP.given(points, values, scales, 0.01).predict(at)
    assert mean == pytest.approx(expected_mean, abs=1e-6)
    assert std == pytest.approx(expected_std, abs=1e-6)


def test_gradient_of_the_evidence_is_its_slope():
    points, values = some_windows(20, np.random.default_rng(0))
    at, step = np.log([5.0, 13.0, 8.0]), 1e-5
    _, gradient = log_evidence(at, points, values, 0.01)
    for axis, along in enumerate(np.eye(3) * step):
        rise = log_evidence(at + along, points, values, 0.01)[0] - log_evidence(at - along, points, values, 0.01)[0]
        assert gradient[axis] == pytest.approx(rise / (2 * step), rel=1e-6)


@pytest.mark.parametrize("n", [0, 1, 40, 95])
@pytest.mark.parametrize("sizes", [(31, 23, 4), (3, 11, 13, 2, 3), (2, 1, 2311)])
def test_grid_equals_the_same_points_one_by_one(n, sizes):
    rng = np.random.default_rng(n)
    axes = [np.sort(rng.uniform(0, 60, size)) for size in sizes]
    points = rng.uniform(0, 60, (n, len(sizes)))
    points[n // 2 :] = points[: n - n // 2] + 0.1  # pairs so close that float32 has a hard time
    gp = WindowGP.given(points, rng.normal(size=n), rng.uniform(5, 20, len(sizes)), 0.01)
    expected = gp.predict(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(sizes)))
    for grid, screened, exact in zip(gp.on_grid(axes), gp.on_grid(axes, np.float32), expected, strict=True):
        assert grid.shape == sizes
        assert grid.ravel() == pytest.approx(exact, abs=1e-11)
        assert screened.ravel() == pytest.approx(exact, abs=1e-4)  # published.SCREEN leaves ten times as much
