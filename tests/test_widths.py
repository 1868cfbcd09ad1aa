"""What all that a model answered tells of how salient each cell may be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from borex.evidence import fit_hyperparameters
from borex.field import Field
from borex.observations import evenly
from borex.prior import LEAST_CHANGE, Prior
from borex.widths import MOST_CELLS, moved
from tests.oracles import DenseField
from tests.test_field import SIZES, change_map, colours, fills, initial_map, queries


def joint(n: int = 12, cells: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariances of cells `(cells, cells)`, masks `(n, cells)` and the noise's variances `(n,)`."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(cells, cells)) * rng.uniform(0.2, 2, (cells, 1))
    return root @ root.T / cells, rng.random((n, cells)), rng.uniform(0.05, 0.3, n)


def found(prior: np.ndarray, masks: np.ndarray, noise: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    return moved(masks @ prior @ masks.T + np.diag(noise), masks @ prior, np.diag(prior), outputs)


def test_the_step_is_that_of_every_output_alone() -> None:
    """Against the posterior in its other form, of precisions, one output after the other."""
    prior, masks, noise = joint()
    outputs = np.random.default_rng(1).normal(size=(12, 5)) * [1, 2, 3, 0.1, 0] + 7
    centred = outputs - outputs.mean(axis=0)
    covariance = np.linalg.inv(np.linalg.inv(prior) + masks.T @ np.diag(1 / noise) @ masks)
    means = [covariance @ masks.T @ (column / noise) for column in centred.T]
    total = sum((column**2).mean() for column in centred.T)
    squared = sum(mean**2 for mean in means) / total
    expected = (squared + np.diag(covariance)) / np.diag(prior)
    np.testing.assert_allclose(found(prior, masks, noise, outputs), expected, rtol=1e-8)


def test_outputs_that_are_of_the_prior_change_nothing() -> None:
    """Their second moment under the posterior is that of the prior, cell by cell, whatever the masks are."""
    prior, masks, noise = joint(n=20)
    masks, noise = np.concatenate([masks, -masks]), np.tile(noise, 2)  # so that no output has a mean of its own
    rng = np.random.default_rng(2)
    drawn = rng.multivariate_normal(np.zeros(9), prior, 20_000)
    answers = masks @ drawn.T + rng.normal(size=(40, 20_000)) * np.sqrt(noise)[:, None]
    unit = (answers**2).mean()  # what is believed is in units of answers whose mean square is 1
    covariance = masks @ prior @ masks.T + np.diag(noise)
    ratio = moved(covariance / unit, masks @ prior / unit, np.diag(prior) / unit, answers)
    assert np.abs(ratio - 1).max() < 0.04


def test_outputs_that_say_nothing_change_nothing() -> None:
    np.testing.assert_array_equal(found(*joint(), np.full((12, 3), 4.0)), np.ones(9))


@pytest.mark.parametrize("unit", [1e4, 1e-200, 1e200])
def test_units_of_the_outputs_do_not_count(unit: float) -> None:
    outputs = np.random.default_rng(1).normal(size=(12, 5))
    np.testing.assert_allclose(found(*joint(), outputs), found(*joint(), unit * (outputs - 30)), rtol=1e-6)


def of_one_half(seed: int, n: int = 60, classes: int = 40) -> tuple[Field, Field]:
    """A model all of whose classes answer to the left half of the input: fields told of a class alone and of all."""
    grid, rng = (6, 6), np.random.default_rng(seed)
    weights = gaussian_filter(rng.normal(size=(classes, *grid)), (0, 1, 1)) * (np.arange(6) < 3)
    coverage = rng.random((n, *grid)) < rng.uniform(0.1, 0.9, (n, 1, 1))
    outputs = np.einsum("nij,kij->nk", coverage, weights)
    outputs += 0.5 * outputs.std() * rng.normal(size=outputs.shape)
    alone, told = Field(grid, (60, 60)), Field(grid, (60, 60))
    alone.observe(coverage, outputs[:, 0])
    told.observe(coverage, outputs[:, 0], outputs=outputs)
    return alone, told


def test_there_is_less_of_a_map_where_no_class_is_moved() -> None:
    shares = np.empty((8, 2))
    for seed in range(len(shares)):
        fields = of_one_half(seed)
        maps = [np.abs(field.mean()) for field in fields]
        shares[seed] = [one[:, 3:].sum() / one.sum() for one in maps]
        variance = fields[1]._prior.variance.reshape(6, 6)
        assert variance[:, :3].mean() > 1.1 * variance[:, 3:].mean()
    without, with_outputs = shares.mean(axis=0)
    assert with_outputs < 0.95 * without


def test_widths_leave_the_length_scales_and_change_the_rest() -> None:
    told = of_one_half(3)[1]
    told.fit()
    bare, hyper = told._fits[60].bare, told.hyperparameters
    assert hyper is not None
    assert hyper.lengths == bare.lengths
    assert hyper.noise != bare.noise
    # Searched for, they would be others here.
    assert fit_hyperparameters(told, told._prior, 60, bare).lengths != bare.lengths


@pytest.mark.parametrize("kind", SIZES)
def test_the_step_is_from_the_field_without_widths(kind: str) -> None:
    """A field's ratio is that of `moved` with its own covariances, of the saliency without the initial map's part."""
    grid, extent = SIZES[kind]
    coverage, values = queries(grid, 30)
    outputs = np.stack([values, values**2, -values], axis=1)
    field = Field(grid, extent, initial_map(grid), n_baselines=2, change=change_map(grid), appearance=colours(grid))
    field.observe(coverage, values, fills(30, 2), outputs)
    field.fit()
    bare = field._fits[30].bare
    rows = field._asked.rows
    saliency = bare.amplitude**2 * field._bare.applied(bare.lengths, np.eye(rows.shape[1]))
    covariance = field._covariance(bare, field._asked, field._asked, field._bare.applied(bare.lengths, rows))
    covariance += np.diag(field._noise(bare, field._asked) ** 2)
    ratio = moved(covariance, rows @ saliency, np.diag(saliency), outputs)
    expected = np.maximum(np.sqrt(field._bare.variance * ratio / (field._bare.variance * ratio).mean()), LEAST_CHANGE)
    width = np.sqrt(field._prior.variance)
    np.testing.assert_allclose(width / width.mean(), expected / expected.mean(), rtol=1e-4)


@pytest.mark.parametrize("kind", SIZES)
def test_a_widened_field_is_the_dense_one_of_its_variances(kind: str) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid)
    field = Field(grid, extent, appearance=colours(grid))
    field.observe(coverage, values, outputs=np.stack([values, values**2, -values], axis=1))
    field.fit()
    hyper, width = field.hyperparameters, np.sqrt(field._prior.variance.reshape(grid))
    assert hyper is not None
    assert np.ptp(width) > 0.1 * width.mean()
    # The oracle knows how wide the prior is from how much the baselines change each cell.
    dense = DenseField(field, extent, None, hyper, 1, width**2, colours(grid))
    mean, covariance, _ = dense.given(coverage, (values - values.mean()) / values.std())
    of_saliency = dense.saliency @ covariance @ dense.saliency.T
    np.testing.assert_allclose(field.mean().ravel(), dense.saliency @ mean * values.std(), rtol=0, atol=1e-8)
    np.testing.assert_allclose(field.std().ravel(), np.sqrt(np.diag(of_saliency)) * values.std(), rtol=0, atol=1e-8)


def test_a_prior_is_widened_and_stays_what_it_was() -> None:
    prior = Prior((3, 4), (30, 40))
    before = prior.variance.copy()
    wider = prior.widened(np.arange(12.0))
    np.testing.assert_array_equal(prior.variance, before)
    assert wider.variance.mean() == pytest.approx(before.mean())
    assert wider.variance[0] > 0
    assert (np.diff(wider.variance) > 0).all()
    rows = np.random.default_rng(0).random((2, 12))
    scale = np.sqrt(wider.variance / before)
    np.testing.assert_allclose(wider.applied((3.0,), rows), prior.applied((3.0,), rows * scale) * scale)


def test_answers_that_are_looked_at_lie_evenly_and_hold_both_ends() -> None:
    assert evenly(np.array([True, False, True]), 100).tolist() == [0, 1, 2]
    many = evenly(np.zeros(500, dtype=bool), 100)
    assert len(many) == 100
    assert (many[0], many[-1]) == (0, 499)
    assert set(np.diff(many)) <= {5, 6}


@pytest.mark.parametrize("n", [254, 255, 509])
def test_of_ends_that_take_turns_neither_is_left_out(n: int) -> None:
    hidden = np.arange(n) % 2 == 1
    chosen = evenly(hidden, 128)
    assert (np.diff(chosen) > 0).all()
    assert hidden[chosen].sum() == pytest.approx(64, abs=1)


def test_a_field_of_more_cells_than_answers_keeps_its_prior() -> None:
    field = Field((MOST_CELLS // 32 + 1, 32), (33, 32))
    coverage, values = queries(field.grid, 20)
    field.observe(coverage, values)
    field.fit()
    assert field._prior is field._bare
