"""Several baselines that hide in turn, from the user's word to the record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import borex
from borex import Refiner
from borex.baselines import baseline_of, baselines_of, change_of
from borex.blackbox import Asker, Model
from borex.cells import cells_of_change
from borex.errors import InputError
from borex.masks import masked
from borex.replay import replay
from tests import oracles
from tests.closed_form import Counted, box, ones, same

MEDIA = np.random.default_rng(0).integers(3, 250, (14, 21, 3), dtype=np.uint8)
EXTENT = MEDIA.shape[:-1]


def by_fill(inside: np.ndarray) -> Counted:
    """As sure of the object as the share of it that is seen; a fill of 2 (not of 0) adds to the log-odds."""

    def logits(batch: np.ndarray) -> np.ndarray:
        seen = ((batch[..., 0] == 1) & inside).reshape(len(batch), -1).sum(axis=1) / inside.sum()
        twos = (batch[..., 0] == 2).reshape(len(batch), -1).mean(axis=1)
        return np.stack([np.zeros(len(batch)), 6 * seen - 3 + 1.5 * twos], axis=1)

    return Counted(logits)


def test_baselines_of_a_tuple_and_of_one() -> None:
    both, turn = baselines_of(("blur", 7, "blur", lambda media: media // 2), MEDIA)
    assert turn == (0, 1, 0, 2)
    assert both.shape == (3, *MEDIA.shape)
    assert both.dtype == MEDIA.dtype
    assert (both[0] == baseline_of("blur", MEDIA)).all()
    assert (both[1] == 7).all()
    assert (both[2] == MEDIA // 2).all()
    for one in ("mean", 7, (1, 2, 3), np.arange(3), [4.0, 5.0, 6.0]):
        alone, turn = baselines_of(one, MEDIA)
        assert alone.shape == (1, *MEDIA.shape)
        assert turn == (0,)
    assert (baselines_of((1, 2, 3), MEDIA)[0][0] == [1, 2, 3]).all()
    with pytest.raises(InputError, match="baseline is 'fog'; expected one of"):
        baselines_of(("blur", "fog"), MEDIA)


def test_the_change_by_hand() -> None:
    """Each baseline's squares in units of their own mean: the black one does not outweigh the blur."""
    baselines = baselines_of(("black", "blur"), MEDIA)[0]
    squares = ((MEDIA.astype(float) - baselines) ** 2).mean(axis=-1)
    expected = np.sqrt((squares[0] / squares[0].mean() + squares[1] / squares[1].mean()) / 2)
    np.testing.assert_allclose(change_of(MEDIA, baselines), expected, rtol=1e-5)
    assert not change_of(MEDIA, MEDIA[None]).any()
    cells = cells_of_change(change_of(MEDIA, baselines), EXTENT, (2, 3))
    np.testing.assert_allclose(cells, np.sqrt(oracles.cell_mean(expected**2, (2, 3))), rtol=1e-5)
    assert (cells_of_change(cells, EXTENT, (2, 3)) == cells).all()


def test_each_mask_is_hidden_by_its_own_baseline() -> None:
    rng = np.random.default_rng(1)
    baselines = baselines_of(("black", "blur", 200), MEDIA)[0]
    for masks in (rng.random((7, *EXTENT)) < 0.5, rng.random((7, *EXTENT)).astype(np.float32)):
        fills = np.array([0, 1, 2, 2, 1, 0, 1])
        seen: list[np.ndarray] = []

        def scores(batch: np.ndarray, seen: list[np.ndarray] = seen) -> np.ndarray:
            seen.append(batch)
            return np.ones((len(batch), 2))

        Asker(Model(scores), MEDIA, baselines, batch_size=3)(masks, fills)
        expected = [oracles.masked_copy(MEDIA, baselines[k], m) for k, m in zip(fills, masks, strict=True)]
        found = np.concatenate(seen).astype(int)
        assert np.abs(found - np.stack(expected).astype(int)).max() <= (0 if masks.dtype == bool else 1)
        seen.clear()
        Asker(Model(scores), MEDIA, baselines)(masks)  # nothing said: the first
        assert np.array_equal(np.concatenate(seen), masked(MEDIA, baselines[0], masks))


