"""`grouping diff` as a user types it, and the same from Python: documented examples, schedules, drafts, refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from inputs import state, write_rows
from test_examples import expected_of, set_up
from test_schedule_cli import HALVES, SHOP

from billfold import Book, bill, create_schedule
from billfold.configure import configure
from billfold.errors import BillfoldError
from billfold.grouping import InvoiceGroup, from_file
from billfold.intake import load
from billfold.requests import RunRequest
from billfold.whatif import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Command, Outcome

Json = dict[str, Any]

CASE: Final = "cig-uc4-s2-different-field-names"
UPSTREAM: Final = {
    "cig-uc1-chargetype": ("split", 1, 2),
    "cig-uc2-custom-field": ("split", 1, 2),
    "cig-uc3-charges-and-olis": ("split", 1, 2),
    "cig-uc4-s1-region": ("unchanged", 1, 1),
    "cig-uc4-s2-different-field-names": ("split", 1, 2),
}
"""What the configuration of each documented example does to the document that there is without it."""

FEBRUARY: Final = RunRequest(target_date=date(2024, 2, 1), invoice_date=date(2024, 2, 1))
DATES: Final = ("--target-date", "2024-02-01", "--invoice-date", "2024-02-01")


def by(*fields: str) -> InvoiceGroup:
    """A configuration by fields of order lines, or of subscriptions and charges where their object is said."""
    sides: dict[str, list[Json]] = {"subscriptionGroup": [], "orderLineItemGroup": []}
    for field in fields:
        object_type, _, name = field.rpartition(".")
        side = "subscriptionGroup" if object_type else "orderLineItemGroup"
        sides[side].append({"objectType": object_type or "OrderLineItem", "field": name})
    return InvoiceGroup.model_validate_json(json.dumps({"name": "other", "meta": sides}))


def written(folder: Path, group: InvoiceGroup) -> Path:
    """A configuration as a file."""
    path = folder / "other.json"
    path.write_text(group.model_dump_json(), encoding="utf-8")
    return path


# ------------------------------------------------------------------ documented examples


@pytest.mark.parametrize("case", UPSTREAM)
def test_a_documented_configuration_does_to_one_document_what_its_page_shows(
    case: str, book: Book, examples: Path
) -> None:
    change, before, after = UPSTREAM[case]
    expected = expected_of(case)
    load(book, [str(examples / case)])
    found = compare(book, FEBRUARY, from_file(examples / case / "invoice_group.json"))
    assert found.changes.filter(pl.col("matches") > 0).rows() == [(change, before, after, 1, 1)]
    values = found.documents.filter(side="after")["invoice_group_value"]
    assert sorted(values) == sorted(d["group_value"] for d in expected["invoices"])
    assert found.why["separated_by"].to_list() == ([] if change == "unchanged" else ["invoice_group_value"])


@pytest.mark.parametrize("case", ["cig-uc1-chargetype", "cig-uc4-s1-region"])
def test_clearing_a_documented_configuration_is_the_way_back(case: str, book: Book, examples: Path) -> None:
    change, before, after = UPSTREAM[case]
    back = {"split": "merged"}.get(change, change)
    set_up(book, examples / case)
    found = compare(book, FEBRUARY, clear=True)
    assert found.changes.filter(pl.col("matches") > 0).rows() == [(back, after, before, 1, 1)]


def test_no_consolidation_sets_subscriptions_and_orders_apart(book: Book, examples: Path) -> None:
    set_up(book, examples / "fba-chg-consolidate-yes")
    found = compare(book, FEBRUARY, settings={"consolidate_invoices": "no"})
    assert found.rules.rows() == [("consolidate_invoices", "yes", "no")]
    assert found.why.rows() == [("split", "", "origin", False, 1, 2, 1)]
    assert set(found.documents["amount"]) == {Decimal(400), Decimal(200)}


def test_another_rule_of_document_types_moves_items_to_the_other_type(book: Book, examples: Path) -> None:
    set_up(book, examples / "docrule-all-negative")
    found = compare(book, FEBRUARY, settings={"document_type_rule": "net"})
    assert found.why.rows() == [("merged", "document_type", "", False, 2, 1, 1)]
    assert found.items.select("same", "repriced", "to_invoices", "to_credit_memos").rows() == [(2, 0, 1, 0)]
    assert found.totals.select("document_type", "amount_before", "amount_after").rows() == [
        ("invoice", Decimal(50), Decimal(40)), ("credit_memo", Decimal(10), Decimal(0)),
    ]  # fmt: skip


def test_accounts_that_would_be_parked_are_told_with_their_documents(book: Book, examples: Path) -> None:
    set_up(book, examples / "oli-is-table2-ex2")
    found = compare(book, FEBRUARY, settings={"consolidate_invoices": "yes"})
    assert found.why.rows() == [("disappeared", "", "", True, 1, 0, 1)]
    assert found.parked.select("account_number", "change").rows() == [("ACC", "other reason")]
    assert [str(reason) for reason in found.parked.select("reason_before", "reason_after").row(0)] == [
        "a document with sales that net negative can't be invoiced (USD -30; orders O-1)",
        "a document with sales that net negative can't be invoiced (USD -10; orders O-1)",
    ]
    assert found.items.select("only_before", "only_before_amount", "only_after").rows() == [(1, Decimal(20), 0)]


# ------------------------------------------------------------------ whose configuration


REGIONS: Final[dict[str, list[Json]]] = {
    "accounts": [{"account_number": a, "currency": "USD"} for a in ("A-1", "A-2")],
    "order_line_items": [
        {"order_number": f"O-{a}", "item_number": str(n), "account_number": f"A-{a}", "item_state": "SentToBilling",
         "amount_per_unit": price, "bill_target_date": "2024-01-01", "Region__c": region, "Po__c": po}
        for a in (1, 2)
        for n, (price, region, po) in enumerate(
            (("10.005", "North", "P1"), ("20.005", "North", "P2"), ("30", "South", "P1"))
        )
    ],
}  # fmt: skip
"""Two accounts with the same order lines."""


@pytest.fixture(scope="module")
def stocked(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book with the regions, to be copied."""
    folder = tmp_path_factory.mktemp("regions")
    tables = [f"{t}={write_rows(folder / f'{t}.csv', rows)}" for t, rows in REGIONS.items()]
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        load(book, tables)
    return folder / "book"


