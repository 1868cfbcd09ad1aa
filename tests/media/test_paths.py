"""Paths that lead to nothing that can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from borex.errors import FileError
from borex.media.read import read_image, read_map
from borex.media.video import read_clip


@pytest.mark.parametrize("read", [read_image, read_map])
def test_files_that_are_none(tmp_path: Path, read: Callable[[Path], np.ndarray]) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture at all")
    for path, text in [
        (tmp_path / "missing.png", "there is no file"),
        (tmp_path / "nowhere" / "missing.png", "no folder"),
        (tmp_path, "is a folder; expected a file"),
        (tmp_path / "empty.png", "is empty (0 bytes)"),
        (tmp_path / "text.png", "is no picture that Pillow can read; expected a PNG"),
    ]:
        with pytest.raises(FileError) as caught:
            read(path)
        assert text in str(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("read", [read_image, read_map])
def test_a_file_without_permission(
    tmp_path: Path, read: Callable[[Path], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (11, 8), "teal").save(path)

    def denied(*_: object, **__: object) -> None:  # the administrator, as whom tests may run, may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    monkeypatch.setattr("io.open", denied)
    with pytest.raises(FileError, match=r"cannot read .*a\.png: Permission denied\. Check its permissions"):
        read(path)


@pytest.mark.parametrize("read", [read_image, read_map, read_clip])
def test_a_path_that_the_system_refuses(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "link.png").symlink_to("a" * 300)
    for name in ("a" * 300 + ".png", "link.png"):
        with pytest.raises(FileError, match=r"cannot read .*: File name too long\. Check the path"):
            read(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("read", [read_image, read_map, read_clip])
def test_a_pipe_is_not_read(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(FileError, match=r"pipe\.png is a pipe or a device, which cannot be read; give a file"):
        read(tmp_path / "pipe.png")


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", denied)
    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(FileError, match=r"cannot read .*: Permission denied\. Check its permissions"):
        read_clip(tmp_path)