def test_the_loop_hides_with_each_in_turn_and_opens_with_all() -> None:
    """The complement of a mask has its baseline; every baseline alone is an anchor; the budget is spent to the last."""
    refiner, told = Refiner(EXTENT, target=1, max_evals=60, turn=(0, 1), seed=3), []
    model = by_fill(box(EXTENT))
    copies = np.stack([np.full((*EXTENT, 1), fill, np.uint8) for fill in (0, 2)])
    while len(masks := refiner.ask()):
        assert len(refiner.fills) == len(masks)
        told.append((np.asarray(masks), refiner.fills))
        refiner.tell(masks, model(masked(ones(EXTENT), copies[refiner.fills], np.asarray(masks))))
    opening, fills = told[0]
    assert opening.reshape(3, -1).mean(axis=1).tolist() == [1, 0, 0]
    assert fills.tolist() == [0, 0, 1]
    for masks, fills in told[1:-1]:
        half = len(masks) // 2
        assert (masks[:half] == ~masks[half:]).all()
        assert sorted(fills[:half]) == [0] * (half // 2) + [1] * (half // 2)
        assert (fills[:half] == fills[half:]).all()
    assert refiner.evals == 60
    assert np.array_equal(refiner.result().record.fills, np.concatenate([f for _, f in told]))
    cells = refiner.result().saliency
    assert cells[box(EXTENT)].mean() > cells[~box(EXTENT)].mean() + 0.01


def test_refine_is_that_loop_and_its_record_can_be_told_again(tmp_path: Any) -> None:
    model = by_fill(box(EXTENT))
    found = borex.refine(model, ones(EXTENT), target=1, baseline=(0, "black", 2.0, lambda m: m * 2), max_evals=60,
                         output="logits", layout="HWC")  # fmt: skip
    assert found.record.settings.turn == (0, 0, 1, 1)  # black is 0, and twice one is 2
    fills = found.record.fills.tolist()
    assert fills[:3] == [0, 0, 1]
    assert sorted(fills[3:13]) == [0] * 5 + [1] * 5  # 0, 1, 1, 0, 0, 1, 1, 0, 0, 1 in some order
    assert fills[13:23] == fills[3:13]
    again = replay(found.record, found.target, 1).result()
    np.testing.assert_allclose(again.saliency, found.saliency, atol=1e-6)
    loaded = borex.Explanation.load(found.save(tmp_path / "found.npz"))
    assert same(loaded, found)
    assert np.array_equal(loaded.record.fills, found.record.fills)
    assert np.array_equal(loaded.record.change, found.record.change)
    assert loaded.record.appearance.shape == (14, 21, 1)
    assert np.array_equal(loaded.record.appearance, found.record.appearance)


@pytest.mark.parametrize("turn", [(0, 1, 2), tuple(range(12)), (0, 0, 0, 1)])
def test_each_hides_as_often_as_its_turn_comes(turn: tuple[int, ...]) -> None:
    """A round goes on where the last one stopped: began each at the first, the last of twelve would never hide."""
    refiner = Refiner(EXTENT, target=1, max_evals=213, turn=turn, tolerance=0, output="logits")
    opening = len(refiner.ask())
    while len(masks := refiner.ask()):
        refiner.tell(masks, np.random.default_rng(refiner.evals).normal(size=(len(masks), 2)))
    counts = np.bincount(refiner.told_fills[opening:])
    expected = np.bincount(turn) / len(turn) * counts.sum()
    assert np.abs(counts - expected).max() <= 4


def test_what_is_told_in_parts_keeps_its_baselines() -> None:
    model, found = by_fill(box(EXTENT)), []
    copies = np.stack([np.full((*EXTENT, 1), fill, np.uint8) for fill in (0, 2, 1)])
    for size in (8, 100):
        refiner = Refiner(EXTENT, target=1, max_evals=64, turn=(0, 1, 2), tolerance=0, output="logits")
        while len(masks := np.asarray(refiner.ask())):
            scores = model(masked(ones(EXTENT), copies[refiner.fills], masks))
            for start in range(0, len(masks), size):
                refiner.tell(masks[start : start + size], scores[start : start + size])
        found.append(refiner.result())
    assert np.array_equal(found[0].record.fills, found[1].record.fills)
    assert np.bincount(found[0].record.fills).min() >= 18
    np.testing.assert_allclose(found[0].saliency, found[1].saliency, atol=1e-6)


def test_what_was_answered_before_a_failure_keeps_its_baselines() -> None:
    model = by_fill(box(EXTENT))

    def failing(batch: np.ndarray) -> Any:
        if model.calls > 20:
            raise RuntimeError("out of order")
        return model(batch)

    with pytest.raises(borex.ModelError) as caught:
        borex.refine(failing, ones(EXTENT), target=1, baseline=("black", 2), batch_size=3, output="logits",
                     layout="HWC")  # fmt: skip
    refiner = caught.value.refiner
    assert refiner.evals == 21
    first = refiner.told_fills[3:13]
    assert refiner.told_fills.tolist() == [0, 0, 1, *first, *first[:8]]
    assert sorted(first) == [0] * 5 + [1] * 5


@pytest.mark.parametrize(("extent", "turn"), [((16, 40, 40), (0, 1)), ((40, 40), (0, 1, 2))])
def test_no_baseline_has_a_place_or_a_size_of_its_own(extent: tuple[int, ...], turn: tuple[int, ...]) -> None:
    """In order, neighbours of a Sobol sequence lie in opposite halves, and samples of the posterior come by size."""
    found: list[tuple[int, ...]] = []
    for seed in range(6):
        refiner = Refiner(extent, target=1, max_evals=200, turn=turn, seed=seed, tolerance=0, output="logits")
        rng = np.random.default_rng(seed)
        while len(masks := refiner.ask()):
            kept, fills = np.asarray(masks), refiner.fills
            is_round = refiner.evals > 0  # not the whole and the baselines alone
            for mask, fill in zip(kept[: is_round * len(kept) // 2], fills, strict=False):
                middles = [np.mean(np.nonzero(mask)[axis]) >= size / 2 for axis, size in enumerate(extent)]
                found.append((int(fill), *middles, mask.mean() > 0.2))
            refiner.tell(masks, rng.normal(size=(len(masks), 2)), fills)
    fills, *others = np.array(found, dtype=float).T
    for number in set(turn):
        for other in others:
            assert abs(other[fills == number].mean() - other[fills != number].mean()) < 0.15


def test_paper_has_one_and_what_does_not_fit_is_said() -> None:
    with pytest.raises(InputError, match='2 baselines hide in turn, but method="paper" hides with one'):
        borex.refine(by_fill(box(EXTENT)), ones(EXTENT), method="paper", baseline=("blur", "black"), layout="HWC")
    for turn in ((), (1,), (0, 2), (0, 0.5)):
        with pytest.raises(InputError, match=r"turn is .*; expected the numbers of the baselines, from 0"):
            Refiner(EXTENT, turn=turn)  # type: ignore[arg-type]
    for change in (np.full(EXTENT, -1.0), np.full(EXTENT, np.nan), np.ones((3, 4)), ["much"]):
        with pytest.raises(InputError, match=r"change is .*expected numbers of at least 0, one for each pixel"):
            Refiner(EXTENT, change=change)
    refiner = Refiner(EXTENT, target=1, turn=(0, 1))
    masks = refiner.ask()
    for fills in ([0, 1], [0, 1, 2], [0.0, 0.0, 1.0]):
        with pytest.raises(InputError, match=r"expected 3 whole numbers from 0 to 1: which baseline hides"):
            refiner.tell(masks, np.ones((3, 2)) / 2, fills)
    assert refiner.evals == 0


def test_what_no_baseline_changes_counts_less() -> None:
    """With few answers, the noise of a model lands where something was hidden."""
    rng = np.random.default_rng(5)
    media = np.full((*EXTENT, 1), 100, np.uint8)
    media[:, 10:] = rng.integers(0, 255, (14, 11, 1))
    found = borex.refine(lambda batch: np.random.default_rng(int(batch.sum())).normal(0, 1, (len(batch), 2)), media,
                         target=1, output="logits", layout="HWC", baseline=100, max_evals=60)  # fmt: skip
    assert found.saliency[:, 12:].std() > 5 * found.saliency[:, :9].std()


@pytest.mark.parametrize(
    ("method", "frames", "expected"),
    [
        ("field", (), ("blur", *3 * ("soft", "mean", "blur"))),
        ("field", (1,), ("blur", *3 * ("soft", "mean", "blur"))),
        ("field", (4,), ("frozen", "mean")),
        ("paper", (), "mean"),
        ("paper", (4,), "mean"),
    ],
)
def test_what_hides_unless_the_user_says(method: str, frames: tuple[int, ...], expected: Any) -> None:
    media = np.random.default_rng(1).integers(3, 250, (*frames, 14, 21, 3), dtype=np.uint8)
    inside = np.zeros(media.shape[:-1], dtype=bool)
    inside[..., 3:8, 5:11] = True

    def asked(**options: Any) -> list[np.ndarray]:
        batches: list[np.ndarray] = []

        def scores(batch: np.ndarray) -> np.ndarray:
            batches.append(batch.copy())
            seen = (batch == media).all(axis=-1)[:, inside].mean(axis=1)
            return np.stack([1 - seen, seen], axis=1)

        borex.refine(scores, media, method=method, max_evals=40, layout="THWC" if frames else "HWC", **options)
        return batches

    usual, stated = asked(), asked(baseline=expected)
    assert len(usual) == len(stated)
    assert all(np.array_equal(one, other) for one, other in zip(usual, stated, strict=True))
