"""The ablations reach what they name, and leave the library as it was."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import borex
from borex import check, evidence, strategies
from borex.evaluation.benchmark import read_config
from borex.evaluation.benchmark.methods import find_function
from tests.test_rivals import task

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ABLATIONS = [one for one in read_config(BENCHMARKS / "ablation.toml").methods if one.run == "ablation:field"]
field = find_function("ablation:field", BENCHMARKS)
changed = find_function("ablation:changed", BENCHMARKS)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda one: one.name)
def test_every_constant_that_a_config_names_is_there(ablation: object) -> None:
    for spelled in ablation.options.get("constants", {}):  # type: ignore[attr-defined]
        module, name = spelled.rsplit(".", 1)
        assert hasattr(importlib.import_module(f"borex.{module}"), name)


def test_without_a_change_it_is_the_library() -> None:
    given, meter, _ = task((30, 44), 60)
    same = borex.refine(given.model, given.media, target=1, max_evals=60, layout="HWC")
    given, meter, _ = task((30, 44), 60)
    np.testing.assert_array_equal(field(given).saliency, same.saliency)
    assert meter.evals == 60


@pytest.mark.parametrize(
    "options",
    [
        {"link": "probability"}, {"show": "kept"}, {"show": "hidden"}, {"constants": {"settings.IMAGE_CELLS": 7}},
        {"constants": {"strategies.BOX_SHARE": 1.0}}, {"baseline": "black"}, {"initial": "rise"},
        {"never_worse": False, "initial": {"run": "rise", "budget": 20}},
    ],
    ids=str,
)  # fmt: skip
def test_a_change_changes_the_map_and_nothing_else(options: dict[str, object]) -> None:
    before = (strategies.FieldStrategy, strategies.BOX_SHARE, evidence.MAX_ANSWERS)
    plain = field(task((30, 44), 60)[0]).saliency
    given, meter, _ = task((30, 44), 60)
    assert np.abs(field(given, **options).saliency - plain).max() > 1e-6
    assert meter.evals <= 60
    assert (strategies.FieldStrategy, strategies.BOX_SHARE, evidence.MAX_ANSWERS) == before
    np.testing.assert_array_equal(field(task((30, 44), 60)[0]).saliency, plain)


@pytest.mark.parametrize(("show", "least", "most"), [("kept", 0.0, 0.9), ("hidden", 0.1, 1.0)])
def test_one_side_alone_is_shown(show: str, least: float, most: float) -> None:
    """Masks of boxes and of shares keep at most 0.9 of the cells; their complements at least 0.1."""
    given, _, _ = task((30, 44), 60)
    seen: list[float] = []
    scores = given.model.scores
    hidden = given.baseline("black")

    def looking(batch: np.ndarray) -> object:
        seen.extend((batch != hidden).any(axis=-1).mean(axis=(1, 2)))
        return scores(batch)

    watched = type(given)(
        type(given.model)(looking, output="probabilities"), "m", given.media, 1, given.budget, given.seed
    )
    field(watched, show=show, baseline="black")
    asked = np.array(seen[2:])  # after the two ends
    assert len(asked) == 58
    assert asked.min() >= least - 0.02
    assert asked.max() <= most + 0.02


def known() -> tuple[int, int, int]:
    """Two names, one of them in a second module, too."""
    return check.N_CHECK, importlib.import_module("borex.many").ROUND, strategies.ROUND


def fail_while_changed() -> None:
    with changed({"check.N_CHECK": 3, "strategies.ROUND": 8}):
        assert known() == (3, 8, 8)
        raise ZeroDivisionError


def test_names_are_changed_where_they_were_imported_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "borex.many", raising=False)  # first imported while they are changed
    with pytest.raises(ZeroDivisionError):
        fail_while_changed()
    assert known() == (check.N_CHECK, 20, 20)
    assert 2 * len(check.SHARES) == check.N_CHECK
    with pytest.raises(AttributeError), changed({"refiner.NO_SUCH_NAME": 1}):
        pass


def test_never_worse_can_be_left_out() -> None:
    start = {"run": "rise", "budget": 20}
    assert field(task((30, 44), 80)[0], initial=start).facts["chosen"] in ("initial", "refined")
    given, meter, _ = task((30, 44), 80)
    assert "chosen" not in field(given, initial=start, never_worse=False).facts
    assert meter.evals == 80
