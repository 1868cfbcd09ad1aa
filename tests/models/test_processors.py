"""Clip classifiers of transformers and torchvision, with random weights: fed as their own processors feed them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import borex
from borex.errors import InputError, LayoutError

torch = pytest.importorskip("torch")

from borex.models.processors import facts_of, preset_of  # noqa: E402
from borex.models.torch import wrap  # noqa: E402

T, H, W = 4, 32, 32
CLIP = np.random.default_rng(0).integers(0, 256, (T, H, W, 3), dtype=np.uint8)
NAMES = {0: "climb", 1: "dive", 2: "juggle"}


class Probe(torch.nn.Module):
    """Keeps what it is fed, and says it has three classes."""

    def forward(self, x: Any) -> Any:
        self.fed = x
        return x.flatten(1)[:, :3]


def tiny(kind: str) -> Any:
    """A clip classifier of transformers of a few thousand weights."""
    transformers = pytest.importorskip("transformers")
    common = {
        "image_size": H, "num_frames": T, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "id2label": NAMES, "label2id": {name: i for i, name in NAMES.items()},
    }  # fmt: skip
    own = {
        "VideoMAE": {"patch_size": 16, "tubelet_size": 2},
        "Timesformer": {"patch_size": 16},
        "Vivit": {"tubelet_size": [2, 16, 16]},
    }[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**common, **own)
    return getattr(transformers, f"{kind}ForVideoClassification")(config)


@pytest.fixture(autouse=True)
def _own_generator() -> Any:
    with torch.random.fork_rng():
        yield


@pytest.mark.parametrize(
    ("kind", "processor", "options"),
    [
        ("VideoMAE", "VideoMAEImageProcessor", {}),
        ("Timesformer", "VideoMAEImageProcessor", {"image_mean": [0.45, 0.4, 0.35], "image_std": [0.2, 0.3, 0.25]}),
        ("Vivit", "VivitImageProcessor", {}),
        ("Vivit", "VivitImageProcessor", {"offset": False, "do_normalize": False}),
        ("VideoMAE", "VideoMAEImageProcessor", {"do_rescale": False}),
    ],
)
def test_a_processor_feeds_as_it_does_itself(kind: str, processor: str, options: dict[str, Any]) -> None:
    transformers = pytest.importorskip("transformers")
    own = getattr(transformers, processor)(size={"shortest_edge": H}, crop_size={"height": H, "width": W}, **options)
    expected = own(list(CLIP), return_tensors="pt")["pixel_values"].numpy()
    probe = Probe()
    wrap(probe, preprocess=own, layout="NTCHW", extent=(T, H, W)).scores(CLIP[None])
    np.testing.assert_allclose(probe.fed.numpy(), expected.reshape(1, T, 3, H, W), atol=2e-5)


@pytest.mark.parametrize("kind", ["VideoMAE", "Timesformer", "Vivit"])
def test_a_classifier_of_transformers_runs_as_it_is(kind: str) -> None:
    module = tiny(kind)
    model = borex.models.as_model(module, mean=0.5, std=0.5)
    assert (model.extent, model.labels, model.output) == ((T, H, W), list(NAMES.values()), "logits")
    with torch.inference_mode():
        x = torch.from_numpy(CLIP).permute(0, 3, 1, 2)[None].float() / 255
        expected = module.eval()((x - 0.5) / 0.5).logits.numpy()
    np.testing.assert_allclose(np.asarray(model.scores(CLIP[None])), expected, atol=1e-5)
    long = np.repeat(CLIP, 3, axis=0)
    found = borex.refine(model, np.repeat(long, 2, axis=1), target="dive", max_evals=40)
    assert found.saliency.shape == (12, 2 * H, W)
    assert found.shown_frames().tolist() == [1, 4, 7, 10]
    assert np.ptp(found.saliency) > 0
    assert found.time_profile()[1].min() > 0


def test_a_clip_network_of_torchvision_runs_as_it_is() -> None:
    video = pytest.importorskip("torchvision.models.video")
    torch.manual_seed(0)
    module = video.mc3_18(weights=None, num_classes=3)
    preset = video.MC3_18_Weights.KINETICS400_V1.transforms()
    model = wrap(module, preprocess=preset, extent=(T, H, W))
    with torch.inference_mode():
        x = torch.from_numpy(CLIP).permute(3, 0, 1, 2)[None].float() / 255
        mean, std = (torch.tensor(values).reshape(3, 1, 1, 1) for values in (preset.mean, preset.std))
        expected = module.eval()((x - mean) / std).numpy()
    np.testing.assert_allclose(np.asarray(model.scores(CLIP[None])), expected, atol=1e-4)
    found = borex.refine(model, CLIP, target=1, max_evals=20, output="logits", layout="THWC")
    assert found.saliency.shape == (T, H, W)


def test_what_is_said_wins_over_what_is_found() -> None:
    module = tiny("VideoMAE")
    assert wrap(module, labels=["a", "b", "c"]).labels == ["a", "b", "c"]
    assert wrap(module, extent=(8, H, W)).extent == (8, H, W)
    assert wrap(module, layout="NTCHW").extent is None
    assert wrap(module, output="probabilities").output == "probabilities"
    numbered = SimpleNamespace(num_frames=4, image_size=(H, W), id2label={0: "LABEL_0", 1: "LABEL_1"})
    facts = facts_of(SimpleNamespace(config=numbered, main_input_name="pixel_values"))
    assert facts is not None
    assert (facts.labels, facts.extent, facts.gives_logits) == (None, (4, H, W), False)


def test_other_modules_still_have_to_say_their_layout() -> None:
    assert facts_of(Probe()) is None
    with pytest.raises(LayoutError, match="whether the module takes channels or frames first cannot be told"):
        wrap(Probe(), extent=(T, H, W))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (7, [7, 7]), ([5], [5, 5]), ((5, 6), [5, 6]), (None, None), ({"shortest_edge": 9}, [9, 9]),
        ({"height": 3, "width": 4}, [3, 4]), ({"longest_edge": 9}, None),
    ],
)  # fmt: skip
def test_sizes_come_in_every_form(size: Any, expected: Any) -> None:
    assert preset_of(SimpleNamespace(mean=0.5, std=0.5, crop_size=size)).crop == expected


def test_what_is_no_preset() -> None:
    with pytest.raises(InputError, match=r"is Compose; .* or a processor with \.image_mean and \.image_std, such as"):
        preset_of(type("Compose", (), {})())


@pytest.mark.parametrize("options", [{}, {"include_top": False}, {"rescale_offset": True}, {"do_normalize": False}])
def test_efficientnets_processor_divides_once_more(options: dict[str, Any]) -> None:
    transformers = pytest.importorskip("transformers")
    processor = transformers.EfficientNetImageProcessor(do_resize=False, **options)
    image = CLIP[0]
    expected = processor(image, return_tensors="np")["pixel_values"]
    net = Probe()
    wrap(net, preprocess=processor, extent=(H, W)).scores(image[None])
    np.testing.assert_allclose(net.fed.numpy(), expected, atol=1e-4)


def test_a_processor_that_swaps_colours_is_refused() -> None:
    processor = SimpleNamespace(image_mean=[0.5] * 3, image_std=[0.5] * 3, do_flip_channel_order=True)
    with pytest.raises(InputError, match=r"turns RGB into BGR .*lambda x: module\(x\.flip\(1\)\)"):
        preset_of(processor)


def test_what_subtracts_nothing_has_no_mean_colour() -> None:
    transformers = pytest.importorskip("transformers")
    processor = transformers.ViTImageProcessor(do_normalize=False, do_resize=False)
    net = Probe()
    model = wrap(net, preprocess=processor, extent=(H, W))
    assert model.mean is None
    model.scores(CLIP[:1])
    np.testing.assert_allclose(net.fed.numpy(), processor(CLIP[0], return_tensors="np")["pixel_values"], atol=1e-5)


def test_a_classifier_of_images_of_transformers_runs_as_it_is() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=32, patch_size=16, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        id2label=NAMES, label2id={name: i for i, name in NAMES.items()},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config)
    assert wrap(model).extent == (32, 32)
    assert wrap(model).output == "logits"
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    found = borex.refine(model, photo, target="dive", max_evals=24)
    assert (found.target.index, found.saliency.shape) == (1, (50, 70))
    crop = transformers.ViTImageProcessor(size={"height": 48, "width": 48})
    assert wrap(model, preprocess=crop).extent == (48, 48)  # what it is told wins


def test_classifiers_whose_size_or_head_has_another_name() -> None:
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**small, "image_size": 32, "patch_size": 16}
    clip = transformers.CLIPConfig(text_config=small, vision_config=vision, num_labels=3)
    for module in (
        transformers.CLIPForImageClassification(clip),
        transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(**vision, num_labels=3)),
    ):
        facts = facts_of(module)
        assert facts is not None
        assert (facts.extent, facts.gives_logits) == ((32, 32), True)
        picture = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
        assert borex.refine(module, picture, max_evals=20).saliency.shape == (40, 50)
