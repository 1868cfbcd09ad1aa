"""One contract for whatever can be explained, and the embedded model."""

from __future__ import annotations

import http.server
import io
import json
import re
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import borex
from borex.blackbox import Asker, Model
from borex.errors import FileError, InputError, MissingExtraError
from borex.models import as_model, default, frame_mean
from borex.scores import checked_scores
from tests.models.graphs import EXTENT, MEAN, STD, logits, media, normalised, write


def function(tmp_path: Path) -> Any:
    return lambda batch: logits(normalised(batch))


def model(tmp_path: Path) -> Any:
    return Model(function(tmp_path), extent=EXTENT)


def onnx_nchw(tmp_path: Path) -> Any:
    return write(tmp_path / "m.onnx"), {"mean": MEAN, "std": STD}


def onnx_text_path(tmp_path: Path) -> Any:
    return str(write(tmp_path / "m.ONNX", "NHWC")), {"mean": MEAN, "std": STD}


def onnx_uint8(tmp_path: Path) -> Any:
    return write(tmp_path / "m.onnx", "NHWC", dtype="uint8", normalises=True)


def onnx_one_by_one(tmp_path: Path) -> Any:
    return write(tmp_path / "m.onnx", batch=1, normalises=True, metadata={"borex.mean": (255 * MEAN).tolist()})


def onnx_session(tmp_path: Path) -> Any:
    path = write(tmp_path / "m.onnx", dtype="uint8", normalises=True)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def torch_module(tmp_path: Path) -> Any:
    pytest.importorskip("torch")
    from tests.models.test_torch import Tiny

    return Tiny().train(), {"mean": MEAN, "std": STD}


@pytest.mark.parametrize(
    "make",
    [function, model, onnx_nchw, onnx_text_path, onnx_uint8, onnx_one_by_one, onnx_session, torch_module],
    ids=lambda make: make.__name__,
)
def test_every_model_answers_the_same_question_alike(make: Any, tmp_path: Path) -> None:
    made = make(tmp_path)
    given, options = made if isinstance(made, tuple) else (made, {})
    found = as_model(given, **options, output="logits")
    assert isinstance(found, Model)
    assert found.output == "logits"
    assert found.extent in (None, EXTENT)
    batch = media(5)
    expected = logits(normalised(batch))
    np.testing.assert_allclose(checked_scores(found(batch), 5), expected, rtol=1e-4, atol=1e-4)
    as_floats = checked_scores(found(batch.astype(np.float32)), 5)
    np.testing.assert_allclose(as_floats, expected, rtol=1e-4, atol=1e-4)
    masks = np.random.default_rng(1).random((7, *EXTENT)) > 0.5
    hidden = np.full_like(batch[0], 90)
    answered = Asker(found, batch[0], hidden, batch_size=3)(masks)
    seen = np.where(masks[..., None], batch[0], hidden)
    np.testing.assert_allclose(answered, logits(normalised(seen)), rtol=1e-4, atol=1e-4)


