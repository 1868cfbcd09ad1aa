"""Many inputs share batches, and each gets what it would get alone."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import borex
from borex.blackbox import Model
from borex.errors import BudgetError, FileError, InputError, ModelError, ModelOutputError, TargetError
from borex.many import ROUND, Refined
from borex.strategies import FieldStrategy

EXTENT = (17, 13)
WEIGHTS = np.random.default_rng(0).normal(size=(*EXTENT, 3))


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*EXTENT, 3), dtype=np.uint8)


class Net:
    """Three classes, none of them linear; scores one input at a time, so that no batch changes a bit. It fails on media
    whose first pixel, which is never hidden from it, says so."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(len(batch))
        return np.stack([self.one(x) for x in batch])

    def one(self, x: np.ndarray) -> np.ndarray:
        seen = (x / 128.0 * WEIGHTS[: x.shape[0], : x.shape[1]]).mean(axis=(0, 1))
        return np.tanh(seen * 9) * 3 + 1.5


def options(**changes: Any) -> dict[str, Any]:
    return {"max_evals": 60, "baseline": "black", "layout": "HWC", "seed": 4, **changes}


def by_index(found: Iterator[Refined]) -> dict[int, Refined]:
    every = list(found)
    assert len({one.index for one in every}) == len(every)
    return {one.index: one for one in every}


def same(one: borex.Explanation | None, other: borex.Explanation) -> bool:
    assert one is not None
    arrays = ("saliency", "std", "initial")
    return (
        all((getattr(one, name) == getattr(other, name)).all() for name in arrays)
        and (one.record.scores == other.record.scores).all()
        and (one.target, one.evals, one.stop_reason, one.trust)
        == (other.target, other.evals, other.stop_reason, other.trust)
    )


@pytest.mark.parametrize("batch_size", [1, 7, 32, 200])
def test_each_gets_what_it_gets_alone(batch_size: int) -> None:
    pictures = [picture(seed) for seed in range(5)]
    found = by_index(borex.refine_many(Net(), iter(pictures), batch_size=batch_size, **options()))
    assert sorted(found) == list(range(5))
    for i, media in enumerate(pictures):
        assert found[i].error is None
        assert found[i].name is None
        assert same(found[i].explanation, borex.refine(Net(), media, **options()))


def test_neither_does_their_order_matter() -> None:
    pictures = [picture(seed) for seed in range(4)]
    found = by_index(borex.refine_many(Net(), pictures, **options()))
    turned = by_index(borex.refine_many(Net(), pictures[::-1], **options()))
    assert all(same(found[i].explanation, turned[3 - i].explanation) for i in range(4))  # type: ignore[arg-type]


def test_batches_are_full_while_there_is_enough_to_do() -> None:
    net = Net()
    list(borex.refine_many(net, [picture(seed) for seed in range(12)], batch_size=32, **options()))
    assert sum(net.sizes) == 12 * 60
    assert max(net.sizes) == 32
    assert net.sizes.count(32) >= 0.8 * 12 * 60 / 32


def test_a_model_that_is_not_batch_invariant_gives_the_same_within_its_tolerance() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    with torch.random.fork_rng():
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 13 * 9, 3)
        )
    pictures = [picture(seed) for seed in range(3)]
    found = by_index(borex.refine_many(net, pictures, **options()))
    for i, media in enumerate(pictures):
        alone = borex.refine(net, media, **options())
        explanation = found[i].explanation
        assert explanation is not None
        np.testing.assert_allclose(explanation.record.scores[:20], alone.record.scores[:20], rtol=1e-4, atol=1e-5)
        assert np.corrcoef(explanation.saliency.ravel(), alone.saliency.ravel())[0, 1] > 0.95


