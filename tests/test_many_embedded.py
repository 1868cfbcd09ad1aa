"""Many inputs without a model: of each the embedded one that `refine` takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import borex
from borex import models
from borex.blackbox import Model
from borex.errors import InputError, TargetError
from tests.models.test_clips import ground, moving


def test_without_a_model_each_gets_the_embedded_one_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    loaded: list[int] = []
    embedded = models.embedded

    def counted(axes: int) -> Model:
        loaded.append(axes)
        return embedded(axes)

    monkeypatch.setattr(models, "embedded", counted)
    clip, photo = moving("right"), ground().round().astype(np.uint8)
    frames = [Image.fromarray(frame) for frame in clip]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:], duration=100)
    frames[0].save(tmp_path / "still.gif")
    inputs = [clip, photo, tmp_path / "moves.gif", tmp_path / "still.gif", clip.transpose(0, 3, 1, 2)]
    found = {one.index: one for one in borex.refine_many(None, inputs, max_evals=20)}
    assert sorted(loaded) == [2, 3]  # whatever the number of inputs
    for i, axes in enumerate((3, 2, 3, 2, 3)):
        explanation = found[i].explanation
        assert explanation is not None
        assert len(explanation.record.settings.extent) == axes
        alone = borex.refine(None, inputs[i], max_evals=20)
        assert explanation.target == alone.target
        np.testing.assert_allclose(explanation.record.scores, alone.record.scores, rtol=1e-3, atol=1e-4)
    with pytest.raises(TargetError, match="no label of the model is 'expresso'; close to it: 'espresso'"):
        borex.refine_many(None, [], target="expresso")
    with pytest.raises(InputError, match="batch_size is 0"):
        borex.refine_many(None, [], batch_size=0)
    assert list(borex.refine_many(None, [], target="left")) == []
