"""Documentation that can't lie: README's commands are run and their output compared; the reference is made anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest

from billfold.contracts.reference import markdown

ROOT: Final = Path(__file__).parents[1]
_BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS: Final = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    if _BLOCK.search(path.read_text(encoding="utf-8"))
)
_CLOCK: Final = re.compile(r"lines in \d+\.\d s( \([\d,]+ lines a second\))?")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def test_table_reference_is_made_from_the_contracts() -> None:
    assert (ROOT / "docs" / "tables.md").read_text(encoding="utf-8") == markdown(), "run `make reference`"


def _commands(document: str) -> list[tuple[str, str]]:
    """Commands of a document's console blocks with the output that it shows."""
    found = []
    for block in _BLOCK.findall((ROOT / document).read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def _run(command: str, folder: Path) -> str:
    """What a shell prints for a command, where `billfold` and `python` are this project's."""
    shim = f'python() {{ "{sys.executable}" "$@"; }}; billfold() {{ python -m billfold "$@"; }}; '
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(
        ["/bin/bash", "-c", shim + command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.stdout + done.stderr


def _with_project(folder: Path) -> None:
    """Let commands name what the project has beside its code."""
    for name in ("data", "notebooks"):
        (folder / name).symlink_to(ROOT / name)


def _settled(output: str) -> list[str]:
    """Lines without what differs from machine to machine: clock readings, hashes of files, blanks at line ends."""
    lines = (_DIGEST.sub("HASH", _CLOCK.sub("lines in N s", line)) for line in output.strip().splitlines())
    return [line.rstrip() for line in lines]


def _python(document: str) -> list[str]:
    """Pieces of Python that go on from where a document's commands end."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_documents_with_commands_are_found() -> None:
    assert {"README.md", "docs/explain.md", "docs/operations.md"} <= set(DOCUMENTS)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_print_what_the_document_shows(document: str, tmp_path: Path) -> None:
    _with_project(tmp_path)
    for command, shown in _commands(document):
        assert _settled(_run(command, tmp_path)) == _settled(shown), f"$ {command}"
    for code in _python(document):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), code
        assert done.stdout, "a piece of Python that prints nothing shows nothing"


def rewrite(document: str, folder: Path) -> None:
    """Put what the commands print now under them: `make readme` for all documents."""
    text = (ROOT / document).read_text(encoding="utf-8")
    _with_project(folder)
    for block in _BLOCK.findall(text):
        commands = [part.partition("\n")[0] for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
        outputs = ["\n".join(line.rstrip() for line in _run(c, folder).strip().splitlines()) for c in commands]
        shown = "".join(f"$ {c}\n{o}\n" if o else f"$ {c}\n" for c, o in zip(commands, outputs, strict=True))
        text = text.replace(f"```console\n{block}```", f"```console\n{shown}```")
    (ROOT / document).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for each in sys.argv[1:] or DOCUMENTS:
        with tempfile.TemporaryDirectory() as scratch:
            rewrite(each, Path(scratch))
