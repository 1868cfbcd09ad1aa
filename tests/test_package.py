"""What `import borex` gives and what it does not bring along; who imports whom."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import borex

SOURCE = Path(borex.__file__).parent
FRAMEWORKS = [
    "torch", "captum", "pytorch_grad_cam", "zennit", "shap", "lime", "xaitk_saliency", "quantus", "onnxruntime", "onnx",
    "matplotlib", "typer", "PIL", "tqdm", "sklearn", "skimage", "cv2",
]  # fmt: skip
# NumPy is needed at once; SciPy's parts take longer to import than all of borex.
SLOW = ["scipy.linalg", "scipy.stats", "scipy.optimize", "scipy.ndimage", "scipy.sparse", "threadpoolctl"]
FOLDERS = ("models", "heatmaps", "media", "evaluation", "interop", "apps")


def brought_along(code: str) -> set[str]:
    """The modules that a fresh interpreter has after running some code."""
    code += "\nimport sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_exports_are_all_and_no_more() -> None:
    public = {
        name
        for name, value in vars(borex).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public | {"__version__"} == set(borex.__all__)
    assert list(borex.__all__) == sorted(borex.__all__)


@pytest.mark.parametrize("name", ["borex.evaluation", "borex.models", "borex.heatmaps"])
def test_folders_export_what_they_list(name: str) -> None:
    module = importlib.import_module(name)
    assert all(hasattr(module, listed) for listed in module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)


def test_the_version_is_the_projects() -> None:
    project = (SOURCE.parent.parent / "pyproject.toml").read_text()
    assert f'version = "{borex.__version__}"' in project
    assert re.fullmatch(r"\d+\.\d+\.\d+", borex.__version__)
    assert (SOURCE / "py.typed").exists()


def test_importing_borex_brings_no_framework() -> None:
    found = brought_along("import borex")
    assert not found & set(FRAMEWORKS)
    assert not found & set(SLOW)
    assert "numpy" in found


def test_importing_the_maps_brings_no_framework() -> None:
    found = brought_along("import borex.heatmaps; print(borex.heatmaps.NAMES)")
    assert not found & set(FRAMEWORKS)
    assert "borex.heatmaps.cam" in found


def test_the_check_sees_what_was_brought_along() -> None:
    found = brought_along("import borex, scipy.linalg, PIL")
    assert found & set(FRAMEWORKS) == {"PIL"}
    assert "scipy.linalg" in found & set(SLOW)


def test_a_run_with_a_function_brings_no_framework_but_a_progress_bar() -> None:
    code = """
import numpy as np, borex
def model(batch):
    p = (batch != 0).reshape(len(batch), -1).mean(axis=1)
    return np.stack([1 - p, p], axis=1)
borex.refine(model, np.ones((8, 9, 3)), max_evals=20, baseline="black", layout="HWC")
"""
    assert brought_along(code) & set(FRAMEWORKS) <= {"tqdm"}


def imported_at_once(tree: ast.Module) -> list[str]:
    """The modules that code imports when it is imported itself: not inside functions, not for type checkers only."""
    found = []

    def walk(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                found.extend(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                stem = "borex" + ("." + node.module if node.module else "") if node.level else str(node.module)
                found.extend([stem, *(f"{stem}.{alias.name}" for alias in node.names)])
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                walk(node.orelse)
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                walk([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.ExceptHandler)])

    walk(tree.body)
    return found


def of_folders(tree: ast.Module) -> list[str]:
    return [name for name in imported_at_once(tree) if re.match(rf"borex\.({'|'.join(FOLDERS)})(\.|$)", name)]


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.py")), ids=lambda path: path.name)
def test_the_method_imports_none_of_the_folders(path: Path) -> None:
    assert of_folders(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        "import borex.models", "from borex.media.read import read_image", "from borex import heatmaps",
        "from . import apps", "from .evaluation import score", "if True:\n    import borex.models.onnx",
        "try:\n    x = 1\nexcept ImportError:\n    import borex.apps.cli", "class A:\n    from borex import media",
    ],
)  # fmt: skip
def test_that_check_can_fail(code: str) -> None:
    assert of_folders(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    import borex.models", "from borex.masks import boxes", "import numpy",
        "if TYPE_CHECKING:\n    from borex.models import onnx", "from . import masks", "from borex.modelsque import x",
    ],
)  # fmt: skip
def test_that_check_can_pass(code: str) -> None:
    assert of_folders(ast.parse(code)) == []


def test_all_of_the_tree_was_looked_at() -> None:
    assert {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name[0] != "_"} == set(FOLDERS)
    assert len(list(SOURCE.glob("*.py"))) > 10


@pytest.mark.parametrize("part", ["evaluation", "heatmaps", "interop", "media", "models"])
def test_every_part_is_there_once_borex_is_imported(part: str) -> None:
    assert "borex" in brought_along(f"import borex; assert borex.{part}.__name__ == 'borex.{part}'")


def test_what_is_no_part_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'model'"):
        borex.model  # noqa: B018
