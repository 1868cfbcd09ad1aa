"""ONNX files: axes, sizes, colours and types found or refused; every answer compared with the oracle in graphs.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import borex
from borex.blackbox import Asker, Model
from borex.errors import FileError, InputError, LayoutError, MissingExtraError
from borex.models.onnx import wrap
from borex.scores import checked_scores, probabilities
from tests.models.graphs import CLIP, EXTENT, MEAN, STD, logits, media, normalised, softmax, write


def close(answer: object, expected: np.ndarray, atol: float = 1e-4) -> None:
    np.testing.assert_allclose(checked_scores(answer, len(expected)), expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NCTHW", "NTCHW", "NTHWC"])
@pytest.mark.parametrize("is_stated", [False, True])
def test_every_layout_is_found_and_answers_alike(tmp_path: Path, layout: str, is_stated: bool) -> None:
    extent = CLIP if "T" in layout else EXTENT
    path = write(tmp_path / "m.onnx", layout, extent=extent)
    model = wrap(path, mean=MEAN, std=STD, layout=layout if is_stated else "auto")
    batch = media(3, extent)
    assert model.extent == extent
    assert model.max_batch is None
    close(model(batch), logits(normalised(batch)))


def test_preprocessing_divides_first_and_states_its_mean_colour_in_the_range_of_the_media(tmp_path: Path) -> None:
    path, batch = write(tmp_path / "m.onnx"), media(3)
    with_mean = wrap(path, mean=MEAN, std=STD)
    close(with_mean(batch.astype(np.float32)), logits(normalised(batch)))
    np.testing.assert_allclose(with_mean.mean, 255 * MEAN)
    stated = wrap(path, mean=127, std=1, scale=128)
    close(stated(batch), logits(batch / 128 - 127))
    np.testing.assert_allclose(stated.mean, 127 * 128)
    in_unit_range = wrap(path, mean=MEAN, std=STD, scale=1)
    close(in_unit_range(batch / 255), logits(normalised(batch)))
    np.testing.assert_allclose(in_unit_range.mean, MEAN)
    plain = wrap(path)
    close(plain(batch), logits(batch / 255))
    close(plain(batch / 255), logits(batch / 255))
    assert plain.mean is None


def test_a_graph_that_takes_uint8_rounds_floats_and_refuses_those_in_the_unit_range(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", "NHWC", dtype="uint8", normalises=True)
    batch = media(3)
    expected = logits(normalised(batch))
    model = wrap(path)
    close(model(batch), expected)
    close(model(np.maximum(batch + np.random.default_rng(0).uniform(-0.4, 0.4, batch.shape), 0)), expected)
    close(model(np.where(batch > 250, 300.0, batch)), logits(normalised(np.where(batch > 250, 255, batch))))
    close(model(batch.astype(np.int64)), expected)
    assert np.isfinite(model(np.zeros((1, *EXTENT, 3), np.float32))).all()
    with pytest.raises(InputError, match=r"floats in \[.*expects 0\.\.255.*scale=1 / 255"):
        model(batch / 255)
    close(wrap(path, scale=1 / 255)(batch / 255), expected)
    for deep in (batch * np.uint16(257), batch * 257.0):
        with pytest.raises(InputError, match=r"(uint16|floats) in \[0, 65535\], but .*expects 0\.\.255.*media / 257"):
            model(deep)
    with pytest.raises(InputError, match="its preprocessing is inside"):
        wrap(path, mean=MEAN, std=STD)


def test_float_media_outside_the_range_that_mean_and_std_count_on_is_an_error(tmp_path: Path) -> None:
    model = wrap(write(tmp_path / "m.onnx"), mean=MEAN, std=STD)
    with pytest.raises(InputError, match=r"wrap\(\.\.\., scale=1\)"):
        model(media(2) / 255)
    with pytest.raises(InputError, match="floats in"):
        model(media(2) - 128.0)
    with pytest.raises(InputError, match="media is uint16, whose range is not known"):
        wrap(write(tmp_path / "m.onnx"))(media(2).astype(np.uint16))


@pytest.mark.parametrize(("dtype", "atol"), [("float16", 0.05), ("float64", 1e-4)])
def test_other_float_types_are_fed_as_the_graph_takes_them(tmp_path: Path, dtype: str, atol: float) -> None:
    batch = media(2)
    model = wrap(write(tmp_path / "m.onnx", dtype=dtype), mean=MEAN, std=STD)
    close(model(batch), logits(normalised(batch)), atol)
    with pytest.raises(InputError, match=r"takes tensor\(int32\); expected one of tensor\(uint8\)"):
        wrap(write(tmp_path / "i.onnx", dtype="int32"))


@pytest.mark.parametrize("size", [1, 4])
def test_a_fixed_batch_is_fed_that_many_at_a_time(tmp_path: Path, size: int) -> None:
    model = wrap(write(tmp_path / "m.onnx", batch=size), mean=MEAN, std=STD)
    batch = media(6)
    assert model.max_batch == size
    close(model(batch), logits(normalised(batch)))
    asker = Asker(model, batch[0], np.zeros_like(batch[0]), batch_size=32)
    masks = np.random.default_rng(0).random((5, *EXTENT)) > 0.5
    close(asker(masks), logits(normalised(batch[0] * masks[..., None])))
    assert asker.evals == 5


def test_an_open_extent_takes_any_size_and_may_be_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", is_open=True)
    assert wrap(path).extent is None
    assert wrap(path, extent=EXTENT).extent == EXTENT
    close(wrap(path)(media(2)), logits(media(2) / 255))
    fixed = write(tmp_path / "f.onnx")
    assert wrap(fixed, extent=EXTENT).extent == EXTENT
    with pytest.raises(InputError, match=r"extent is \(5, 6\), but the ONNX graph takes \(6, 5\)"):
        wrap(fixed, extent=(5, 6))
    with pytest.raises(InputError, match=r"extent is 224; expected \(H, W\), for example \(112, 112\)"):
        wrap(path, extent=224)  # type: ignore[arg-type]


def test_what_the_graph_was_not_made_for_is_refused_in_its_words(tmp_path: Path) -> None:
    model = wrap(write(tmp_path / "m.onnx"))
    with pytest.raises(InputError, match=r"takes 3 channels; the media has 4 .*take media\[\.\.\., :3\]"):
        model(media(2, channels=4))
    with pytest.raises(InputError, match=r"the media has 1 .*take np\.stack\(\[grey\] \* 3, axis=-1\), of a PIL image"):
        model(media(2, channels=1))
    with pytest.raises(InputError, match=r"takes the extent \(6, 5\); got \(5, 6\)"):
        model(media(2, (5, 6)))
    with pytest.raises(LayoutError, match=r"takes images .*got a batch of shape"):
        model(media(2, CLIP))
    with pytest.raises(InputError, match=r"takes 1 channel; .*take media\.mean"):
        wrap(write(tmp_path / "grey.onnx", channels=1))(media(2))
    with pytest.raises(InputError, match="mean has 3 values, but the media has 1 channels"):
        wrap(write(tmp_path / "grey.onnx", channels=1), mean=MEAN)(media(2, channels=1))
    with pytest.raises(InputError, match="takes 3 channels"):
        Asker(model, media(1, channels=4)[0], media(1, channels=4)[0])(np.ones((1, *EXTENT)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (["n", 3, 6, 3], "more than one axis could be the channels.*one of NCHW, NHWC"),
        (["n", 12, 6, 5], "no axis with 1, 3 or 4 is the channels.*one of NCHW, NHWC"),
        (["n", 1, 3, 6, 5], "more than one axis could be the channels.*one of NCTHW, NTCHW"),
        (["n", "c", "h", "w"], r"shape \(\?, \?, \?, \?\), in which no axis"),
        (["n", 30], r"has shape \(\?, 30\), 2 axes; expected 4 for images or 5 for clips"),
    ],
)
def test_ambiguous_axes_are_an_error_that_names_the_argument(tmp_path: Path, shape: list[object], message: str) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["output"])],
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    with pytest.raises(LayoutError, match=message):
        wrap(tmp_path / "m.onnx")


def test_a_stated_layout_settles_an_ambiguous_graph(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", "NHWC", extent=(3, 5), channels=3)
    with pytest.raises(LayoutError, match="layout="):
        wrap(path)
    close(wrap(path, layout="NHWC")(media(2, (3, 5))), logits(media(2, (3, 5)) / 255))
    with pytest.raises(LayoutError, match="layout is 'NCTHW'; expected \"auto\" or one of NCHW, NHWC for a model"):
        wrap(path, layout="NCTHW")


def test_the_scores_may_be_any_output(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", answers="features first")
    with pytest.raises(InputError, match=r"output 'maps' is tensor\(float\) .*output_name=.*'logits'"):
        wrap(path)
    close(wrap(path, output_name="logits")(media(2)), logits(media(2) / 255))
    with pytest.raises(InputError, match="output_name is 'nothing', which the ONNX graph has not; it has 'maps'"):
        wrap(path, output_name="nothing")


def test_a_label_is_no_score(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", answers="label first")
    with pytest.raises(InputError, match=r"output 'label' is tensor\(int64\) .*expected scores, floats.*'logits'"):
        wrap(path)
    close(wrap(path, output_name="logits")(media(2)), logits(media(2) / 255))


def test_logits_and_probabilities(tmp_path: Path) -> None:
    batch = media(3)
    expected = softmax(logits(normalised(batch)))
    for answers in ("logits", "probabilities"):
        model = wrap(write(tmp_path / f"{answers}.onnx", answers=answers), mean=MEAN, std=STD)
        assert model.output == "auto"
        close(probabilities(checked_scores(model(batch), 3), model.output), expected)
    assert wrap(tmp_path / "logits.onnx", output="logits").output == "logits"
    with pytest.raises(InputError, match="output is 'softmax'; expected one of 'auto'"):
        wrap(tmp_path / "logits.onnx", output="softmax")  # type: ignore[arg-type]


def test_a_file_describes_itself_and_arguments_win(tmp_path: Path) -> None:
    described = {"borex.labels": list("abcd"), "borex.mean": [127.5, 102, 76.5], "borex.output": "logits"}
    path = write(tmp_path / "m.onnx", normalises=True, metadata=described)
    model, batch = wrap(path), media(2)
    assert (model.labels, model.output) == (list("abcd"), "logits")
    np.testing.assert_allclose(model.mean, [127.5, 102, 76.5])
    close(model(batch), logits(normalised(batch)))  # its own mean is inside, so the media goes in as it is
    close(wrap(path, scale=1 / 255)(batch / 255), logits(normalised(batch)))
    np.testing.assert_allclose(wrap(path, scale=1 / 255).mean, np.array([127.5, 102, 76.5]) / 255)
    other = wrap(path, labels=list("wxyz"), output="probabilities")
    assert (other.labels, other.output) == (list("wxyz"), "probabilities")
    for labels, message in ((["a"], "labels has 1 names, but the model has 4 classes"), ("abcd", "one text a class")):
        with pytest.raises(InputError, match=message):
            wrap(path, labels=labels)


def test_a_single_output_has_one_label_or_two(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["score"], axes=[2, 3], keepdims=0)],
        "mean",
        [value("x", onnx.TensorProto.FLOAT, ["n", 1, *EXTENT])],
        [value("score", onnx.TensorProto.FLOAT, ["n", 1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    picture = media(1)[0][..., :1]
    for labels in (["yes"], ["no", "yes"]):
        model = wrap(tmp_path / "m.onnx", labels=labels, output="probabilities")
        assert borex.refine(model, picture, target="yes", max_evals=20).target.index == 1
    with pytest.raises(InputError, match="labels has 3 names, but the model has 1 classes"):
        wrap(tmp_path / "m.onnx", labels=["a", "b", "c"])


def test_metadata_that_is_no_json_is_a_file_error(tmp_path: Path) -> None:
    proto = onnx.load(write(tmp_path / "m.onnx"))
    helper.set_model_props(proto, {"borex.labels": "cat, dog"})
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(FileError, match=r"metadata 'borex.labels' is 'cat, dog'; expected JSON"):
        wrap(tmp_path / "m.onnx")


def test_a_session_of_ones_own(tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(write(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    close(wrap(session)(media(2)), logits(media(2) / 255))
    with pytest.raises(InputError, match="threads is for a file"):
        wrap(session, threads=1)
    close(wrap(tmp_path / "m.onnx", threads=1)(media(2)), logits(media(2) / 255))
    with pytest.raises(InputError, match="threads is 0"):
        wrap(tmp_path / "m.onnx", threads=0)


def test_a_gpu_is_used_where_onnxruntime_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would be asked for: there is no GPU here."""
    asked: list[Any] = []
    real = onnxruntime.InferenceSession

    def session(path: str, options: Any, providers: list[Any]) -> Any:
        asked.append([one if isinstance(one, str) else one[0] for one in providers])
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    path, cuda, cpu = write(tmp_path / "m.onnx"), "CUDAExecutionProvider", "CPUExecutionProvider"
    for available in ([cpu], [cuda, cpu]):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda available=available: available)
        close(wrap(path)(media(2)), logits(media(2) / 255))
        wrap(path, threads=2)
    assert asked == [[cpu], [cpu], [cuda, cpu], [cpu]]


