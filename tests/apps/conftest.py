"""A working folder with a photo for every test of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from borex.media.read import read_image

PHOTO = Path(__file__).parents[2] / "examples" / "coffee.jpg"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a small photo of a coffee in it."""
    Image.fromarray(read_image(PHOTO)).resize((150, 100)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path
