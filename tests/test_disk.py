"""A disk that is full, read-only or damaged: one sentence, nothing lost, and no account is parked for it."""

from __future__ import annotations

import io
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest
from conftest import Outcome, bare_environment
from crash_book import (
    PATIENCE,
    TO_RUN,
    History,
    copied,
    differing,
    done,
    kept,
    on_disk,
    run,
    shared_history,
    tables,
)  # fmt: skip

from billfold import Book
from billfold.book import lake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

if sys.platform == "win32":
    pytest.skip("disks of Windows refuse in other words", allow_module_level=True)

LATEST: Final = "BR-00000003"
WRITING: Final = {
    "load": ("posted", ("load", "{more}")),
    "run": ("due", (*TO_RUN, "--post")),
    "post": ("drafts", ("post", LATEST)),
    "cancel": ("drafts", ("cancel", LATEST)),
    "retry": ("mended", ("retry", LATEST)),
    "settings": ("posted", ("settings", "set", "ungrouped=pooled")),
}
"""Commands that write, and the stage at which they have something to."""

FIRST: Final = {
    "load": "accounts",
    "run": "invoices",
    "post": "bill_runs",
    "cancel": "bill_runs",
    "retry": "invoices",
    "settings": "settings",
}
"""The table that each of them writes first."""


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with shared_history(tmp_path_factory.mktemp("stages")) as made:
        yield made


def refused(outcome: Outcome, *says: str) -> None:
    """Refused in one sentence that says what is wrong."""
    assert outcome.code == 1, outcome
    assert outcome.err.startswith("billfold: "), outcome
    assert outcome.err.count("\n") == 1, outcome
    assert "Traceback" not in outcome.err + outcome.out, outcome
    assert "failed unexpectedly" not in outcome.err, outcome
    assert all(s in outcome.err for s in says), outcome


def unharmed(book: Path, stage: Path) -> None:
    """A book is what it was at its stage, with no file more or less."""
    assert kept(book) == kept(stage)
    assert on_disk(book) == on_disk(stage)


def as_if_nothing_had_been(book: Path, stage: Path, arguments: Sequence[str]) -> None:
    """The command now does what it does to a book that never had trouble."""
    unharmed(book, stage)
    whole = copied(stage, book.with_name(f"{book.name} whole"))
    assert done(book, *arguments).code == done(whole, *arguments).code
    assert kept(book) == kept(whole)
    assert differing(tables(whole), tables(book)) == []


# ------------------------------------------------------------------ full

_MOUNTED: Final = 'mount -t tmpfs -o size=8m tmpfs "$1" && cp -r "$2" "$1/book" && '
_FILLED: Final = 'dd if=/dev/zero of="$1/ballast" bs=1k count=100000 2>/dev/null; truncate -s -"$3"k "$1/ballast"; '
_FULL: Final = f"""{_MOUNTED} {_FILLED} shift 3; "$@" >"$OUT/out" 2>"$OUT/err"; echo $? >"$OUT/code"
rm "$DISK/ballast"; cp -r "$DISK/book" "$OUT/book" """
"""On a disk of its own, with so many KiB left: a command; then a copy of the book that it leaves."""


