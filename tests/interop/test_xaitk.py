"""BOREx as a generator of xaitk-saliency: the contract of its interface."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from borex.errors import InputError, MissingExtraError
from borex.heatmaps import accepted, rise
from tests.closed_form import box, bumps

xaitk = pytest.importorskip("xaitk_saliency")
smqtk = pytest.importorskip("smqtk_classifier")
configuration = pytest.importorskip("smqtk_core.configuration")

from borex.interop.xaitk import RefinedSaliency  # noqa: E402

EXTENT = (18, 25)
INSIDE = box(EXTENT)


class Sees(smqtk.ClassifyImage):  # type: ignore[misc]
    """ "object" as sure as it sees bright pixels of the object, "corner" of the opposite corner, else "nothing"."""

    labels = ("nothing", "object", "corner")

    def get_labels(self) -> Any:
        return list(self.labels)

    def classify_images(self, images: Iterable[np.ndarray]) -> Iterator[dict[Any, float]]:
        for image in images:
            grey = image if image.ndim == 2 else image[..., 0]
            assert grey.shape == EXTENT
            seen, corner = 0.4 * (grey[INSIDE] > 0).mean(), 0.4 * (grey[:6, :8] > 0).mean()
            found = {"nothing": 0.95 - seen - corner, "object": 0.05 + seen, "corner": corner}
            yield {label: found[label] for label in self.labels}

    def get_config(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_the_contract_of_the_interface(channels: tuple[int, ...]) -> None:
    image = np.full((*EXTENT, *channels), 200, np.uint8)
    generator = RefinedSaliency(max_evals=80, baseline="black")
    assert isinstance(generator, xaitk.GenerateImageClassifierBlackboxSaliency)
    maps = generator(image, Sees())
    assert maps.shape == (3, *EXTENT)
    assert np.issubdtype(maps.dtype, np.floating)
    np.testing.assert_allclose(np.abs(maps).max(axis=(1, 2)), 1)
    assert INSIDE[np.unravel_index(maps[1].argmax(), EXTENT)]
    y, x = np.unravel_index(maps[2].argmax(), EXTENT)
    assert y < 8
    assert x < 10
    assert maps[0][INSIDE].mean() < 0 < maps[1][INSIDE].mean()
    assert np.array_equal(maps, generator.generate(image, Sees()))


def test_its_configuration_makes_the_same_again() -> None:
    generator = RefinedSaliency(max_evals=40, method="paper", baseline=0, seed=3)
    again = configuration.from_config_dict(configuration.to_config_dict(generator), [RefinedSaliency])
    assert again.get_config() == generator.get_config() == {
        "max_evals": 40, "method": "paper", "baseline": 0, "seed": 3, "batch_size": 32,
    }  # fmt: skip
    assert set(RefinedSaliency.get_default_config()) == set(generator.get_config())


def test_a_stack_of_xaitks_own_is_an_initial_map_and_rise_agrees() -> None:
    from scipy.stats import pearsonr
    from xaitk_saliency.impls.gen_image_classifier_blackbox_sal.rise import RISEStack

    weights = bumps(EXTENT) / 6

    class Smooth(Sees):
        labels = ("no", "yes", "never")

        def classify_images(self, images: Any) -> Any:
            for image in images:
                p = 0.1 + 0.9 * ((image[..., 0] / 200) * weights).sum()
                yield {"no": 1 - p, "yes": p, "never": 0.0}

    def model(batch: np.ndarray) -> np.ndarray:
        return np.array([list(found.values()) for found in Smooth().classify_images(batch)])

    image = np.full((*EXTENT, 3), 200, np.uint8)
    theirs = RISEStack(4000, 7, 0.5, seed=0, threads=0, debiased=True)(image, Smooth())
    ours = rise(model, image, 1, n=4000, debiased=True, baseline="black").heat_map
    print("XX", pearsonr(ours.ravel(), theirs[1].ravel()).statistic)
    assert pearsonr(ours.ravel(), theirs[1].ravel()).statistic > 0.9
    stack = np.concatenate([theirs, theirs])  # six classes; three could be colours
    assert np.array_equal(accepted(stack, EXTENT, target=1), theirs[1].astype(np.float64))


def test_a_flat_black_box_and_one_label() -> None:
    class Flat(Sees):
        def classify_images(self, images: Any) -> Any:
            return ({"nothing": 0.5, "object": 0.3, "corner": 0.2} for _ in images)

    maps = RefinedSaliency(max_evals=40)(np.full((*EXTENT, 3), 200, np.uint8), Flat())
    assert (maps == 0).all()

    class One(Sees):
        labels = ("object",)

    with pytest.raises(InputError, match="the black box has 1 label; expected at least two"):
        RefinedSaliency()(np.full((*EXTENT, 3), 200, np.uint8), One())


def test_without_xaitk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "borex.interop.xaitk")
    monkeypatch.setitem(sys.modules, "xaitk_saliency", None)
    with pytest.raises(MissingExtraError, match=r"needs the package 'xaitk-saliency', .*borex\[interop\]"):
        importlib.import_module("borex.interop.xaitk")


def test_a_first_label_that_is_never_likely_stops_nothing() -> None:
    class Rare(Sees):
        asked = 0

        def get_labels(self) -> Any:
            return ["unicorn", *self.labels]

        def classify_images(self, images: Iterable[np.ndarray]) -> Iterator[dict[Any, float]]:
            for found in super().classify_images(images):
                Rare.asked += 1
                yield {**found, "unicorn": 1e-6}

    found = RefinedSaliency(max_evals=100, baseline=0)(np.full((*EXTENT, 3), 200, np.uint8), Rare())
    assert Rare.asked == 100
    assert found[2][INSIDE].mean() > found[2][~INSIDE].mean() + 0.3
