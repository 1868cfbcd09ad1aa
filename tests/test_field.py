"""The field against the book's dense Gaussian, and the properties that a posterior must have."""

from __future__ import annotations

import pkgutil
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from borex.field import AT_ONCE, Field
from borex.hyperparameters import Hyperparameters
from borex.prior import Prior
from borex.threads import one_thread
from tests.closed_form import interrupted
from tests.oracles import DenseField

SIZES = {"image": ((4, 5), (16, 35)), "clip": ((2, 3, 4), (6, 9, 20))}  # grid, extent: cells are no squares
HYPER = {
    "image": Hyperparameters(0.8, 0.6, 0.4, (1.7,), (0.2, 0.35), 0.5, 0.9),
    "clip": Hyperparameters(0.8, 0.6, 0.4, (0.9, 1.7), (0.2, 0.35), 0.5, 0.9),
}
EXACT = {"rtol": 0, "atol": 1e-8}


def queries(grid: tuple[int, ...], n: int = 14, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Soft and hard masks, little seen and little hidden, and the log-odds of a model that is not linear in them."""
    rng = np.random.default_rng(seed)
    coverage = rng.random((n, *grid)) < rng.uniform(0.1, 0.9, (n, *[1] * len(grid)))
    coverage = np.where(np.arange(n).reshape(-1, *[1] * len(grid)) % 3 == 0, rng.random((n, *grid)), coverage)
    weights = rng.normal(size=grid)
    return coverage, np.tanh((coverage * weights).reshape(n, -1).sum(axis=1)) * 3 + 1.5


def initial_map(grid: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(7).normal(size=grid) * 40 + 3


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As the library runs it: threads make small matrices slow."""
    with one_thread():
        yield


@pytest.fixture(params=["image", "clip"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["flat", "initial", "two baselines", "three baselines"])
def both(request: pytest.FixtureRequest, kind: str) -> tuple[Field, DenseField, np.ndarray, np.ndarray]:
    """A field that was told everything, in its own units of answers; the dense one; the queries and their answers."""
    grid, extent = SIZES[kind]
    initial = None if request.param == "flat" else initial_map(grid)
    several = request.param.endswith("baselines")
    k, change = (2 + (request.param[:3] == "thr"), change_map(grid)) if several else (1, None)
    appearance = colours(grid) if k == 3 else None
    coverage, values = queries(grid)
    field = told(grid, extent, initial, HYPER[kind], coverage, values, k, change, appearance)
    return field, DenseField(field, extent, initial, HYPER[kind], k, change, appearance), coverage, values


def colours(grid: tuple[int, ...]) -> np.ndarray:
    """What the cells look like: two things, and a little noise."""
    rng = np.random.default_rng(9)
    return rng.choice([20.0, 200.0], size=(*grid, 1)) * [1.0, 0.5, 0.2] + rng.normal(size=(*grid, 3)) * 5


def change_map(grid: tuple[int, ...]) -> np.ndarray:
    """How much the baselines change each cell: in one of them nothing."""
    change = np.random.default_rng(8).gamma(1.0, size=grid) * 30
    change[(0,) * len(grid)] = 0.0
    return change


def fills(n: int, n_baselines: int) -> np.ndarray:
    return np.arange(n) // 2 % n_baselines


def told(grid, extent, initial, hyper, coverage, values, n_baselines: int = 1, change=None, look=None) -> Field:
    field = Field(grid, extent, initial, n_baselines=n_baselines, change=change, appearance=look)
    field.observe(coverage, values, fills(len(values), n_baselines))
    field.fit()  # settles centre and unit of the answers
    field._prior = field._bare  # as no answer has told of widths
    return field.with_hyperparameters(**vars(hyper))


@pytest.mark.parametrize("most", [0, 1024])
def test_the_std_of_a_weighted_sum_has_the_covariances_in_it(both, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few cells from the covariance of each pair, of many without."""
    monkeypatch.setattr("borex.prior.MOST_PAIRED", most)
    field, _, _, _ = both
    cells = np.prod(field.grid)
    one_each = np.eye(cells).reshape(cells, *field.grid)
    np.testing.assert_allclose(field.std_of(one_each), field.std().ravel(), **EXACT)
    weights = np.random.default_rng(3).normal(size=(5, *field.grid))
    drawn = field.samples(20_000, np.random.default_rng(0)).reshape(20_000, -1) @ weights.reshape(5, -1).T
    np.testing.assert_allclose(field.std_of(weights), drawn.std(axis=0), rtol=0.03)


def scaled(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def test_the_posterior_is_the_dense_one(both) -> None:
    field, dense, coverage, values = both
    mean, covariance, evidence = dense.given(coverage, scaled(values))
    of_saliency = dense.saliency @ covariance @ dense.saliency.T
    np.testing.assert_allclose(field.mean().ravel(), dense.saliency @ mean * values.std(), **EXACT)
    np.testing.assert_allclose(field.std().ravel(), np.sqrt(np.diag(of_saliency)) * values.std(), **EXACT)
    assert field.evidence() == pytest.approx(evidence, abs=1e-8)


def test_trust_is_the_posterior_of_beta(both) -> None:
    field, dense, coverage, values = both
    mean, covariance, _ = dense.given(coverage, scaled(values))
    at = dense.beta_at
    if not dense.h.any():
        assert field.trust() is None
    else:
        found = np.array([mean[at], np.sqrt(covariance[at, at])]) * values.std()
        np.testing.assert_allclose(field.trust(), found, **EXACT)


def test_predictions_are_the_dense_ones(both) -> None:
    field, dense, coverage, values = both
    new, _ = queries(field.grid, 9, seed=1)
    mean, variance = dense.predicted(coverage, scaled(values), new)
    found = field.predict(new, fills(len(new), dense.n_baselines))
    np.testing.assert_allclose(found[0], mean * values.std() + values.mean(), **EXACT)
    # The field's jitter is part of what was told, not of what is predicted.
    np.testing.assert_allclose(found[1] ** 2, variance * values.var(), rtol=0, atol=1e-7)


def test_samples_have_the_posteriors_mean_and_covariance(both) -> None:
    field, dense, coverage, values = both
    n = 20_000
    samples = field.samples(n, np.random.default_rng(3)).reshape(n, -1)
    mean, covariance, _ = dense.given(coverage, scaled(values))
    covariance = dense.saliency @ covariance @ dense.saliency.T * values.var()
    std = np.sqrt(np.diag(covariance))
    # Five standard errors of a mean and of a covariance of n draws of a Gaussian.
    assert (np.abs(samples.mean(axis=0) - dense.saliency @ mean * values.std()) < 5 * std / np.sqrt(n)).all()
    spread = np.sqrt((covariance**2 + np.outer(std, std) ** 2) / n)
    assert (np.abs(np.cov(samples.T) - covariance) < 5 * spread).all()


def test_one_by_one_is_all_at_once(kind: str) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid)
    at_once = told(grid, extent, initial_map(grid), HYPER[kind], coverage, values)
    field = told(grid, extent, initial_map(grid), HYPER[kind], coverage, values)
    field._asked, field._values = field._asked[:0], field._values[:0]
    for part in np.array_split(np.arange(len(values)), [1, 2, 7]):
        field.observe(coverage[part], values[part])
        field.mean()
    assert len(field) == len(values)
    np.testing.assert_allclose(field.mean(), at_once.mean(), **EXACT)
    np.testing.assert_allclose(field.std(), at_once.std(), **EXACT)
    assert field.evidence() == pytest.approx(at_once.evidence(), abs=1e-8)


def test_many_are_solved_for_a_part_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid)
    at_once = told(grid, extent, initial_map(grid), HYPER[kind], coverage, values)
    assert len(values) > 3 * 4
    monkeypatch.setattr("borex.field.AT_ONCE", 4)
    field = told(grid, extent, initial_map(grid), HYPER[kind], coverage, values)
    np.testing.assert_allclose(field.mean(), at_once.mean(), **EXACT)
    np.testing.assert_allclose(field.std(), at_once.std(), **EXACT)
    assert field.evidence() == pytest.approx(at_once.evidence(), abs=1e-8)


def test_memory_in_between_does_not_grow_with_the_square_of_all() -> None:
    """Beside the factor's 4 n^2 bytes and 16 bytes for each observation and cell."""
    grid = (3, 4)
    coverage, values = np.random.default_rng(0).random((1500, *grid)), np.random.default_rng(1).normal(size=1500)
    field = Field(grid, (30, 40))
    field.observe(coverage, values)
    field.fit()
    tracemalloc.start()
    field.mean()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 1500**2 + 1500 * (16 * 12 + 8 * 8 * AT_ONCE)


def test_the_order_of_observations_does_not_matter(kind: str) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid)
    order = np.random.default_rng(2).permutation(len(values))
    a = told(grid, extent, initial_map(grid), HYPER[kind], coverage, values)
    b = told(grid, extent, initial_map(grid), HYPER[kind], coverage[order], values[order])
    np.testing.assert_allclose(a.mean(), b.mean(), **EXACT)
    np.testing.assert_allclose(a.std(), b.std(), **EXACT)


def test_variance_never_grows(kind: str) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid)
    field = told(grid, extent, initial_map(grid), HYPER[kind], coverage, values)
    unit = values.std()
    before = np.sqrt(field._prior_variance()).reshape(grid) * unit
    field._asked, field._values = field._asked[:0], field._values[:0]
    for i in range(len(values)):
        field.observe(coverage[i : i + 1], values[i : i + 1])
        after = field.std()
        assert (after <= before + 1e-9).all()
        assert after.sum() < before.sum()
        before = after


def test_a_transposed_input_has_a_transposed_posterior(kind: str) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid, 40)
    initial = initial_map(grid)
    swap = (*range(len(grid) - 2), len(grid) - 1, len(grid) - 2)
    a = Field(grid, extent, initial)
    b = Field(*(tuple(sizes[i] for i in swap) for sizes in (grid, extent)), initial.transpose(swap))
    a.observe(coverage, values)
    b.observe(coverage.transpose(0, *(1 + i for i in swap)), values)
    np.testing.assert_allclose(a.mean().transpose(swap), b.mean(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(a.std().transpose(swap), b.std(), rtol=0, atol=1e-6)
    assert np.ptp(a.mean()) > 0.01


def test_units_of_the_answers_carry_through(kind: str) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid)
    one, thousand = Field(grid, extent), Field(grid, extent)
    one.observe(coverage, values)
    thousand.observe(coverage, 1000 * values + 5e4)
    np.testing.assert_allclose(thousand.mean(), 1000 * one.mean(), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(thousand.std(), 1000 * one.std(), rtol=1e-3)


def test_what_masks_miss_alike_is_not_averaged_away(kind: str) -> None:
    """Asked thirty times what the same mask does: noise of each answer's own goes, shared noise stays."""
    grid, extent = SIZES[kind]
    mask = np.zeros(grid)
    mask[..., :2, :2] = 1.0
    once = np.stack([np.zeros(grid), mask])

    def std(n: int, **noise: object) -> float:
        field = Field(grid, extent)
        field.observe(np.repeat(once, n, axis=0), np.repeat([-1.0, 1.0], n))
        field.fit()
        other = field.with_hyperparameters(**vars(HYPER[kind]) | {"contrast": 0.0, "amplitude": 1.0} | noise)
        return float(other.std_of(mask[None])[0] / other._unit)

    assert std(30, noise=(0.5, 0.5), overlap=0.0) < 0.4 * std(1, noise=(0.5, 0.5), overlap=0.0)
    assert std(30, noise=(0.01, 0.01), overlap=0.5) > 0.95 * std(1, noise=(0.01, 0.01), overlap=0.5)


def test_flat_answers_and_a_flat_initial_map(kind: str) -> None:
    grid, extent = SIZES[kind]
    coverage, _ = queries(grid)
    field = Field(grid, extent, np.full(grid, 3.0))
    assert not field.flat
    field.observe(coverage, np.full(len(coverage), -2.5))
    assert field.flat
    assert np.abs(field.mean()).max() < 1e-9
    assert np.isfinite(field.std()).all()
    assert field.trust() is None
    field.observe(coverage[:1], np.array([0.0]))
    assert not field.flat


def test_no_answers_give_the_prior(kind: str) -> None:
    grid, extent = SIZES[kind]
    field = Field(grid, extent)
    assert not field.mean().any()
    assert np.ptp(field.std()) < 1e-12
    assert field.std().min() > 0


def test_what_no_baseline_changes_is_hardly_salient(kind: str) -> None:
    """The prior of a cell is narrow where hiding it changes nothing; without a word on that all cells are alike."""
    grid, extent = SIZES[kind]
    change = change_map(grid)
    std = Field(grid, extent, change=change).std()
    assert std.ravel()[0] == std.min() < 0.1 * std.max()
    # Twice the change, at any scale, is the same field.
    np.testing.assert_allclose(Field(grid, extent, change=2e3 * change).std(), std, **EXACT)
    assert np.ptp(Field(grid, extent, change=np.zeros(grid)).std()) < 1e-12


def test_the_answer_to_hidden_nothing_is_the_same_whatever_would_hide(kind: str) -> None:
    """The whole input ties the baselines' answers together, all hidden does not."""
    grid, extent = SIZES[kind]
    coverage, values = queries(grid)
    field = told(grid, extent, None, HYPER[kind], coverage, values, 2)
    ends = np.stack([np.ones(grid), np.ones(grid), np.zeros(grid), np.zeros(grid)])
    mean, std = field.predict(ends, np.array([0, 1, 0, 1]))
    assert mean[0] == pytest.approx(mean[1], abs=1e-9)
    assert std[0] == pytest.approx(std[1], abs=1e-9)
    assert abs(mean[2] - mean[3]) > 0.01


def test_what_looks_alike_is_one_thing() -> None:
    """Told of one cell of a thing, the field expects the rest of it, and little of what lies as near but looks
    different; where everything looks the same, or nothing is known of it, only nearness counts."""
    grid = (1, 7)
    look = np.array([0.0, 0, 0, 9, 9, 9, 0]).reshape(*grid, 1)
    coverage = np.eye(7).reshape(7, *grid)[[3, 3, 3]] * np.array([0.0, 1, 1]).reshape(3, 1, 1)

    def mean(appearance: np.ndarray | None) -> np.ndarray:
        hyper = Hyperparameters(0.8, 0.0, 0.0, (3.0,), (0.2, 0.2), 0.0, 1.0)
        return told(grid, (7, 49), None, hyper, coverage, np.array([0.0, 5, 5]), look=appearance).mean().ravel()

    known, unknown = mean(look), mean(None)
    assert known[4] > 1.2 * known[2] > 0
    assert unknown[4] == pytest.approx(unknown[2])
    np.testing.assert_allclose(mean(np.full((*grid, 3), 7.0)), unknown, **EXACT)
    np.testing.assert_allclose(mean(5 * look - 3), known, **EXACT)


@pytest.mark.parametrize("kind", SIZES)
def test_with_very_many_cells_looks_are_compared_nearly(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid)
    cells = int(np.prod(grid))

    def mean(most: int, looks: int, appearance: np.ndarray | None) -> np.ndarray:
        monkeypatch.setattr("borex.prior.MOST_PAIRED", most)
        monkeypatch.setattr("borex.prior.LOOKS", looks)
        return told(grid, extent, None, HYPER[kind], coverage, values, look=appearance).mean()

    exact, without = mean(cells, 0, colours(grid)), mean(cells, 0, None)
    np.testing.assert_allclose(mean(cells - 1, cells, colours(grid)), exact, rtol=0, atol=1e-5 * np.abs(exact).max())
    few = mean(cells - 1, 4, colours(grid))
    assert np.abs(few - exact).max() < 0.5 * np.abs(without - exact).max()
    np.testing.assert_allclose(mean(cells - 1, 4, np.full((*grid, 3), 7.0)), without, **EXACT)


def test_the_units_of_an_initial_map_and_of_a_function_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    initial, coverage = rng.normal(size=(4, 5)), (rng.random((60, 4, 5)) < 0.5).astype(float)
    values = coverage.reshape(60, -1) @ initial.ravel()

    def told(unit: float, of_map: float) -> Field:
        field = Field((4, 5), (40, 50), initial * of_map)
        field.observe(coverage, values * unit)
        return field

    usual = told(1.0, 1.0)
    for unit, of_map in ((1e-12, 1.0), (1.0, 1e-15)):
        small = told(unit, of_map)
        assert not small.flat
        np.testing.assert_allclose(small.mean() / unit, usual.mean(), atol=1e-4)
        assert small.trust() is not None
    assert told(0.0, 1.0).flat


@pytest.mark.parametrize("extent", [(1, 4096), (4096, 1), (1, 224)])
def test_of_a_row_of_pixels_neighbours_are_as_near_as_in_a_picture(extent: tuple[int, int]) -> None:
    """What is one pixel wide has no cells side by side: its breadth says nothing of how far apart cells are."""
    grid = tuple(min(14, size) for size in extent)
    row, picture = Prior(grid, extent), Prior((14, 14), (224, 224))
    ends = np.eye(14)[[0]], np.eye(196)[[0]]
    alike = [prior.applied((3.0,), end)[0, 1] for prior, end in zip((row, picture), ends, strict=True)]
    assert alike[0] == pytest.approx(alike[1], rel=0.05)


@pytest.mark.parametrize("where", ["numpy.concatenate", "borex.cholesky.GrowingCholesky.forward"])
def test_an_interrupt_between_the_factor_and_the_rest_is_made_good(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, extent = SIZES["image"]
    coverage, values = queries(grid, 60)
    whole, broken = Field(grid, extent), Field(grid, extent)
    for field in (whole, broken):
        field.observe(coverage[:40], values[:40])
        field.fit()
        field.mean()
        field.observe(coverage[40:], values[40:])

    done = pkgutil.resolve_name(where)

    def interrupted(*given: Any) -> Any:
        if where == "numpy.concatenate" or len(given) == 3:  # the last of all: what is known already is given
            raise KeyboardInterrupt
        return done(*given)

    with monkeypatch.context() as patch:
        patch.setattr(where, interrupted)
        with pytest.raises(KeyboardInterrupt):
            broken._solve()
    np.testing.assert_allclose(broken.mean(), whole.mean(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_interrupt_while_observing_leaves_all_or_nothing(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, extent = SIZES["image"]
    coverage, values = queries(grid, 60)
    field = Field(grid, extent)
    field.observe(coverage[:40], values[:40])
    with monkeypatch.context() as patch:
        patch.setattr(np, "concatenate", interrupted(np.concatenate, at))
        with pytest.raises(KeyboardInterrupt):
            field.observe(coverage[40:], values[40:])
    assert len(field) == len(field._asked) == sum(map(len, field._outputs)) == 40