def _on_a_full_disk(book: Path, left: int, arguments: Sequence[str], folder: Path) -> Outcome:
    """A command on a disk with so many KiB left; the book is then in `folder / "book"`."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    command = [sys.executable, "-m", "billfold", "--book", str(disk / "book"), *arguments]
    places = {"OUT": str(folder), "DISK": str(disk), "TMPDIR": str(folder)}
    subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _FULL, "sh", disk, book, str(left), *command],  # noqa: S607
        env=bare_environment(folder) | places, capture_output=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    return Outcome(int((folder / "code").read_text()), (folder / "out").read_text(), (folder / "err").read_text())


def _can_mount() -> bool:
    """Whether this user may have a disk of their own; many systems forbid it."""
    try:
        asked = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not _can_mount(), reason="this system lets nobody mount a small disk")
@pytest.mark.parametrize("left", [8, 64])
def test_a_full_disk_loses_nothing(stages: History, tmp_path: Path, left: int) -> None:
    """It is full at the first data files, or at the catalog."""
    stage = stages.book("due")
    outcome = _on_a_full_disk(stage, left, (*TO_RUN, "--post"), tmp_path)
    refused(outcome)
    assert "disk" in outcome.err or "No space" in outcome.err
    as_if_nothing_had_been(tmp_path / "book", stage, (*TO_RUN, "--post"))


FULL_AT: Final = ("write.before:{}", "head.before", "commit.before")
"""Where the disk becomes full: before the first data file, before the catalog, at the very end."""


@pytest.mark.parametrize("name", WRITING)
def test_a_disk_that_becomes_full_anywhere_loses_nothing(stages: History, tmp_path: Path, name: str) -> None:
    stage, arguments = stages.book(WRITING[name][0]), stages.filled(WRITING[name][1])
    book = copied(stage, tmp_path / "book")
    for point in FULL_AT:
        refused(run(book, *arguments, failpoint=f"full:{point.format(FIRST[name])}"), "nothing was changed")
        for left in on_disk(book) - on_disk(stage):  # DuckDB may not get to tidy up what it wrote about replaced rows
            assert left.name.endswith("-delete.parquet")
            (book / left).unlink()
        unharmed(book, stage)
    as_if_nothing_had_been(book, stage, arguments)


# ------------------------------------------------------------------ read-only


@pytest.mark.skipif(not _can_mount(), reason="this system lets nobody mount a folder read-only")
@pytest.mark.parametrize("name", ["load", "run", "settings"])
def test_a_read_only_disk_is_told_in_a_sentence(stages: History, tmp_path: Path, name: str) -> None:
    stage, arguments = stages.book(WRITING[name][0]), stages.filled(WRITING[name][1])
    book = copied(stage, tmp_path / "book")
    refused(_read_only(book, arguments), str(book))
    as_if_nothing_had_been(book, stage, arguments)


def _read_only(book: Path, arguments: Sequence[str]) -> Outcome:
    """A command on a book that is on a read-only disk."""
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    command = [sys.executable, "-m", "billfold", "--book", str(book), *arguments]
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(book), *command],  # noqa: S607
        env=bare_environment(book.parent), capture_output=True, check=False, timeout=PATIENCE, text=True,
    )  # fmt: skip
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


# ------------------------------------------------------------------ damaged data files


READ_BY_A_RUN: Final = (
    "accounts", "subscriptions", "rate_plan_charges", "usage", "order_line_items", "invoices", "invoice_items",
    "charge_progress", "charges_to_review",
)  # fmt: skip


def _cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def _flipped(whole: bytes) -> bytes:
    """Bits flipped in the data pages, which begin after the first four bytes; the footer at the end stays whole."""
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    pages = len(whole) - footer
    damaged = bytearray(whole)
    for at in range(4 + pages // 8, pages, max(pages // 8, 1)):
        damaged[at] ^= 0xFF
    return bytes(damaged)


def _silently(whole: bytes, column: str) -> bytes:
    """One bit flipped so that the file can still be read, with another value in a column."""
    good, pages = (
        pl.read_parquet(io.BytesIO(whole), columns=[column]),
        len(whole) - int.from_bytes(whole[-8:-4], "little"),
    )
    for at in range(4, pages - 8):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        with suppress(pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            if not pl.read_parquet(io.BytesIO(damaged), columns=[column]).equals(good):
                return bytes(damaged)
    pytest.fail(f"no bit of {column} flips silently")


def _latest(book: Path, table: str) -> Path:
    """The newest data file of a table in use."""
    with Book(book, read_only=True) as opened:
        listed = opened.cursor().execute("FROM ducklake_list_files('book', ?)", [table]).pl()
    return Path(listed["data_file"][-1])


def _damaged(book: Path, table: str, damage: object) -> tuple[Path, bytes]:
    """Damage a table's newest file, which the copy may not share with others for that; returns it as it was."""
    path = _latest(book, table)
    whole = path.read_bytes()
    path.unlink()
    if callable(damage):
        path.write_bytes(damage(whole))
    return path, whole


DAMAGES: Final = (_cut, _flipped, None)
"""What happens to a file; nothing is left of it in the end."""


def _tell_damage(book: Path, table: str, arguments: Sequence[str]) -> None:
    """Each damage of a table is told by name, nothing is written, and the book is mended when the file is back."""
    for damage in DAMAGES:
        there = on_disk(book)
        path, whole = _damaged(book, table, damage)
        refused(run(book, *arguments), table)
        path.write_bytes(whole)
        assert on_disk(book) == there


@pytest.mark.parametrize("table", READ_BY_A_RUN)
def test_a_run_on_a_damaged_file_refuses_and_parks_nobody(stages: History, tmp_path: Path, table: str) -> None:
    stage = stages.book("due")
    book = copied(stage, tmp_path / "book")
    _tell_damage(book, table, TO_RUN)
    as_if_nothing_had_been(book, stage, TO_RUN)
    parked = tables(book, ["parked_accounts"])["parked_accounts"].filter(bill_run_number=LATEST)
    assert parked["account_number"].to_list() == ["A-3"]


