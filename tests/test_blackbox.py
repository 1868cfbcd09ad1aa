"""What a model may answer, and how it is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from borex import blackbox
from borex.blackbox import Asker, Device, Model
from borex.errors import InputError, ModelError, ModelOutputError
from borex.heatmaps.superpixels import SegmentMasks
from borex.masks import CellMasks
from borex.scores import checked_scores, find_output, probabilities, unwrap

SCORES = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])


class Tensor:
    """What is used of a torch tensor, which makes no array until it is detached and on the CPU."""

    def __init__(self, values: np.ndarray, dtype: str = "torch.float32", ready: bool = False) -> None:
        self.values, self.dtype, self.ready, self.shape = values, dtype, ready, values.shape

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.values, self.dtype, ready=True)

    def float(self) -> Tensor:
        return Tensor(self.values, "torch.float32", self.ready)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        if not self.ready or self.dtype != "torch.float32":
            raise TypeError("no array yet")
        return self.values


@pytest.mark.parametrize(
    "answer",
    [
        SCORES, SCORES.tolist(), list(SCORES), [Tensor(row) for row in SCORES],
        SCORES.astype(np.float16), (SCORES, "hidden states"), [SCORES, SCORES[:1]],
        {"logits": SCORES, "loss": 3}, {"loss": 3, "logits": SCORES}, {"out": SCORES}, SimpleNamespace(logits=SCORES),
        {"out": SCORES, "boxes": [[1], []]}, {"maps": np.zeros((3, 2, 4, 4)), "out": SCORES},
        {"maps": np.zeros((3, 2, 4, 4)), "loss": 3, "out": SCORES, "logits": SCORES, "features": SCORES[:, :1]},
        [row[None] for row in SCORES], [Tensor(row[None]) for row in SCORES],
        Tensor(SCORES), Tensor(SCORES, "torch.bfloat16"), (Tensor(SCORES),), SimpleNamespace(logits=Tensor(SCORES)),
    ],
)  # fmt: skip
def test_the_scores_inside_an_answer(answer: Any) -> None:
    found = checked_scores(answer, 3)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, SCORES)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (SCORES[:, 0], r"returned shape \(3,\) for a batch of 3; expected \(3, classes\).*add an axis"),
        (list(SCORES[:, 0]), r"returned shape \(3,\) for a batch of 3; .*add an axis"),
        ([SCORES[0], SCORES[0, :1], SCORES[0]], "no array of scores"),
        (SCORES[:2], r"returned shape \(2, 2\) for a batch of 3"),
        (SCORES[None], r"returned shape \(1, 3, 2\)"),
        (SCORES[:, :0], r"returned shape \(3, 0\)"),
        (0.5, r"returned shape \(\)"),
        ("cat", "returned str, which is no array of scores .could.*; expected .*Wrap it"),
        (None, r"returned NoneType, which is no array of scores \(nothing at all\)"),
        ({}, "returned NoneType"),
        ((), "returned NoneType"),
        (object(), "which is no array of scores"),
        ([[1, 2], [3], [4]], "no array of scores"),
        (np.where(SCORES == 1, np.nan, SCORES), "NaN or Inf for mask 11; expected finite"),
        (np.where(SCORES == 1, -np.inf, SCORES), "NaN or Inf for mask 11"),
    ],
)
def test_what_is_no_answer(answer: Any, says: str) -> None:
    with pytest.raises(ModelOutputError, match=says):
        checked_scores(answer, 3, first_mask=10)


def test_a_list_of_outputs_is_none_of_rows() -> None:
    for n in (1, 2):
        outputs = [SCORES[:n], 1 - SCORES[:n]]  # as onnxruntime gives them, of whatever batch
        np.testing.assert_allclose(checked_scores(outputs, n), SCORES[:n])


@pytest.mark.parametrize(
    ("answer", "is_device", "says"),
    [
        (
            {"features": np.ones((3, 15)), "maps": np.ones((3, 4, 5, 5)), "scores": SCORES}, False,
            r"2 arrays of two axes, 'features' \(3, 15\) and 'scores' \(3, 2\); expected one, or one called 'logits'\. "
            r"Say which are the scores: lambda x: f\(x\)\['features'\] or lambda x: f\(x\)\['scores'\]$",
        ),
        ({"features": Tensor(np.ones((3, 15))), "scores": Tensor(SCORES)}, True, r"\. Return .* from forward$"),
        ({"names": [["a", "b"]] * 3, "scores": SCORES.tolist()}, False, r"'names' \(3, 2\) and 'scores' \(3, 2\)"),
    ],
)  # fmt: skip
def test_which_of_several_arrays_are_the_scores_is_not_guessed(answer: Any, is_device: bool, says: str) -> None:
    with pytest.raises(ModelOutputError, match=says):
        checked_scores(answer, 3, is_device=is_device)


def test_complex_scores_are_no_answer() -> None:
    with pytest.raises(ModelOutputError, match="complex"):
        unwrap(SCORES * 1j)


def test_probabilities_of_logits_and_of_probabilities() -> None:
    logits = np.array([[1000.0, 998.0, -5.0], [0.2, -0.1, 0.4]])
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(logits), expected)
    np.testing.assert_allclose(probabilities(logits, "logits"), expected)
    np.testing.assert_allclose(probabilities(SCORES), SCORES)
    np.testing.assert_allclose(probabilities(SCORES, "logits")[0], [1 / (1 + np.exp(0.5)), 1 / (1 + np.exp(-0.5))])
    np.testing.assert_allclose(probabilities(np.array([[0.9, 0.8]]), "probabilities"), [[0.9, 0.8]])


def test_one_column_is_two_classes() -> None:
    np.testing.assert_allclose(probabilities(np.array([[0.3]])), [[0.7, 0.3]])
    np.testing.assert_allclose(probabilities(np.array([[-2.0], [0.0]])), [[0.880797, 0.119203], [0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(probabilities(np.array([[0.0]]), "logits"), [[0.5, 0.5]])


def test_ambiguous_scores_name_the_argument() -> None:
    with pytest.raises(InputError, match=r'sum to 1\.7\.\.1\.7 .*output="logits" or output="probabilities"'):
        find_output(np.array([[0.9, 0.8]]))
    with pytest.raises(InputError, match=r'between -0\.5 and 2.*If they are logits, say output="logits"'):
        probabilities(np.array([[-0.5, 2.0]]), "probabilities")


def test_percentages_are_no_logits() -> None:
    for percent in (100 * SCORES, np.round(100 * np.full((2, 3), 1 / 3)), np.array([[0.0, 100.0]])):
        with pytest.raises(
            InputError, match=r'sum to (99|100)\.\.(99|100) .*percentages.*divide them by 100.*"logits"'
        ):
            find_output(percent)
    for logits in (SCORES * [[100], [90], [100]], np.array([[120.0, -20.0]]), np.array([[100.0], [100.0]])):
        assert find_output(logits) == "logits"


# Asking


def counting(calls: list[np.ndarray], fail_at: int = -1) -> Any:
    def model(batch: np.ndarray) -> Any:
        if 0 <= fail_at < sum(map(len, calls)) + len(batch):
            raise RuntimeError("out of memory")
        calls.append(batch.copy())
        return np.stack([batch.reshape(len(batch), -1).sum(axis=1), np.zeros(len(batch))], axis=1)

    return Model(model)


MEDIA = np.random.default_rng(0).integers(1, 255, (4, 6, 3), dtype=np.uint8)
MASKS = np.random.default_rng(1).random((10, 4, 6)) < 0.5


@pytest.mark.parametrize(
    ("batch_size", "max_batch", "sizes"),
    [(4, None, [4, 4, 2]), (32, None, [10]), (8, 3, [3, 3, 3, 1]), (1, None, [1] * 10)],
)
def test_batches_and_counts(batch_size: int, max_batch: int | None, sizes: list[int]) -> None:
    calls: list[np.ndarray] = []
    asker = Asker(Model(counting(calls).scores, max_batch=max_batch), MEDIA, np.zeros_like(MEDIA), batch_size)
    scores = asker(MASKS)
    assert [len(batch) for batch in calls] == sizes
    assert asker.evals == 10
    assert scores[:, 0].tolist() == (MEDIA * MASKS[..., None]).sum(axis=(1, 2, 3)).tolist()
    assert all(batch.dtype == np.uint8 for batch in calls)


def test_masks_of_cells_are_never_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blackbox, "MAX_BATCH_BYTES", 3 * MEDIA.nbytes)
    calls: list[np.ndarray] = []
    masks = CellMasks(np.random.default_rng(2).random((10, 2, 3)) < 0.5, (4, 6))
    scores = Asker(counting(calls), MEDIA, np.zeros_like(MEDIA), 32)(masks)
    assert [len(batch) for batch in calls] == [3, 3, 3, 1]
    assert scores[:, 0].tolist() == (MEDIA * np.asarray(masks)[..., None]).sum(axis=(1, 2, 3)).tolist()


class Elsewhere(Device):
    """A model that makes its copies where it runs; `sizes`: of the batches that it was asked."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, batch: np.ndarray) -> Any:
        raise AssertionError("no copy of the media is made on the host")

    def load(self, media: np.ndarray, baselines: np.ndarray) -> Any:
        return lambda masks, fills=None: np.asarray(masks)

    def run(self, parts: Any) -> Any:
        self.sizes.append(sum(map(len, parts)))
        return np.concatenate(
            [np.stack([part.mean(axis=(1, 2)), 1 - part.mean(axis=(1, 2))], axis=1) for part in parts]
        )


