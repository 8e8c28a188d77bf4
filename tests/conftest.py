"""What tests share: billfold as a user types it, in a process of its own or in this one, and an empty book."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pytest
from hypothesis import settings

from billfold import Book
from billfold.book import lake
from billfold.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]

# The same examples every time: whether a change passes is not to depend on chance. `make laws` looks at others.
settings.register_profile("same", derandomize=True)
if "LAWS" not in os.environ:
    settings.load_profile("same")


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 - any document
        return json.loads(self.out)


Command = Callable[..., Outcome]
"""A command line without its first word: `cli("run", "--target-date", "2024-02-01")`."""


def bare_environment(home: Path) -> dict[str, str]:
    """Nothing of the caller's, as `env -i` gives it; Windows can't start Python without its SYSTEMROOT."""
    kept = {k: os.environ[k] for k in ("SYSTEMROOT",) if k in os.environ}
    return {"PATH": os.defpath, "HOME": str(home), **kept}


def run_cli(folder: Path, *arguments: str | Path) -> Outcome:
    """Start `python -m billfold` in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "billfold", *map(str, arguments)],
        cwd=folder, env=bare_environment(folder), capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


@pytest.fixture(scope="session", autouse=True)
def quick_connections() -> Iterator[None]:
    """Connections of this process check no signatures of extensions after the first one did, and have one thread.

    DuckDB reads and hashes each extension anew for every connection, which is most of what opening a book takes. It
    divides no table below 122,880 rows among threads, but wakes them up for each statement; and pytest already runs as
    many processes as there are cores. Processes that tests start have no such fixture.
    """
    with closing(duckdb.connect()) as first:
        for extension in lake._EXTENSIONS:
            lake._load(first, extension)
    quickly = partial(duckdb.connect, config={"allow_unsigned_extensions": "true", "threads": "1"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", quickly)
        yield


@pytest.fixture(scope="session")
def examples() -> Path:
    return ROOT / "data" / "examples"


@pytest.fixture(scope="session")
def online_retail() -> Path:
    return ROOT / "data" / "online_retail"


@pytest.fixture(scope="session")
def billed_retail(tmp_path_factory: pytest.TempPathFactory, online_retail: Path) -> Path:
    """A folder with the sample book, loaded, billed and posted; made once for all processes. Copy it to change it."""
    root = tmp_path_factory.getbasetemp()
    shared = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "retail"
    shared.mkdir(exist_ok=True)
    day = ("--target-date", "2010-12-31", "--invoice-date", "2010-12-31")
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            assert [run_cli(shared, *c).code for c in (["init"], ["load", online_retail])] == [0, 0]
            assert run_cli(shared, "run", *day, "--post").code == 3  # the adjustments are parked
            (shared / "done").touch()
    return shared / "book"


@pytest.fixture
def cli(tmp_path: Path) -> Command:
    """Billfold as a process of its own, in an empty folder with an almost empty environment."""
    return lambda *arguments: run_cli(tmp_path, *arguments)


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """The same command line inside this process: as good where a process of its own would add nothing but its start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BILLFOLD_BOOK", raising=False)
    monkeypatch.delenv("BILLFOLD_DEBUG", raising=False)

    def command(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["billfold", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        printed = capfdbinary.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, printed.out.decode("utf-8"), printed.err.decode("utf-8"))

    return command


@pytest.fixture(scope="session")
def empty_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty book, to be copied: a copied book opens like any other, and making one takes longer."""
    folder = tmp_path_factory.mktemp("empty") / "book"
    Book.create(folder).close()
    return folder


@pytest.fixture
def book(tmp_path: Path, empty_book: Path) -> Iterator[Book]:
    """An empty book, open."""
    shutil.copytree(empty_book, tmp_path / "book")
    with Book(tmp_path / "book") as opened:
        yield opened
