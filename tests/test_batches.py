"""How large a batch is: what was stated, or what a clock and the memory say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from borex import refine
from borex.batches import Batches, OutOfMemory, out_of_memory
from borex.blackbox import Asker, Model
from borex.errors import InputError, ModelError

MEDIA = np.random.default_rng(0).integers(1, 255, (4, 6, 3), dtype=np.uint8)
MASKS = np.random.default_rng(1).random((900, 4, 6)) < 0.5


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


class Machine:
    """A model with a clock: a call takes `overhead` seconds and `each` an input, or `crowded` beyond `knee` inputs."""

    def __init__(self, knee: int = 10**9, most: int = 10**9, error: Exception | None = None) -> None:
        self.now, self.sizes, self.knee, self.most = 0.0, [], knee, most
        self.error = error or OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self.asked = 0

    def scores(self, batch: np.ndarray) -> np.ndarray:
        if len(batch) > self.most:
            raise self.error
        self.sizes.append(len(batch))
        self.asked += len(batch)
        self.now += 1.0 + 0.01 * min(len(batch), self.knee) + 1.0 * max(0, len(batch) - self.knee)
        return np.stack([batch.reshape(len(batch), -1).sum(axis=1), np.zeros(len(batch))], axis=1)

    def asker(self, batch_size: Any = "auto", **options: Any) -> Asker:
        model = Model(self.scores, **options)
        return Asker(model, MEDIA, np.zeros_like(MEDIA), Batches(model, batch_size, clock=lambda: self.now))


EXPECTED = (MEDIA * MASKS[..., None]).sum(axis=(1, 2, 3)).tolist()


def test_auto_grows_to_the_knee_and_stays_there() -> None:
    machine = Machine(knee=70)
    asker = machine.asker()
    assert asker(MASKS)[:, 0].tolist() == EXPECTED
    assert machine.sizes[:6] == [16, 16, 32, 32, 64, 64]
    assert machine.sizes[6:8] == [128, 128]  # slower: 64 it is
    assert set(machine.sizes[8:-1]) == {64}
    assert asker.evals == machine.asked == len(MASKS)


def test_auto_grows_while_it_pays_and_no_further_than_the_model_takes() -> None:
    machine = Machine()
    machine.asker(max_batch=48)(MASKS)
    assert machine.sizes[:4] == [16, 16, 32, 32]
    assert set(machine.sizes[4:-1]) == {32}


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("Failed to allocate memory for requested buffer of size 1073741824"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:128] . DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: not enough memory: you tried"),
    ],
)
def test_auto_halves_itself_and_loses_and_repeats_nothing(error: Exception) -> None:
    machine = Machine(most=21, error=error)
    asker = machine.asker()
    assert asker(MASKS)[:, 0].tolist() == EXPECTED
    assert asker.evals == machine.asked == len(MASKS)
    assert machine.sizes[:3] == [16, 16, 16]
    assert max(machine.sizes) == 16


def test_a_whole_refinement_survives_a_small_memory() -> None:
    def refined(machine: Machine, batch_size: Any) -> Any:
        def model(batch: np.ndarray) -> np.ndarray:
            brightness = machine.scores(batch)[:, :1] / 2e4
            return np.concatenate([brightness, 1 - brightness], axis=1)

        return refine(model, MEDIA, max_evals=60, batch_size=batch_size, layout="HWC", target=0, baseline="black")

    machine = Machine(most=3)
    small = refined(machine, "auto")
    assert small.evals == machine.asked == 60
    assert max(machine.sizes) <= 3
    assert (small.saliency == refined(Machine(), 32).saliency).all()


def test_one_input_that_does_not_fit_is_an_error_with_everything_before_it_kept() -> None:
    class Fills(Machine):
        def scores(self, batch: np.ndarray) -> np.ndarray:
            if self.asked + len(batch) > 40:
                raise self.error
            return super().scores(batch)

    machine = Fills()
    asker = machine.asker()
    with pytest.raises(
        ModelError, match=r"the batch of 1 that starts at mask 40 .*OutOfMemoryError: CUDA out"
    ) as caught:
        asker(MASKS)
    assert not isinstance(caught.value, OutOfMemory)
    assert caught.value.answered[:, 0].tolist() == EXPECTED[:40]  # type: ignore[attr-defined]
    assert asker.evals == machine.asked == 40


def test_a_stated_size_is_kept_and_the_error_says_what_helps() -> None:
    with pytest.raises(ModelError, match=r'out of memory.*If memory is short, batch_size="auto" takes smaller batches'):
        Machine(most=21).asker(32)(MASKS)


def test_what_is_and_is_not_a_lack_of_memory() -> None:
    assert out_of_memory(OutOfMemoryError("x"))
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("shape mismatch"))
    with pytest.raises(ModelError) as caught:
        Machine(most=3, error=ValueError("shape mismatch")).asker()(MASKS)
    assert "memory" not in str(caught.value)


@pytest.mark.parametrize("batch_size", ["many", 0, 1.5, None, True])
def test_a_batch_size_that_is_none(batch_size: Any) -> None:
    with pytest.raises(InputError, match=r'batch_size is .*expected a whole number, at least 1, or "auto"'):
        Machine().asker(batch_size)
