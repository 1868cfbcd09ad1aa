"""The search for hyperparameters: its gradient, what it finds, and what that depends on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import check_grad

from borex.evidence import CENTRE, FIRST_STAGE, fit_hyperparameters, last_stage, negative_log_density
from borex.field import Field
from borex.observations import Relations, between, shared
from borex.threads import one_thread
from tests.test_field import HYPER, SIZES, queries, scaled, told


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("n_baselines", [1, 2])
@pytest.mark.parametrize("shift", [(0, 0, 0, 0, 0, 0), (0.5, -0.3, -1, 0.7, 0.9, -1), (-1, 0.5, 1, -2, -0.5, 1)])
def test_the_gradient_of_the_evidence(shift: tuple[float, ...], n_baselines: int) -> None:
    grid, extent = SIZES["image"]
    coverage, values = queries(grid)
    field = told(grid, extent, None, HYPER["image"], coverage, values, n_baselines)
    asked = field._asked
    how = Relations.of(n_baselines)
    ends, fills, group = (between(relation, asked, asked) for relation in (how.ends, how.fills, how.group))
    gram = asked.rows @ field._prior.applied(HYPER["image"].lengths, asked.rows).T
    parts = gram, gram * ends, gram * fills if n_baselines > 1 else None, shared(asked, asked)
    given = parts, 25.0 * group, asked.hidden, scaled(values)
    theta = CENTRE + shift
    away = check_grad(
        lambda t: negative_log_density(t, *given)[0], lambda t: negative_log_density(t, *given)[1], theta, epsilon=1e-6
    )
    assert away < 1e-4 * np.linalg.norm(negative_log_density(theta, *given)[1])


def fitted_in_parts(kind: str, *ends: int) -> Field:
    """A field that was told the first so many answers and fitted, again and again."""
    grid, extent = SIZES[kind]
    coverage, values = queries(grid, ends[-1])
    field = Field(grid, extent)
    for start, end in pairwise((0, *ends)):
        field.observe(coverage[start:end], values[start:end])
        field.fit()
    return field


@pytest.mark.parametrize("kind", SIZES)
def test_fitting_raises_the_evidence(kind: str) -> None:
    field = fitted_in_parts(kind, 60)
    assert field.evidence() > field.with_hyperparameters(**vars(HYPER[kind])).evidence()
    fitted = field.hyperparameters
    assert fitted is not None
    for worse in (replace(fitted, amplitude=fitted.amplitude * 4), replace(fitted, noise=(2.0, 2.0))):
        assert field.evidence() > field.with_hyperparameters(**vars(worse)).evidence()


@pytest.mark.parametrize("kind", SIZES)
def test_fitting_depends_on_the_answers_alone(kind: str) -> None:
    once, twice = fitted_in_parts(kind, 30), fitted_in_parts(kind, 10, 30)
    assert once.hyperparameters == twice.hyperparameters


@pytest.mark.parametrize("kind", SIZES)
def test_a_search_starts_where_that_among_half_as_many_answers_ended(kind: str) -> None:
    """A field that was fitted on the way chooses what one does that was told everything at once; as likely as what a
    search from the usual values finds."""
    grid, extent = SIZES[kind]
    coverage, values = queries(grid, 2 * FIRST_STAGE + 9)
    at_once, on_the_way = Field(grid, extent), Field(grid, extent)
    at_once.observe(coverage, values)
    at_once.fit()
    for part in np.array_split(np.arange(len(values)), [11, 45, 70]):
        on_the_way.observe(coverage[part], values[part])
        on_the_way.fit()
        on_the_way.fit(last_stage(len(on_the_way)))
    on_the_way.fit()
    assert on_the_way.hyperparameters == at_once.hyperparameters
    assert at_once.hyperparameters is not None
    from_scratch = at_once.with_hyperparameters(**vars(fit_hyperparameters(at_once, at_once._prior, len(values))))
    assert at_once.evidence() > from_scratch.evidence() - 0.5


@pytest.mark.parametrize("kind", SIZES)
def test_the_first_answers_alone_decide_where_they_are_asked_for(kind: str) -> None:
    grid, extent = SIZES[kind]
    coverage, values = queries(grid, 60)
    few, more = Field(grid, extent), Field(grid, extent)
    few.observe(coverage[:50], values[:50])
    few.fit()
    more.observe(coverage, np.where(np.arange(60) < 50, values, 30.0))
    more.fit(50)
    assert more.hyperparameters == few.hyperparameters
    assert (more._centre, more._unit) == (few._centre, few._unit)  # what they are meant for
    more.fit()
    assert more.hyperparameters != few.hyperparameters


@pytest.mark.parametrize(("n", "stage"), [(0, 0), (39, 0), (40, 40), (79, 40), (80, 80), (1000, 640), (1280, 1280)])
def test_stages_double(n: int, stage: int) -> None:
    assert last_stage(n) == stage
