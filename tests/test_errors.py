"""Bad input gets an error that says what was expected, what came and what to do, before the model is asked."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import borex
from borex import BorexError, BudgetError, FileError, InputError, LayoutError, MissingExtraError, ModelError
from borex.errors import ModelOutputError, TargetError
from tests.closed_form import Counted, box, linear, share_seen
from tests.test_refine import IMAGE, hint

MEDIA = np.random.default_rng(0).integers(1, 255, (*IMAGE, 3), dtype=np.uint8)
NAN = np.where(np.arange(3) == 1, np.nan, MEDIA)
LABELS = ["cat", "dog"]
NAMED = borex.blackbox.Model(share_seen(box(IMAGE)), labels=LABELS)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (LayoutError, {"media": np.ones(5)}, r"shape \(5,\), 1 axes; expected 2 to 5: an image HW, HWC"),
        (LayoutError, {"media": np.ones((1, 2, 3, 4, 5, 6))}, "6 axes; expected 2 to 5"),
        (LayoutError, {"media": np.ones((3, 8, 4))}, r'more than one way.*layout="HWC" \(image, .* or layout="CHW"'),
        (LayoutError, {"media": np.ones((9, 8, 7))}, r"no axis of 1, 3 or 4 channels.*Say which axis"),
        (LayoutError, {"layout": "HW"}, r'layout="HW" names 2 axes, but the media has shape \(42, 56, 3\)'),
        (LayoutError, {"layout": "XYZ"}, 'layout is \'XYZ\'; expected "auto" or one of HW'),
        (InputError, {"media": MEDIA[:0]}, r"shape \(0, 56, 3\), which is empty; expected at least one value"),
        (InputError, {"media": MEDIA[:1, :1], "layout": "HWC"}, "has one pixel.*Expected at least two"),
        (InputError, {"media": NAN}, r"NaN or Inf, first at \(0, 0, 1\).*expected finite numbers.*nan_to_num"),
        (InputError, {"media": np.where(NAN > 250, np.inf, MEDIA)}, "NaN or Inf, first at .*expected finite"),
        (InputError, {"media": np.stack([MEDIA] * 2), "layout": "NHWC"}, r"a batch of 2; expected one.*media\[0\]"),
        (InputError, {"media": None}, "the media is None; expected an array or a tensor"),
        (FileError, {"media": "text"}, "there is no file text"),
        (InputError, {"initial": hint(IMAGE) * np.nan}, "holds NaN or Inf in 588 of 588 places; expected fin"),
        (InputError, {"initial": np.ones((2, 5, 7))}, r"initial map has shape \(2, 5, 7\), 3 axes; .*expected 2 axes"),
        (InputError, {"initial": np.ones(7)}, r"initial map has shape \(7,\), 1 axes"),
        (InputError, {"initial": np.ones((0, 3))}, r"which is empty; None stands for a flat map"),
        (InputError, {"initial": "risen"}, "initial is 'risen'; expected a heat map, the path of one, .* 'rise', or"),
        (InputError, {"method": "fields"}, "method is 'fields'; expected one of 'field', 'paper'"),
        (InputError, {"baseline": "blurry"}, "baseline is 'blurry'; expected one of 'blur', 'soft', 'mean', 'black'"),
        (InputError, {"baseline": np.zeros((3, 4))}, r"broadcasts to the media's shape \(42, 56, 3\)"),
        (InputError, {"output": "logit"}, "output is 'logit'; expected one of 'auto', 'probabilities', 'logits'"),
        (InputError, {"seed": -1}, "seed is -1; expected a whole number, at least 0"),
        (InputError, {"seed": None}, "seed is None; expected a whole number"),
        (InputError, {"batch_size": 0}, "batch_size is 0; expected a whole number, at least 1"),
        (InputError, {"model": 7}, "the model is int; expected a function from a batch"),
        (InputError, {"model": "model.pth"}, r"'model\.pth'; expected one that ends in \.onnx"),
        (InputError, {"model": borex.blackbox.Model(len, extent=(4, 5, 6))}, r"model takes \(4, 5, 6\); .*3 axes"),
        (BudgetError, {"max_evals": 19}, "max_evals is 19; expected a whole number, at least 20. 200 is usual"),
        (BudgetError, {"max_evals": 200.0}, r"max_evals is 200\.0; expected a whole number"),
        (BudgetError, {"max_evals": True}, "max_evals is True; expected a whole number"),
        (TargetError, {"target": -1}, "target is class -1; expected an index from 0"),
        (TargetError, {"target": 2, "model": NAMED}, "target is class 2; the model has classes 0 to 1"),
        (TargetError, {"target": "cow", "model": NAMED}, "no label of the model is 'cow'"),
        (TargetError, {"target": "cat"}, "the model's labels are not known; give a class index"),
        (TargetError, {"target": [0, 1, 0]}, r"target is \[0, 1, 0\]; expected one class for one input.*one by one"),
        (TargetError, {"target": np.array([0, 1])}, "target has 2 values; expected one class for one input"),
        (TargetError, {"target": (1, 1)}, "sets a class against itself"),
        (TargetError, {"target": 0.5}, "expected a class index, a label"),
    ],
)  # fmt: skip
def test_before_the_model_is_asked(kind: type[Exception], options: dict[str, Any], says: str) -> None:
    model = Counted(share_seen(box(IMAGE)))
    with pytest.raises(kind, match=says) as caught:
        borex.refine(**{"model": model, "media": MEDIA, "baseline": "black", **options})
    assert isinstance(caught.value, BorexError)
    assert model.calls == NAMED.scores.calls == 0  # type: ignore[attr-defined]


def test_a_class_that_only_the_answer_shows_to_be_none() -> None:
    for initial in (None, "rise"):
        model = share_seen(box(IMAGE))
        with pytest.raises(TargetError, match="target is class 5; the model has classes 0 to 1"):
            borex.refine(model, MEDIA, initial, target=5)
        assert model.calls in (2, 4)  # asked for by RISE, the input is hidden by one baseline only


# Files


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = share_seen(box(IMAGE))
    with pytest.raises(FileError, match=r"there is no file .*photo\.jpg"):
        borex.refine(model, tmp_path / "photo.jpg")
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(FileError, match=r"is no picture that Pillow can read; expected a PNG"):
        borex.refine(model, str(tmp_path / "text.jpg"))
    Image.fromarray(MEDIA).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(FileError, match=r"more than 0 million pixels, the limit against decompression bombs"):
        borex.refine(model, tmp_path / "photo.png")
    assert model.calls == 0
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)
    assert borex.refine(model, tmp_path / "photo.png", baseline="black", max_evals=20).evals == model.calls == 20
    Image.fromarray(MEDIA[:1]).save(tmp_path / "row.png")  # a file's layout is known, whatever its shape
    row = borex.refine(lambda batch: batch.mean(axis=(1, 2)), tmp_path / "row.png", output="logits", max_evals=20)
    assert row.saliency.shape == (1, 56)
    with pytest.raises(FileError, match=r"gone\.onnx' is not there; expected the path of an \.onnx file"):
        borex.refine(tmp_path / "gone.onnx", MEDIA)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"'onnxruntime', which is not installed: pip install 'borex\[onnx\]'"):
        borex.refine(None, MEDIA)


# What the model answers


def always(answer: Any) -> Counted:
    return Counted(lambda batch: answer(len(batch)) if callable(answer) else answer)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (
            lambda n: np.ones(n),
            ModelOutputError,
            r"shape \(4,\) for a batch of 4; expected \(4, classes\).*add an axis",
        ),
        (lambda n: np.ones((n + 1, 2)), ModelOutputError, r"shape \(5, 2\) for a batch of 4"),
        (lambda n: np.full((n, 2), np.nan), ModelOutputError, "NaN or Inf for mask 0; expected finite scores"),
        (lambda n: np.full((n, 2), np.inf), ModelOutputError, "NaN or Inf for mask 0"),
        ("cat", ModelOutputError, "returned str, which is no array of scores"),
        (None, ModelOutputError, "returned NoneType"),
        (lambda n: {"boxes": "many"}, ModelOutputError, "no array of scores"),
        (
            lambda n: np.full((n, 2), 0.9),
            InputError,
            r'sum to 1\.8\.\.1\.8 .*Say which: output="logits" or output="prob',
        ),
    ],
)
def test_what_is_no_answer(answer: Any, kind: type[Exception], says: str) -> None:
    model = always(answer)
    with pytest.raises(kind, match=says) as caught:
        borex.refine(model, MEDIA)
    assert model.calls == 4  # the whole input, and all of it hidden by each of three baselines
    assert caught.value.refiner is not None
    assert caught.value.refiner.evals == 0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scores: (scores, "features"), lambda scores: {"loss": 1, "logits": scores}, lambda scores: [scores],
        lambda scores: scores.tolist(), lambda scores: type("Output", (), {"logits": scores})(),
    ],
)  # fmt: skip
def test_answers_are_unwrapped(wrap: Any) -> None:
    plain = share_seen(box(IMAGE))
    expected = borex.refine(plain, MEDIA, baseline="black", max_evals=30)
    found = borex.refine(lambda batch: wrap(plain(batch)), MEDIA, baseline="black", max_evals=30)
    assert np.array_equal(found.saliency, expected.saliency)


@pytest.mark.parametrize("output", ["auto", "logits"])
def test_a_single_logit_is_two_classes(output: str) -> None:
    two = linear(np.where(box(IMAGE), 5 / box(IMAGE).sum(), 0))
    one = borex.refine(lambda batch: two(batch)[:, 1:2], MEDIA, output=output, baseline="black", max_evals=60)
    assert one.target.index == 1
    assert one.score == pytest.approx(1 / (1 + np.exp(-3)))
    assert one.saliency[box(IMAGE)].mean() > 5 * abs(one.saliency[~box(IMAGE)].mean())


def test_stated_probabilities_need_not_sum_to_one() -> None:
    def independent(batch: np.ndarray) -> np.ndarray:
        return np.stack([share_seen(box(IMAGE))(batch)[:, 1], np.full(len(batch), 0.9)], axis=1)

    found = borex.refine(independent, MEDIA, target=0, output="probabilities", baseline="black", max_evals=40)
    assert found.score == pytest.approx(0.98)


# A model that fails midway


class Failing(Counted):
    """Fails from the given evaluation on, in one of several ways."""

    def __init__(self, at: int, how: str) -> None:
        super().__init__(share_seen(box(IMAGE)))
        self.at, self.how = at, how

    def __call__(self, batch: np.ndarray) -> Any:
        first = self.calls
        scores = super().__call__(batch)
        if self.calls > self.at >= 0:
            if self.how == "raises":
                raise TimeoutError("no answer in 30 s")
            scores = scores.copy()
            scores[self.at - first :] = np.nan
        return scores


@pytest.mark.parametrize("how", ["raises", "NaN"])
@pytest.mark.parametrize("method", ["field", "paper"])
@pytest.mark.parametrize("initial", [None, "rise", "hint"])
@pytest.mark.parametrize("at", [0, 3, 9, 47, 54, 58])
def test_what_was_observed_is_not_lost(at: int, initial: Any, method: str, how: str) -> None:
    model = Failing(at, how)
    given = hint(IMAGE) if initial == "hint" else initial
    options = {"target": 1, "baseline": "black", "method": method, "max_evals": 60, "batch_size": 4}
    with pytest.raises(ModelError, match="mask ") as caught:
        borex.refine(model, MEDIA, given, **options)
    number = int(str(caught.value).split("mask ")[1].split()[0].rstrip(";"))
    refiner = caught.value.refiner
    answered = model.calls - model.batches[-1]
    assert number == (answered if how == "raises" else at)
    assert refiner is not None
    assert refiner.evals == answered
    if not answered:
        with pytest.raises(InputError, match="nothing has been told yet"):
            refiner.result()
        return
    found = refiner.result()
    assert found.evals == answered
    assert found.stop_reason == "not finished"
    # The run goes on where it stopped, within its budget.
    model.at = -1
    while len(masks := refiner.ask()):
        refiner.tell(masks, model(np.where(np.asarray(masks)[..., None], MEDIA, np.uint8(0))))
    assert 58 <= refiner.evals <= 60
    assert refiner.result().evals == refiner.evals
    if how == "raises":
        assert isinstance(caught.value.__cause__, TimeoutError)


def test_an_interrupted_run_keeps_what_was_answered() -> None:
    calls = 0

    def model(batch: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise KeyboardInterrupt
        p = batch.mean(axis=(1, 2, 3))
        return np.stack([1 - p, p], axis=1)

    with pytest.raises(KeyboardInterrupt) as caught:
        borex.refine(model, np.random.default_rng(0).random((28, 42, 3)), target=1)
    refiner = caught.value.refiner  # type: ignore[attr-defined]
    assert refiner.evals > 20
    assert refiner.result().saliency.shape == (28, 42)


def test_a_missing_package_crosses_to_another_process() -> None:
    error = MissingExtraError("borex.media.video", "av", "video")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  it is our own