@pytest.fixture
def regions(stocked: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stocked, tmp_path / "book")


@pytest.fixture
def desk(quick: Command, regions: Path) -> Command:
    """The command line in a folder with that book."""
    assert regions.is_dir()
    return quick


def test_a_configuration_of_one_account_leaves_the_others_alone(regions: Path) -> None:
    with Book(regions) as book:
        found = compare(book, FEBRUARY, by("Region__c"), accounts=["A-2"])
        assert found.rules.rows() == [("grouping of A-2", None, "OrderLineItem.Region__c")]
        assert found.accounts.select("account_number", "unchanged", "split").rows() == [("A-2", 0, 1), ("A-1", 1, 0)]
        configure(book, by("Region__c"), ["A-2"])
        back = compare(book, FEBRUARY, clear=True, accounts=["A-2"])
        assert back.accounts.select("account_number", "unchanged", "merged").rows() == [("A-2", 0, 2), ("A-1", 1, 0)]


def test_who_else_has_a_configuration_is_told(regions: Path) -> None:
    """A configuration of that name is replaced as a whole, also for the accounts that have it already."""
    with Book(regions) as book:
        configure(book, by("Region__c"), ["A-1"])
        found = compare(book, FEBRUARY, by("Po__c"), accounts=["A-2"])
    assert found.rules.rows() == [
        ("grouping of A-2", None, "OrderLineItem.Po__c"),
        ("grouping IG-00000001", "OrderLineItem.Region__c", "OrderLineItem.Po__c"),
    ]
    assert found.accounts.select("account_number", "regrouped", "split").rows() == [("A-1", 2, 0), ("A-2", 0, 1)]


