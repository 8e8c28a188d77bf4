"""`verify` finds nothing in books that billfold made, and names the promise that is broken on purpose.

Breaking comes in two kinds: the book is changed past billfold, and the line is made to err, so that its own checks find
nothing and only a second reckoning can.
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl
import pytest
from books import Shelf, asked, load_more
from histories import Step, histories
from hypothesis import HealthCheck, Phase, given, settings
from inputs import row, write_rows

from billfold import Book, bill, lifecycle, post, run
from billfold import settings as rules
from billfold.book import lake, layout, store
from billfold.configure import configure
from billfold.contracts import TABLES, keys
from billfold.errors import BookError
from billfold.grouping import from_file
from billfold.intake import load
from billfold.lines import PROGRESS
from billfold.rating.amounts import Money
from billfold.replay import replay
from billfold.requests import RunRequest
from billfold.steps import rate
from billfold.verify import SHOWN, Verdict, promises, verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DATA: Final = Path(__file__).parents[1] / "data"
SENT: Final = {"item_state": "SentToBilling", "bill_target_date": "2024-02-01", "account_number": "shop"}
ROWS: Final = "unchanged: rows"
FILES: Final = "unchanged: files"
CHAINS: Final = "unchanged: chains"


# --- books ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bit of everything: runs that are posted, in part, not, and canceled; credits, usage, a parked account."""
    folder = tmp_path_factory.mktemp("filled")
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        load(book, [str(DATA / "saas" / "start")])
        load(book, [str(shop(folder / "shop"))])
        bill(book, asked(date(2024, 2, 15)), post=True)
        load(book, [str(DATA / "saas" / "february")])
        later = bill(book, asked(date(2024, 3, 1))).bill_run_number
        assert later is not None
        post(book, later, documents=[f"{later}-000001"])
        load(book, [str(lines(folder / "more", row("order_line_items", "9", **SENT)))])
        lifecycle.cancel(book, str(bill(book, asked(date(2024, 3, 2))).bill_run_number))
        bill(book, asked(date(2024, 3, 2)))
    return folder / "book"


def shop(folder: Path) -> Path:
    """An account with sales in two groups and a return, and one whose sales net negative, which parks it."""
    accounts = [
        row("accounts", "shop", currency="EUR", payment_term=" Net 30", bill_to_contact="Ray"),
        row("accounts", "owing", currency="EUR"),
    ]
    write_rows(folder / "accounts.csv", accounts)
    sold = [
        row("order_line_items", "1", **SENT, amount_per_unit="3.335", quantity="3", bill_to_contact="Ray",
            invoice_group_number="G"),
        row("order_line_items", "2", **SENT, list_price_per_unit="9.99", discount_type="Percentage", discount="12.5",
            amount_per_unit="", invoice_group_number=" g "),
        row("order_line_items", "3", **SENT, invoice_group_number=" PO #1"),
        row("order_line_items", "4", **SENT, invoice_group_number="po #1", invoice_owner_account_number="blue",
            currency="CHF"),
        row("order_line_items", "5", **SENT, item_category="Return", invoice_group_number="PO #1"),
        row("order_line_items", "6", **{**SENT, "account_number": "owing"}, amount_per_unit="-5"),
        row("order_line_items", "7", **{**SENT, "bill_target_date": "2024-09-01"}),
    ]  # fmt: skip
    return lines(folder, *sold)


def lines(folder: Path, *rows: Mapping[str, Any]) -> Path:
    write_rows(folder / "order_line_items.csv", rows)
    return folder


@pytest.fixture
def copy(filled: Path, tmp_path: Path) -> Path:
    return shutil.copytree(filled, tmp_path / "book")


def verdicts(folder: Path) -> dict[str, Verdict]:
    with Book(folder, read_only=True) as book:
        return {v.promise: v for v in verify(book)}


def broken(folder: Path) -> dict[str, str]:
    """The promises that do not hold, with the first sentence about each."""
    return {name: v.broken["broken"][0] for name, v in verdicts(folder).items() if not v.holds}


