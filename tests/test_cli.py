"""The command line as a user types it: what it prints, what it refuses and how, and which exit code it leaves."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest

from billfold import Book, bill
from billfold.intake import load
from billfold.requests import RunRequest, cycle_days

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command, Outcome

RUN: Final = "BR-00000001"
TO_MARCH: Final = ("run", "--target-date", "2024-03-01", "--invoice-date", "2024-03-01")

SHOP: Final = {
    "accounts": """
        account_number,name,currency,bill_cycle_day,batch,payment_term,status
        A1,Ann,USD,1,Batch1,Net 30,Active
        A2,Bob,USD,15,Batch2,,Active
        A3,Cyd,EUR,31,Batch1,,Active
    """,
    "subscriptions": """
        subscription_number,account_number,status,term_type,contract_effective_date,region__c
        S1,A1,Active,EVERGREEN,2024-01-01,North
        S2,A2,Active,EVERGREEN,2024-01-01,South
    """,
    "rate_plan_charges": """
        charge_number,segment,subscription_number,charge_type,charge_model,price,uom,billing_period,billing_timing,bill_cycle_type,effective_start_date,effective_end_date
        once,1,S1,OneTime,FlatFee,10,,,,,2024-01-01,
        monthly,1,S1,Recurring,FlatFee,20,,Month,IN_ADVANCE,ChargeTriggerDay,2024-01-01,2024-02-01
        used,1,S2,Usage,FlatFee,40,Each,Month,IN_ARREARS,ChargeTriggerDay,2024-01-01,2024-02-01
    """,
    "order_line_items": """
        order_number,item_number,account_number,item_name,item_type,item_category,item_state,quantity,amount_per_unit,bill_target_date,transaction_date
        O1,1,A1,Cup,Product,Sales,SentToBilling,3,1.25,2024-01-01,2024-01-01
        O2,1,A3,Pot,Product,Sales,SentToBilling,1,7,2024-01-01,2024-01-01
    """,
}  # fmt: skip
"""Three accounts, a charge of each type, and an order line in each of two currencies; every line is due in March."""

BY_TYPE: Final = {"subscriptionGroup": [{"objectType": "RatePlanCharge", "field": "ChargeType"}]}


def write_table(folder: Path, table: str, text: str) -> Path:
    lines = [line.strip() for line in text.strip().splitlines()]
    path = folder / f"{table}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_grouping(folder: Path, meta: object, name: str = "by type") -> Path:
    path = folder / "grouping.json"
    path.write_text(json.dumps({"name": name, "meta": meta}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book that holds the shop, to be copied."""
    folder = tmp_path_factory.mktemp("shop")
    tables = folder / "tables"
    tables.mkdir()
    for table, text in SHOP.items():
        write_table(tables, table, text)
    with Book.create(folder / "book") as book:
        load(book, [str(tables)])
    return folder / "book"


@pytest.fixture(scope="session")
def billed(tmp_path_factory: pytest.TempPathFactory, stocked: Path) -> Path:
    """A copy of the shop's book with the drafts of one run."""
    folder = tmp_path_factory.mktemp("billed") / "book"
    shutil.copytree(stocked, folder)
    day = date(2024, 3, 1)
    with Book(folder) as book:
        bill(book, RunRequest(target_date=day, invoice_date=day))
    return folder


@pytest.fixture
def shop(quick: Command, tmp_path: Path, stocked: Path) -> Command:
    """The command line in a folder with the shop's book."""
    shutil.copytree(stocked, tmp_path / "book")
    return quick


@pytest.fixture
def drafts(quick: Command, tmp_path: Path, billed: Path) -> Command:
    """The command line in a folder with the shop's book after a run of drafts."""
    shutil.copytree(billed, tmp_path / "book")
    return quick