def test_a_run_for_some_accounts_compares_these(regions: Path) -> None:
    with Book(regions) as book:
        found = compare(book, FEBRUARY.for_accounts(("A-1",)), by("Region__c"))
    assert found.documents["account_number"].unique().to_list() == ["A-1"]


def test_several_documents_become_several_others(regions: Path) -> None:
    with Book(regions) as book:
        configure(book, by("Region__c"))
        found = compare(book, FEBRUARY, by("Po__c"))
    assert found.why.rows() == [("regrouped", "invoice_group_value", "invoice_group_value", False, 4, 4, 2)]
    assert found.matches.select(
        "documents_before", "documents_after", "items_before", "items_after"
    ).unique().rows() == [(2, 2, 3, 3)]


def test_the_accounts_that_change_most_come_first(regions: Path) -> None:
    more = [{**REGIONS["order_line_items"][0], "order_number": "O-9", "item_number": str(n), "Region__c": f"R{n}",
             "account_number": "A-2"} for n in range(2)]  # fmt: skip
    with Book(regions) as book:
        load(book, [f"order_line_items={write_rows(regions.parent / 'more.jsonl', more)}"])
        found = compare(book, FEBRUARY, by("Region__c"))
    assert found.accounts.select("account_number", "documents_after", "changed", "concerned").rows() == [
        ("A-2", 4, 4, Decimal("80.04")), ("A-1", 2, 2, Decimal("60.02")),
    ]  # fmt: skip


# ------------------------------------------------------------------ amounts, dates, schedules


def test_rounding_is_told_item_by_item(regions: Path) -> None:
    with Book(regions) as book:
        found = compare(book, FEBRUARY, settings={"rounding_mode": "down"})
    assert found.changes.filter(pl.col("matches") > 0)["change"].to_list() == ["other_items"]
    assert found.items.select("same", "repriced", "repriced_amount", "largest_repricing").rows() == [
        (2, 4, Decimal("-0.04"), Decimal("0.01"))
    ]
    assert found.totals.row(0, named=True)["amount_after"] == found.totals.row(0, named=True)[
        "amount_before"
    ] - Decimal("0.04")


def test_another_meaning_of_a_payment_term_moves_due_dates(regions: Path) -> None:
    accounts = [{**a, "payment_term": "Quarterly"} for a in REGIONS["accounts"]]
    with Book(regions) as book:
        load(book, [f"accounts={write_rows(regions.parent / 'accounts.csv', accounts)}"])
        found = compare(book, FEBRUARY, settings={"payment_term.Quarterly": "Net 90"})
    assert found.changes.filter(pl.col("matches") > 0)["change"].to_list() == ["other_due_date"]
    assert found.documents.filter(side="before")["due_date"].null_count() == 2
    assert found.documents.filter(side="after")["due_date"].unique().to_list() == [date(2024, 5, 1)]


def test_schedules_that_would_break_are_told(book: Book, tmp_path: Path) -> None:
    subscriptions = [{**s, "Desk__c": desk} for s, desk in zip(SHOP["subscriptions"], ("red", "blue"), strict=True)]
    for table, rows in {**SHOP, "subscriptions": subscriptions}.items():
        load(book, [f"{table}={write_rows(tmp_path / f'{table}.csv', rows)}"])
    assert create_schedule(book, HALVES)["success"]
    found = compare(book, FEBRUARY, by("Subscription.Desk__c"))
    assert found.schedules.drop("next_run_date").rows() == [
        ("breaks", "IS-00000001", "A-1", "invoice_group_value", '["blue"]; ["red"]')
    ]
    assert found.parked["account_number"].to_list() == ["A-1"]
    configure(book, by("Subscription.Desk__c"))
    assert compare(book, FEBRUARY, clear=True).schedules["change"].to_list() == ["mended"]


# ------------------------------------------------------------------ the book, drafts and runs that were made


def test_nothing_is_written(regions: Path) -> None:
    with Book(regions) as book:
        before = state(book)
        found = compare(book, FEBRUARY, by("Region__c"), settings={"ungrouped": "separate"})
        assert found.snapshot_id == book.head().snapshot_id
        assert state(book) == before