def change(folder: Path, *statements: str) -> None:
    """SQL on the book past billfold."""
    with closing(lake.attach(folder)) as connection:
        for statement in statements:
            connection.execute(statement)


# --- books that billfold made -----------------------------------------------------------------------------------------


def test_a_book_of_every_kind_of_run_keeps_every_promise(filled: Path) -> None:
    with Book(filled, read_only=True) as book:
        statuses = book.sql("SELECT status FROM bill_runs ORDER BY bill_run_number")["status"].to_list()
        counts = book.sql("SELECT * FROM (SELECT count(*) AS memos FROM credit_memos), (SELECT count(*) AS credits "
                          "FROM credit_memo_items WHERE applied_to_item_id IS NOT NULL), (SELECT count(*) AS parked "
                          "FROM parked_accounts), (SELECT count(*) AS used FROM processed_usage)").row(0)  # fmt: skip
    assert statuses == ["Posted", "Completed", "Canceled", "Completed"]
    assert all(counts)
    assert broken(filled) == {}


def test_an_empty_book_keeps_every_promise(book: Book) -> None:
    assert [v.promise for v in verify(book) if not v.holds] == []


def test_a_migrated_book_is_checked_from_there_on(copy: Path) -> None:
    """Runs of older versions are left out where their snapshots are needed, and the verdict counts them."""
    change(copy, "UPDATE bill_runs SET billfold_version = NULL", "DELETE FROM billfold.contents")
    with closing(lake.attach(copy)) as connection:
        layout._begin_chains(connection)
        connection.execute("UPDATE billfold.head SET version = version + 1")
    found = verdicts(copy)
    assert {name: v.broken["broken"][0] for name, v in found.items() if not v.holds} == {}
    assert {v.left_out for v in found.values()} == {0, 4}
    change(copy, "UPDATE accounts SET name = 'Acne Ltd' WHERE account_number = 'acme'")
    assert set(broken(copy)) == {ROWS}


@pytest.mark.parametrize(
    "case", ["cig-uc4-s2-different-field-names", "ig-ex1-subscriptions", "num-collision-together", "num-yyyymm"]
)
def test_an_example_keeps_every_promise(case: str, book: Book) -> None:
    folder = DATA / "examples" / case
    if (folder / "settings.toml").exists():
        rules.change(book, rules.from_toml(folder / "settings.toml"))
    load(book, [str(folder)])
    if (folder / "invoice_group.json").exists():
        configure(book, from_file(folder / "invoice_group.json"))
    target = date.fromisoformat(json.loads((folder / "expected.json").read_text(encoding="utf-8"))["target_date"])
    bill(book, asked(target))
    assert [(v.promise, v.broken["broken"][0]) for v in verify(book) if not v.holds] == []


@pytest.mark.parametrize("case", ["ALIGN-CHARGE-1", "ALIGN-SUB-4WEEK"])
def test_a_rated_example_keeps_every_promise(case: str, book: Book) -> None:
    folder = DATA / "rating_examples" / case
    (told,) = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["books"]
    for step in told["steps"]:
        load(book, [str(folder / step["load"])])
        bill(book, RunRequest(**{k: v for k, v in step["run"].items() if k in RunRequest.model_fields}))
    assert book.sql("SELECT count(*) FROM invoice_items").item()
    assert [(v.promise, v.broken["broken"][0]) for v in verify(book) if not v.holds] == []


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@settings(
    max_examples=2, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],
)  # fmt: skip
@given(steps=histories(runs=(3,)))
def test_a_history_keeps_every_promise(shelf: Shelf, steps: Sequence[Step]) -> None:
    """The middle run is canceled where it can be; the others are posted in turn, or stay drafts."""
    with shelf.holding(steps[0].rows) as book:
        for place, step in enumerate(steps):
            load_more(book, {} if step.is_first else step.changed)
            made = bill(book, asked(step.target), post=place == 0).bill_run_number
            if place == 1 and made:
                lifecycle.cancel(book, made)
        assert [(v.promise, v.broken["broken"][0]) for v in verify(book) if not v.holds] == []


