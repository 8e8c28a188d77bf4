"""`verify` finds nothing in books with invoice schedules, and names the promise that is broken on purpose.

Schedules bill in place of periods: their lines are for no periods, and their tables say what these add up to.
"""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from inputs import write_rows
from order_inputs import account, action, change, done
from schedule_books import (
    annual,
    asked,
    attached,
    detached,
    details,
    discount,
    executed,
    items,
    once,
    only,
    run,
    scheduled,
    shares,
    statuses,
    stocked,
    subscription,
)

from billfold import Book, lifecycle
from billfold import run as line
from billfold import settings as rules
from billfold.book import lake, layout
from billfold.contracts import TABLES
from billfold.intake import load
from billfold.lines import Rated, Schedules
from billfold.schedules import lines as of_schedules
from billfold.schedules.update import delete, pause
from billfold.steps import load as step_load
from billfold.steps import rate
from billfold.verify import Verdict, verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schedule_books import Json

ROWS: Final = "unchanged: rows"
SUMS: Final = "schedules"
CHARGES: Final = "schedules: charges"
ITEMS: Final = "schedules: items"
STATUS: Final = "schedules: status"
DOCUMENTS: Final = "schedules: documents"
ONCE: Final = "schedules: once"
APART: Final = "schedules: apart"
DUE: Final = "partition: schedules"
ATTRIBUTES: Final = "one value: attributes"

START: Final = "2023-01-01"
END: Final = "2024-01-01"


# --- books ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def billed(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Schedules apart and together with others, by amounts and percentages; detached, reduced, credited, canceled."""
    folder = tmp_path_factory.mktemp("billed")
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        stocked(book, folder / "in", sold(), accounts=[account(), account("A-2", bill_to_contact=" Ray ")])
        plan = [("2023-01-15", 500), ("2023-03-01", 800), ("2023-06-01", "480.01")]
        first = scheduled(book, asked(plan, specificSubscriptions=only("C1", "C2", "C3", "C4")))
        halves = [("2023-01-10", 50), ("2023-02-10", 50)]
        second = scheduled(book, shares(halves, specificSubscriptions=only("C5"), invoiceSeparately=False))
        many: Json = {"invoiceSeparately": False, "additionalSubscriptionsToBill": ["S6"]}
        plan = [("2023-01-20", 400), ("2023-09-01", 800)]
        third = scheduled(book, asked(plan, specificSubscriptions=only("C7", "C8"), **many))
        run(book, "2023-01-31", post=True)
        body = detached(book, third, *only("C8"))
        assert body["success"], body
        run(book, "2023-02-28", post=True)
        lifecycle.cancel(book, str(run(book, "2023-03-31").bill_run_number))
        run(book, "2023-04-30", post=True)
        shorten(book, folder / "less", "C2", "2023-07-01")
        executed(book, first, post=True)
        assert body_of(book, second) == ("FullyProcessed", None)
        ended = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2023-10-01"}
        done(
            book,
            change("S5", action("CancelSubscription", "2023-10-01", **ended), orderNumber="O-2", bill="2023-10-01"),
        )
        shorten(book, folder / "shorter", "C1", "2023-12-01")
        run(book, "2023-12-01")
        fourth = scheduled(book, asked([("2024-01-01", 50)], specificSubscriptions=only("C0")))
        pause(book, fourth)
    return folder / "book"


def sold() -> list[Json]:
    """Charges of A-1. Of C0, C1, …, each has a subscription; C9 is a discount on that of C1."""
    return [
        annual("C0", 50, "2024-01-01", "2025-01-01"),
        annual("C1", 1200, START, END),
        annual("C2", "600.01", START, END),
        once("C3", 100, START),
        annual("C4", 0, START, END),
        annual("C5", 1000, START, END),
        annual("C6", 120, START, "2025-01-01", billing_period="Month"),
        annual("C7", 600, START, END),
        annual("C8", 600, START, END),
        discount("C9", 10, START, END, "S1"),
    ]


def shorten(book: Book, folder: Path, number: str, end: str) -> None:
    """Load a charge that ends earlier."""
    (row,) = [c for c in sold() if c["charge_number"] == number]
    write_rows(folder / "rate_plan_charges.csv", [{**row, "effective_end_date": end}])
    load(book, [str(folder)])