def test_a_book_can_be_compared_that_nobody_may_write_to(regions: Path) -> None:
    with Book(regions, read_only=True) as book:
        assert compare(book, FEBRUARY, by("Region__c")).why.height == 1


def test_drafts_do_not_keep_anyone_from_comparing(regions: Path) -> None:
    with Book(regions) as book:
        bill(book, FEBRUARY.for_accounts(("A-1",)))
        with pytest.raises(BillfoldError, match="Drafts of BR-00000001"):
            configure(book, by("Region__c"))
        found = compare(book, FEBRUARY, by("Region__c"))
    assert found.drafts == ("BR-00000001",)
    assert found.documents["account_number"].unique().to_list() == ["A-2"]


def test_a_run_that_was_made_is_compared_from_what_it_read(regions: Path) -> None:
    with Book(regions) as book:
        run = bill(book, FEBRUARY, post=True).bill_run_number
        assert run is not None
        now = compare(book, FEBRUARY, by("Region__c"))
        found = compare(book, run, by("Region__c"))
        made = book.read("invoices").collect()
    assert (now.documents.height, found.drafts, found.bill_run_number) == (0, (), run)
    assert found.documents.filter(side="before")["document_id"].to_list() == made["invoice_id"].to_list()
    assert found.why.rows() == [("split", "", "invoice_group_value", False, 2, 4, 2)]
    assert found.request == FEBRUARY


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda book: compare(book, "BR-00000007", by("Region__c")), "There is no bill run BR-00000007"),
        (lambda book: compare(book, FEBRUARY, by("Colour")), "OrderLineItem has no field 'Colour'"),
        (lambda book: compare(book, FEBRUARY, by("Region__c"), accounts=["A-9"]), "There is no account A-9"),
        (lambda book: compare(book, FEBRUARY.for_accounts(("A-9",)), by("Region__c")), "There is no account A-9"),
        (lambda book: compare(book, FEBRUARY, settings={"grouped": "yes"}), "There is no setting 'grouped'"),
        (lambda book: compare(book, FEBRUARY, settings={"ungrouped": "yes"}), "can't be 'yes'"),
        (lambda book: compare(book, FEBRUARY, clear=True), "no default grouping configuration to clear"),
        (lambda book: compare(book, FEBRUARY, by("Region__c"), clear=True), "can't be another one and be cleared"),
    ],
)
def test_what_is_not_possible_is_refused(regions: Path, asked: Callable[[Book], object], words: str) -> None:
    with Book(regions) as book, pytest.raises(BillfoldError, match=words):
        asked(book)


# ------------------------------------------------------------------ the command line


def test_the_command_says_what_changes_and_why(desk: Command, tmp_path: Path) -> None:
    done = desk("grouping", "diff", written(tmp_path, by("Region__c")), *DATES)
    assert (done.code, done.err) == (0, "")
    for said in (
        "A run now  ·  target date 2024-02-01  ·  invoice date 2024-02-01  ·  nothing was written",
        "grouping: none → OrderLineItem.Region__c",
        "2 documents of 2 accounts become 4, since invoice_group_value sets their items apart.",
        "USD: every item keeps its amount and the type of its document.",
    ):
        assert said in done.out
    assert lines(done, "invoices") == [["invoices", "2", "4", "+2"]]
    assert lines(done, "documents split") == [["documents", "split", "2", "4", "+2", "2"]]
    assert lines(done, "A-1") == [["A-1", "1", "2", "2", "USD", "60.02", "USD", "60.02", "1", "split"]]
    assert len(done.out.splitlines()) < 50
    assert "grouping" in desk("grouping", "show").out


def lines(done: Outcome, word: str) -> list[list[str]]:
    """Words of the lines that begin with one."""
    return [line.split() for line in done.out.splitlines() if line.startswith(word)]


