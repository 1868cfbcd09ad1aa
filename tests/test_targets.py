"""What is explained, and what cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from borex.errors import InputError, TargetError
from borex.targets import Target, check_target, find_target, log_odds

LABELS = ["tabby, tabby cat", "tiger cat", "Persian cat", "tiger, Panthera tigris", "crane", "crane, bird"]
P = np.array([[0.1, 0.5, 0.05, 0.2, 0.1, 0.05]])
LOGITS = np.log(P) + 3


def test_none_is_the_top_class() -> None:
    assert find_target(None, P, LABELS) == Target(1, "tiger cat")
    assert find_target(None, LOGITS) == Target(1, "class 1")


@pytest.mark.parametrize("index", [3, np.int64(3), np.uint8(3)])
def test_an_index(index: int) -> None:
    found = find_target(index, P, LABELS)
    assert found == Target(3, "tiger, Panthera tigris")
    assert type(found.index) is int


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("tiger cat", 1), ("Tiger", 3), ("panthera tigris", 3), ("persian", 2), (" tabby cat ", 0), ("crane, bird", 5),
        ("tabby, tabby cat", 0),
    ],
)  # fmt: skip
def test_labels(text: str, index: int) -> None:
    assert find_target(text, P, LABELS).index == index


@pytest.mark.parametrize(
    ("target", "labels", "says"),
    [
        (6, LABELS, r"target is class 6; the model has classes 0 to 5"),
        (-1, LABELS, r"target is class -1; the model has classes 0 to 5"),
        ("cat", LABELS, r"'cat' fits 3 classes \(0 'tabby, tabby cat', 1 .*give the index"),
        ("persan cat", LABELS, r"no label of the model is 'persan cat'; close to it: 'persian cat'"),
        ("dog", None, r"label 'dog', but the model's labels are not known; give a class index"),
        (" ", LABELS, "empty label"),
        (True, LABELS, "target is True; expected a class index, a label"),
        (1.0, LABELS, r"target is 1\.0; expected a class index"),
        (np.array([1, 2]), LABELS, "target has 2 values; expected one class for one input.*one by one"),
        ([1, 2, 3], LABELS, r"target is \[1, 2, 3\]; expected one class for one input, or a pair"),
        ((1, 1), LABELS, "sets a class against itself"),
        (("tabby", 0), LABELS, "sets a class against itself"),
        ((0, 9), LABELS, "target is class 9"),
        (Target(9, "nine"), LABELS, "target is class 9"),
    ],
)
def test_what_is_no_target(target: object, labels: list[str] | None, says: str) -> None:
    with pytest.raises(TargetError, match=says):
        find_target(target, P, labels)  # type: ignore[arg-type]


def test_what_shows_before_the_model_is_asked() -> None:
    for target in (None, 0, 10**6, (0, 1), np.sum, Target(3, "three")):
        check_target(target)
    for target in (-1, 1.0, [1, 2, 3], (0, -1), (2, 2), "dog", np.zeros(3), Target(-1, "")):
        with pytest.raises(TargetError):
            check_target(target)  # type: ignore[arg-type]
    with pytest.raises(TargetError, match="classes 0 to 5"):
        check_target(6, LABELS)


def test_a_class() -> None:
    target = find_target(3, P)
    np.testing.assert_allclose(target.value(LOGITS), P[:, 3])
    np.testing.assert_allclose(target.link(P), np.log(0.2 / 0.8))


def test_a_pair_is_one_against_the_other() -> None:
    target = find_target(("tiger", 2), P, LABELS)
    assert target == Target(3, "tiger, Panthera tigris against Persian cat", against=2)
    np.testing.assert_allclose(target.value(P), [0.2 - 0.05])
    np.testing.assert_allclose(target.link(LOGITS), np.log(0.2 / 0.8) - np.log(0.05 / 0.95))
    with pytest.raises(TargetError, match=r"target is \[3, 1\]; expected one class for one input, or a pair"):
        find_target([3, 1], P)  # two inputs' targets, as Captum takes them


def test_a_function_sees_raw_scores() -> None:
    def margin(scores: np.ndarray) -> np.ndarray:
        return scores[:, 0] - scores[:, 1]

    target = find_target(margin, LOGITS)
    assert target.label == "margin"
    np.testing.assert_allclose(target.value(LOGITS), LOGITS[:, 0] - LOGITS[:, 1])
    np.testing.assert_allclose(target.link(LOGITS), target.value(LOGITS))


@pytest.mark.parametrize("function", [lambda s: s, lambda s: 1.0, lambda s: s[:, 0] * np.nan])
def test_a_function_of_the_wrong_shape(function) -> None:
    with pytest.raises(
        TargetError, match=r"target function returned (shape .*expected values of shape \(1,\)|nan for the scores)"
    ):
        find_target(function, P)


def test_a_function_that_fails_is_a_target_that_cannot_be() -> None:
    with pytest.raises(
        TargetError, match=r"failed for scores of shape \(1, .*IndexError.*lambda s: s\[:, 7\]"
    ) as caught:
        find_target(lambda s: s[:, 99], P)
    assert isinstance(caught.value.__cause__, IndexError)


def test_what_argmax_gives_is_a_class() -> None:
    for one in (np.argmax(P), np.array(1), np.uint8(1)):
        assert find_target(one, P) == find_target(int(one), P)
        assert isinstance(find_target(one, P).index, int)
    for other in (np.array(1.0), np.array(True), True):
        with pytest.raises(TargetError, match="expected a class index, a label"):
            find_target(other, P)


def test_a_function_that_a_file_has_forgotten() -> None:
    with pytest.raises(TargetError, match="'margin' was a function"):
        Target(None, "margin").value(P)


def test_one_output_is_two_classes() -> None:
    logit = np.array([[2.0], [-1.0]])
    sigmoid = 1 / (1 + np.exp(-logit[:, 0]))
    target = find_target(None, logit[:1])
    assert target.index == 1
    np.testing.assert_allclose(target.value(logit), sigmoid)
    np.testing.assert_allclose(find_target(0, logit[:1]).value(logit), 1 - sigmoid)
    assert find_target(None, logit[1:]).index == 0
    with pytest.raises(TargetError, match="classes 0 to 1"):
        find_target(2, logit)


def test_one_output_with_one_label_speaks_for_it() -> None:
    logit = np.array([[2.0]])
    assert find_target("cat", logit, ["cat"]) == Target(1, "cat")
    assert find_target(0, logit, ["cat"]) == Target(0, "not cat")
    check_target(1, ["cat"])


def test_log_odds_are_bounded() -> None:
    assert log_odds(np.array([0, 1e-4, 0.5, 1 - 1e-4, 1])) == pytest.approx([-9.21, -9.21, 0, 9.21, 9.21], abs=1e-3)


def test_why_nothing_moves() -> None:
    nothing, sure = "does not depend on what is hidden", "sure to 1 in 10,000"
    rising = np.linspace(20, 30, 5)
    logits = np.stack([rising, np.zeros(5), rising - 40], axis=1)
    assert sure in Target(0, "a").unmoved(logits, "logits")
    assert "scores[:, 0] - scores[:, 2]" in Target(0, "a", against=2).unmoved(logits, "logits")
    assert "scores[:, 0]" in Target(1, "a").unmoved(rising[:, None], "logits")
    assert nothing in Target(0, "a").unmoved(logits[:1].repeat(5, axis=0), "logits")
    # Other classes move, this one does not: it is not sure of anything.
    others = np.stack([np.full(5, 0.5), np.linspace(0, 0.5, 5), np.linspace(0.5, 0, 5)], axis=1)
    assert nothing in Target(0, "a").unmoved(others, "probabilities")
    assert nothing in Target(None, "f", function=lambda scores: scores[:, 0] * 0).unmoved(logits)


def test_as_many_labels_as_classes() -> None:
    scores = np.array([[1.0, 3.0]])
    with pytest.raises(InputError, match=r"labels names 3 classes, such as 'background', but the model has 2"):
        find_target("cat", scores, ["background", "cat", "dog"])
    with pytest.raises(InputError, match="labels names 2 classes"):  # of one label: not cat, cat
        find_target(1, np.array([[1.0, 3.0, 2.0]]), ["cat"])
    with pytest.raises(InputError, match="labels names 0 classes but the model has 2"):
        find_target(1, scores, [])
    assert find_target("cat", np.array([[1.0]]), ["cat"]).index == 1


@pytest.mark.parametrize(
    ("target", "said"), [(1, "scores: scores"), (0, "scores: -scores"), ((0, 1), ": -scores"), ((1, 0), ": scores")]
)
def test_a_single_output_that_is_too_sure_is_explained_by_its_raw_score(target: Any, said: str) -> None:
    scores = np.array([[20.0], [30.0]])
    why = find_target(target, scores[:1], output="logits").unmoved(scores, "logits")
    assert why.endswith(f"{said}[:, 0]")


def test_a_target_function_that_gives_nan_is_told_of_it() -> None:
    target = find_target(lambda s: np.where(s[:, 0] > 1, np.nan, s[:, 0]), np.zeros((1, 2)))
    with pytest.raises(TargetError, match=r"returned nan for the scores \[2\. 0\.\]; expected a finite value"):
        target.value(np.array([[0.0, 0.0], [2.0, 0.0]]))


def test_a_tensor_of_one_class_is_counted() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TargetError, match="target has 1 values; expected one class for one input"):
        find_target(torch.tensor([1]), P)


def test_outputs_are_all_classes_and_of_a_function_its_value() -> None:
    scores = np.array([[2.0, 1.0, -1.0], [0.0, 0.0, 50.0]])
    outputs = Target(1, "").outputs(scores, "logits")
    assert outputs.shape == (2, 3)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs[0], scores[0] - scores[0].mean(), rtol=1e-6)
    np.testing.assert_allclose(outputs.mean(axis=1), 0, atol=1e-6)
    assert outputs.max() < 9.3  # a probability of nothing is as little as 1e-4
    one = Target(None, "f", function=lambda s: s[:, 0]).outputs(scores)
    np.testing.assert_array_equal(one, [[2.0], [0.0]])


def test_outputs_of_a_single_column_are_those_of_two_classes() -> None:
    outputs = Target(1, "").outputs(np.array([[0.2], [0.9]]), "probabilities")
    np.testing.assert_allclose(outputs, np.log([[0.8, 0.2], [0.1, 0.9]]) - np.log([[0.16], [0.09]]) / 2, rtol=1e-5)


@pytest.mark.parametrize(("target", "label"), [(None, "not class 1"), (0, "not class 1"), (1, "class 1")])
def test_of_one_output_class_0_is_all_else(target: int | None, label: str) -> None:
    assert find_target(target, np.array([[0.3]])).label == label
    assert find_target((1, 0), np.array([[0.3]])).label == "class 1 against not class 1"
    assert find_target("cat", np.array([[0.3]]), ["cat"]).label == "cat"


def test_a_function_may_write_into_the_scores_and_return_a_view_of_them() -> None:
    def centred(scores: np.ndarray) -> np.ndarray:
        scores -= scores.mean(axis=1, keepdims=True)
        return scores[:, 0]

    scores = np.array([[3.0, 1.0], [5.0, 9.0]])
    target = find_target(centred, scores[:1])
    for told in (target.value(scores), target.link(scores), target.outputs(scores)[:, 0]):
        assert told.tolist() == [1.0, -2.0]
        told[:] = 7
    assert scores.tolist() == [[3.0, 1.0], [5.0, 9.0]]

    view = find_target(lambda scores: scores[:, 0], scores[:1]).value(scores)
    scores[:] = 0
    assert view.tolist() == [3.0, 5.0]