# --- changes past billfold --------------------------------------------------------------------------------------------

CASES: Final[Sequence[tuple[str, str, set[str]]]] = (
    (
        "an item is doubled",
        "INSERT INTO invoice_items SELECT * FROM invoice_items WHERE order_number = 'O-1' AND item_number = '1'",
        {"once: ids", "once: order lines", "partition: items", "sums: accounts", "sums: headers"},
    ),
    (
        "an item is dropped",
        "DELETE FROM invoice_items WHERE order_number = 'O-1' AND item_number = '1'",
        {"partition: items", "partition: order lines", "sums: accounts", "sums: headers"},
    ),
    (
        "a document is dropped",
        "DELETE FROM invoices WHERE invoice_group_number = 'G'",
        {"numbers: gapless", "partition: documents", "partition: items", "sums: accounts", "sums: runs"},
    ),
    (
        "an item is on no document",
        "UPDATE invoice_items SET account_number = 'acme' WHERE order_number = 'O-1' AND item_number = '1'",
        {"partition: items", "partition: order lines", "sums: accounts"},
    ),
    (
        "a header's sum is changed",
        "UPDATE invoices SET amount = amount + 0.01 WHERE invoice_id = 'BR-00000001-000001'",
        {"sums: accounts", "sums: headers", "sums: runs"},
    ),
    (
        "a cent moves from one line to another",
        """UPDATE invoice_items SET amount = amount + CASE item_number WHEN '1' THEN 0.01 ELSE -0.01 END WHERE
        order_number = 'O-1' AND item_number IN ('1', '2')""",
        {"amounts: order lines"},
    ),
    (
        "a charge's price is changed",
        "UPDATE invoice_items SET unit_price = unit_price + 1 WHERE charge_number = 'acme-setup'",
        {"amounts: charges"},
    ),
    (
        "a part of a period costs more than the whole",
        """UPDATE invoice_items SET amount = amount + 1000 WHERE charge_name = 'Platform Proration'; UPDATE
        invoices SET amount = amount + 1000 WHERE invoice_id IN (SELECT invoice_id FROM invoice_items WHERE
        charge_name = 'Platform Proration'); UPDATE bill_runs SET amounts = replace(amounts, '1397.48',
        '2397.48') WHERE bill_run_number = 'BR-00000001'""",
        {"amounts: charges"},
    ),
    (
        "an amount is finer than its currency",
        """UPDATE invoice_items SET amount = amount + CASE item_number WHEN '1' THEN 0.001 ELSE -0.001 END WHERE
        order_number = 'O-1' AND item_number IN ('1', '2')""",
        {"amounts: order lines", "sums: minor units"},
    ),
    (
        "more is used than was recorded",
        "UPDATE invoice_items SET quantity = quantity + 1 WHERE charge_number = 'acme-calls' AND quantity = 11500",
        {"amounts: usage"},
    ),
    (
        "a charge is billed a day too far",
        """UPDATE invoice_items SET service_end_date = service_end_date + 1 WHERE charge_number = 'acme-seats' AND
        service_end_date = DATE '2024-02-29'""",
        {"once: charges", "partition: charges"},
    ),
    (
        "a day is billed twice",
        """UPDATE invoice_items SET service_end_date = service_end_date + 1 WHERE charge_name = 'Seats Proration'
        AND service_end_date = DATE '2024-01-31'""",
        {"once: charges", "partition: charges"},
    ),
    (
        "an order line is on two items",
        "UPDATE invoice_items SET item_number = '1' WHERE order_number = 'O-1' AND item_number = '2'",
        {"amounts: order lines", "once: order lines", "partition: order lines"},
    ),
    (
        "a usage record is billed by two runs",
        """INSERT INTO processed_usage SELECT * REPLACE ('BR-00000002' AS bill_run_number) FROM processed_usage
        WHERE usage_id = 'u-1'""",
        {"once: usage"},
    ),
    (
        "a run reports another sum",
        """UPDATE bill_runs SET amounts = replace(amounts, '"EUR"', '"GBP"') WHERE bill_run_number = 'BR-00000001'""",
        {"sums: runs"},
    ),
    (
        "a run reports more accounts",
        """UPDATE bill_runs SET accounts_nothing_due = accounts_nothing_due + 1 WHERE bill_run_number =
        'BR-00000001'""",
        {"sums: accounts of runs"},
    ),
    (
        "a parked account is forgotten",
        "DELETE FROM parked_accounts WHERE bill_run_number = 'BR-00000001'",
        {"partition: order lines", "sums: runs"},
    ),
    (
        "a document's contact is another one",
        """UPDATE invoices SET bill_to_contact = 'Roy' WHERE invoice_id = (SELECT min(invoice_id) FROM invoices
        WHERE bill_to_contact = 'Ray')""",
        {"one value: attributes", "one value: headers"},
    ),
    (
        "a group key says what the header does not",
        """UPDATE invoices SET group_key = replace(group_key, '"communication_profile":null',
        '"communication_profile":"P"') WHERE invoice_id = 'BR-00000001-000001'""",
        {"one value: headers"},
    ),
    (
        "a group key has another invoice_separately",
        """UPDATE invoices SET group_key = replace(group_key, '"invoice_separately":null',
        '"invoice_separately":"S"') WHERE invoice_group_number = 'PO #1' AND account_number = 'shop'""",
        {"one value: attributes"},
    ),
    (
        "a group key has another origin",
        """UPDATE invoices SET group_key = replace(group_key, '"origin":null', '"origin":"Order"') WHERE
        invoice_group_number = 'PO #1' AND account_number = 'shop'""",
        {"one value: attributes"},
    ),
    (
        "a group key has another ungrouped",
        """UPDATE invoices SET group_key = replace(group_key, '"ungrouped":null', '"ungrouped":"{}"') WHERE
        invoice_group_number = 'PO #1' AND account_number = 'shop'""",
        {"one value: attributes"},
    ),
    (
        "two documents have one group key",
        """UPDATE invoices SET group_key = (SELECT min(group_key) FROM invoices WHERE account_number = 'shop' AND
        bill_run_number = 'BR-00000001') WHERE account_number = 'shop' AND bill_run_number = 'BR-00000001'""",
        {"no needless split", "one value: attributes", "one value: headers"},
    ),
    (
        "group values appear where nothing is configured",
        """UPDATE invoices SET invoice_group_value = 'IT', group_key = replace(group_key,
        '"invoice_group_value":null', '"invoice_group_value":"[\\"IT\\"]"') WHERE invoice_id =
        'BR-00000001-000001'""",
        {"one value: configured fields"},
    ),
    (
        "a number is skipped",
        """UPDATE invoices SET invoice_number = 'INV00000099' WHERE invoice_number = (SELECT max(invoice_number)
        FROM invoices WHERE status = 'Posted')""",
        {"numbers: gapless"},
    ),
    (
        "two numbers are exchanged",
        """UPDATE invoices SET invoice_number = CASE invoice_number WHEN 'INV00000001' THEN 'INV00000002' ELSE
        'INV00000001' END WHERE invoice_number IN ('INV00000001', 'INV00000002')""",
        {"numbers: in order"},
    ),
    (
        "a counter is set back",
        "UPDATE billfold.counters SET value = value - 1 WHERE name = 'CM'",
        {"numbers: gapless"},
    ),
    (
        "a draft has a final number",
        "UPDATE invoices SET invoice_number = 'INV00000099' WHERE bill_run_number = 'BR-00000004'",
        {"numbers: drafts and documents"},
    ),
    (
        "a draft has a due date",
        "UPDATE invoices SET due_date = DATE '2024-04-01' WHERE bill_run_number = 'BR-00000004'",
        {"numbers: drafts and documents"},
    ),
    (
        "an invoice is due a day later",
        "UPDATE invoices SET due_date = due_date + 1 WHERE invoice_id = 'BR-00000001-000001'",
        {"numbers: drafts and documents"},
    ),
    (
        "a run is taken away",
        "DELETE FROM bill_runs WHERE bill_run_number = 'BR-00000003'",
        {"lifecycle: runs and documents", "numbers: runs", "sums: runs"},
    ),
    (
        "a run says that it is posted",
        "UPDATE bill_runs SET status = 'Posted' WHERE bill_run_number = 'BR-00000004'",
        {"lifecycle: runs and documents"},
    ),
    (
        "a canceled document counts again",
        "UPDATE invoices SET status = 'Draft' WHERE bill_run_number = 'BR-00000003'",
        {"lifecycle: runs and documents", "once: order lines"},
    ),
    (
        "progress counts a canceled run",
        "UPDATE charge_progress SET bill_run_number = 'BR-00000003' WHERE charge_number = 'acme-platform'",
        {"lifecycle: progress"},
    ),
    (
        "progress is behind the items",
        """UPDATE charge_progress SET charged_through_date = charged_through_date - 1 WHERE charge_number =
        'acme-platform'""",
        {"lifecycle: progress"},
    ),
    (
        "a schedule does not add up",
        """INSERT INTO invoice_schedules BY NAME SELECT 'IS-1' AS number, 'shop' AS account_number, 100 AS
        total_amount, 100 AS actual_amount, 60 AS billed_amount, 39.99 AS unbilled_amount, TRUE AS
        invoice_separately""",
        {"schedules"},
    ),
    (
        "an account's name is changed",
        "UPDATE accounts SET name = 'Acne Ltd' WHERE account_number = 'acme'",
        set(),
    ),
    (
        "a setting is slipped in",
        "INSERT INTO settings VALUES ('credit_wording', 'no')",
        set(),
    ),
)
"""What is changed, how, and what breaks besides the record of the table."""