def test_a_model_stays_and_an_option_changes_one_field() -> None:
    given = Model(logits, output="logits", labels=["a"])
    assert as_model(given) is given
    assert as_model(given, output="auto") is given
    assert as_model(given, extent=(6, 5)) == Model(logits, output="logits", labels=["a"], extent=(6, 5))
    assert as_model(logits) == Model(logits)
    assert as_model(logits, labels=["a"], output="auto").labels == ["a"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, r"the model is int; expected a function from a batch .*\.onnx file, .*torch\.nn\.Module"),
        ("weights.pt", r"the path 'weights\.pt'; expected one that ends in \.onnx, or a function"),
        (Model, r"the class Model itself; expected an instance: Model\(\.\.\.\)"),
        (np.ones(3), "the model is ndarray"),
    ],
)
def test_what_is_no_model_is_refused_and_told_what_is(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_model(given)


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes no option 'mena'; it takes mean, std, scale, layout"):
        as_model(write(tmp_path / "m.onnx"), mena=3)
    with pytest.raises(InputError, match="takes no option 'layout'; it takes extent, labels, mean"):
        as_model(logits, layout="NCHW")
    with pytest.raises(FileError, match="is not there"):
        as_model(tmp_path / "none.onnx")


def imported(code: str) -> set[str]:
    """Top-level modules in memory after `code` ran in a fresh interpreter."""
    show = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


FRAMEWORKS = {"torch", "onnxruntime", "onnx", "tensorflow", "jax", "torchvision"}


def test_importing_the_models_imports_no_framework() -> None:
    code = "import borex.models, borex.models.onnx; borex.models.as_model(lambda x: x)"
    assert not imported(code) & FRAMEWORKS


def test_the_test_above_can_fail() -> None:
    assert imported("import borex.models; borex.models.default()") & FRAMEWORKS == {"onnxruntime"}


def test_the_embedded_model_without_onnxruntime_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'borex\[onnx\]'"):
        as_model(None)


@pytest.fixture(scope="module")
def embedded() -> Model:
    return default()


def photo(name: str) -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return np.asarray(Image.fromarray(getattr(data, name)()).resize((224, 224), Image.Resampling.BICUBIC))


def test_the_embedded_model_knows_a_cat_and_an_espresso(embedded: Model) -> None:
    assert embedded.labels is not None
    scores = checked_scores(embedded(np.stack([photo("chelsea"), photo("coffee")])), 2)
    cat, cup = scores.argmax(axis=1)
    assert 281 <= cat <= 285
    assert cup == 967
    assert embedded.labels[cup] == "espresso"
    assert "cat" in embedded.labels[cat]
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_the_embedded_model_describes_itself(embedded: Model) -> None:
    assert embedded.labels is not None
    assert (embedded.extent, embedded.output, embedded.max_batch) == ((224, 224), "probabilities", None)
    assert len(set(embedded.labels)) == 1000
    assert (embedded.labels[0], embedded.labels[134], embedded.labels[517]) == (
        "tench, Tinca tinca",
        "crane bird",
        "crane",
    )
    assert embedded.mean == 127
    folder = Path(sys.modules["borex.models"].__file__ or "").parent / "efficientnet_lite0"
    assert embedded.labels == (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert (folder / "model.onnx").stat().st_size < 10e6


def test_the_embedded_model_gives_the_same_bits_whatever_the_batch_size(embedded: Model) -> None:
    image = photo("coffee")
    rng = np.random.default_rng(0)
    batch = np.stack([np.where(rng.random((224, 224, 1)) > 0.1 * i, image, np.uint8(127)) for i in range(7)])
    together = embedded(batch)
    for size in (1, 3):
        assert np.array_equal(np.concatenate([embedded(batch[i : i + size]) for i in range(0, 7, size)]), together)


def test_the_embedded_model_takes_floats_in_its_range_and_no_others(embedded: Model) -> None:
    image = photo("chelsea")[None]
    assert np.array_equal(embedded(image.astype(np.float32)), embedded(image))
    with pytest.raises(InputError, match=r"Multiply media in \[0, 1\] by 255"):
        embedded(image / 255)
    with pytest.raises(InputError, match="takes 3 channels; the media has 4"):
        embedded(np.concatenate([image, image[..., :1]], axis=-1))


def test_the_page_on_writing_a_model() -> None:
    page = (Path(__file__).parents[2] / "docs" / "write-your-own-model.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, names)
    batch = media(3)
    bright = batch.mean(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(names["is_bright"](batch), np.stack([1 - bright, bright], axis=1))
    wrapped = names["wrap"](lambda x: x[:, :2, 0, 0])
    np.testing.assert_allclose(as_model(wrapped)(batch), batch[:, 0, 0, :2] / 127.5 - 1, atol=1e-6)
    with served([503, 200, 429, 200, 400]) as (url, pictures):
        names |= {"URL": url, "time": SimpleNamespace(sleep=lambda seconds: None)}
        np.testing.assert_allclose(as_model(names["classify"])(batch[:2]), [[0.25, 0.75]] * 2)
        with pytest.raises(urllib.error.HTTPError, match="400") as error:
            names["classify"](batch[2:])
        error.value.close()
    for picture, sent in zip(pictures, batch[[0, 0, 1, 1, 2]], strict=True):
        assert np.array_equal(picture, sent)


@contextmanager
def served(answers: list[int]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """A classifier behind HTTP on this machine, which answers with these status codes in turn; the pictures it got."""
    pictures, left = [], list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            pictures.append(np.asarray(Image.open(io.BytesIO(body))))
            self.send_response(left.pop(0))
            self.end_headers()
            self.wfile.write(json.dumps({"probabilities": [0.25, 0.75]}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/classify", pictures
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("method", ["field", "paper"])
@pytest.mark.parametrize("kind", ["image", "clip", "frames"])
def test_media_in_another_range_is_refused_whatever_hides(kind: str, method: str) -> None:
    """A baseline in 0..255, such as the model's mean colour, is no reason to take the media for that."""
    rng = np.random.default_rng(0)
    shown = photo("chelsea") / 255 if kind == "image" else rng.random((5, 112, 112, 3)).astype(np.float32)
    for given, says in ((shown, "floats in .* Multiply media"), (2 * shown - 1, r"floats in \[-")):
        with pytest.raises(InputError, match=says) as caught:
            borex.refine(frame_mean(default()) if kind == "frames" else None, given, method=method, max_evals=20)
        assert ", 127" not in str(caught.value)