def test_copies_that_are_made_elsewhere_come_in_the_batches_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blackbox, "MAX_BATCH_BYTES", 3 * MEDIA.nbytes)
    segments = SegmentMasks(np.random.default_rng(2).random((10, 3)) < 0.5, np.arange(24).reshape(4, 6) // 8)
    for masks in (MASKS, CellMasks(MASKS, (4, 6)), segments):
        model = Elsewhere()
        Asker(Model(model), MEDIA, MEDIA, 8)(masks)
        assert model.sizes == [8, 2]
    monkeypatch.setattr(blackbox, "MAX_DEVICE_BYTES", 6 * 4 * MEDIA.size)
    model = Elsewhere()
    Asker(Model(model), MEDIA, MEDIA, 8)(MASKS)
    assert model.sizes == [6, 4]
    soft = Elsewhere()  # of soft masks an adapter has NumPy make the copies
    Asker(Model(soft), MEDIA, MEDIA, 8)(MASKS.astype(np.float32))
    assert soft.sizes == [3, 3, 3, 1]


def test_a_failure_has_the_masks_number_and_what_was_answered() -> None:
    asker = Asker(counting([], fail_at=10), MEDIA, MEDIA, 4)
    asker(MASKS[:6])
    with pytest.raises(
        ModelError, match=r"starts at mask 10 \(shape \(4, 4, 6, 3\), uint8\): RuntimeError: out of m"
    ) as caught:
        asker(MASKS)
    assert len(caught.value.answered) == 4  # type: ignore[attr-defined]
    assert asker.evals == 10
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_as_many_classes_in_every_batch() -> None:
    def model(batch: np.ndarray) -> np.ndarray:
        return np.zeros((len(batch), 2 if len(batch) == 4 else 3))

    with pytest.raises(ModelOutputError, match="3 classes for the batch that starts at mask 8, and 2 before") as caught:
        Asker(Model(model), MEDIA, MEDIA, 4)(MASKS[:10])
    assert len(caught.value.answered) == 8  # type: ignore[attr-defined]


def test_an_interrupt_is_no_failure_of_the_model() -> None:
    def interrupted(batch: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Asker(Model(interrupted), MEDIA, MEDIA)(MASKS)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "8"])
