"""Large runs are made in parts: how many, where and within how much memory changes nothing of what is billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from books import Shelf, asked, books, load_more
from histories import Step, histories
from hypothesis import given
from test_laws import laws, targets

from billfold import parts
from billfold.contracts import TABLES, keys
from billfold.run import bill
from billfold.verify import verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import polars as pl

    from billfold.book import Book

CLOCK: Final = ("started_at", "finished_at", "fingerprint")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


def contents(book: Book) -> dict[str, pl.DataFrame]:
    """Every table, in the order of its keys, without clock times."""
    found = {t: book.read(t).collect() for t in TABLES}
    return {t: rows.drop(CLOCK, strict=False).sort(keys(TABLES[t])) for t, rows in found.items()}


def differing(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> list[str]:
    return [t for t, rows in one.items() if not rows.equals(other[t])]


def lives(shelf: Shelf, steps: Sequence[Step], size: int, *, post: bool) -> dict[str, pl.DataFrame]:
    """What a book holds after loads and runs whose parts have a size."""
    with pytest.MonkeyPatch.context() as patch, shelf.holding(steps[0].rows) as book:
        patch.setattr(parts, "PART", size)
        for number, step in enumerate(steps):
            if number:
                load_more(book, step.changed)
            bill(book, asked(step.target), post=post)
        assert [v for v in verify(book) if not v.holds] == []
        return contents(book)


@laws(2)
@given(rows=books(), target=targets)
def test_the_size_of_parts_does_not_matter(shelf: Shelf, rows: dict[str, Any], target: date) -> None:
    step = [Step({}, rows, target, is_first=True)]
    whole = lives(shelf, step, 10**9, post=False)
    assert differing(whole, lives(shelf, step, 0, post=False)) == []
    assert differing(whole, lives(shelf, step, 3, post=False)) == []


@laws(1)
@given(steps=histories())
def test_nor_over_several_runs(shelf: Shelf, steps: Sequence[Step]) -> None:
    assert differing(lives(shelf, steps, 10**9, post=True), lives(shelf, steps, 1, post=True)) == []
