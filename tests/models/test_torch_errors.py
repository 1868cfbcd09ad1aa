"""What a PyTorch module that fails is told, beside its own words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import borex
from borex.errors import ModelError, ModelOutputError
from borex.models import frame_mean
from tests.models.graphs import media

torch = pytest.importorskip("torch")
wrap = pytest.importorskip("borex.models.torch").wrap


def test_a_module_that_takes_one_size_says_how_to_say_it() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 2))
    picture = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    with pytest.raises(ModelError, match=r"If it takes one size alone, say which: wrap\(\.\.\., extent="):
        borex.refine(module, picture, max_evals=20)
    found = borex.refine(wrap(module, extent=(8, 8)), picture, max_evals=20, output="logits")
    assert found.saliency.shape == (12, 16)


@pytest.mark.parametrize("channels", [1, 4])
def test_media_of_other_channels_is_told_how_to_become_rgb(channels: int) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    picture = np.random.default_rng(0).integers(0, 255, (12, 16, channels), dtype=np.uint8)
    for extent in (None, (8, 8)):
        with pytest.raises(ModelError, match=rf'got {channels} channels instead.*RGBA.*\.convert\("RGB"\)') as caught:
            borex.refine(wrap(module, extent=extent), picture, max_evals=20)
        assert "one size" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["Sizes of tensors must match", "shapes cannot be multiplied", "image_size is 9", "Input height (12)"]
)
def test_what_frameworks_say_of_sizes_is_understood(text: str) -> None:
    def fails(scores: Any) -> Any:
        raise RuntimeError(text)

    with pytest.raises(ModelError, match="takes one size alone"):
        borex.refine(Returning(fails), media(1)[0], max_evals=20)


class Returning(torch.nn.Module):  # type: ignore[misc]
    """A module that answers, or fails, in a way that has nothing to do with the size of what it was given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Any) -> Any:
        return self.answer(x.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (lambda scores: {"out": {"a": scores}}, ModelOutputError, r"^the model returned dict, which is no array"),
        (
            lambda scores: {"a": scores, "b": scores},
            ModelOutputError,
            r"2 arrays.*Return the scores alone from forward$",
        ),
        (lambda scores: {}["logits"], ModelError, r"mask 0.*: KeyError: 'logits'\.$"),
        (lambda scores: {}["size"], ModelError, r"mask 0.*: KeyError: 'size'\.$"),
        (lambda scores: {}.shape, ModelError, r"mask 0.*has no attribute 'shape'\.$"),
        (lambda scores: exec("raise ValueError('not resized')"), ModelError, r"mask 0.*: ValueError: not resized\.$"),
    ],
)
def test_what_is_no_matter_of_size_gets_no_advice_on_it(answer: Any, kind: type, says: str) -> None:
    with pytest.raises(kind, match=says):
        borex.refine(Returning(answer), media(1)[0], max_evals=20)


@pytest.mark.parametrize("squeezed", [lambda scores: scores[:, 0], lambda scores: scores[:, :1].squeeze()])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_one_score_an_input_gets_its_axis_where_it_is_made(squeezed: Any, batch_size: int) -> None:
    """A function around the module would be handed media, not tensors."""
    picture = media(1)[0]
    for model in (Returning(squeezed), frame_mean(Returning(squeezed))):
        shown = picture if isinstance(model, Returning) else np.stack([picture, picture[::-1]])
        with pytest.raises(ModelOutputError, match=r"add an axis: return scores\.reshape\(-1, 1\) from forward$"):
            borex.refine(model, shown, max_evals=20, batch_size=batch_size)
    wrapped = Returning(lambda scores: squeezed(scores).reshape(-1, 1))
    assert borex.refine(wrapped, picture, max_evals=20, batch_size=batch_size, output="logits").evals == 20


def test_rows_that_a_module_made_one_by_one_are_joined() -> None:
    picture = media(1)[0]
    together = borex.refine(Returning(lambda scores: scores), picture, max_evals=20, output="logits")
    rows = borex.refine(Returning(lambda scores: list(scores.split(1))), picture, max_evals=20, output="logits")
    assert (rows.saliency == together.saliency).all()