TOGETHER: Final = 9


@pytest.mark.parametrize("nth", range(TOGETHER))
def test_changes_past_billfold_break_what_they_touch_and_nothing_else(nth: int, copy: Path) -> None:
    """Several at once, of different things, for speed. A changed table no longer is what its history says, either."""
    cases = CASES[nth::TOGETHER]
    statements = [sql for _, sql, _ in cases]
    expected = {promise for _, _, promises_ in cases for promise in promises_}
    change(copy, *statements)
    told = verdicts(copy)
    found = {name: v.broken["broken"][0] for name, v in told.items() if not v.holds}
    changed = {t for s in statements for t in re.findall(r"\b(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)\b(?!\.)", s)}
    with_rows = {ROWS} if changed & set(TABLES) else set()
    assert set(found) == expected | with_rows, found
    of_rows = told[ROWS].broken["broken"].to_list()
    assert {t for t in TABLES if any(said.startswith(f"{t} ") for said in of_rows)} == changed & set(TABLES)


def test_a_flipped_byte_of_a_file_is_found_and_named(copy: Path) -> None:
    path = min((copy / "data" / "main" / "parked_accounts").glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    found = verdicts(copy)
    assert not found[FILES].holds
    assert path.name in found[FILES].broken["broken"][0]


def test_a_lost_file_is_a_verdict_and_no_crash(copy: Path) -> None:
    path = min((copy / "data" / "main" / "processed_usage").glob("*.parquet"))
    path.unlink()
    found = verdicts(copy)
    assert found[FILES].broken["broken"][0].endswith("is lost or can't be read")
    assert found["once: usage"].broken["broken"][0].startswith("This can't be checked: ")
    assert found["sums: headers"].holds, "what has nothing to do with the file is checked all the same"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billfold.contents SET row_count = row_count + 1 WHERE table_name = 'usage' AND version = 1",
        "UPDATE billfold.contents SET message = 'load' WHERE table_name = 'bill_runs' AND version = 3",
        "UPDATE billfold.contents SET chain = sha256('') WHERE table_name = 'bill_runs' AND version = 3",
        "UPDATE billfold.head SET digest = sha256('another')",
        "UPDATE billfold.head SET version = 2",
        "INSERT INTO billfold.head FROM billfold.head",
        "UPDATE bill_runs SET fingerprint = sha256('another') WHERE bill_run_number = 'BR-00000002'",
        "UPDATE bill_runs SET request = replace(request, ':', ': ') WHERE bill_run_number = 'BR-00000002'",
    ],
)
def test_an_edited_record_does_not_hang_together(statement: str, copy: Path) -> None:
    change(copy, statement)
    assert CHAINS in broken(copy)