def body_of(book: Book, number: str) -> tuple[str, object]:
    status, _, following = statuses(book, number)
    return status, following


@pytest.fixture
def copy(billed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(billed, tmp_path / "book")


def verdicts(folder: Path) -> dict[str, Verdict]:
    with Book(folder, read_only=True) as book:
        return {v.promise: v for v in verify(book)}


def broken(folder: Path) -> dict[str, str]:
    """The promises that do not hold, with the first sentence about each."""
    return {name: v.broken["broken"][0] for name, v in verdicts(folder).items() if not v.holds}


def tamper(folder: Path, *statements: str) -> None:
    """SQL on the book past billfold."""
    with closing(lake.attach(folder)) as connection:
        for statement in statements:
            connection.execute(statement)


# --- books that billfold made -----------------------------------------------------------------------------------------


def test_a_book_of_every_kind_of_schedule_keeps_every_promise(billed: Path) -> None:
    with Book(billed, read_only=True) as book:
        runs = book.sql("SELECT status FROM bill_runs ORDER BY bill_run_number")["status"].to_list()
        memos = book.sql("SELECT count(*) FROM credit_memo_items WHERE source_type = 'InvoiceSchedule'").item()
        off = book.sql("SELECT count(*) FROM invoice_items WHERE processing_type = 'Discount'").item()
        by_period = of_periods(book)
    assert runs == ["Posted", "Posted", "Canceled", "Posted", "Posted", "Posted", "Completed"]
    assert memos >= 3
    assert off == 4
    assert by_period == {"C6", "C8"}
    assert broken(billed) == {}


def test_schedules_that_are_changed_between_runs_keep_every_promise(book: Book, tmp_path: Path) -> None:
    """Deleted, attached again, with other items, and paused ones that runs skip."""
    stocked(book, tmp_path / "in", sold())
    rules.change(
        book, {"paused_schedules": "skipped", "schedule_consumption": "start_date", "month_basis": "actual_360"}
    )
    plan = [("2023-01-01", 400), ("2023-05-01", 800)]
    kept = scheduled(book, asked(plan, specificSubscriptions=only("C7", "C8")))
    gone = scheduled(book, asked([("2023-01-01", 1000)], specificSubscriptions=only("C5")))
    waits = scheduled(book, asked([("2023-01-01", 100)], specificSubscriptions=only("C3")))
    delete(book, gone)
    pause(book, waits)
    run(book, "2023-01-31", post=True)
    for change_links in (detached, attached):
        assert change_links(book, kept, *only("C8"))["success"]
        assert failing(book) == []
    run(book, "2023-05-01")
    assert failing(book) == []
    assert [statuses(book, n)[0] for n in (kept, waits)] == ["FullyProcessed", "Paused"]
    assert "C5" in of_periods(book)
    assert "C7" not in of_periods(book)


@pytest.mark.parametrize("policy", ["separate", "pooled"])
def test_schedules_among_group_numbers_keep_every_promise(policy: str, book: Book, tmp_path: Path) -> None:
    """A blank group number keeps a schedule together, whatever it says about the subscriptions of its charges."""
    subscriptions = [
        subscription(f"S{n}", START, END, invoice_separately=n == 7, invoice_group_number="PO" if n == 6 else None)
        for n in range(10)
    ]
    stocked(book, tmp_path / "in", sold(), subscriptions=subscriptions)
    rules.change(book, {"ungrouped": policy, "consolidate_invoices": "no"})
    for apart, names in ((True, ("C1", "C2")), (False, ("C5",)), (False, ("C7", "C8"))):
        total = {"C1": "1680.01", "C5": 1000, "C7": 1200}[names[0]]
        asked_ = asked([("2023-01-01", total)], specificSubscriptions=only(*names), invoiceSeparately=apart)
        scheduled(book, asked_)
    run(book, "2023-01-01", post=True)
    assert failing(book) == []


def of_periods(book: Book) -> set[str]:
    """Charges that were billed by period."""
    return {str(row["charge_number"]) for row in details(book) if row["source_type"] == "SubscriptionComponent"}


def failing(book: Book) -> list[tuple[str, str]]:
    return [(v.promise, v.broken["broken"][0]) for v in verify(book) if not v.holds]


def test_runs_from_before_the_book_had_schedules_are_checked_like_all(empty_book: Path, tmp_path: Path) -> None:
    """Their snapshots have no such table; here it was dropped, which is all that `verify` finds."""
    folder = shutil.copytree(empty_book, tmp_path / "book")
    with Book(folder) as book:
        stocked(book, tmp_path / "in", sold())
        run(book, "2023-01-31", post=True)
    tamper(folder, "DROP TABLE invoice_schedule_charges", "UPDATE billfold.head SET schema_version = 4")
    layout.migrate(folder)
    assert set(broken(folder)) == {"unchanged: tables"}


# --- changes past billfold --------------------------------------------------------------------------------------------

CASES: Final[Sequence[tuple[str, str, set[str]]]] = (
    (
        "a schedule says that it billed more",
        "UPDATE invoice_schedules SET billed_amount = billed_amount + 1 WHERE number = 'IS-00000001'",
        {SUMS, ITEMS},
    ),
    (
        "a charge and its schedule say that more was billed and less is left",
        """UPDATE invoice_schedules SET billed_amount = billed_amount + 1, unbilled_amount = unbilled_amount - 1 WHERE
        number = 'IS-00000002'; UPDATE invoice_schedule_charges SET billed_amount = billed_amount + 1 WHERE
        charge_number = 'C5'""",
        {CHARGES, ITEMS},
    ),
    (
        "a schedule has another total",
        "UPDATE invoice_schedules SET total_amount = total_amount + 1 WHERE number = 'IS-00000002'",
        {SUMS},
    ),
    (
        "there is more to bill of a detached charge, and less of another one",
        """UPDATE invoice_schedule_charges SET actual_amount = actual_amount + CASE charge_number WHEN 'C8' THEN 1 ELSE
        -1 END WHERE invoice_schedule_number = 'IS-00000003'""",
        {CHARGES},
    ),
    (
        "an item belongs to a schedule that is not there",
        "UPDATE invoice_schedule_items SET invoice_schedule_number = 'IS-9' WHERE item_id = 'IS-00000004-0001'",
        {SUMS},
    ),
    (
        "an item says that it billed more, another one less",
        """UPDATE invoice_schedule_items SET actual_amount = actual_amount + CASE sequence_number WHEN 1 THEN 1 ELSE -1
        END WHERE invoice_schedule_number = 'IS-00000003'""",
        {ITEMS},
    ),
    (
        "an item is going to bill less than is left",
        "UPDATE invoice_schedule_items SET actual_amount = 49 WHERE item_id = 'IS-00000004-0001'",
        {ITEMS},
    ),
    (
        "an item is planned for more than the total",
        "UPDATE invoice_schedule_items SET amount = 51 WHERE item_id = 'IS-00000004-0001'",
        {ITEMS},
    ),
    (
        "percentages do not add up",
        "UPDATE invoice_schedule_items SET percentage = 49 WHERE item_id = 'IS-00000002-0001'",
        {ITEMS},
    ),
    (
        "a schedule says that it is not done",
        "UPDATE invoice_schedules SET status = 'PartiallyProcessed' WHERE number = 'IS-00000003'",
        {STATUS},
    ),
    (
        "an item counts as processed that no run billed",
        "UPDATE invoice_schedule_items SET status = 'Processed' WHERE item_id = 'IS-00000004-0001'",
        {ITEMS, STATUS},
    ),
    (
        "an item is pending that a run billed",
        "UPDATE invoice_schedule_items SET status = 'Pending' WHERE item_id = 'IS-00000003-0002'",
        {ITEMS, STATUS},
    ),
    (
        "an item is processed by a canceled run",
        "UPDATE invoice_schedule_items SET bill_run_number = 'BR-00000003' WHERE item_id = 'IS-00000001-0002'",
        {DOCUMENTS, STATUS},
    ),
    (
        "two items have one place",
        "UPDATE invoice_schedule_items SET sequence_number = 1 WHERE item_id = 'IS-00000002-0002'",
        {STATUS},
    ),
    (
        "an item names a run that did not bill it",
        "UPDATE invoice_schedule_items SET bill_run_number = 'BR-00000002' WHERE item_id = 'IS-00000001-0001'",
        {DOCUMENTS},
    ),
    (
        "an item names an invoice that holds nothing of it",
        "UPDATE invoice_schedule_items SET invoice_id = 'BR-00000001-000001' WHERE item_id = 'IS-00000001-0001'",
        {DOCUMENTS},
    ),
    (
        "an item does not name its credit memo",
        "UPDATE invoice_schedule_items SET credit_memo_id = NULL WHERE item_id = 'IS-00000002-0002'",
        {DOCUMENTS},
    ),
    (
        "a line is another item's",
        """UPDATE invoice_items SET invoice_schedule_item_id = 'IS-00000001-0009' WHERE charge_number = 'C3' AND
        invoice_schedule_item_id = 'IS-00000001-0001'""",
        {DOCUMENTS, DUE, ITEMS},
    ),
    (
        "a line is another charge's",
        """UPDATE invoice_items SET charge_number = 'C2' WHERE charge_number = 'C3' AND invoice_schedule_item_id =
        'IS-00000001-0002'""",
        {CHARGES},
    ),
    (
        "a charge is in two schedules",
        """INSERT INTO invoice_schedule_charges SELECT * REPLACE ('IS-00000004' AS invoice_schedule_number, 0 AS
        total_amount, 0 AS actual_amount, 0 AS billed_amount) FROM invoice_schedule_charges WHERE charge_number =
        'C7'""",
        {ONCE},
    ),
    (
        "a schedule has a charge twice",
        """INSERT INTO invoice_schedule_charges SELECT * REPLACE (0 AS total_amount, 0 AS actual_amount, 0 AS
        billed_amount) FROM invoice_schedule_charges WHERE charge_number = 'C4'""",
        {ONCE, "once: ids"},
    ),
    (
        "a schedule had billed days that a run billed by period",
        "UPDATE invoice_schedule_charges SET detached_through = detached_through + 1 WHERE charge_number = 'C8'",
        {ONCE},
    ),
    (
        "more is given back of a line than it billed",
        """UPDATE credit_memo_items SET applied_to_item_id = (SELECT invoice_item_id FROM invoice_items WHERE
        charge_number = 'C8' AND source_type = 'InvoiceSchedule') WHERE charge_number = 'C5'""",
        {ONCE},
    ),
    (
        "the document of several schedules is one's alone",
        """UPDATE invoices SET group_key = replace(group_key, '"invoice_schedule":null',
        '"invoice_schedule":"IS-00000002"') WHERE invoice_id = 'BR-00000001-000001'""",
        {APART, ATTRIBUTES},
    ),
    (
        "the document of a schedule that is invoiced separately is for all",
        """UPDATE invoices SET group_key = replace(group_key, '"invoice_schedule":"IS-00000001"',
        '"invoice_schedule":null') WHERE bill_run_number = 'BR-00000005'""",
        {ATTRIBUTES},
    ),
    (
        "the document of a schedule is its subscription's",
        """UPDATE invoices SET group_key = replace(group_key, '"invoice_separately":null',
        '"invoice_separately":"S7"') WHERE bill_run_number = 'BR-00000002'""",
        {ATTRIBUTES},
    ),
)
"""What is changed, how, and what breaks besides the record of the table."""

TOGETHER: Final = 3


@pytest.mark.parametrize("nth", range(TOGETHER))
def test_changes_past_billfold_break_what_they_touch_and_nothing_else(nth: int, copy: Path) -> None:
    """Several at once, for speed. A changed table no longer is what its history says, either."""
    cases = CASES[nth::TOGETHER]
    statements = [sql for _, sql, _ in cases]
    tamper(copy, *statements)
    of_tables = {t for s in statements for t in re.findall(r"\b(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)\b(?!\.)", s)}
    expected = {promise for _, _, promises in cases for promise in promises}
    found = broken(copy)
    assert set(found) == expected | ({ROWS} if of_tables & set(TABLES) else set()), found


def test_progress_of_a_detached_charge_is_what_its_schedule_billed(book: Book, tmp_path: Path) -> None:
    stocked(book, tmp_path / "in", sold())
    plan = [("2023-01-01", 400), ("2023-05-01", 800)]
    number = scheduled(book, asked(plan, specificSubscriptions=only("C7", "C8")))
    run(book, "2023-01-31", post=True)
    assert detached(book, number, *only("C8"))["success"]
    assert failing(book) == []
    book.close()
    tamper(tmp_path / "book", "UPDATE charge_progress SET charged_through_date = charged_through_date + 1 "
           "WHERE charge_number = 'C8'")  # fmt: skip
    found = broken(tmp_path / "book")
    assert set(found) == {"lifecycle: progress", ROWS}
    assert found["lifecycle: progress"].startswith(
        "charge C8 was detached from schedule IS-00000001, which billed it up to "
    )


# --- a line that errs -------------------------------------------------------------------------------------------------


def later(copy: Path) -> dict[str, str]:
    """What a further run, in January, breaks: it bills a paused schedule, and a period of another charge."""
    with Book(copy) as book:
        plan = [("2024-01-01", 20), ("2024-06-01", 30)]
        assert statuses(book, "IS-00000004")[2] is not None
        more = annual("C10", 50, "2024-01-01", "2025-01-01")
        stocked(book, copy.parent / "later", [more])
        scheduled(book, asked(plan, specificSubscriptions=only("C10"), invoiceSeparately=False))
        assert run(book, "2024-01-31").bill_run_number == "BR-00000008"
        assert items(book, "IS-00000005")[0]["status"] in {"Processed", "Pending"}
    return broken(copy)


def test_a_run_that_does_not_err_breaks_nothing(copy: Path) -> None:
    assert later(copy) == {}


def test_a_schedule_that_the_run_forgets_is_missed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = vars(step_load)["due_schedules"]
    first = pl.Series(["IS-00000005"])
    monkeypatch.setattr(step_load, "due_schedules", lambda *args: kept(*args).among(first))
    assert later(copy) == {
        DUE: "item IS-00000004-0001 of schedule IS-00000004 was due and is not processed by BR-00000008"
    }


def test_an_item_that_is_billed_too_early_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = of_schedules._chosen
    far = date(9999, 12, 31)
    monkeypatch.setattr(of_schedules, "_chosen", lambda headers, due, _: kept(headers, due, far))
    assert later(copy) == {
        DUE: "item IS-00000005-0002 of schedule IS-00000005 is Processed by BR-00000008 and was not due"
    }


def test_a_period_that_a_schedule_bills_too_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = vars(step_load)["covered"]
    monkeypatch.setattr(step_load, "covered", lambda *args: kept(*args).head(0))
    found = later(copy)
    assert set(found) == {"partition: charges", ONCE}
    assert "which schedule IS-0000000" in found[ONCE]


def test_a_schedule_that_is_not_kept_apart_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = vars(line)["group"]
    together = pl.lit(None, dtype=pl.String).alias("invoice_schedule")
    monkeypatch.setattr(line, "group", lambda *args: kept(*args).with_columns(together))
    assert set(later(copy)) == {ATTRIBUTES}


def test_a_schedule_that_takes_its_own_for_another_ones_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It bills, and keeps nothing of it."""
    kept = of_schedules._after

    def forgetful(due: Schedules, *args: Any) -> Schedules:  # noqa: ANN401 - as it comes
        return Schedules(due.headers, kept(due, *args).items, due.charges)

    monkeypatch.setattr(of_schedules, "_after", forgetful)
    assert set(later(copy)) == {CHARGES, ITEMS, STATUS}


def test_lines_for_another_amount_than_the_item_are_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = vars(rate)["scheduled"]

    def generous(*args: Any) -> Rated:  # noqa: ANN401 - as it comes
        rated: Rated = kept(*args)
        return replace(rated, lines=rated.lines.with_columns(pl.col("amount") + 1))

    monkeypatch.setattr(rate, "scheduled", generous)
    assert set(later(copy)) == {CHARGES, ITEMS}