def rows(command: Command, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = command("sql", query, "--format", "json").json()
    return found


def items(command: Command, **header: str) -> list[str]:
    """What is on invoices with these values in their headers: charges by number, order lines by order."""
    query = (
        "SELECT coalesce(charge_number, order_number) AS item, status, bill_run_number "
        "FROM invoice_items JOIN invoices USING (invoice_id) ORDER BY item"
    )
    return [row["item"] for row in rows(command, query) if header.items() <= row.items()]


def snapshot(folder: Path) -> int:
    """The newest snapshot, straight from the catalog: opening the book as often would make these tests slow."""
    with closing(sqlite3.connect(folder / "book" / "catalog.sqlite")) as catalog:
        return int(catalog.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()[0])


def assert_refused(outcome: Outcome, *said: str) -> None:
    """One sentence on standard error, nothing on standard output, exit code 1."""
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith("billfold: ")
    assert len(outcome.err.strip().splitlines()) == 1
    assert_calm(outcome)
    assert [s for s in said if s not in outcome.err] == []


def assert_calm(outcome: Outcome) -> None:
    assert "Traceback" not in outcome.err
    assert "unexpectedly" not in outcome.err


# From an empty folder, each command a process of its own.


def test_help_lists_the_commands(cli: Command) -> None:
    outcome = cli("--help")
    assert outcome.code == 0
    commands = ("init", "load", "run", "post", "cancel", "runs", "settings", "grouping", "sql", "migrate")
    assert [c for c in commands if f" {c} " not in outcome.out] == []


def test_a_first_session_goes_from_an_empty_folder_to_posted_invoices(cli: Command, examples: Path) -> None:
    assert cli("init").code == 0
    assert cli("load", examples / "ig-ex1-subscriptions").code == 0
    ran = cli("run", "--target-date", "2024-02-01", "--invoice-date", "2024-02-01")
    assert ran.code == 0
    assert f"post {RUN}" in ran.out
    posted = cli("post", RUN)
    assert posted.code == 0
    assert "INV00000001" in posted.out
    assert "INV00000004" in posted.out
    csv = cli("sql", "SELECT invoice_number, due_date FROM invoices ORDER BY 1", "--format", "csv")
    assert csv.out.splitlines() == [
        "invoice_number,due_date",
        "INV00000001,2024-04-01",
        "INV00000002,2024-04-01",
        "INV00000003,2024-03-02",
        "INV00000004,2024-02-01",
    ]


def test_a_parked_account_gives_exit_code_3(cli: Command, tmp_path: Path, empty_book: Path, examples: Path) -> None:
    shutil.copytree(empty_book, tmp_path / "book")
    cli("load", examples / "oli-is-table1-ex1")
    ran = cli("run", "--target-date", "2024-02-01")
    assert ran.code == 3
    assert "ACC" in ran.out
    assert "net negative" in ran.out


def test_a_book_is_not_made_twice(cli: Command) -> None:
    assert cli("init").code == 0
    assert_refused(cli("init"), "book exists")


def test_without_a_book_a_command_says_how_to_make_one(cli: Command) -> None:
    assert_refused(cli(*TO_MARCH), "There is no book in book", "billfold init")


def test_a_wrong_command_line_gives_exit_code_2(cli: Command) -> None:
    outcome = cli("run", "--target-date", "tomorrow")
    assert outcome.code == 2
    assert "--target-date" in outcome.err
    assert_calm(outcome)


def test_json_on_standard_output_is_nothing_but_json(cli: Command, tmp_path: Path, stocked: Path) -> None:
    shutil.copytree(stocked, tmp_path / "book")
    outcome = cli(*TO_MARCH, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json()["bill_run_number"] == RUN


def test_rows_are_utf_8_without_a_locale(cli: Command, tmp_path: Path, stocked: Path) -> None:
    shutil.copytree(stocked, tmp_path / "book")
    for output in ("table", "json"):
        assert "Grüße 東京" in cli("sql", "SELECT 'Grüße 東京' AS x", "--format", output).out


# From here on in this process.


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "--target-date", "2024-02-30"),
        ("run", "--target-date", "01/02/2024"),
        ("run", "--target-date", "2024-01-01", "--invoice-date", "x"),
        ("run", "--target-date", "2024-01-01", "--tomorrow"),
        ("load",),
        ("post",),
        ("cancel",),
        ("sql",),
        ("settings", "set"),
        ("grouping", "set"),
        ("grouping", "frobnicate"),
        ("frobnicate",),
    ],
)
def test_what_is_no_command_line_gives_exit_code_2(quick: Command, arguments: tuple[str, ...]) -> None:
    outcome = quick(*arguments)
    assert outcome.code == 2
    assert_calm(outcome)


