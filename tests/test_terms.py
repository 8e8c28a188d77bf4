"""Payment terms: the vendor's own examples, further ways to say them, and terms that a book's owner defines."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest

from billfold.errors import BillfoldError
from billfold.settings import change
from billfold.terms import due_dates

if TYPE_CHECKING:
    from billfold import Book


def due(term: str | None, day: str, **settings: str) -> date | None:
    """When an invoice of a day is due."""
    invoices = pl.DataFrame({"payment_term": [term], "invoice_date": [date.fromisoformat(day)]})
    invoices = invoices.cast({"payment_term": pl.String})
    found: list[date | None] = due_dates(invoices, {f"payment_term.{n}": v for n, v in settings.items()}).to_list()
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("term", "day", "expected"),
    [
        # The vendor's examples of net terms and of prox terms, all of them (S118).
        ("Net 30", "2023-08-01", "2023-08-31"),
        ("Net 15", "2023-08-01", "2023-08-16"),
        ("Prox 20 Cutoff 12", "2023-08-10", "2023-09-20"),
        ("Prox 20 Cutoff 12", "2023-08-15", "2023-10-20"),
        ("Prox 20 Cutoff 12", "2023-08-21", "2023-10-20"),
        ("Prox 12 Cutoff 20", "2023-08-10", "2023-09-12"),
        ("Prox 12 Cutoff 20", "2023-08-15", "2023-09-12"),
        ("Prox 12 Cutoff 20", "2023-08-21", "2023-10-12"),
        ("Prox 12 Cutoff 20 Months 3", "2023-08-21", "2023-12-12"),
        ("Prox EOM Cutoff EOM", "2023-08-15", "2023-09-30"),
        ("Prox 30 Cutoff 5", "2023-01-01", "2023-02-28"),
        # And what else people write.
        ("Net 0", "2024-01-31", "2024-01-31"),
        ("net 45 days", "2024-01-31", "2024-03-16"),
        ("  Net   30 ", "2024-01-31", "2024-03-01"),
        ("due upon receipt", "2024-01-31", "2024-01-31"),
        ("Due on Receipt", "2024-02-29", "2024-02-29"),
        ("EOM", "2024-02-01", "2024-02-29"),
        ("End of Month", "2024-02-29", "2024-02-29"),
        ("Net 30 EOM", "2024-01-15", "2024-03-01"),
        ("10th prox", "2024-01-31", "2024-02-10"),
        ("Prox 31", "2024-01-31", "2024-02-29"),
        ("Prox 15 Months 0", "2024-01-03", "2024-01-15"),
        ("Prox 20 Months 2 Cutoff 12th", "2024-11-13", "2025-02-20"),
        ("Prox 20 Cutoff 30", "2024-02-29", "2024-03-20"),
        ("Prox 0", "2024-01-01", None),
        ("Prox 32", "2024-01-01", None),
        ("Net", "2024-01-01", None),
        ("when you like", "2024-01-01", None),
        ("", "2024-01-01", None),
        (None, "2024-01-01", None),
    ],
)
def test_a_term_says_when_an_invoice_is_due(term: str | None, day: str, expected: str | None) -> None:
    assert due(term, day) == (expected and date.fromisoformat(expected))


def test_a_term_of_any_name_is_defined_by_a_setting() -> None:
    assert due("Key account", "2024-01-31", **{"Key account": "Net 60"}) == date(2024, 3, 31)
    assert due("Net 30", "2024-01-01", **{"Net 30": "Net 10"}) == date(2024, 1, 11)


def test_every_row_keeps_its_place() -> None:
    terms = ["Net 1", None, "EOM", "Net 1", "?"]
    invoices = pl.DataFrame({"payment_term": terms, "invoice_date": [date(2024, 1, d) for d in range(1, 6)]})
    assert due_dates(invoices, {}).to_list() == [date(2024, 1, 2), None, date(2024, 1, 31), date(2024, 1, 5), None]


@pytest.mark.parametrize(("name", "value"), [("payment_term.X", "soon"), ("payment_term.", "Net 3")])
def test_a_definition_that_says_nothing_is_refused(book: Book, name: str, value: str) -> None:
    with pytest.raises(BillfoldError, match="payment term's name and what it means"):
        change(book, {name: value})


def test_a_definition_is_stored_under_its_name(book: Book) -> None:
    assert change(book, {"payment_term.Key  Account": "Net 60"})["payment_term.Key Account"] == "Net 60"


def test_the_name_of_a_term_is_read_without_regard_to_case_and_blanks() -> None:
    assert due("KEY  account ", "2024-01-01", **{"Key account": "Net 1"}) == date(2024, 1, 2)
    assert due("Net 15", "2024-01-01", **{"net  15": "EOM"}) == date(2024, 1, 31)


def test_there_is_no_day_after_the_last_one() -> None:
    assert due("Net 1", "9999-12-30") == date(9999, 12, 31)
    assert due("Net 30", "9999-12-31") is None
    assert due("Prox 10", "9999-12-31") is None
