"""A report's figures are those of the tables, to the cent, and nothing in the data can break its page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest
import report_world
from polars.testing import assert_frame_equal
from report_world import IMAGE, LAST, SCRIPT

from billfold import Book, bill, cancel
from billfold.errors import BillfoldError
from billfold.report import figures, page, report
from billfold.report.steps import CREDITS, DISCOUNTS, RETURNS, waterfall
from billfold.report.tables import amount, percent
from billfold.report.totals import sizes_of
from billfold.requests import RunRequest
from billfold.verify import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Command

    from billfold.report import Report

SUMS: Final = ["invoices", "credit_memos", "invoiced", "credited", "net"]
FROM_TABLES: Final = f"""
    WITH documents AS (
        SELECT currency, account_number, amount AS invoiced, 0 AS credited, 1 AS invoices, 0 AS credit_memos
        FROM invoices WHERE bill_run_number = '{LAST}'
        UNION ALL BY NAME
        SELECT currency, account_number, 0 AS invoiced, amount AS credited, 0 AS invoices, 1 AS credit_memos
        FROM credit_memos WHERE bill_run_number = '{LAST}'
    )
    SELECT currency, CAST(sum(invoices) AS BIGINT) AS invoices, CAST(sum(credit_memos) AS BIGINT) AS credit_memos,
           sum(invoiced) AS invoiced, sum(credited) AS credited, sum(invoiced) - sum(credited) AS net
    FROM documents GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 - a constant


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "book"
    report_world.make(folder)
    return folder


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[Book]:
    with Book(folder, read_only=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def last(world: Book) -> Report:
    return report(world, LAST, replay=True)


@pytest.fixture
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promises are not looked at where they are not what the test is about: that takes longest."""
    monkeypatch.setattr(figures, "verify", lambda _book, _progress: [Verdict("sums", "They add up.", "SELECT 1")])


def steps(rows: pl.DataFrame, currency: str = "EUR") -> dict[str, Decimal]:
    """The amounts of a waterfall by step."""
    return dict(rows.filter(currency=currency).select("step", "amount").iter_rows())


def test_totals_are_those_of_the_tables(world: Book, last: Report) -> None:
    told = world.sql(FROM_TABLES).with_columns(pl.col(*SUMS[2:]).cast(pl.Decimal(38, 4)))
    assert_frame_equal(last.totals.select("currency", *SUMS), told)
    assert told["net"].to_list() == [Decimal(3330), Decimal(1500), Decimal("12.345")]


@pytest.mark.parametrize("frame", ["sizes", "accounts", "groups", "sources"])
def test_every_division_of_the_documents_adds_up_to_the_totals(last: Report, frame: str) -> None:
    parts = getattr(last, frame).group_by("currency").agg(pl.col(SUMS).sum()).sort("currency")
    assert_frame_equal(parts, last.totals.select("currency", *SUMS))


def test_the_waterfall_leads_from_lines_to_documents(last: Report) -> None:
    assert steps(last.waterfall) == {
        "Recurring charges": Decimal(3370), DISCOUNTS: Decimal(-10), RETURNS: Decimal(-30),
        "Net of all lines": Decimal(3330), "On invoices": Decimal(3360), "On credit memos": Decimal(-30),
        "Parked, not billed": Decimal(-50),
    }  # fmt: skip
    ends = last.waterfall.filter(step="On credit memos").select("currency", net="end")
    assert_frame_equal(ends, last.totals.select("currency", "net"))


def test_credits_of_what_was_billed_before_are_steps_of_their_own(world: Book) -> None:
    rows = pl.DataFrame({
        "invoice_id": ["R-1"] * 4, "currency": ["EUR"] * 4, "source_type": ["SubscriptionComponent"] * 4,
        "charge_type": ["Usage", "Recurring", "Recurring", "OneTime"],
        "processing_type": ["Charge", "Charge", "Discount", "Charge"], "amount": ["7", "-40", "4", "1"],
    }).with_columns(pl.col("amount").cast(pl.Decimal(18, 4)))  # fmt: skip
    memos = world.read("credit_memo_items").clear()
    read = {"invoice_items": rows.lazy(), "credit_memo_items": memos}
    totals = pl.DataFrame({"currency": ["EUR"], "invoices": [1], "credit_memos": [0], "invoiced": [Decimal(-28)],
                           "credited": [Decimal(0)]})  # fmt: skip
    owed = pl.DataFrame(schema={"currency": pl.String, "lines": pl.Int64, "amount": pl.Decimal(38, 4)})
    found = steps(waterfall(read.__getitem__, "R", totals, owed))
    assert (found["Usage charges"], found["One-time charges"]) == (Decimal(7), Decimal(1))
    assert (found[CREDITS], found["Net of all lines"]) == (Decimal(-36), Decimal(-28))


def test_documents_are_counted_by_size_in_classes_of_1_2_5(last: Report) -> None:
    euros = last.sizes.filter(pl.col("currency") == "EUR", pl.col("invoices") + pl.col("credit_memos") > 0)
    counted = {(int(a), int(b)): (i, m) for a, b, i, m in euros.select(pl.nth(1, 2, 3, 4)).iter_rows()}
    assert counted == {(0, 20): (1, 0), (20, 50): (0, 1), (50, 100): (2, 0), (100, 200): (22, 0), (1000, 2000): (1, 0)}


def test_sizes_that_lie_far_apart_are_counted_by_powers_of_ten() -> None:
    amounts = [Decimal("0.01"), Decimal("9.99"), Decimal(10), Decimal(1_000_000)]
    documents = pl.DataFrame({"currency": "EUR", "kind": "invoice", "amount": amounts, "net": amounts})
    found = sizes_of(documents.with_columns(pl.col("amount", "net").cast(pl.Decimal(38, 4))))
    assert found.filter(pl.col("invoices") > 0)["at_least"].to_list() == [
        Decimal(p) for p in ("0.01", "1", "10", "1000000")
    ]
    assert found["below"].to_list()[-1] == Decimal(10_000_000)


def test_changes_lead_from_one_run_to_the_next(last: Report) -> None:
    assert last.previous is not None
    assert last.previous["bill_run_number"] == "BR-00000003"
    assert last.changes is not None
    assert steps(last.changes.bridge) == {
        "Net before": Decimal(2490),
        "Accounts not billed this time": Decimal(-100),
        "Accounts billed less": Decimal(-30),
        "Accounts billed more": Decimal(900),
        "Accounts not billed last time": Decimal(70),
        "Net now": Decimal(3330),
    }
    moved = last.changes.movers.select("account_number", "change", "difference").rows()
    assert moved == [("new", "new", Decimal(70)), ("gone", "gone", Decimal(-100)), ("A-05", "changed", Decimal(900)),
                     ("A-09", "changed", Decimal(-30))]  # fmt: skip
    nets = last.changes.amounts.filter(measure="net").select("currency", "before", "now").rows()
    assert nets == [("EUR", Decimal(2490), Decimal(3330)), ("JPY", Decimal(1500), Decimal(1500)),
                    ("KWD", Decimal("12.345"), Decimal("12.345"))]  # fmt: skip
    assert last.history.filter(currency="EUR")["bill_run_number"].to_list() == [f"BR-0000000{n}" for n in (1, 2, 3, 4)]


def test_unusual_bills_are_found_with_their_reasons(last: Report) -> None:
    assert last.unusual.select("kind", "account_number").rows() == [
        ("own", "A-05"),
        ("large", "A-05"),
        ("zero", "A-07"),
    ]
    told = page(last)
    assert "10 times the middle of its earlier bills, EUR\N{NO-BREAK SPACE}100.00" in told
    assert "10 times the run&#x27;s middle invoice, EUR\N{NO-BREAK SPACE}100.00" in told
    assert "1 document of nothing" in told


def test_parked_accounts_have_a_reason_and_what_they_owe(last: Report) -> None:
    row = last.parked.row(0, named=True)
    assert (row["account_number"], row["currency"], row["amount"], row["is_whole"]) == ("parked", "EUR", -50, True)
    assert "sales that net negative" in row["reason"]


def test_promises_and_the_replay_are_told_first(last: Report) -> None:
    assert last.holds
    told = page(last)
    assert f"All {len(last.verdicts)} of {len(last.verdicts)} promises hold over the whole book." in told
    assert "every table of the run is the same, byte by byte" in told
    assert told.index('id="totals"') < told.index('id="promises"') < told.index('id="waterfall"')


@pytest.mark.usefixtures("unproved")
def test_equal_books_give_equal_bytes(world: Book) -> None:
    assert page(report(world, LAST)) == page(report(world, LAST))


@pytest.mark.parametrize("hostile", [SCRIPT, IMAGE.split("&", maxsplit=1)[0], f"</svg>{SCRIPT}"])
def test_nothing_from_the_data_is_markup(last: Report, hostile: str) -> None:
    told = page(last)
    assert hostile not in told
    assert "alert(1)" in told  # it is there, as text
    assert "<script" not in told
    assert "<img" not in told
    assert "\u202e" not in told  # it would turn the text behind it around


def test_the_page_names_no_address_that_a_browser_would_ask(last: Report) -> None:
    told = page(last)
    assert [a for a in ("http:", "https:", "url(", "@import", "src=") if a in told.replace("src=x onerror", "")] == []
    assert "default-src 'none'" in told.replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        ("1234567.0000", "JPY", "1,234,567"), ("12.3450", "KWD", "12.345"),
        ("-1234.5000", "EUR", "\N{MINUS SIGN}1,234.50"),
        ("0.0000", "EUR", "0.00"), ("0.1250", "EUR", "0.125"), ("5.0000", "CLF", "5.0000"),
    ],
)  # fmt: skip
def test_amounts_have_the_decimals_of_their_currency(value: str, currency: str, shown: str) -> None:
    assert amount(Decimal(value), currency) == shown


def test_a_share_of_nothing_is_not_told() -> None:
    assert [percent(1, 0), percent(1, 3), percent(-2, 1)] == ["", "33.3 %", "\N{MINUS SIGN}200.0 %"]


@pytest.mark.usefixtures("unproved")
def test_a_first_run_has_nothing_to_be_compared_with(world: Book) -> None:
    first = report(world, "BR-00000001")
    assert (first.previous, first.changes, first.unusual.filter(kind="own").height) == (None, None, 0)
    told = page(first)
    assert "There is no earlier run of this kind to compare with." in told
    assert "All documents are final." in told
    assert "No account is parked." in told


@pytest.mark.usefixtures("unproved")
def test_runs_of_other_kinds_and_fates_read_right(folder: Path, tmp_path: Path) -> None:
    """Drafts and canceled runs, and those that park accounts without a document or are for some accounts only."""
    shutil.copytree(folder, tmp_path / "book")
    may = date(2024, 5, 1)
    with Book(tmp_path / "book") as book:
        assert "All documents are drafts" in page(report(book, LAST))
        one = bill(book, RunRequest(target_date=may, invoice_date=may, accounts=("A-05", SCRIPT)))
        some = report(book, str(one.bill_run_number))
        assert some.previous is None  # no run before was for these two
        assert "accounts A-05, &lt;script&gt;" in page(some)
        cancel(book, str(one.bill_run_number))
        assert "It was canceled" in page(report(book, str(one.bill_run_number)))
        bill(book, RunRequest(target_date=may, invoice_date=may))
        assert report(book, "BR-00000006").history["bill_run_number"].unique().len() == 5
        cancel(book, "BR-00000006")
        cancel(book, LAST)  # so that the next one parks the account anew
        asked = RunRequest(target_date=date(2024, 4, 1), invoice_date=may, subscriptions=False, accounts=("parked",))
        none = report(book, str(bill(book, asked).bill_run_number))
    told = page(none)
    assert "The run made no documents." in told
    assert steps(none.waterfall) == {"Parked, not billed": Decimal(-50)}


def test_a_broken_promise_is_told_with_what_breaks_it(last: Report) -> None:
    broken = Verdict("sums", "They add up.", "SELECT 1", pl.DataFrame({"broken": ["INV1 is <b>off</b>"]}), 1)
    told = page(replace(last, verdicts=(broken, *last.verdicts)))
    assert f"{len(last.verdicts)} of {len(last.verdicts) + 1} promises hold" in told
    assert "INV1 is &lt;b&gt;off&lt;/b&gt;" in told


def test_there_is_no_report_of_an_unknown_run(world: Book) -> None:
    with pytest.raises(BillfoldError, match="There is no bill run BR-9"):
        report(world, "BR-9")


@pytest.mark.usefixtures("unproved")
def test_the_command_writes_a_file_beside_where_it_is_called(quick: Command, folder: Path, tmp_path: Path) -> None:
    done = quick("--book", folder, "report", LAST)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == f"{LAST}.html: {LAST}, Completed"
    assert (tmp_path / f"{LAST}.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert quick("--book", folder, "report", LAST, "--out", "again.html").code == 0
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / f"{LAST}.html").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{LAST}.html", "again.html"]


@pytest.mark.usefixtures("unproved")
def test_json_has_the_figures_and_writes_nothing(quick: Command, folder: Path, tmp_path: Path) -> None:
    told = quick("--book", folder, "report", LAST, "--json").json()
    assert told["totals"][0]["net"] == "3330.0000"
    assert told["promises"] == [{"promise": "sums", "holds": True, "broken": 0, "rows": []}]
    assert [m["account_number"] for m in told["changes"]["movers"]] == ["new", "gone", "A-05", "A-09"]
    assert list(tmp_path.iterdir()) == []
    assert quick("--book", folder, "report", LAST, "--json", "--out", "x.html").code == 2


@pytest.mark.usefixtures("unproved")
def test_what_cannot_be_written_is_said_in_one_sentence(quick: Command, folder: Path, tmp_path: Path) -> None:
    done = quick("--book", folder, "report", LAST, "--out", "nowhere/x.html")
    assert (done.code, done.err) == (1, "billfold: nowhere/x.html can't be written: No such file or directory.\n")
    (tmp_path / "taken").mkdir()
    assert quick("--book", folder, "report", LAST, "--out", "taken").code == 1
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_a_broken_promise_makes_the_command_fail_after_writing(
    quick: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "verify", lambda _book, _progress: [Verdict("sums", "They add up.", "", count=2)])
    done = quick("--book", folder, "report", LAST)
    assert (done.code, "1 promise is broken" in done.out) == (1, True)
    assert (tmp_path / f"{LAST}.html").exists()