@pytest.mark.parametrize(
    "arguments",
    [
        ("load", "."),
        ("run", "--target-date", "2024-01-01"),
        ("run", "--target-date", "2024-01-01", "--dry-run"),
        ("post", RUN),
        ("cancel", RUN),
        ("runs",),
        ("sql", "SELECT 1"),
        ("settings", "show"),
        ("settings", "set", "ungrouped=pooled"),
        ("grouping", "show"),
        ("grouping", "clear"),
        ("migrate",),
    ],
)
def test_every_command_says_that_there_is_no_book(quick: Command, arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert_refused(quick(*arguments), "There is no book in book")
    assert list(tmp_path.iterdir()) == []


def test_the_book_option_and_the_variable_name_a_book(
    quick: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quick("--book", "here", "init").code == 0
    monkeypatch.setenv("BILLFOLD_BOOK", "there")
    assert quick("init").code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "there"]
    assert quick("runs").code == 0
    assert_refused(quick("--book", "nowhere", "runs"), "nowhere")


# load


def test_load_tells_what_is_new_and_what_changed(shop: Command, tmp_path: Path) -> None:
    accounts = SHOP["accounts"].replace("Bob", "Bert") + "A4,Dan,USD,1,Batch1,,Active\n"
    path = write_table(tmp_path, "accounts", accounts)
    assert shop("load", f"accounts={path}", "--json").json() == {"accounts": {"rows": 4, "new": 1, "changed": 1}}
    assert [r["name"] for r in rows(shop, "FROM accounts ORDER BY account_number")] == ["Ann", "Bert", "Cyd", "Dan"]


def test_refused_rows_are_shown_and_saved_and_nothing_is_loaded(shop: Command, tmp_path: Path) -> None:
    bad = "O3,1,A1,x,Product,Sales,SentToBilling,many,1,2024-01-01,2024-13-01\n"
    dangling = "O4,1,A9,x,Product,Sales,SentToBilling,1,1,2024-01-01,2024-01-01\n"
    path = write_table(tmp_path, "order_line_items", SHOP["order_line_items"] + bad)
    before = snapshot(tmp_path)
    outcome = shop("load", f"order_line_items={path}", "--errors", "errors.csv")
    assert outcome.code == 1
    assert outcome.out == ""
    assert_calm(outcome)
    assert "nothing was loaded" in outcome.err.splitlines()[-1]
    saved = pl.read_csv(tmp_path / "errors.csv").to_dicts()
    assert [(f["row"], f["column"], f["value"]) for f in saved] == [
        (3, "quantity", "many"),
        (3, "transaction_date", "2024-13-01"),
    ]
    write_table(tmp_path, "order_line_items", SHOP["order_line_items"] + dangling)
    outcome = shop("load", f"order_line_items={path}", "--errors", "errors.csv")
    assert outcome.code == 1
    (fault,) = pl.read_csv(tmp_path / "errors.csv").to_dicts()
    assert (fault["row"], fault["column"], fault["value"]) == (3, "account_number", "A9")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "There is no folder nowhere"),
        ("accounts=nowhere.csv", "There is no file nowhere.csv"),
        ("acounts=nowhere.csv", "did you mean accounts"),
        ("accounts=accounts.xlsx", "must end in .csv, .parquet or .jsonl"),
    ],
)
def test_load_refuses_what_is_no_table(shop: Command, source: str, said: str) -> None:
    assert_refused(shop("load", source), said)


# run


def test_a_run_tells_what_it_made_and_where_to_go_on(shop: Command) -> None:
    outcome = shop(*TO_MARCH)
    assert outcome.code == 0
    for said in (RUN, "Completed", "2024-03-01", "EUR", "73.75", f"post {RUN}"):
        assert said in outcome.out