def test_files_that_are_missing_or_no_model(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.onnx' is not there; expected the path of an \.onnx file"):
        wrap(tmp_path / "none.onnx")
    with pytest.raises(FileError, match="is a folder"):
        wrap(tmp_path)
    whole = write(tmp_path / "whole.onnx").read_bytes()
    for name, content in (("text", b"not a graph"), ("empty", b""), ("cut", whole[: len(whole) // 2])):
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(FileError, match=rf"{name}\.onnx' cannot be loaded as an ONNX model: .+ copied whole"):
            wrap(tmp_path / f"{name}.onnx")
    with pytest.raises(InputError, match=r"path of an \.onnx file or an onnxruntime.InferenceSession; got int"):
        wrap(3)


def test_more_than_one_input_is_refused(tmp_path: Path) -> None:
    proto = onnx.load(write(tmp_path / "m.onnx"))
    proto.graph.input.append(helper.make_tensor_value_info("size", TensorProto.FLOAT, [1]))
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(InputError, match="has 2 inputs \\('input', 'size'\\); expected one"):
        wrap(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"std": 0}, "std is 0.0; expected numbers above 0"),
        ({"scale": -1}, "scale is -1; expected a number above 0"),
        ({"mean": "red"}, "mean is 'red'; expected a number"),
        ({"mean": np.ones((2, 2))}, r"mean has shape \(2, 2\)"),
        ({"mean": [np.nan] * 3}, "expected a finite number"),
    ],
)
def test_bad_preprocessing_is_refused_before_any_evaluation(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrap(write(tmp_path / "m.onnx"), **options)


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'borex\[onnx\]'"):
        wrap(write(tmp_path / "m.onnx"))


def test_the_model_is_one_of_the_house(tmp_path: Path) -> None:
    assert isinstance(wrap(write(tmp_path / "m.onnx")), Model)
