"""A night that is killed, wherever it is, costs nothing: the next try makes what an undisturbed night makes."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from crash_book import Gate, copied, done, forking, history, kept, run, start

from billfold.night.inbox import NOTES

if TYPE_CHECKING:
    from pathlib import Path

    from crash_book import History

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

POINTS: Final = os.environ.get("POINTS", "3")
"""How many of the places where a night may die are tried, or all."""

KILLED: Final = -9


class Nights:
    """Copies of one book, each with an inbox of two deliveries and a folder for reports."""

    def __init__(self, stages: History, folder: Path) -> None:
        """Deliver what the history's later loads bring."""
        self.stages = stages
        self.folder = folder
        self.inbox = folder / "inbox"
        for day, name in (("2024-03-01", "more"), ("2024-03-02", "late")):
            (self.inbox / day).mkdir(parents=True)
            for file in stages.files(name).iterdir():
                (self.inbox / day / file.name).write_bytes(file.read_bytes())

    def book(self, name: str) -> Path:
        return copied(self.stages.book("posted"), self.folder / name)

    @property
    def command(self) -> tuple[str | Path, ...]:
        return ("night", "--inbox", self.inbox, "--target-date", "2024-03-05", "--post", "--no-verify")

    def reporting(self, book: Path) -> tuple[str | Path, ...]:
        """The same, with a report, which takes longest of all."""
        return (*self.command, "--report", self.folder / f"reports of {book.name}")

    def result(self, book: Path) -> Any:  # noqa: ANN401 - to be compared
        """Everything that a night leaves: the book, its notes of deliveries, and pages."""
        notes = json.loads((book / NOTES).read_text(encoding="utf-8"))
        pages = {p.name: p.read_bytes() for p in (self.folder / f"reports of {book.name}").iterdir()}
        return kept(book), {name: note["source"] for name, note in notes.items()}, sorted(pages)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    return Nights(history(tmp_path_factory.mktemp("stages")), tmp_path_factory.mktemp("nights"))


def test_a_night_that_dies_at_any_failpoint_is_finished_by_the_next_try(nights: Nights, tmp_path: Path) -> None:
    whole, log = nights.book("whole"), tmp_path / "reached"
    assert run(whole, *nights.reporting(whole), failpoint=f"log:{log}").code in {0, 3}
    points = list(dict.fromkeys(log.read_text(encoding="utf-8").split()))
    assert {"note.before", "note.after", "commit.before", "commit.after", "report.before", "report.after"} <= set(
        points
    )
    for place, point in enumerate(chosen(points)):
        book = nights.book(f"killed {place}")
        assert run(book, *nights.reporting(book), failpoint=point).code == KILLED, point
        assert done(book, *nights.reporting(book)).code == 3, point
        same(nights.result(book), nights.result(whole), point)


def same(result: Any, expected: Any, point: str) -> None:  # noqa: ANN401 - as `result` gives them
    """The same history; a note may be missing where the commit's message knows the delivery as well."""
    assert result[0] == expected[0], point
    assert result[1].items() <= expected[1].items(), point
    assert result[2] == expected[2], point


def chosen(points: list[str]) -> list[str]:
    """Some places, spread over the night; all of them where that is asked for."""
    count = len(points) if POINTS == "all" else int(POINTS)
    return points[:: max(1, len(points) // count)]


def test_a_night_that_dies_at_every_turn_comes_to_its_end(nights: Nights) -> None:
    book = nights.book("unlucky")
    for point in ("note.before", "register.after:usage", "commit.after", "register.before:invoices", "note.after"):
        run(book, *nights.command, failpoint=point)
    assert done(book, *nights.command).code == 3
    whole = nights.book("lucky")
    done(whole, *nights.command)
    assert kept(book) == kept(whole)


def test_of_two_nights_at_once_one_does_it_all_and_the_other_nothing(nights: Nights) -> None:
    book, gate = nights.book("shared"), Gate(forking().Barrier(2))
    both = [start(book, *nights.command, gate=gate) for _ in range(2)]
    ended = sorted((b.ended() for b in both), key=lambda o: o.code)
    whole = nights.book("alone")
    done(whole, *nights.command)
    assert kept(book) == kept(whole)
    if ended[0].code == 1:  # else they came one after the other
        assert "Another night is at work on the book in" in ended[0].err
        assert ended[1].code == 3


def test_a_lock_does_not_outlive_its_process(nights: Nights) -> None:
    book = nights.book("locked")
    working = start(book, *nights.command)
    while not (book / ".night").exists() and working.is_alive():
        working.process.join(0.01)
    assert working.kill().code in {KILLED, 3}
    assert done(book, *nights.command).code == 3