def test_a_run_as_json_has_the_promised_fields(shop: Command, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    receipt = shop(*TO_MARCH, "--json").json()
    promised = {
        "bill_run_number": RUN,
        "status": "Completed",
        "snapshot_id": before,
        "invoices": 3,
        "credit_memos": 0,
        "items": 5,
        "parked_accounts": 0,
        "amounts": {
            "EUR": {"invoices": "7.00", "credit_memos": "0.00"},
            "USD": {"invoices": "73.75", "credit_memos": "0.00"},
        },
    }
    assert {name: receipt[name] for name in promised} == promised


def test_a_second_run_has_no_number_and_writes_nothing(drafts: Command, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    outcome = drafts(*TO_MARCH, "--json")
    assert outcome.code == 0
    assert outcome.json()["bill_run_number"] is None
    assert [outcome.json()[n] for n in ("invoices", "credit_memos", "items")] == [0, 0, 0]
    assert "Nothing" in drafts(*TO_MARCH).out
    assert snapshot(tmp_path) == before


def test_a_dry_run_tells_the_same_and_writes_nothing(shop: Command, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    dry = shop(*TO_MARCH, "--dry-run", "--json").json()
    assert snapshot(tmp_path) == before
    assert rows(shop, "FROM bill_runs") == []
    real = shop(*TO_MARCH, "--json").json()
    assert {name for name in real if real[name] != dry[name]} == {"dry_run"}


WORTH: Final = {"once": 10, "monthly": 20, "used": 40, "O1": 3.75, "O2": 7}
"""What each line of the shop comes to; no two selections of lines come to the same."""


@pytest.mark.parametrize(
    ("options", "selected"),
    [
        ((), ["O1", "O2", "monthly", "once", "used"]),
        (("--account", "A2"), ["used"]),
        (("--account", "A1", "--account", "A3"), ["O1", "O2", "monthly", "once"]),
        (("--batch", "Batch1"), ["O1", "O2", "monthly", "once"]),
        (("--batch", "Batch1", "--batch", "Batch2"), ["O1", "O2", "monthly", "once", "used"]),
        (("--batch", "Batch1", "--account", "A2"), []),
        (("--batch", "Batch3"), []),
        (("--bill-cycle-day", "15"), ["used"]),
        (("--bill-cycle-day", "31"), ["O2"]),
        (("--bill-cycle-day", "2"), []),
        (("--exclude-charge-type", "OneTime"), ["O1", "O2", "monthly", "used"]),
        (("--exclude-charge-type", "Recurring", "--exclude-charge-type", "Usage"), ["O1", "O2", "once"]),
        (("--no-subscriptions",), ["O1", "O2"]),
        (("--no-order-line-items",), ["monthly", "once", "used"]),
    ],
)
def test_a_run_bills_what_its_options_select(
    quick: Command, stocked: Path, options: tuple[str, ...], selected: list[str]
) -> None:
    receipt = quick("--book", stocked, *TO_MARCH, "--dry-run", "--json", *options).json()
    assert receipt["items"] == len(selected)
    assert sum(float(sums["invoices"]) for sums in receipt["amounts"].values()) == sum(WORTH[s] for s in selected)


def test_what_a_selection_left_out_is_billed_by_the_next_run(shop: Command) -> None:
    shop(*TO_MARCH, "--no-subscriptions")
    assert shop(*TO_MARCH, "--json").json()["items"] == 3
    assert items(shop, bill_run_number="BR-00000002") == ["monthly", "once", "used"]


def test_as_run_day_bills_accounts_whose_day_it_is(quick: Command, tmp_path: Path, empty_book: Path) -> None:
    shutil.copytree(empty_book, tmp_path / "book")
    days = range(1, 32)
    accounts = "account_number,name,currency,bill_cycle_day\n" + "".join(f"A{d},A{d},USD,{d}\n" for d in days)
    heads = "order_number,item_number,account_number,item_name,item_state,quantity,amount_per_unit,bill_target_date\n"
    lines = "".join(f"{d},1,A{d},x,SentToBilling,1,1,2024-01-01\n" for d in days)
    a, o = write_table(tmp_path, "accounts", accounts), write_table(tmp_path, "order_line_items", heads + lines)
    assert quick("load", f"accounts={a}", f"order_line_items={o}").code == 0
    before = datetime.now(UTC).astimezone().date()
    assert quick(*TO_MARCH, "--bill-cycle-day", "AsRunDay").code == 0
    after = datetime.now(UTC).astimezone().date()
    possible = [sorted(map(str, cycle_days("AsRunDay", day))) for day in (before, after)]
    assert items(quick) in possible


@pytest.mark.parametrize(
    ("run_day", "days"),
    [
        (date(2024, 2, 28), (28,)),
        (date(2024, 2, 29), (29, 30, 31)),
        (date(2023, 2, 28), (28, 29, 30, 31)),
        (date(2024, 4, 30), (30, 31)),
        (date(2024, 1, 31), (31,)),
    ],
)
def test_the_last_day_of_a_month_is_the_day_of_all_later_ones(run_day: date, days: tuple[int, ...]) -> None:
    assert cycle_days("AsRunDay", run_day) == days


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--account", "A1", "--account", "B7"), "no account B7"),
        (("--no-subscriptions", "--no-order-line-items"), "leaves nothing to bill"),
        (("--bill-cycle-day", "0"), "--bill-cycle-day can't be '0'"),
        (("--bill-cycle-day", "32"), "--bill-cycle-day can't be '32'"),
        (("--bill-cycle-day", "Monday"), "1 to 31, or"),
        (("--exclude-charge-type", "Sometimes"), "'OneTime', 'Recurring', 'Usage'"),
    ],
)
def test_a_run_refuses_what_it_can_not_select(
    shop: Command, options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    before = snapshot(tmp_path)
    outcome = shop(*TO_MARCH, *options)
    # A value that no book could have makes a wrong command line, so 2 is as right as 1.
    assert outcome.code in (1, 2)
    assert said in " ".join(outcome.err.split())
    assert_calm(outcome)
    assert snapshot(tmp_path) == before


def test_at_most_two_charge_types_can_be_excluded(shop: Command) -> None:
    """spec/bill_run.md 1.2; a run without any charges is --no-subscriptions."""
    options = [x for t in ("OneTime", "Recurring", "Usage") for x in ("--exclude-charge-type", t)]
    outcome = shop(*TO_MARCH, *options)
    assert outcome.code in (1, 2)
    assert_calm(outcome)


# post, cancel, runs


def test_posting_makes_documents_final(drafts: Command) -> None:
    posted = drafts("post", RUN, "--json").json()
    assert (posted["bill_run_number"], posted["status"], posted["invoices"]) == (RUN, "Posted", 3)
    query = "SELECT account_number, invoice_number, status, due_date FROM invoices ORDER BY invoice_id"
    assert [tuple(r.values()) for r in rows(drafts, query)] == [
        ("A1", "INV00000001", "Posted", "2024-03-31"),
        ("A2", "INV00000002", "Posted", None),
        ("A3", "INV00000003", "Posted", None),
    ]


def test_posting_in_the_run_gives_the_same_as_posting_later(
    quick: Command, stocked: Path, billed: Path, tmp_path: Path
) -> None:
    shutil.copytree(stocked, tmp_path / "at once")
    shutil.copytree(billed, tmp_path / "later")
    assert quick("--book", "at once", *TO_MARCH, "--post", "--json").json()["status"] == "Posted"
    assert quick("--book", "later", "post", RUN).code == 0
    query = ("sql", "SELECT * FROM invoices ORDER BY invoice_id", "--format", "json")
    assert quick("--book", "at once", *query).json() == quick("--book", "later", *query).json()


def test_a_run_is_posted_once(shop: Command) -> None:
    shop(*TO_MARCH, "--post")
    assert_refused(shop("post", RUN), RUN, "Posted")


def test_posted_documents_stay(shop: Command) -> None:
    shop(*TO_MARCH, "--post")
    before = rows(shop, "FROM invoices ORDER BY ALL")
    assert_refused(shop("cancel", RUN), RUN, "Posted")
    assert rows(shop, "FROM invoices ORDER BY ALL") == before


def test_after_a_cancel_the_same_documents_are_billed_again(shop: Command) -> None:
    columns = "account_number, currency, amount, item_count, group_key"
    query = f"SELECT {columns} FROM invoices WHERE status = 'Draft' ORDER BY invoice_id"  # noqa: S608 - ours
    first = shop(*TO_MARCH, "--json").json()
    documents, billed = rows(shop, query), items(shop, status="Draft")
    assert shop("cancel", RUN, "--json").json() == {"bill_run_number": RUN, "status": "Canceled"}
    assert rows(shop, query) == []
    again = shop(*TO_MARCH, "--json").json()
    assert again["bill_run_number"] == "BR-00000002"
    assert [again[n] for n in ("invoices", "items", "amounts")] == [first[n] for n in ("invoices", "items", "amounts")]
    assert (rows(shop, query), items(shop, status="Draft")) == (documents, billed)


def test_after_a_cancel_a_parked_account_is_parked_again(
    quick: Command, tmp_path: Path, empty_book: Path, examples: Path
) -> None:
    """A canceled run is as if it had not been, so the next one must report what it had reported."""
    shutil.copytree(empty_book, tmp_path / "book")
    quick("load", examples / "oli-is-table1-ex1")
    first = quick("run", "--target-date", "2024-02-01", "--json")
    assert (first.code, first.json()["bill_run_number"]) == (3, RUN)
    assert quick("cancel", RUN).code == 0
    again = quick("run", "--target-date", "2024-02-01", "--json")
    assert (again.code, again.json()["bill_run_number"]) == (3, "BR-00000002")


@pytest.mark.parametrize("command", ["post", "cancel"])
def test_a_canceled_run_is_over(drafts: Command, command: str) -> None:
    drafts("cancel", RUN)
    assert_refused(drafts(command, RUN), RUN, "Canceled")


@pytest.mark.parametrize("command", ["post", "cancel", "runs"])
def test_an_unknown_run_is_refused(shop: Command, command: str) -> None:
    assert_refused(shop(command, "BR-9"), "BR-9", "billfold runs")


def test_runs_lists_all_runs_or_shows_one(shop: Command) -> None:
    assert "no bill runs yet" in shop("runs").out
    assert shop("runs", "--json").json() == []
    shop(*TO_MARCH, "--account", "A1", "--post")
    shop(*TO_MARCH, "--account", "A2")
    listed = shop("runs").out
    assert [said for said in (RUN, "Posted", "BR-00000002", "Completed") if said not in listed] == []
    one = shop("runs", "BR-00000002")
    assert "BR-00000002" in one.out
    assert RUN not in one.out
    (first, second) = shop("runs", "--json").json()
    assert (first["status"], second["status"]) == ("Posted", "Completed")
    assert second["request"]["accounts"] == ["A2"]
    assert second["amounts"] == {"USD": {"invoices": "40.00", "credit_memos": "0.00"}}
    assert shop("runs", RUN, "--json").json() == {**first, "parked": []}


# settings


def test_settings_are_shown_with_their_defaults(shop: Command) -> None:
    values = shop("settings", "show", "--json").json()
    assert (values["ungrouped"], values["consolidate_invoices"], values["numbering"]) == ("auto", "yes", "at_posting")
    shown = shop("settings", "show").out
    assert [name for name in values if name not in shown] == []


def test_settings_are_set_from_the_command_line_and_from_toml(shop: Command, tmp_path: Path) -> None:
    assert shop("settings", "set", "ungrouped=pooled", "rounding_mode=up").code == 0
    file = tmp_path / "rules.toml"
    file.write_text('ungrouped = "separate"\nconsolidate_invoices = false\n[rounding_increment]\nCHF = 0.05\n')
    changed = shop("settings", "set", file, "--json").json()
    expected = {
        "ungrouped": "separate",
        "consolidate_invoices": "no",
        "rounding_mode": "up",
        "rounding_increment.CHF": "0.05",
    }
    assert {name: changed[name] for name in expected} == expected
    assert shop("settings", "show", "--json").json() == changed


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("ungroupd=auto", "did you mean ungrouped?"),
        ("colour=red", "There is no setting 'colour'"),
        ("ungrouped=sometimes", "auto, separate, pooled"),
        ("ungrouped=", "auto, separate, pooled"),
        ("ungrouped", "NAME=VALUE"),
        ("rounding_increment.CHF=0.03", "1, 2 or 5"),
        ("rounding_increment.CHF=-0.05", "1, 2 or 5"),
        ("rounding_increment.CHF=NaN", "1, 2 or 5"),
        ("rounding_increment.CFH=0.05", "CFH"),
        ("nowhere.toml", "nowhere.toml"),
    ],
)
def test_a_wrong_setting_is_refused_and_nothing_changes(
    shop: Command, assignment: str, said: str, tmp_path: Path
) -> None:
    before = snapshot(tmp_path)
    assert_refused(shop("settings", "set", "consolidate_invoices=no", assignment), said)
    assert snapshot(tmp_path) == before
    assert shop("settings", "show", "--json").json()["consolidate_invoices"] == "yes"


