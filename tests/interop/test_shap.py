"""An explanation for the plots of shap, and back."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import borex
from borex.errors import InputError, MissingExtraError
from borex.heatmaps import accepted
from tests.closed_form import box, ones, share_seen

shap = pytest.importorskip("shap")

from borex.interop.shap import to_shap  # noqa: E402

EXTENT = (18, 25)


def test_its_values_sum_to_the_map_and_go_back() -> None:
    explanation = borex.refine(share_seen(box(EXTENT)), ones(EXTENT, 3), baseline="black", max_evals=40, target=1)
    found = to_shap(explanation)
    assert isinstance(found, shap.Explanation)
    assert found.values.shape == (*found.data.shape, 1) == (1, *EXTENT, 3, 1)
    np.testing.assert_allclose(found.values.sum(axis=(-2, -1))[0], explanation.saliency, rtol=1e-5)
    assert found.base_values == pytest.approx(0.02)  # the black box's answer where all is hidden
    assert found.output_names == ["class 1"]
    np.testing.assert_allclose(accepted(found, EXTENT, target=1), explanation.saliency, rtol=1e-5)


def test_its_plot_shows_it() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    explanation = borex.refine(share_seen(box(EXTENT)), ones(EXTENT, 3), baseline="black", max_evals=40, target=1)
    shap.image_plot(to_shap(explanation), show=False)
    pictures = [image for axes in pyplot.gcf().axes for image in axes.get_images()]
    assert any(np.ndim(image.get_array()) == 2 and image.get_array().shape == EXTENT for image in pictures)
    pyplot.close("all")


def test_of_a_function_that_a_file_did_not_keep_the_base_value_is_not_known(tmp_path: Path) -> None:
    def surest(scores: np.ndarray) -> np.ndarray:
        return scores.max(axis=1)

    explanation = borex.refine(share_seen(box(EXTENT)), ones(EXTENT, 3), baseline="black", max_evals=40, target=surest)
    assert np.isfinite(to_shap(explanation).base_values).all()
    loaded = borex.Explanation.load(explanation.save(tmp_path / "a.npz"))
    found = to_shap(loaded.at(explanation.media, None))
    assert np.isnan(found.base_values).all()
    np.testing.assert_array_equal(found.values, to_shap(explanation).values)


def test_without_media_or_shap(monkeypatch: pytest.MonkeyPatch) -> None:
    refiner = borex.Refiner(EXTENT, max_evals=20, target=1)
    model = share_seen(box(EXTENT))
    while len(masks := refiner.ask()):
        refiner.tell(masks, model(np.asarray(masks)[..., None]))
    with pytest.raises(InputError, match=r"holds no media; use explanation\.at\(media, None\)"):
        to_shap(refiner.result())
    monkeypatch.delitem(sys.modules, "borex.interop.shap")
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(MissingExtraError, match=r"needs the package 'shap', .*borex\[interop\]"):
        importlib.import_module("borex.interop.shap")
