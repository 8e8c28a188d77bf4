"""Each promise that a run checks on its own documents, broken on purpose: the run refuses and names the promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from books import Shelf, asked

import billfold.run
from billfold.errors import PromiseError
from billfold.requests import RunIdentity
from billfold.run import bill, preview
from billfold.steps.name import name
from billfold.steps.validate import PROMISES, billed_once, conforming, numbered, validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from billfold.lines import Assembled, Documents

    Broken = Callable[[Assembled], Assembled]

SETS: Final = pl.DataFrame(schema=dict.fromkeys(("name", "invoice_prefix", "credit_memo_prefix"), pl.String))
RUN: Final = RunIdentity(bill_run_number="BR-00000001", snapshot_id=1)
LINE: Final = {"item_state": "SentToBilling", "bill_target_date": "2024-01-01", "amount_per_unit": "10"}
TABLES: Final[dict[str, Any]] = {
    "accounts": [{"account_number": "A", "currency": "USD"}],
    "order_line_items": [
        {"order_number": "O", "item_number": str(n), "account_number": "A", "invoice_group_number": group, **LINE}
        for n, group in enumerate(("one", "one", "two"), 1)
    ],
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def checked(shelf: Shelf) -> tuple[pl.DataFrame, Assembled]:
    """What a run hands to `validate`: its lines, and two invoices of two items and of one."""
    handed: list[tuple[pl.DataFrame, Assembled]] = []

    def record(owed: pl.DataFrame, assembled: Assembled) -> Documents:
        handed.append((owed, assembled))
        return validate(owed, assembled)

    with pytest.MonkeyPatch.context() as patch, shelf.holding(TABLES) as book:
        patch.setattr(billfold.run, "validate", record)
        preview(book, asked(date(2024, 1, 1)))
    return handed[0]


def _items(assembled: Assembled, items: pl.DataFrame) -> Assembled:
    return replace(assembled, documents=replace(assembled.documents, invoice_items=items))


def _without_an_item(assembled: Assembled) -> Assembled:
    return _items(assembled, assembled.documents.invoice_items.head(2))


def _with_another_amount(assembled: Assembled) -> Assembled:
    dearer = pl.when(pl.int_range(pl.len()) == 0).then(pl.col("amount") + 1).otherwise("amount")
    return _items(assembled, assembled.documents.invoice_items.with_columns(amount=dearer.cast(pl.Decimal(18, 4))))


def _without_a_line(assembled: Assembled) -> Assembled:
    return replace(_without_an_item(assembled), lines=assembled.lines.head(2))


def _with_a_line_twice(assembled: Assembled) -> Assembled:
    items = assembled.documents.invoice_items
    doubled = _items(assembled, pl.concat([items, items.tail(1)]))
    return replace(doubled, lines=pl.concat([assembled.lines, assembled.lines.tail(1)]))


def _numbered(documents: Documents, *numbers: int) -> pl.DataFrame:
    return documents.invoices.with_columns(pl.Series("invoice_number", [f"TMP-INV-{n:08}" for n in numbers]))


def _with_another_sum(assembled: Assembled) -> Assembled:
    dearer = assembled.documents.invoices.with_columns(pl.col("amount") + 1)
    return replace(assembled, documents=replace(assembled.documents, invoices=dearer))


def _in_one_document(assembled: Assembled) -> Assembled:
    return replace(assembled, lines=assembled.lines.with_columns(document=pl.lit(1)))


def _in_documents_of_their_own(assembled: Assembled) -> Assembled:
    return replace(assembled, lines=assembled.lines.with_columns(document=pl.int_range(pl.len())))


def _with_a_wrong_type(assembled: Assembled) -> Assembled:
    return _items(
        assembled, assembled.documents.invoice_items.with_columns(uom=pl.lit("x"), processing_type=pl.lit("?"))
    )


def test_documents_of_a_run_keep_every_promise(checked: tuple[pl.DataFrame, Assembled]) -> None:
    documents = validate(*checked)
    assert documents.invoices["item_count"].to_list() == [2, 1]


@pytest.mark.parametrize(
    ("promise", "broken"),
    [
        ("partition", _without_an_item),
        ("partition", _with_another_amount),
        ("partition", _without_a_line),
        ("once", _with_a_line_twice),
        ("sums", _with_another_sum),
        ("one value", _in_one_document),
        ("no needless split", _in_documents_of_their_own),
    ],
)
def test_a_broken_promise_is_named(checked: tuple[pl.DataFrame, Assembled], promise: str, broken: Broken) -> None:
    owed, assembled = checked
    with pytest.raises(PromiseError, match=f"The promise '{promise}' does not hold"):
        validate(owed, broken(assembled))


def test_every_promise_is_broken_above() -> None:
    broken = {"partition", "once", "sums", "one value", "no needless split"}
    assert broken == set(PROMISES)


def test_a_row_that_breaks_its_contract_is_named(checked: tuple[pl.DataFrame, Assembled]) -> None:
    owed, assembled = checked
    named = name(validate(owed, _with_a_wrong_type(assembled)), RUN)
    with pytest.raises(PromiseError, match="A row of invoice_items breaks its contract"):
        conforming(replace(named, invoices=_numbered(named, 1, 2)))


def test_a_run_with_a_broken_promise_writes_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_it(owed: pl.DataFrame, assembled: Assembled) -> object:
        return validate(owed, _with_another_sum(assembled))

    with shelf.holding(TABLES) as book:
        before = book.head()
        monkeypatch.setattr(billfold.run, "validate", break_it)
        with pytest.raises(PromiseError):
            bill(book, asked(date(2024, 1, 1)))
        assert book.head() == before
        assert book.read("invoices").collect().is_empty()


# ------------------------------------------------------------------ promises that earlier runs are part of


def test_numbers_that_skip_or_repeat_one_are_found(checked: tuple[pl.DataFrame, Assembled]) -> None:
    documents = name(checked[1].documents, RUN)
    for numbers, holds in (((1, 2), True), ((1, 3), False), ((2, 2), False), ((2, 1), False)):
        several = replace(documents, invoices=_numbered(documents, *numbers))
        if holds:
            numbered(several, SETS)
        else:
            with pytest.raises(PromiseError, match="'numbers' does not hold"):
                numbered(several, SETS)


def test_ids_that_would_not_sort_are_refused(checked: tuple[pl.DataFrame, Assembled]) -> None:
    ninth = RUN.model_copy(update={"documents": 7, "digits": 1})
    assert name(checked[1].documents, ninth).invoices["invoice_id"].to_list() == ["BR-00000001-8", "BR-00000001-9"]
    with pytest.raises(PromiseError, match="more documents than ids of 1 digits"):
        name(checked[1].documents, ninth.after(1))


def test_an_order_line_of_an_earlier_run_is_found(checked: tuple[pl.DataFrame, Assembled]) -> None:
    documents = checked[1].documents
    lines = documents.invoice_items.select("order_number", "item_number")
    never = pl.DataFrame(schema={"charge_number": pl.String, "segment": pl.Int64, "billed_through": pl.Date})
    billed_once(documents, never, lines.clear)
    with pytest.raises(PromiseError, match=r"'once' does not hold \(2 lines are on documents of an earlier run"):
        billed_once(documents, never, lambda: lines.head(2))


def test_a_charge_that_was_billed_further_is_found(checked: tuple[pl.DataFrame, Assembled]) -> None:
    documents = checked[1].documents
    of_charges = documents.invoice_items.with_columns(
        source_type=pl.lit("SubscriptionComponent"), charge_number=pl.lit("C"), segment=pl.lit(1, dtype=pl.Int64)
    )
    documents = replace(documents, invoice_items=of_charges.head(1))
    day = of_charges["service_start_date"][0]
    for through, holds in ((day, True), (day + timedelta(days=1), False)):
        known = pl.DataFrame({"charge_number": ["C"], "segment": [1], "billed_through": [through]})
        if holds:
            billed_once(documents, known, pl.DataFrame)
        else:
            with pytest.raises(PromiseError, match=r"'once' does not hold \(1 lines"):
                billed_once(documents, known, pl.DataFrame)