def test_broken_toml_is_refused(shop: Command, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("ungrouped = \n")
    assert_refused(shop("settings", "set", "rules.toml"), "rules.toml", "TOML")


# grouping


def test_a_default_grouping_is_set_used_shown_and_cleared(shop: Command, tmp_path: Path) -> None:
    assert "No grouping is configured" in shop("grouping", "show").out
    file = write_grouping(tmp_path, BY_TYPE)
    (group,) = shop("grouping", "set", file, "--json").json()
    assert (group["number"], group["name"], group["is_default"]) == ("IG-00000001", "by type", True)
    assert group["meta"]["subscriptionGroup"] == BY_TYPE["subscriptionGroup"]
    assert "RatePlanCharge.ChargeType" in shop("grouping", "show").out
    assert shop(*TO_MARCH, "--account", "A1", "--post", "--json").json()["invoices"] == 3
    assert shop("grouping", "clear", "--json").json() == []
    assert_refused(shop("grouping", "clear"), "no default grouping")


def test_an_account_has_a_grouping_of_its_own(shop: Command, tmp_path: Path) -> None:
    file = write_grouping(tmp_path, BY_TYPE)
    (group,) = shop("grouping", "set", file, "--account", "A1", "--json").json()
    assert (group["is_default"], group["accounts"]) == (False, ["A1"])
    assert rows(shop, "SELECT account_number FROM accounts WHERE invoice_group IS NOT NULL") == [
        {"account_number": "A1"}
    ]
    assert shop("grouping", "clear", "--account", "A1", "--json").json() == []
    assert rows(shop, "SELECT account_number FROM accounts WHERE invoice_group IS NOT NULL") == []


@pytest.mark.parametrize("command", [("set", "grouping.json"), ("clear",)])
def test_the_grouping_of_an_unknown_account_is_refused(shop: Command, command: tuple[str, ...], tmp_path: Path) -> None:
    write_grouping(tmp_path, BY_TYPE)
    before = snapshot(tmp_path)
    assert_refused(shop("grouping", *command, "--account", "A1", "--account", "B7"), "no account B7")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"objectType": "RatePlanCharge", "field": "ChargeTyp"}, "did you mean ChargeType"),
        ({"objectType": "Subscription", "field": "regoin__c"}, "region__c"),
        ({"objectType": "Subscription", "field": "ChargeType"}, "Subscription has no field 'ChargeType'"),
        ({"objectType": "Subscription", "field": "invoice_group_number"}, "Subscription has no field"),
        ({"objectType": "OrderLineItem", "field": "ItemName"}, "objectType"),
        ({"objectType": "Subscription"}, "field"),
        ({"objectType": "Subscription", "field": ""}, "field"),
    ],
)
def test_a_grouping_by_an_unknown_field_is_refused(
    shop: Command, entry: dict[str, str], said: str, tmp_path: Path
) -> None:
    file = write_grouping(tmp_path, {"subscriptionGroup": [entry]})
    assert_refused(shop("grouping", "set", file), said)
    assert shop("grouping", "show", "--json").json() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "JSON"),
        ('{"name": "x"', "JSON"),
        ("[]", "object"),
        ("{}", "name"),
        ('{"name": "x"}', "meta"),
        ('{"name": "x", "meta": {}}', "at least one field"),
        ('{"name": "x", "meta": {"subscriptionGroup": [], "orderLineItemGroup": []}}', "at least one field"),
        (json.dumps({"name": "a/b", "meta": BY_TYPE}), "name"),
        (json.dumps({"name": "a" * 255, "meta": BY_TYPE}), "name"),
        (json.dumps({"name": "x", "id": 7, "meta": BY_TYPE}), "id"),
    ],
)
def test_a_file_that_is_no_grouping_is_refused(shop: Command, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "grouping.json").write_text(content)
    assert_refused(shop("grouping", "set", "grouping.json"), "grouping.json", said)