def test_a_forged_file_with_a_forged_record_contradicts_the_chain(copy: Path) -> None:
    path = min((copy / "data" / "main" / "parked_accounts").glob("*.parquet"))
    forged = pl.read_parquet(path).with_columns(reason=pl.lit("no reason"))
    path.chmod(0o600)
    lake.write(forged, path)
    with closing(duckdb.connect()) as connection:
        digest = connection.execute("SELECT sha256(content) FROM read_blob(?)", [str(path)]).fetchall()[0][0]
    change(copy, f"UPDATE billfold.contents SET sha256 = '{digest}' WHERE file = 'main/parked_accounts/{path.name}'")  # noqa: S608
    assert CHAINS in broken(copy)


def test_a_file_outside_the_book_is_never_read(copy: Path) -> None:
    change(copy, "UPDATE billfold.contents SET file = '../../etc/passwd' WHERE table_name = 'parked_accounts'")
    assert "lost" in broken(copy)[FILES]


# --- a line that errs -------------------------------------------------------------------------------------------------


def billed(copy: Path) -> dict[str, str]:
    """What a further run, in May, breaks."""
    with Book(copy) as book:
        load(book, [str(lines(copy.parent / "last", row("order_line_items", "10", **SENT, quantity="2"),
                              row("order_line_items", "11", **SENT, bill_to_contact="Roy")))])  # fmt: skip
        assert bill(book, asked(date(2024, 5, 1))).bill_run_number == "BR-00000005"
    return broken(copy)


