"""Small rooms: files and functions stay readable, and the house's rules hold in every file."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "lsm").rglob("*.py"), *(ROOT / "simulators").rglob("*.py")])
FIRMWARE = sorted([*(ROOT / "firmware").rglob("*.c"), *(ROOT / "firmware").rglob("*.h")])
FILE_LINES_MAX = 500
FILE_LINES_MEDIAN = 180
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_MEDIAN = 12

# Path, or path::function, and why it may be longer.
ALLOWED: dict[str, str] = {}


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and body length in lines (docstring left out) of every function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            yield f"{path.relative_to(ROOT)}::{node.name}", length


def test_no_file_holds_more_than_one_idea():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [*SOURCES, *FIRMWARE]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    }
    assert {name: lines for name, lines in long.items() if name not in ALLOWED} == {}


def test_no_function_is_longer_than_a_screen():
    long = {name: lines for path in SOURCES for name, lines in _functions(path) if lines > FUNCTION_LINES_MAX}
    assert {name: lines for name, lines in long.items() if name not in ALLOWED} == {}


def test_rooms_are_small_on_the_whole():
    files = [len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES if path.name != "__init__.py"]
    functions = [lines for path in SOURCES for _, lines in _functions(path)]
    assert statistics.median(files) <= FILE_LINES_MEDIAN
    assert statistics.median(functions) <= FUNCTION_LINES_MEDIAN


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_keeps_the_rules_no_linter_knows(path: Path):
    """No assert as validation, no postponed annotations (they would switch the shape checks off)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    postponed = [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert (asserts, postponed) == ([], [])


@pytest.mark.parametrize("path", sorted((ROOT / "lsm").rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_public_names_are_listed(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed = [
        [element.value for element in node.value.elts if isinstance(element, ast.Constant)]
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
        and isinstance(node.value, ast.List)
    ]
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module.startswith("lsm.")]
    if imports:
        assert len(listed) == 1, "an __init__ that re-exports says so in __all__"
        assert len(set(listed[0])) == len(listed[0]) > 0


def test_lock_names_no_package_index():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--hash=sha256:" in lock


def test_shipped_weights_stay_small_and_are_not_pickles():
    weights = sorted((ROOT / "lsm").rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) <= 2_000_000
    pickles = [path for suffix in ("*.pt", "*.pth", "*.pkl", "*.npy") for path in (ROOT / "lsm").rglob(suffix)]
    assert pickles == []


def test_no_machine_path_in_the_project():
    pattern = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/")
    texts = [*SOURCES, *FIRMWARE, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"]
    texts += [*(ROOT / "lsm").rglob("*.toml"), *(ROOT / "lsm").rglob("*.json")]
    assert [str(path) for path in texts if pattern.search(path.read_text(encoding="utf-8"))] == []
