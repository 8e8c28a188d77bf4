"""Notebooks without anybody looking: as `python notebooks/x.py` runs them, in this process, and as apps on a port."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from billfold import Book, RunRequest, bill
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "notebooks"
NAMES: Final = ("reconcile", "why_this_invoice", "what_if_we_grouped_differently")


def make_saas(folder: Path) -> None:
    """A book of the two subscribers of data/saas with two bill runs, as README.md bills them."""
    with Book.create(folder) as book:
        for part, day in (("start", date(2024, 2, 15)), ("february", date(2024, 3, 1))):
            load(book, [str(ROOT / "data" / "saas" / part)])
            bill(book, RunRequest(target_date=day, invoice_date=day), post=part == "start")


def run_notebook(patch: pytest.MonkeyPatch, name: str, *arguments: str | Path) -> tuple[str, Mapping[str, Any]]:
    """Run a notebook as a program: everything that its cells show, as HTML, and the names that they define."""
    patch.setattr(sys, "argv", [f"{name}.py", "--", *map(str, arguments)])
    patch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location(f"notebook_{name}", FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outputs, definitions = module.app.run()
    return "\n".join(o.text for o in outputs if hasattr(o, "text")), definitions


@contextmanager
def served(name: str, log: Path, *arguments: str | Path) -> Iterator[str]:
    """The address of a notebook that `marimo run` serves, until the block ends."""
    with closing(socket.socket()) as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    notebook, flags = str(FOLDER / f"{name}.py"), ("--headless", "--port", str(port), "--")
    command = [sys.executable, "-m", "marimo", "run", notebook, *flags, *map(str, arguments)]
    environment = {**os.environ, "HOME": str(log.parent)}
    with log.open("w") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
    try:
        _wait(port, server, log)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text(encoding="utf-8"))