def test_a_line_that_does_not_err_breaks_nothing(copy: Path) -> None:
    assert billed(copy) == {}


def test_an_order_line_that_the_line_forgets_is_missed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = rate._order_lines
    monkeypatch.setattr(rate, "_order_lines", lambda *args: kept(*args).filter(pl.col("item_number") != "10"))
    assert billed(copy) == {"partition: order lines": "order line O-1 10 of shop was due and is not on BR-00000005"}


def test_a_period_that_the_line_forgets_is_missed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress does not mention it either, so that the next run would bill it: but this one was to."""
    kept = vars(rate)["due"]
    lost = (pl.col("service_start") == date(2024, 5, 1)) & (pl.col("charge_number") == "acme-seats")
    monkeypatch.setattr(rate, "due", lambda *args: kept(*args).filter(~lost))
    found = billed(copy)
    assert set(found) == {"partition: charges", "partition: nothing left"}
    assert "acme-seats" in found["partition: charges"]


def test_progress_that_runs_ahead_of_the_items_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = rate._progress
    ahead = pl.col("charged_through_date").dt.offset_by("1d").alias("charged_through_date")
    monkeypatch.setattr(rate, "_progress", lambda *args: kept(*args).with_columns(ahead).select(PROGRESS.names()))
    assert set(billed(copy)) == {"lifecycle: progress"}


def test_amounts_that_the_line_rounds_wrongly_are_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Money.rounded
    monkeypatch.setattr(Money, "rounded", lambda self, wide: kept(self, wide) + pl.lit("0.01").cast(pl.Decimal(18, 4)))
    assert {"amounts: order lines", "amounts: charges"} <= set(billed(copy))


def test_lines_that_the_line_groups_wrongly_are_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = vars(run)["group"]
    monkeypatch.setattr(run, "group", lambda *args: kept(*args).with_columns(bill_to_contact=pl.lit("Ray")))
    assert set(billed(copy)) == {"one value: attributes"}


def test_lines_that_the_line_splits_for_nothing_are_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = vars(run)["group"]
    alone = pl.struct("order_number", "item_number").struct.json_encode()
    monkeypatch.setattr(run, "group", lambda *args: kept(*args).with_columns(ungrouped=alone))
    assert set(billed(copy)) == {"one value: attributes"}


# --- what verify is ---------------------------------------------------------------------------------------------------


def test_every_promise_says_what_it_proves_and_is_a_query() -> None:
    assert all(p.says.endswith((".", ")", "…")) and len(p.says.split()) > 6 for p in promises())
    bare = [re.sub(r"FROM (\(\$\w+\)|\$\w+)", "FROM usage", p.query) for p in promises()]
    assert all(duckdb.extract_statements(query)[0].type == duckdb.StatementType.SELECT for query in bare)
    assert len({p.name for p in promises()}) == len(promises())


def test_every_table_is_looked_through_for_equal_ids() -> None:
    (query,) = (p.query for p in promises() if p.name == "once: ids")
    told = {t.group(1): t.group(2) for t in re.finditer(r"SELECT '(\w+)'(?: AS what)?, (.+?)(?: AS id)?, count", query)}
    both = {"documents": ("invoices", "credit_memos"), "items": ("invoice_items", "credit_memo_items")}
    assert {t for name in told for t in both.get(name, (name,))} == set(TABLES)
    assert all(k in told[t] for t in told if t not in both for k in keys(TABLES[t]))


def test_verdicts_show_some_rows_and_count_all(copy: Path) -> None:
    many = "SELECT unnest(range(50))::VARCHAR AS usage_id, 'BR-00000001', 'acme', 'acme-calls', 9, DATE '2024-01-01'"
    change(copy, f"INSERT INTO processed_usage {many}")
    verdict = verdicts(copy)["once: usage"]
    assert (verdict.count, verdict.broken.height, verdict.holds) == (50, SHOWN, False)


def test_verify_shares_no_code_with_the_line() -> None:
    source = (Path(store.__file__).parents[1] / "verify.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^\s*from (billfold[\w.]*) import", source, re.MULTILINE))
    assert imported == {"billfold.book", "billfold.book.lake", "billfold.contracts"}


def test_a_book_that_changes_meanwhile_is_seen_as_it_was(copy: Path) -> None:
    """Another process commits between two promises: its documents are in none of them."""
    shares: list[float] = []

    def commit(step: str, share: float) -> None:
        if step == "checking invoices":
            change(copy, "DELETE FROM invoice_items")
        shares.append(share)

    with Book(copy, read_only=True) as book:
        assert [v.promise for v in verify(book, commit) if not v.holds] == []
    assert shares == sorted(shares)
    assert "sums: headers" in broken(copy)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE accounts DROP COLUMN communication_profile",
        "ALTER TABLE accounts RENAME COLUMN name TO title",
        "DROP TABLE late_usage",
        "CREATE VIEW everyone AS FROM accounts",
        "CREATE MACRO hash(p0) AS 1",
    ],
)
def test_what_is_dropped_or_stands_in_for_something_else_is_named(statement: str, copy: Path) -> None:
    change(copy, statement)
    assert "unchanged: tables" in broken(copy)


def test_a_book_whose_snapshots_were_expired_can_not_be_followed_and_says_so(copy: Path) -> None:
    change(copy, "CALL ducklake_expire_snapshots('book', older_than => now()::TIMESTAMP + INTERVAL 1 DAY)")
    assert broken(copy)
    with Book(copy, read_only=True) as book, pytest.raises(BookError, match="does not keep its snapshot"):
        replay(book, "BR-00000001")


def test_a_book_of_an_older_version_is_to_be_migrated_first(copy: Path) -> None:
    change(copy, "UPDATE billfold.head SET schema_version = 2")
    with Book(copy, read_only=True) as book:
        for prove in (verify, lambda opened: replay(opened, "BR-00000001")):
            with pytest.raises(BookError, match=r"older version 2: `billfold migrate`"):
                prove(book)
