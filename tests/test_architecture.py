"""The house rules of the code, so that they stay true: who may import whom, and how long a file may be."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[1] / "src" / "billfold"
FILES: Final = sorted(PACKAGE.rglob("*.py"))
_MODELS: Final = ("orders/models.py", "orders/action_models.py", "orders/charge_models.py", "schedules/models.py")
HOMES: Final = {
    "typst": ("render/engine.py",),
    "duckdb": ("book/", "verify.py"),
    "pandera": ("contracts/", "intake/conform.py", "steps/validate.py"),
    "typer": ("cli/", "console.py", "printing.py"),
    "rich": (
        "console.py",
        "explanations/paper.py",
        "printing.py",
        "proofs.py",
        "night/paper.py",
        "orders/paper.py",
        "schedules/paper.py",
        "whatif/paper.py",
    ),
    "pyarrow": ("book/lake.py", "book/plain.py", "book/s3.py", "intake/files.py"),
    "pydantic": ("requests.py", "grouping.py", "orders/fields.py", "orders/parsing.py", *_MODELS),
}


def _imports(file: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _name(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def test_the_files_are_found() -> None:
    assert {"run.py", "steps/rate.py", "book/store.py"} <= {_name(f) for f in FILES}


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    users = [_name(f) for f in FILES if any(m.split(".")[0] == library for m in _imports(f))]
    assert users, f"nothing imports {library}"
    assert [u for u in users if not u.startswith(HOMES[library])] == []


def test_steps_never_import_each_other() -> None:
    steps = [f for f in FILES if f.parent.name == "steps"]
    assert {_name(f): m for f in steps for m in _imports(f) if m.startswith("billfold.steps")} == {}


def test_steps_touch_no_book_clock_or_chance() -> None:
    forbidden = ("billfold.book", "billfold.intake", "duckdb", "random", "time", "uuid", "os", "pathlib")
    steps = [f for f in FILES if f.parent.name == "steps"]
    assert {_name(f): m for f in steps for m in _imports(f) if m.startswith(forbidden)} == {}


def test_files_stay_short() -> None:
    assert [_name(f) for f in FILES if len(f.read_text(encoding="utf-8").splitlines()) > 400] == []
