from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.benchmark.parts import write_inputs


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder with three inputs."""
    write_inputs(tmp_path)
    return tmp_path
