"""What the pages say is true: their code runs, their links lead somewhere, and they name what exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINKED = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code(page: Path) -> str:
    """The blocks of a page as one program, each at its own lines, so that an error names the line of the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text[: block.start(1)].count("\n")
        for i, line in enumerate(block[1].splitlines()):
            lines[first + i] = line
    return "\n".join(lines)


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))], ids=name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    (tmp_path / "photo.jpg").symlink_to(ROOT / "examples" / "coffee.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page.stem}
    exec(compile(code(page), name(page), "exec"), names)
    assert len(names) > 2


def test_the_files_that_the_commands_on_clips_read_are_made_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    from borex.apps.cli import main

    page = ROOT / "docs" / "clips.md"
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    block = BLOCK.search(page.read_text(encoding="utf-8"))
    assert block is not None
    exec(compile(block[1], name(page), "exec"), {"__name__": page.stem})
    commands = re.findall(r"^    borex ((?:refine|score) motion.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["refine", "score"]
    for command in commands:
        few = ["--max-evals", "40"] if command.startswith("refine") else ["--steps", "2"]
        assert main([*command.replace("--max-evals 400", "").split(), *few]) == 0


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by: small letters, hyphens for spaces, no other punctuation."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_lead_to_what_exists(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    for path, _, anchor in (target.partition("#") for target in targets if "://" not in target):
        there = page.parent / path if path else page
        assert there.exists(), path
        assert not anchor or anchor in anchors(there), f"{path}#{anchor}"


def test_every_extension_point_has_its_page_and_the_readme_links_it() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert {f"docs/write-your-own-{part}.md" for part in ("model", "heatmap", "mask", "metric")} <= pages
    assert pages <= linked
