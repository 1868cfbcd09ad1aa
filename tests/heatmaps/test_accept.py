"""Whatever another library or a file holds is an initial map as it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import borex
from borex.errors import FileError, InputError, TargetError
from borex.heatmaps import accepted, lime
from borex.targets import Target
from tests.closed_form import box, share_seen
from tests.heatmaps.nets import Conv, photo, seeded

IMAGE, CLIP = (14, 21), (5, 12, 18)


def signed(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape)


@pytest.mark.parametrize(
    ("shape", "extent", "summed"),
    [
        ((14, 21), IMAGE, None), ((7, 9), IMAGE, None), ((1, 7, 9), IMAGE, None), ((1, 1, 7, 9), IMAGE, None),
        ((3, 14, 21), IMAGE, 0), ((1, 3, 7, 9), IMAGE, 1), ((4, 7, 9), IMAGE, 0), ((7, 9, 3), IMAGE, 2),
        ((1, 7, 9, 3), IMAGE, 3), ((14, 21, 1), IMAGE, 2), ((1, 1, 1, 7, 9), IMAGE, None), ((6, 7, 9), IMAGE, 0),
        ((5, 12, 18), CLIP, None), ((2, 3, 3), CLIP, None), ((1, 2, 6, 9), CLIP, None), ((3, 2, 6, 9), CLIP, 0),
        ((1, 3, 2, 6, 9), CLIP, 1), ((1, 2, 3, 6, 9), CLIP, 2), ((2, 7, 9, 3), CLIP, 3), ((1, 2, 7, 9, 1), CLIP, 4),
        ((3, 5, 12, 18), CLIP, 0), ((1, 1, 7, 3, 6, 9), CLIP, 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [np.asarray, lambda values: pytest.importorskip("torch").from_numpy(values)])
def test_arrays_and_tensors(shape: tuple[int, ...], extent: tuple[int, ...], summed: int | None, kind: Any) -> None:
    values = signed(*shape)
    expected = values if summed is None else values.sum(axis=summed)
    found = accepted(kind(values), extent, channels=6)
    assert found.shape == tuple(expected.squeeze().shape)
    np.testing.assert_allclose(found, expected.reshape(found.shape))
    assert found.min() < 0


@pytest.mark.parametrize(
    ("shape", "extent", "says"),
    [
        ((2, 7, 9), IMAGE, r"shape \(2, 7, 9\), 3 axes; .*\(14, 21\), so expected 2 axes.* 1, 3, 4 channels.*target="),
        ((3, 9, 4), IMAGE, r"which axis is channels \(or classes\) cannot be told. Take it out: initial.sum"),
        ((2, 3, 7, 9), IMAGE, r"shape \(2, 3, 7, 9\), a batch of 2 maps; expected one, .*initial\[0\]"),
        ((3, 4, 6, 9), CLIP, "which axis is channels"),
        ((7,), IMAGE, r"shape \(7,\), 1 axes; the media has extent \(14, 21\), so expected 2 axes"),
        ((2, 2, 2, 2, 7, 9), IMAGE, "6 axes"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_not_guessed(shape: tuple[int, ...], extent: tuple[int, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        accepted(signed(*shape), extent)


def test_of_two_readings_the_one_with_the_medias_own_extent() -> None:
    values = signed(3, 4, 21)
    np.testing.assert_allclose(accepted(values, (4, 21)), values.sum(axis=0))
    with pytest.raises(InputError, match="cannot be told"):
        accepted(signed(3, 14, 21), IMAGE, labels=["a", "b", "c"])  # three channels, or three classes?


def test_a_class_stack() -> None:
    stack = signed(10, 14, 21)
    names = [f"class {letter}" for letter in "abcdefghij"]
    np.testing.assert_allclose(accepted(stack, IMAGE, target=7), stack[7])
    np.testing.assert_allclose(accepted(stack, IMAGE, target="class c", labels=names), stack[2])
    np.testing.assert_allclose(accepted(stack, IMAGE, target=(7, 2)), stack[7] - stack[2])
    np.testing.assert_allclose(accepted(stack, IMAGE, target=Target(4, "class 4")), stack[4])
    with pytest.raises(TargetError, match="a stack of 10 maps has no map of class 11; it has those of 0, 1, 2"):
        accepted(stack, IMAGE, target=11)
    with pytest.raises(InputError, match=r"one for each class, say which: target="):
        accepted(stack, IMAGE)
    with pytest.raises(InputError, match="a map for each of 10 classes; say which"):
        accepted(stack, IMAGE, target=lambda scores: scores[:, 0])


def test_lists_and_tuples_of_one() -> None:
    one = signed(1, 7, 9)
    np.testing.assert_allclose(accepted([one], IMAGE), one[0])  # torchcam
    np.testing.assert_allclose(accepted((one[None],), IMAGE), one[0])  # Captum, for a tuple of inputs
    relevance = signed(1, 3, 14, 21)
    np.testing.assert_allclose(accepted((signed(1, 10), relevance), IMAGE), relevance.sum(axis=1)[0])  # zennit
    with pytest.raises(InputError, match=r"a list of 2 maps, one for each layer or input; expected one.* initial\[0\]"):
        accepted([one, one], IMAGE)


def test_what_zennit_and_grad_cam_return() -> None:
    attribution = pytest.importorskip("zennit.attribution")
    cams = pytest.importorskip("pytorch_grad_cam")
    torch = pytest.importorskip("torch")
    net, media = seeded(Conv).eval(), photo(IMAGE)
    x = torch.from_numpy((media / 255).astype(np.float32)).movedim(-1, 0)[None]
    with attribution.Gradient(net) as attributor:
        returned = attributor(x, torch.eye(5)[[1]])
    np.testing.assert_allclose(accepted(returned, IMAGE), returned[1].sum(1)[0].detach().numpy(), rtol=1e-6)
    with cams.GradCAM(net, [net.relu]) as cam:
        theirs = cam(x, [cams.utils.model_targets.ClassifierOutputTarget(1)])
    assert theirs.shape == (1, *IMAGE)
    np.testing.assert_allclose(accepted(theirs, IMAGE), theirs[0])


def test_files(tmp_path: Path) -> None:
    values = signed(7, 9)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", map=values)
    Image.fromarray((values > 0).astype(np.uint8) * 255).save(tmp_path / "a.png")
    for path in (tmp_path / "a.npy", str(tmp_path / "a.npz")):
        np.testing.assert_allclose(accepted(path, IMAGE), values)
    np.testing.assert_allclose(accepted(tmp_path / "a.png", IMAGE), values > 0)
    with pytest.raises(FileError, match=r"there is no file none\.npy"):
        accepted("none.npy", IMAGE)


def explained() -> Any:
    return borex.refine(share_seen(box(IMAGE)), np.ones((*IMAGE, 3), np.uint8), baseline="black", max_evals=40)


def test_refine_takes_them_all(tmp_path: Path) -> None:
    values = signed(7, 9)
    np.save(tmp_path / "a.npy", values)
    media = np.ones((*IMAGE, 3), np.uint8)

    def start(initial: Any, **options: Any) -> np.ndarray:
        model = share_seen(box(IMAGE))
        return borex.refine(model, media, initial, baseline="black", max_evals=30, **options).initial

    expected = start(values)
    assert expected.shape == IMAGE
    assert expected.min() < 0
    for initial in (values[None, None], str(tmp_path / "a.npy"), tmp_path / "a.npy", [values[None]]):
        assert np.array_equal(start(initial), expected)
    stack = np.stack([values, 2 * values + 1] * 3)
    assert np.array_equal(start(stack, target=0), expected)
    before = explained()
    assert np.array_equal(start(before), before.saliency)
    segments = np.repeat(np.arange(7), 42).reshape(IMAGE)
    asked = lime(share_seen(box(IMAGE)), media, 1, n=60, segments=segments, baseline="black")
    np.testing.assert_allclose(start(asked), asked.heat_map, atol=1e-6)


def test_an_explanation_of_shap() -> None:
    shap = pytest.importorskip("shap")
    values, data = signed(1, 14, 21, 3, 2), np.zeros((1, 14, 21, 3))
    expected = values.sum(axis=3)[0]
    names = shap.Explanation(values, data=data, output_names=["tabby cat", "espresso"])
    labels = ["dog", "espresso", "tabby cat"]
    np.testing.assert_allclose(accepted(names, IMAGE, target="espresso", labels=labels), expected[..., 1])
    np.testing.assert_allclose(accepted(names, IMAGE, target=1, labels=labels), expected[..., 1])
    np.testing.assert_allclose(accepted(names, IMAGE, target="tabby cat"), expected[..., 0])
    np.testing.assert_allclose(accepted(names[..., 0], IMAGE), expected[..., 0])
    np.testing.assert_allclose(accepted(names[..., 0:1], IMAGE), expected[..., 0])
    np.testing.assert_allclose(accepted(shap.Explanation(values, data=data), IMAGE, target=0), expected[..., 0])
    with pytest.raises(InputError, match="shap's explanation has a map for each of 2 classes; say which: target="):
        accepted(names, IMAGE)
    with pytest.raises(TargetError, match="shap's explanation has no map of class 0; it has those of 2, 1"):
        accepted(names, IMAGE, target="dog", labels=labels)


def test_names_that_shap_invents_are_no_classes() -> None:
    shap = pytest.importorskip("shap")
    values, data = signed(1, 14, 21, 3, 2), np.zeros((1, 14, 21, 3))
    expected = values.sum(axis=3)[0]
    invented = shap.Explanation(values, data=data, output_names=["Output 0", "Output 1"])
    np.testing.assert_allclose(accepted(invented, IMAGE, target=1, labels=["no", "yes"]), expected[..., 1])
    np.testing.assert_allclose(accepted(invented, IMAGE, target="no", labels=["no", "yes"]), expected[..., 0])
    np.testing.assert_allclose(accepted(invented, IMAGE, target="yes", labels=["yes"]), expected[..., 1])
    for labels in (["no", "yes", "perhaps"], None):  # of argsort.flip[:2] the first is the top class
        with pytest.raises(
            InputError, match=r"names its 2 outputs 'Output 0' to 'Output 1', .* sv\[\.\.\., k\], or .*output_names="
        ):
            accepted(invented, IMAGE, target=0, labels=labels)
    np.testing.assert_allclose(accepted(invented[..., 1], IMAGE, target=0), expected[..., 1])


def test_the_one_map_of_shap_is_of_the_target() -> None:
    shap = pytest.importorskip("shap")
    values, data = signed(1, 14, 21, 3, 1), np.zeros((1, 14, 21, 3))
    expected, labels = values.sum(axis=3)[0, ..., 0], ["dog", "espresso", "tabby cat"]
    of_one = shap.Explanation(values, data=data, output_names=["espresso"])
    for given in (of_one, of_one[..., 0], of_one[0]):
        for target in ("espresso", 1, Target(1, "espresso"), None):
            np.testing.assert_allclose(accepted(given, IMAGE, target=target, labels=labels), expected)
        for target in ("dog", 2, ("espresso", "dog")):
            with pytest.raises(TargetError, match="shap's explanation is of 'espresso', and what is explained '"):
                accepted(given, IMAGE, target=target, labels=labels)
    for name in ("Output 0", "espresso against dog"):
        given = shap.Explanation(values, data=data, output_names=[name])
        np.testing.assert_allclose(accepted(given, IMAGE, target=("espresso", "dog"), labels=labels), expected)


def test_an_explanation_of_lime() -> None:
    segments = np.repeat(np.arange(3), 98).reshape(IMAGE)
    found = SimpleNamespace(segments=segments, local_exp={4: [(2, 0.5), (0, -0.25)], 1: [(1, 1.0)]}, top_labels=[4, 1])
    expected = np.array([-0.25, 0, 0.5])[segments]
    np.testing.assert_allclose(accepted(found, IMAGE), expected)  # the model's top class, as refine takes it
    np.testing.assert_allclose(accepted(found, IMAGE, target=4), expected)
    np.testing.assert_allclose(accepted(found, IMAGE, target=1), np.array([0, 1, 0])[segments])
    with pytest.raises(TargetError, match="lime's explanation has no map of class 2; it has those of 4, 1"):
        accepted(found, IMAGE, target=2)


def test_channels_and_classes_behind_are_told_from_a_batch() -> None:
    with pytest.raises(
        InputError, match=r"with channels, and with 4 classes behind; expected that of one class: initial\[\.\.\., 7\]"
    ):
        accepted(np.ones((1, 12, 9, 3, 4)), (12, 9), channels=3)
    with pytest.raises(
        InputError, match=r"\(3, 12, 9, 10\), with channels, .* 10 classes behind; .*initial\[\.\.\., 7"
    ):
        accepted(np.ones((1, 3, 12, 9, 10)), (12, 9), target=1)  # as shap gives it of a torch model
    with pytest.raises(InputError, match=r"\(2, 12, 9, 3\), a batch of 2 maps"):
        accepted(np.ones((2, 12, 9, 3)), (12, 9), target=1)
    for extent in ((12, 9), (5, 12, 9)):
        with pytest.raises(
            InputError, match=r"with 10 classes or channels behind; .*initial\[\.\.\., 7\].*initial\.sum\(axis=-1\)"
        ):
            accepted(np.ones((*extent, 10)), extent, target=3)
    assert accepted(np.arange(729).reshape(9, 9, 9), (9, 9), target=3).tolist()[0][0] == 243  # classes first, as above


def test_the_maps_of_a_batch_are_no_stack_of_classes() -> None:
    with pytest.raises(InputError, match=r"2 maps, but the model has 5 classes; .* this one's: initial\[0\]"):
        accepted(signed(2, 14, 21), IMAGE, target=1, labels=list("abcde"))


def test_a_picture_in_colour_is_no_heat_map() -> None:
    drawn = np.random.default_rng(0).integers(0, 255, (14, 21, 4), dtype=np.uint8)
    for picture in (drawn, drawn[..., :3], Image.fromarray(drawn)):
        with pytest.raises(InputError, match="is a picture in colour"):
            accepted(picture, IMAGE)
    assert accepted(drawn[..., :3].astype(np.float32), IMAGE).shape == (14, 21)