def test_settings_are_compared_without_a_file(desk: Command, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('rounding_mode = "down"\n', encoding="utf-8")
    for given in (("--set", "rounding_mode=down"), ("--set", "other.toml")):
        done = desk("grouping", "diff", *given, *DATES)
        assert (done.code, done.err) == (0, "")
        assert "rounding_mode: half_up → down" in done.out
        assert "USD: 4 items with another amount (-0.04, at most 0.01 each)." in done.out
        assert "2 documents of 2 accounts stay, but with other items or amounts." in done.out


def test_json_is_one_document_with_the_same(desk: Command, tmp_path: Path) -> None:
    file = written(tmp_path, by("Region__c"))
    said = desk("grouping", "diff", file, *DATES, "--set", "ungrouped=pooled", "--json", "--top", "1").json()
    assert said["rules"] == [
        {"rule": "grouping", "before": None, "after": "OrderLineItem.Region__c"},
        {"rule": "ungrouped", "before": "auto", "after": "pooled"},
    ]
    assert said["documents"]["after"] == {
        "invoices": 4, "invoice_items": 6, "credit_memos": 0, "credit_memo_items": 0, "parked_accounts": 0
    }  # fmt: skip
    assert [(c["change"], c["documents_after"]) for c in said["changes"] if c["matches"]] == [("split", 4)]
    assert (said["accounts_changed"], [a["account_number"] for a in said["accounts"]]) == (2, ["A-1"])
    assert [t["amount_after"] for t in said["totals"]] == ["120.0400", "0.0000"]
    assert said["target_date"] == "2024-02-01"


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_rows_are_saved(desk: Command, tmp_path: Path, ending: str) -> None:
    file = written(tmp_path, by("Region__c"))
    read: Mapping[str, Callable[[Path], pl.DataFrame]] = {
        "csv": pl.read_csv, "parquet": pl.read_parquet, "json": pl.read_json,
    }  # fmt: skip
    done = desk("grouping", "diff", file, *DATES, "--out", f"rows.{ending}")
    assert (done.code, done.err) == (0, "")
    saved = read[ending](tmp_path / f"rows.{ending}")
    assert saved.select("change", "side", "account_number").rows() == [
        ("split", side, account) for account in ("A-1", "A-2") for side in ("before", "after", "after")
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["book", "other.json", f"rows.{ending}"])


def test_rows_of_accounts_are_saved(desk: Command, tmp_path: Path) -> None:
    assert (
        desk("grouping", "diff", "--set", "ungrouped=pooled", *DATES, "--out", "a.csv", "--rows", "accounts").code == 0
    )
    assert pl.read_csv(tmp_path / "a.csv").select("account_number", "unchanged").rows() == [("A-1", 1), ("A-2", 1)]


def test_a_file_that_can_not_be_saved_leaves_nothing(desk: Command, tmp_path: Path) -> None:
    done = desk("grouping", "diff", "--set", "ungrouped=pooled", *DATES, "--out", "missing/rows.csv")
    assert (done.code, done.out) == (1, "")
    assert done.err == "billfold: missing/rows.csv can't be written: No such file or directory.\n"
    (tmp_path / "taken.csv").mkdir()
    done = desk("grouping", "diff", "--set", "ungrouped=pooled", *DATES, "--out", "taken.csv")
    assert (done.code, sorted(p.name for p in tmp_path.iterdir())) == (1, ["book", "taken.csv"])
    assert done.err.startswith("billfold: taken.csv can't be written: ")


def test_a_run_that_is_not_there_is_refused(desk: Command) -> None:
    for number in ("BR-00000009", ""):
        done = desk("grouping", "diff", "--set", "ungrouped=pooled", "--run", number)
        assert (done.code, done.out) == (1, "")
        assert done.err == f"billfold: There is no bill run {number}: `billfold runs` lists them.\n"


def test_a_run_is_compared_by_its_number(desk: Command, tmp_path: Path) -> None:
    file = written(tmp_path, by("Region__c"))
    assert desk("run", *DATES).code == 0
    nothing = desk("grouping", "diff", file, *DATES)
    assert nothing.code == 0
    for said in (
        "Nothing is due up to 2024-02-01 that was not billed before; --run RUN compares a run that was made.",
        "Drafts of BR-00000001 are on neither side: what they hold counts as billed until they are canceled.",
    ):
        assert said in nothing.out
    made = desk("grouping", "diff", file, "--run", "BR-00000001")
    assert made.out.startswith("BR-00000001  ·  target date 2024-02-01")
    assert lines(made, "documents split") == [["documents", "split", "2", "4", "+2", "2"]]


def test_rules_that_the_book_has_are_said_to_be_these(desk: Command) -> None:
    done = desk("grouping", "diff", "--set", "ungrouped=auto", *DATES)
    assert "these are the rules that the book has" in done.out
    assert lines(done, "documents") == [["documents", "unchanged", "2", "2", "0", "2"]]


def test_schedules_and_parked_accounts_are_printed(quick: Command, tmp_path: Path) -> None:
    assert quick("init").code == 0
    subscriptions = [{**s, "Desk__c": desk} for s, desk in zip(SHOP["subscriptions"], ("red", "blue"), strict=True)]
    tables = {**SHOP, "subscriptions": subscriptions}.items()
    files = [f"{t}={write_rows(tmp_path / f'{t}.csv', rows)}" for t, rows in tables]
    assert quick("load", *files).code == 0
    (tmp_path / "schedule.json").write_text(json.dumps(HALVES), encoding="utf-8")
    assert quick("schedule", "create", "schedule.json").code == 0
    done = quick("grouping", "diff", written(tmp_path, by("Subscription.Desk__c")), *DATES)
    assert (done.code, done.err) == (0, "")
    assert "Parked accounts: 1 newly parked" in done.out
    assert "Invoice schedules: 1 break" in done.out
    assert "IS-00000001 of A-1 (breaks): its charges differ in invoice_group_value" in done.out
    assert "1 document of 1 account disappears: newly parked." in done.out


def test_the_python_of_the_documentation_does_what_it_says(quick: Command, examples: Path, tmp_path: Path) -> None:
    text = (examples.parents[1] / "docs" / "grouping_diff.md").read_text(encoding="utf-8")
    code = text.partition("```py\n")[2].partition("```")[0]
    assert quick("init").code == 0
    assert quick("load", examples / CASE).code == 0
    (tmp_path / "data").symlink_to(examples.parent)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout) == ("", "[('split', 'invoice_group_value', 1, 2)]\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*DATES,), "say what would be different"),
        (("other.json",), "either --target-date DATE or --run RUN"),
        (
            ("other.json", "--target-date", "2024-02-01", "--run", "BR-00000001"),
            "either --target-date DATE or --run RUN",
        ),
        (("other.json", "--run", "BR-00000001", "--account", "A-1"), "compared as it was asked"),
        (("other.json", "--clear", *DATES), "not both"),
        (("--set", "ungrouped=pooled", "--for-account", "A-1", *DATES), "--for-account needs FILE or --clear"),
        (("other.json", "--out", "rows.xlsx", *DATES), "must end in .csv, .parquet, .json"),
    ],
)
def test_a_wrong_command_line_ends_with_2(
    desk: Command, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    written(tmp_path, by("Region__c"))
    done = desk("grouping", "diff", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in " ".join(done.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.json",), "missing.json can't be read: No such file or directory."),
        (("--set", "pooled"), "'pooled' is not a setting: write NAME=VALUE"),
        (("--set", "ungroupd=pooled"), "There is no setting 'ungroupd'"),
        (("--clear",), "There is no default grouping configuration to clear."),
        (("--clear", "--for-account", "A-9"), "There is no account A-9 in the book."),
        (("wrong.json",), "RatePlanCharge has no field 'Colour'"),
    ],
)
def test_what_the_book_refuses_ends_with_1(
    desk: Command, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    written(tmp_path, by("RatePlanCharge.Colour")).rename(tmp_path / "wrong.json")
    done = desk("grouping", "diff", *arguments, *DATES)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