def test_one_bad_input_is_reported_and_the_rest_go_on(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    inputs = [
        tmp_path / "bad.png",
        picture(1),
        np.full((*EXTENT, 3), np.nan),
        str(tmp_path / "good.png"),
        tmp_path / "no.png",
    ]
    found = by_index(borex.refine_many(Net(), inputs, **options()))
    assert isinstance(found[0].error, FileError)
    assert found[0].name == str(tmp_path / "bad.png")
    assert isinstance(found[2].error, InputError)
    assert "no.png" in str(found[4].error)
    assert all(found[i].explanation is None for i in (0, 2, 4))
    assert same(found[3].explanation, borex.refine(Net(), picture(0), **options()))
    assert same(found[1].explanation, borex.refine(Net(), picture(1), **options()))


class Picky(Net):
    """Fails on, or answers NaN to, copies of one picture in which that much of it is seen."""

    def __init__(self, nan: bool) -> None:
        super().__init__()
        self.nan = nan

    def one(self, x: np.ndarray) -> np.ndarray:
        if (x == 255).mean() > 0.4:
            if self.nan:
                return np.full(3, np.nan)
            raise ValueError("white")
        return super().one(x)


@pytest.mark.parametrize("nan", [False, True])
def test_a_model_that_fails_on_one_input_fails_on_no_other(nan: bool) -> None:
    pictures = [picture(seed) for seed in range(3)]
    pictures[1][:, 5:] = 255  # 8 / 13 of it: fails where enough of that is kept
    model = Picky(nan)
    found = by_index(borex.refine_many(model, pictures, **options(target=0)))
    error = found[1].error
    assert isinstance(error, ModelOutputError if nan else ModelError)
    assert ("NaN or Inf for mask 0" if nan else "starts at mask 0 ") in str(error)
    assert error.refiner is not None
    assert error.refiner.evals == 0
    for i in (0, 2):
        assert same(found[i].explanation, borex.refine(Picky(nan), pictures[i], **options(target=0)))


def test_what_was_answered_before_a_failure_is_on_the_error() -> None:
    class Tires(Net):
        def one(self, x: np.ndarray) -> np.ndarray:
            if sum(self.sizes) > 50:
                raise RuntimeError("tired")
            return super().one(x)

    model = Tires()
    (one,) = borex.refine_many(model, [picture(0)], batch_size=8, **options())
    assert one.error is not None
    assert one.error.refiner is not None
    assert 40 <= one.error.refiner.evals <= 50
    assert (
        one.error.refiner.scores
        == borex.refine(Net(), picture(0), **options()).record.scores[: one.error.refiner.evals]
    ).all()


def test_a_target_that_one_input_has_not_is_its_own_error() -> None:
    found = by_index(borex.refine_many(Net(), [picture(0), picture(1)], **options(target=7)))
    assert all(isinstance(one.error, TargetError) for one in found.values())


def test_inputs_of_any_size_take_turns() -> None:
    pictures = [picture(0)[:, :11], picture(1), picture(2)[:15]]
    net = Net()
    found = by_index(borex.refine_many(net, pictures, **options()))
    assert all(same(found[i].explanation, borex.refine(Net(), pictures[i], **options())) for i in range(3))


def test_inputs_are_read_as_the_work_goes_on() -> None:
    read: list[int] = []

    def inputs() -> Iterator[np.ndarray]:
        for seed in range(100):
            read.append(seed)
            yield picture(seed)

    found = borex.refine_many(Net(), inputs(), batch_size=20, **options())
    assert not read
    next(found)
    assert len(read) <= 2 + 2 * 20 // ROUND + 1
    found.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("fails", [False, True])
def test_memory_does_not_grow_with_the_number_of_inputs(fails: bool) -> None:
    output = "auto" if fails else "logits"  # of scores that could be either

    def peak(n: int) -> int:
        tracemalloc.start()
        pictures = (picture(seed) for seed in range(n))
        model = Model(lambda batch: batch.mean(axis=(1, 2)) / 256)
        for one in borex.refine_many(model, pictures, output=output, **options(max_evals=20)):  # type: ignore[arg-type]
            assert (one.error is not None) == fails
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    gc.disable()  # what is held until the collector comes could be gigabytes of photos
    try:
        peak(6)
        assert peak(24) < 1.3 * peak(8)
    finally:
        gc.enable()


def test_initial_maps_come_from_a_function_or_are_made() -> None:
    pictures = [picture(seed) for seed in range(3)]
    found = by_index(borex.refine_many(Net(), pictures, lambda media: media.mean(axis=-1), **options()))
    for i, media in enumerate(pictures):
        assert same(found[i].explanation, borex.refine(Net(), media, media.mean(axis=-1), **options()))
    found = by_index(borex.refine_many(Net(), pictures, "rise", **options()))
    for i, media in enumerate(pictures):
        assert same(found[i].explanation, borex.refine(Net(), media, "rise", **options()))


def test_a_function_that_fails_on_one_input_stops_no_other() -> None:
    pictures = [picture(seed) for seed in range(3)]

    def picky(media: np.ndarray) -> np.ndarray:
        if (media == pictures[1]).all():
            raise ValueError("not this one")
        return media.mean(axis=-1, keepdims=True)

    for start, changes in ((picky, {}), (None, {"baseline": picky})):
        found = by_index(borex.refine_many(Net(), pictures, start, **options(**changes)))
        assert isinstance(found[1].error, InputError)
        assert "ValueError: not this one" in str(found[1].error)
        assert found[0].error is found[2].error is None


def test_memory_that_is_short_makes_batches_smaller_and_loses_nothing() -> None:
    class Small(Net):
        def __call__(self, batch: np.ndarray) -> np.ndarray:
            if len(batch) > 9:
                raise MemoryError
            return super().__call__(batch)

    pictures, net = [picture(seed) for seed in range(3)], Small()
    found = by_index(borex.refine_many(net, pictures, batch_size="auto", **options()))
    assert sum(net.sizes) == 3 * 60
    assert max(net.sizes) == 8
    assert all(same(found[i].explanation, borex.refine(Net(), pictures[i], **options())) for i in range(3))


def test_what_is_wrong_with_all_of_them_is_said_at_once() -> None:
    many = borex.refine_many
    with pytest.raises(BudgetError, match="max_evals is 3"):
        many(Net(), [], max_evals=3)
    with pytest.raises(InputError, match="method is 'fild'"):
        many(Net(), [], method="fild")
    with pytest.raises(InputError, match="baseline is 'blurr'; expected one of 'blur'"):
        many(Net(), [], baseline="blurr")
    with pytest.raises(InputError, match="baseline is 'nope'; expected one of 'blur'"):
        many(Net(), [], baseline=("nope", "blur"))
    with pytest.raises(InputError, match="batch_size is 0"):
        many(Net(), [], batch_size=0)
    with pytest.raises(InputError, match=r"initial is 'rice'; expected None, one of .*or a function from an input"):
        many(Net(), [], "rice")
    for one in ("photos", Path("photos"), picture(0), 3):
        with pytest.raises(InputError, match=r"the inputs are one .*; expected a list or an iterator of media"):
            many(Net(), one)  # type: ignore[arg-type]
    assert list(many(Net(), [])) == []


def test_an_interrupt_carries_what_was_answered() -> None:
    class Interrupted(Net):
        def __call__(self, batch: np.ndarray) -> np.ndarray:
            if len(self.sizes) == 6:
                raise KeyboardInterrupt
            return super().__call__(batch)

    net = Interrupted()
    with pytest.raises(KeyboardInterrupt) as caught:
        list(borex.refine_many(net, [picture(0), picture(1)], batch_size=7, **options()))
    refiners = caught.value.refiners  # type: ignore[attr-defined]
    assert sorted(refiners) == [0, 1]
    assert sum(refiner.evals for refiner in refiners.values()) == sum(net.sizes) == 4 + 5 * 7


def test_an_interrupt_of_the_last_search_of_an_input_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net, done = Net(), FieldStrategy.posterior

    def interrupted(*_: Any) -> Any:
        monkeypatch.setattr(FieldStrategy, "posterior", done)
        raise KeyboardInterrupt

    monkeypatch.setattr(FieldStrategy, "posterior", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        list(borex.refine_many(net, [picture(0), picture(1), picture(2)], **options()))
    assert sum(one.evals for one in caught.value.refiners.values()) == sum(net.sizes)  # type: ignore[attr-defined]


def test_classes_that_change_within_a_round_are_the_fault_of_one_input() -> None:
    net = Net()

    def changing(batch: np.ndarray) -> np.ndarray:
        scores = net(batch)
        return scores if len(net.sizes) < 4 else scores[:, :2]

    found = by_index(borex.refine_many(changing, [picture(0)], batch_size=8, **options()))
    error = found[0].error
    assert isinstance(error, ModelOutputError)
    assert "2 classes for the batch that starts at mask 18, and 3 before" in str(error)
    assert error.refiner is not None
    assert error.refiner.evals == 18


def test_an_iterator_may_reuse_its_memory() -> None:
    place, every = np.empty((*EXTENT, 3), np.uint8), [picture(seed) for seed in range(4)]

    def read() -> Iterator[np.ndarray]:
        for one in every:
            place[...] = one
            yield place

    found = by_index(borex.refine_many(Net(), read(), **options()))
    for index, one in enumerate(every):
        assert same(found[index].explanation, borex.refine(Net(), one, **options()))


def test_an_array_is_neither_an_initial_map_of_all_nor_their_list() -> None:
    with pytest.raises(InputError, match=r"initial is 'ndarray'; expected None, one of"):
        borex.refine_many(Net(), [picture(0)], np.zeros(EXTENT), **options())  # type: ignore[arg-type]
    tensor = pytest.importorskip("torch").zeros(3, *EXTENT)
    with pytest.raises(InputError, match="the inputs are one Tensor; expected a list or an iterator"):
        borex.refine_many(Net(), tensor, **options())


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_nothing_is_lost_where_the_iterator_fails(error: type[BaseException]) -> None:
    def read() -> Iterator[np.ndarray]:
        yield picture(0)
        yield picture(1)
        raise error("the disk is gone")

    with pytest.raises(error) as caught:
        list(borex.refine_many(Net(), read(), "rise", **options()))
    assert {index: one.evals for index, one in caught.value.refiners.items()} == {0: 16, 1: 16}  # type: ignore[attr-defined]


def test_an_interrupt_while_an_initial_map_is_made_loses_nothing() -> None:
    net = Net()

    def interrupted(batch: np.ndarray) -> np.ndarray:
        if sum(net.sizes) >= 9:
            raise KeyboardInterrupt
        return net(batch)

    with pytest.raises(KeyboardInterrupt) as caught:
        list(borex.refine_many(interrupted, [picture(0)], "rise", **options(batch_size=1)))
    assert caught.value.refiners[0].evals == 9  # type: ignore[attr-defined]


def test_the_grid_is_that_of_each_map() -> None:
    found = by_index(borex.refine_many(Net(), [picture(0), picture(1)], grid=(5, 7), **options()))
    alone = borex.refine(Net(), picture(1), grid=(5, 7), **options())
    assert same(found[1].explanation, alone)
    assert alone.record.settings.grid == (5, 7)
    assert list(borex.refine_many(Net(), [], grid=(2, 5, 7), **options(method="paper"))) == []
    for wrong in (5, (5, 0), (5.5, 5), ("a", 3)):
        with pytest.raises(InputError, match="grid is"):
            borex.refine_many(Net(), [], grid=wrong, **options())  # type: ignore[arg-type]