def test_a_batch_size_that_is_none(batch_size: Any) -> None:
    with pytest.raises(InputError, match=r"batch_size is .*expected a whole number, at least 1"):
        Asker(counting([]), MEDIA, MEDIA, batch_size)


def test_an_interrupt_carries_what_was_answered() -> None:
    calls: list[np.ndarray] = []

    def interrupted(batch: np.ndarray) -> np.ndarray:
        if len(calls) == 2:
            raise KeyboardInterrupt
        return counting(calls).scores(batch)  # type: ignore[no-any-return]

    with pytest.raises(KeyboardInterrupt) as caught:
        Asker(Model(interrupted), MEDIA, MEDIA, 4)(MASKS)
    assert caught.value.answered.shape == (8, 2)  # type: ignore[attr-defined]


def test_a_model_may_write_its_answers_into_one_place() -> None:
    place = np.empty((4, 2))

    def reused(batch: np.ndarray) -> np.ndarray:
        place[: len(batch)] = counting([]).scores(batch)
        return place[: len(batch)]

    expected = Asker(counting([]), MEDIA, np.zeros_like(MEDIA), 4)(MASKS)
    assert Asker(Model(reused), MEDIA, np.zeros_like(MEDIA), 4)(MASKS).tolist() == expected.tolist()


def test_methods_of_the_names_load_and_run_are_the_models_own_affair() -> None:
    class Classifier:
        def load(self, path: str) -> None:
            raise AssertionError(path)

        def run(self, batch: np.ndarray) -> Any:
            return counting([]).scores(batch)

        def __call__(self, batch: np.ndarray) -> Any:
            return self.run(batch)

    assert Asker(Model(Classifier()), MEDIA, MEDIA)(MASKS).shape == (10, 2)
