"""What is known of cells: the mean of what their pixels look like. Of change, see test_fills.py."""

from __future__ import annotations

import numpy as np
import pytest

from borex import InputError, Refiner
from borex.cells import cells_of_appearance
from borex.evaluation import average_precision

EXTENT, GRID = (6, 9), (2, 3)


def test_the_mean_colour_by_hand() -> None:
    media = np.random.default_rng(0).integers(0, 255, (*EXTENT, 2), dtype=np.uint8)
    found = cells_of_appearance(media, EXTENT, GRID)
    expected = [[media[3 * y : 3 * y + 3, 3 * x : 3 * x + 3].mean(axis=(0, 1)) for x in range(3)] for y in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (cells_of_appearance(found, EXTENT, GRID) == found).all()


@pytest.mark.parametrize(
    "bad", [np.ones(EXTENT), np.ones((*EXTENT, 0)), np.ones((5, 9, 3)), np.full((*EXTENT, 1), np.nan), ["a cat"]]
)
def test_what_does_not_fit_is_said(bad: object) -> None:
    with pytest.raises(InputError, match=r"appearance is .*expected finite numbers, a row for each pixel \(6, 9\)"):
        Refiner(EXTENT, appearance=bad, grid=GRID)  # type: ignore[arg-type]


@pytest.mark.parametrize(("most_cells", "gain"), [(0, 0.005), (1024, 0.003)])
def test_a_map_follows_the_edges_of_things(most_cells: int, gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bright disc on a dark ground: knowing what the cells look like, the map of few answers holds its rim; with less
    to gain where the widths of cells are told of the answers and hold some of it."""
    monkeypatch.setattr("borex.widths.MOST_CELLS", most_cells)
    y, x = np.mgrid[:84, :84]
    inside = (y - 40) ** 2 + (x - 45) ** 2 < 24**2
    media = np.where(inside[..., None], 220, 40).astype(np.uint8)

    def precision(appearance: np.ndarray | None, seed: int) -> float:
        refiner = Refiner((84, 84), target=1, output="logits", max_evals=24, seed=seed, appearance=appearance)
        while len(masks := refiner.ask()):
            seen = (np.asarray(masks) & inside).sum(axis=(1, 2)) / inside.sum()
            refiner.tell(masks, np.stack([0 * seen, 8 * seen - 4], axis=1))
        return average_precision(refiner.result().saliency, inside)

    gains = np.array([precision(media, seed) - precision(None, seed) for seed in range(5)])
    assert gains.min() > 0
    assert gains.mean() > gain