@pytest.mark.parametrize(
    ("table", "column"),
    [("rate_plan_charges", "price"), ("usage", "quantity"), ("order_line_items", "amount_per_unit")],
)
def test_a_bit_that_flips_without_a_sign_is_found_before_it_is_billed(
    stages: History, tmp_path: Path, table: str, column: str
) -> None:
    """Parquet pages have no checksum of their own, so that 10.00 can become 9.73; the book knows each file's hash."""
    stage = stages.book("due")
    book = copied(stage, tmp_path / "book")
    path, whole = _damaged(book, table, lambda whole: _silently(whole, column))
    refused(run(book, *TO_RUN), table)
    path.write_bytes(whole)
    unharmed(book, stage)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("load", "rate_plan_charges"),
        ("post", "invoices"),
        ("cancel", "charge_progress"),
        ("retry", "parked_accounts"),
        ("settings", "settings"),
    ],
)
def test_other_commands_on_a_damaged_file_refuse_too(stages: History, tmp_path: Path, name: str, table: str) -> None:
    stage, arguments = stages.book(WRITING[name][0]), stages.filled(WRITING[name][1])
    if name == "settings":
        stage = copied(stage, tmp_path / "stage")
        done(stage, "settings", "set", "ungrouped=separate")
    book = copied(stage, tmp_path / "book")
    _tell_damage(book, table, arguments)
    as_if_nothing_had_been(book, stage, arguments)


def test_clean_does_not_need_the_data_files(stages: History, tmp_path: Path) -> None:
    book = copied(stages.book("due"), tmp_path / "book")
    path, whole = _damaged(book, "invoice_items", _cut)
    assert done(book, "clean", "--yes", "--json").json()["files"] == []
    path.write_bytes(whole)
    unharmed(book, stages.book("due"))


# ------------------------------------------------------------------ damaged or locked catalog


def _emptied(catalog: Path) -> None:
    catalog.write_bytes(b"")


def _garbled(catalog: Path) -> None:
    catalog.write_bytes(b"no catalog" * 1000)


def _halved(catalog: Path) -> None:
    catalog.write_bytes(_cut(catalog.read_bytes()))


def _blanked(catalog: Path) -> None:
    """A hole in the middle, as a disk that lost some sectors leaves it."""
    whole = bytearray(catalog.read_bytes())
    whole[len(whole) // 4 : -len(whole) // 4] = bytes(len(whole[len(whole) // 4 : -len(whole) // 4]))
    catalog.write_bytes(whole)


@pytest.mark.parametrize("damage", [_emptied, _garbled, _halved, _blanked])
@pytest.mark.parametrize("name", ["run"])
def test_a_damaged_catalog_is_told_in_a_sentence_and_nothing_is_written(
    stages: History, tmp_path: Path, name: str, damage: object
) -> None:
    stage, arguments = stages.book(WRITING[name][0]), stages.filled(WRITING[name][1])
    book = copied(stage, tmp_path / "book")
    assert callable(damage)
    damage(book / lake.CATALOG)
    for command in (arguments, ["clean", "--yes"], ["runs"]):
        refused(run(book, *command), "catalog", str(book))
    for path in book.glob(f"{lake.CATALOG}*"):
        path.unlink()
    shutil.copy2(stage / lake.CATALOG, book)
    as_if_nothing_had_been(book, stage, arguments)


@pytest.mark.parametrize("name", ["run", "post", "settings"])
def test_a_catalog_that_another_process_has_locked_is_told_in_a_sentence(
    stages: History, tmp_path: Path, name: str
) -> None:
    stage, arguments = stages.book(WRITING[name][0]), stages.filled(WRITING[name][1])
    book = copied(stage, tmp_path / "book")
    with closing(sqlite3.connect(book / lake.CATALOG, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused(run(book, *arguments), "again")
        assert run(book, "runs").code == 0
        other.execute("ROLLBACK")
    as_if_nothing_had_been(book, stage, arguments)


def test_an_input_file_that_is_damaged_is_told_with_its_name(stages: History, tmp_path: Path) -> None:
    book = copied(stages.book("posted"), tmp_path / "book")
    whole = _latest(book, "accounts").read_bytes()
    (tmp_path / "accounts.parquet").write_bytes(_flipped(whole))
    refused(run(book, "load", f"accounts={tmp_path / 'accounts.parquet'}"), "accounts.parquet")
    unharmed(book, stages.book("posted"))
