"""Two tiny seeded runs whose maps are kept: what changes them must be meant to.

Written anew with BOREX_GOLDEN=write.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import borex
from tests.closed_form import box, share_seen

FOLDER = Path(__file__).parent / "golden"
EXTENT = (18, 25)
# Another BLAS or FMA unit rounds otherwise, and the search for hyperparameters amplifies that.
TOLERANCE = 1e-3


def run(method: str) -> dict[str, np.ndarray]:
    media = np.random.default_rng(0).integers(1, 255, (*EXTENT, 3), dtype=np.uint8)
    initial = box(EXTENT) + np.random.default_rng(1).normal(0, 0.5, EXTENT)
    found = borex.refine(
        share_seen(box(EXTENT)), media, initial, target=1, method=method, max_evals=40, baseline="black", seed=5,
        grid=(12, 16),
    )  # fmt: skip
    assert found.check is not None
    check = np.array([found.check.initial, found.check.refined])
    return {"saliency": found.saliency, "std": found.std, "coverage": found.record.coverage, "check": check}


@pytest.mark.parametrize("method", ["field", "paper"])
def test_the_maps_are_the_kept_ones(method: str) -> None:
    found, path = run(method), FOLDER / f"{method}.npz"
    if os.environ.get("BOREX_GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        np.savez_compressed(path, **found)
    with np.load(path) as stored:
        kept = dict(stored)
    assert kept.keys() == found.keys()
    for name, values in kept.items():
        assert found[name].shape == values.shape, name
        assert found[name].dtype == values.dtype, name
        scale = np.abs(values).max()
        np.testing.assert_allclose(found[name], values, rtol=0, atol=TOLERANCE * scale, err_msg=name)


def test_the_comparison_can_fail() -> None:
    assert np.ptp(run("field")["saliency"]) > 100 * TOLERANCE
    assert not np.allclose(run("field")["saliency"], run("paper")["saliency"], rtol=0, atol=TOLERANCE)