def test_a_missing_grouping_file_is_refused(shop: Command) -> None:
    assert_refused(shop("grouping", "set", "nowhere.json"), "nowhere.json")


def test_a_grouping_does_not_change_under_drafts(shop: Command, tmp_path: Path) -> None:
    file = write_grouping(tmp_path, BY_TYPE)
    shop("grouping", "set", file)
    for account in ("A1", "A2"):
        assert shop(*TO_MARCH, "--account", account).code == 0
    before = snapshot(tmp_path)
    for command in (("set", str(file)), ("set", str(file), "--account", "A3"), ("clear",)):
        assert_refused(shop("grouping", *command), RUN, "BR-00000002")
    assert snapshot(tmp_path) == before
    shop("post", RUN)
    assert_refused(shop("grouping", "clear"), "BR-00000002")
    shop("cancel", "BR-00000002")
    assert shop("grouping", "clear").code == 0


# sql

TYPES: Final = "SELECT 1.50::DECIMAL(9, 2) AS d, DATE '2024-01-31' AS day, 'a\"b' AS t, NULL AS n, true AS b, 7 AS i"


def test_sql_as_json_keeps_decimals_and_dates_as_text(shop: Command) -> None:
    assert rows(shop, TYPES) == [{"d": "1.50", "day": "2024-01-31", "t": 'a"b', "n": None, "b": True, "i": 7}]


