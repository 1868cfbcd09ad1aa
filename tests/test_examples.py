"""The examples run, from the root as their pages say, and say what they found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from borex.media.read import read_image

ROOT = Path(__file__).parents[1]
EXAMPLES = {
    "image.py": ([], "coffee.png", (400, 600, 3)),
    "outside_loop.py": (["--max-evals", "24"], "outside_loop.png", (160, 240, 3)),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that has the examples where the repository has them, so that nothing is written into the repository."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    return tmp_path


ELSEWHERE = {"motion_clips.py": "tests/test_motion_clips.py", "cuts.py": "tests/test_cuts.py"}


def test_every_example_is_run() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {*EXAMPLES, *ELSEWHERE}
    for name, test in ELSEWHERE.items():
        assert name.removesuffix(".py") in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_and_writes_its_picture(root: Path, name: str) -> None:
    arguments, written, shape = EXAMPLES[name]
    command = [sys.executable, "-W", "error", os.path.join("examples", name), *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.returncode == 0
    assert re.search(r"^espresso: score 0\.\d+$", done.stdout, re.MULTILINE)
    assert read_image(root / written).shape == shape


def test_the_readme_shows_the_first_example_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = (ROOT / "examples" / "image.py").read_text(encoding="utf-8")
    assert f"```python\n{code}```" in readme
    assert len([line for line in code.splitlines() if line]) == 6


def test_the_photo_states_its_source_and_licence() -> None:
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for picture in [*(ROOT / "examples").glob("*.jpg"), *(ROOT / "examples").glob("*.png")]:
        assert f"`{picture.name}`" in page
    assert "CC0" in page