def test_sql_as_csv(shop: Command) -> None:
    assert shop("sql", TYPES, "--format", "csv").out == 'd,day,t,n,b,i\n1.50,2024-01-31,"a""b",,true,7\n'


def test_sql_as_a_table(shop: Command) -> None:
    out = shop("sql", "SELECT account_number, name FROM accounts ORDER BY 1").out
    assert [line.split() for line in out.splitlines() if "A" in line] == [["A1", "Ann"], ["A2", "Bob"], ["A3", "Cyd"]]


@pytest.mark.parametrize("output", ["csv", "json", "parquet"])
def test_sql_writes_a_file(shop: Command, output: str, tmp_path: Path) -> None:
    file = tmp_path / f"rows.{output}"
    outcome = shop("sql", TYPES, "--format", output, "--out", file)
    assert (outcome.code, outcome.out) == (0, "")
    if output == "parquet":
        assert pl.read_parquet(file).select("d", "i").row(0) == (Decimal("1.50"), 7)
    else:
        assert file.read_text(encoding="utf-8") == shop("sql", TYPES, "--format", output).out


def test_sql_reads_durations(drafts: Command) -> None:
    """How long a run took is the difference of two of its columns."""
    for output in ("table", "csv", "json"):
        outcome = drafts("sql", "SELECT finished_at - started_at AS took FROM bill_runs", "--format", output)
        assert (outcome.code, outcome.err) == (0, "")


def test_sql_as_json_has_no_word_that_json_lacks(shop: Command) -> None:
    """NaN and Infinity are words of JavaScript's, and strict parsers stop at them."""

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    out = shop("sql", "SELECT 'nan'::DOUBLE AS x, '-inf'::DOUBLE AS y", "--format", "json").out
    assert list(json.loads(out, parse_constant=refuse)[0]) == ["x", "y"]


def test_sql_as_csv_takes_every_type(shop: Command) -> None:
    outcome = shop("sql", "SELECT 'a'::BLOB AS b, [1.50::DECIMAL(9, 2)] AS l, TIME '10:00' AS t", "--format", "csv")
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize("query", ["SELCT 1", "SELECT nothing FROM accounts", "FROM nowhere", "SELECT 1 / 'x'"])
def test_sql_that_fails_says_why(shop: Command, query: str) -> None:
    outcome = shop("sql", query)
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith("billfold: ")
    assert "Error" in outcome.err
    assert_calm(outcome)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM invoices",
        "UPDATE invoices SET amount = 0",
        "INSERT INTO settings VALUES ('ungrouped', 'pooled')",
        "DROP TABLE invoices",
        "CREATE TABLE mine (a INTEGER)",
        "SELECT 1; DELETE FROM invoices",
        "DELETE FROM billfold.head",
        "COPY (SELECT 1) TO 'book/catalog.sqlite' (FORMAT csv)",
    ],
)
def test_sql_that_writes_is_refused(drafts: Command, query: str, tmp_path: Path) -> None:
    before = content(tmp_path / "book")
    outcome = drafts("sql", query)
    assert outcome.code == 1
    assert_calm(outcome)
    assert content(tmp_path / "book") == before


def content(book: Path) -> dict[str, bytes]:
    """Every file of a book; the side files of SQLite come and go with readers."""
    files = (path for path in book.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path.relative_to(book)): path.read_bytes() for path in files}


def test_an_unknown_format_is_refused(shop: Command) -> None:
    outcome = shop("sql", "SELECT 1", "--format", "xml")
    assert outcome.code in (1, 2)
    assert "xml" in outcome.err
    assert_calm(outcome)


def test_a_file_that_can_not_be_written_is_refused(shop: Command) -> None:
    assert_refused(shop("sql", "SELECT 1", "--format", "csv", "--out", "nowhere/x.csv"), "nowhere/x.csv")
