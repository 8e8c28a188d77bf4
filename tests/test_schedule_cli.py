"""The commands about invoice schedules as a user types them, and the same from Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from inputs import state, write_rows

from billfold import Book, create_schedule, execute_schedule, show_schedule, update_schedule
from billfold.console import console
from billfold.errors import BillfoldError
from billfold.intake import load
from billfold.schedules import paper

if TYPE_CHECKING:
    from conftest import Command, Outcome

Json = dict[str, Any]

DATA: Final = Path(__file__).parents[1] / "data" / "schedules"
FILES: Final = [DATA / f"schedule_{n}.json" for n in (1, 2, 3)]
FIRST: Final = "IS-00000001"
SEVEN: Final = [
    ("2023-12-01", Decimal(1050000)),
    ("2024-05-01", Decimal(1000000)),
    ("2024-06-01", Decimal(250000)),
    ("2024-09-01", Decimal(250000)),
    ("2024-12-01", Decimal(300000)),
    ("2025-03-01", Decimal(250000)),
    ("2025-12-01", Decimal(50000)),
]
"""The invoices of the documented schedules, by date."""

YEARLY: Final = {
    "charge_type": "Recurring", "charge_model": "FlatFee", "billing_period": "Annual",
    "bill_cycle_type": "ChargeTriggerDay", "effective_start_date": "2024-01-01", "effective_end_date": "2025-01-01",
}  # fmt: skip
TERM: Final = {
    "account_number": "A-1", "contract_effective_date": "2024-01-01", "term_start_date": "2024-01-01",
    "term_end_date": "2025-01-01",
}  # fmt: skip
SHOP: Final[dict[str, list[Json]]] = {
    "accounts": [{"account_number": "A-1", "currency": "USD", "payment_term": "Net 30"}],
    "orders": [{"order_number": "O-1", "account_number": "A-1"}],
    "subscriptions": [{"subscription_number": f"S-{n}", **TERM} for n in (1, 2)],
    "rate_plan_charges": [
        {"charge_number": f"C-{n}", "subscription_number": f"S-{n}", "price": price, **YEARLY}
        for n, price in ((1, 1200), (2, 600))
    ],
}
"""One order of two subscriptions for 1,200 and 600 a year."""

HALVES: Final[Json] = {
    "accountKey": "A-1",
    "orders": ["O-1"],
    "scheduleItems": [
        {"name": "first", "runDate": "2024-01-15", "amount": 900},
        {"name": "second", "runDate": "2024-07-15", "amount": 900},
    ],
}
SECOND: Final = {"specificSubscriptions": [{"orderKey": "O-1", "subscriptionKey": "S-2"}]}


def single(number: int, **more: object) -> Json:
    """A schedule of one of the two subscriptions, in one item."""
    named = [{"orderKey": "O-1", "subscriptionKey": f"S-{number}"}]
    item = {"amount": {1: 1200, 2: 600}[number], "runDate": "2024-01-15"}
    return {**HALVES, "specificSubscriptions": named, "scheduleItems": [item], **more}


def write(folder: Path, *said: Json, name: str = "request.json") -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(s) for s in said), encoding="utf-8")
    return path


def exact(outcome: Outcome) -> Any:  # noqa: ANN401 - JSON
    """What a command printed, to the cent."""
    assert outcome.err == ""
    return json.loads(outcome.out, parse_float=Decimal)


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with Book(folder / "book", read_only=True) as book:
        return book.sql(query).rows()


@pytest.fixture(scope="module")
def stocked(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book with the shop, to be copied."""
    folder = tmp_path_factory.mktemp("scheduled")
    tables = [f"{t}={write_rows(folder / f'{t}.csv', table)}" for t, table in SHOP.items()]
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        load(book, tables)
    return folder / "book"


@pytest.fixture
def desk(quick: Command, stocked: Path, tmp_path: Path) -> Command:
    """The command line in a folder with the stocked book."""
    shutil.copytree(stocked, tmp_path / "book")
    return quick


@pytest.fixture
def planned(desk: Command, tmp_path: Path) -> Command:
    """The same, with a schedule of two halves."""
    assert desk("schedule", "create", write(tmp_path, HALVES)).code == 0
    return desk


# ------------------------------------------------------------------ the documented case


def test_the_documented_schedules_give_seven_invoices(cli: Command, tmp_path: Path) -> None:
    """From an empty folder, each command a process of its own (SEED004-INDIVIDUAL-CHARGES)."""
    assert cli("init").code == 0
    assert cli("load", DATA).code == 0
    for number, (file, total) in enumerate(zip(FILES, (150000, 2000000, 1000000), strict=True), 1):
        body = exact(cli("schedule", "create", file, "--json"))
        assert (body["number"], body["status"], body["totalAmount"]) == (f"IS-0000000{number}", "Pending", total)
        assert (body["billedAmount"], body["unbilledAmount"], body["invoiceSeparately"]) == (0, total, False)
        assert body["nextRunDate"] == body["scheduleItems"][0]["runDate"]
    for day, _ in SEVEN:
        ran = cli("run", "--target-date", day, "--invoice-date", day, "--post")
        assert (ran.code, ran.err) == (0, "")
    found = rows(tmp_path, "SELECT invoice_date, amount FROM invoices ORDER BY invoice_number")
    assert [(str(day), amount) for day, amount in found] == SEVEN
    told = cli("schedule", "list")
    assert (told.code, told.err) == (0, "")
    assert told.out.count("FullyProcessed") == 3
    shown = exact(cli("schedule", "show", "IS-00000003", "--json"))
    assert (shown["status"], shown["billedAmount"], shown["nextRunDate"]) == ("FullyProcessed", 1000000, None)
    assert all(item["status"] == "Processed" and item["invoiceId"] for item in shown["scheduleItems"])


# ------------------------------------------------------------------ create


def test_a_created_schedule_is_answered_and_shown_alike(planned: Command) -> None:
    shown = exact(planned("schedule", "show", FIRST, "--json"))
    amounts = [shown[f"{kind}Amount"] for kind in ("total", "actual", "billed", "unbilled")]
    assert amounts == [1800, 1800, 0, 1800]
    assert [item["name"] for item in shown["scheduleItems"]] == ["first", "second"]
    assert (shown["invoiceSeparately"], shown["currency"], shown["nextRunDate"]) == (True, "USD", "2024-01-15")
    by_id = exact(planned("schedule", "show", shown["id"], "--json"))
    assert by_id == shown


def test_a_bad_schedule_in_a_file_does_not_stop_the_others(desk: Command, tmp_path: Path) -> None:
    file = write(tmp_path, single(1), single(1, accountKey="nobody"), single(2), name="several.jsonl")
    whole = desk("schedule", "create", file, "--all-or-nothing")
    assert whole.code == 1
    assert "line 1: Not done" in whole.err
    assert "line 2: 'accountKey'" in whole.err
    assert rows(tmp_path, "SELECT number FROM invoice_schedules") == []
    partly = desk("schedule", "create", file, "--out", "answers.jsonl")
    assert partly.code == 3
    assert "line 2: 'accountKey'" in partly.err
    assert "2 schedules made, 1 refused." in partly.out
    assert rows(tmp_path, "SELECT total_amount FROM invoice_schedules ORDER BY number") == [(1200,), (600,)]
    saved = [json.loads(each) for each in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(a["line"], a["success"]) for a in saved] == [(1, True), (2, False), (3, True)]


def test_a_file_of_which_no_schedule_can_be_made_fails(desk: Command, tmp_path: Path) -> None:
    outcome = desk("schedule", "create", write(tmp_path, *[single(1, orders=["O-9"], specificSubscriptions=[])] * 2))
    assert outcome.code == 1
    told = outcome.out + outcome.err
    assert [said for said in ("line 1: ", "line 2: ", "0 schedules made, 2 refused.") if said not in told] == []


def test_a_schedule_that_is_asked_for_again_gives_its_answer_and_does_nothing(desk: Command, tmp_path: Path) -> None:
    asked = ("schedule", "create", write(tmp_path, HALVES), "--idempotency-key", "k")
    first = desk(*asked, "--json")
    with Book(tmp_path / "book") as book:
        before = state(book)
    again = desk(*asked, "--json")
    assert (again.code, again.out) == (first.code, first.out) == (0, first.out)
    assert "(made before)" in desk(*asked).out
    write(tmp_path, HALVES | {"notes": "another"})
    other = desk(*asked)
    assert other.code == 1
    assert f"'idempotencyKey' 'k' was given for {FIRST} before." in other.err
    with Book(tmp_path / "book") as book:
        assert state(book) == before


def test_each_line_of_a_file_has_a_key_of_its_own(desk: Command, tmp_path: Path) -> None:
    asked = ("schedule", "create", write(tmp_path, single(1), single(2)), "--idempotency-key", "k", "--json")
    assert desk(*asked).code == 0
    told = exact(desk(*asked))
    assert {n: told[n] for n in ("success", "created", "repeated", "failed")} == {
        "success": True, "created": 0, "repeated": 2, "failed": 0,
    }  # fmt: skip
    assert [each["line"] for each in told["invoiceSchedules"]] == [1, 2]


def test_a_bad_request_is_refused_with_the_path_of_its_field(desk: Command, tmp_path: Path) -> None:
    said = HALVES | {"scheduleItems": [{"amount": 1800, "rundate": "2024-01-01"}]}
    outcome = desk("schedule", "create", write(tmp_path, said))
    assert (outcome.code, outcome.out) == (1, "")
    assert "'scheduleItems[0].rundate' is not known here (did you mean runDate?)." in outcome.err
    body = desk("schedule", "create", tmp_path / "request.json", "--json")
    assert (body.code, body.json()["success"]) == (1, False)


def test_items_have_to_add_up(desk: Command, tmp_path: Path) -> None:
    said = HALVES | {"scheduleItems": [{"amount": 1799}]}
    outcome = desk("schedule", "create", write(tmp_path, said))
    assert (outcome.code, outcome.out) == (1, "")
    assert "'scheduleItems'" in outcome.err
    assert "1800" in outcome.err


# ------------------------------------------------------------------ show and list


def test_a_schedule_is_shown_to_people(planned: Command) -> None:
    told = planned("schedule", "show", FIRST)
    assert (told.code, told.err) == (0, "")
    words = (FIRST, "A-1", "Pending", "O-1", "USD", "1,800.00", "first", "second", "2024-07-15", "900.00")
    assert [word for word in words if word not in told.out] == []


def test_a_schedule_is_shown_by_page(planned: Command) -> None:
    def names(*arguments: str) -> list[str]:
        shown = exact(planned("schedule", "show", FIRST, *arguments, "--json"))
        return [item["name"] for item in shown["scheduleItems"]]

    assert names("--page", "1") == names("--page-size", "40") == ["first", "second"]
    assert names("--page", "2", "--page-size", "1") == ["second"]
    assert names("--page", "2") == []
    assert planned("schedule", "show", FIRST, "--page-size", "41").code == 2
    assert planned("schedule", "show", FIRST, "--page", "0").code == 2


@pytest.mark.parametrize("command", ["show", "pause", "resume", "delete", "execute"])
def test_a_schedule_that_is_not_there_is_said_so(desk: Command, command: str) -> None:
    outcome = desk("schedule", command, "IS-9")
    assert (outcome.code, outcome.out) == (1, "")
    assert "IS-9" in outcome.err
    assert outcome.err.startswith("billfold: ")


def test_schedules_are_listed_by_account_and_status(desk: Command, tmp_path: Path) -> None:
    assert desk("schedule", "list").out == "There are no such invoice schedules.\n"
    desk("schedule", "create", write(tmp_path, single(1, notes="one"), single(2, notes="two")))
    desk("schedule", "pause", FIRST)

    def found(*options: str) -> list[str]:
        return [each["notes"] for each in desk("schedule", "list", *options, "--json").json()]

    assert found() == found("--account", "A-1") == ["one", "two"]
    assert found("--account", "A-2") == []
    assert (found("--status", "Paused"), found("--status", "pending")) == (["one"], ["two"])
    assert desk("schedule", "list", "--status", "Lost").code == 2
    told = desk("schedule", "list").out
    assert [word for word in ("IS-00000001", "Paused", "USD 1,200.00", "two") if word not in told] == []


def test_words_fold_and_amounts_do_not(desk: Command, tmp_path: Path) -> None:
    notes = " ".join(["[bold]word[/bold]"] * 12)
    assert desk("schedule", "create", write(tmp_path, HALVES | {"notes": notes})).code == 0
    told = desk("schedule", "list").out
    assert [word for word in (FIRST, "Pending", "2024-01-15", "USD 1,800.00") if word not in told] == []
    assert told.count("[bold]word[/bold]") == 12


def test_rows_that_do_not_fit_become_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    name = "[x]" * 40
    paper._show(console(), [{"schedule": name, "total": "1.00", "notes": ""}], right=["total"], folding="notes")
    assert capsys.readouterr().out == f"schedule  {name}\ntotal     1.00\nnotes     \n\n"


# ------------------------------------------------------------------ update and delete


def test_an_update_changes_what_it_is_given(planned: Command, tmp_path: Path) -> None:
    before = exact(planned("schedule", "show", FIRST, "--json"))
    first = {"id": before["scheduleItems"][0]["id"], "amount": 1000, "runDate": "2024-02-01"}
    said = {"notes": "Moved", "scheduleItems": [first, {"amount": 800, "name": "rest"}]}
    body = exact(planned("schedule", "update", FIRST, write(tmp_path, said), "--json"))
    assert (body["success"], body["notes"], body["nextRunDate"]) == (True, "Moved", "2024-02-01")
    assert [(i["amount"], i["runDate"]) for i in body["scheduleItems"]] == [(1000, "2024-02-01"), (800, None)]
    assert body == exact(planned("schedule", "show", FIRST, "--json"))
    told = planned("schedule", "update", FIRST, write(tmp_path, {"notes": None}))
    assert (told.code, told.err) == (0, "")
    assert "1,000.00" in told.out
    assert exact(planned("schedule", "show", FIRST, "--json")) == body | {"notes": None}


def test_an_update_that_does_not_add_up_changes_nothing(planned: Command, tmp_path: Path) -> None:
    before = planned("schedule", "show", FIRST, "--json").out
    outcome = planned("schedule", "update", FIRST, write(tmp_path, {"scheduleItems": [{"amount": 1}]}))
    assert (outcome.code, outcome.out) == (1, "")
    assert "'scheduleItems'" in outcome.err
    assert planned("schedule", "show", FIRST, "--json").out == before


def test_one_request_is_one_update(planned: Command, tmp_path: Path) -> None:
    file = write(tmp_path, SECOND, SECOND)
    for command in ("update", "attach", "detach", "execute"):
        outcome = planned("schedule", command, FIRST, file)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err == f"billfold: {file} has 2 requests: give one.\n"


def test_only_a_schedule_that_billed_nothing_is_deleted(planned: Command, tmp_path: Path) -> None:
    assert planned("schedule", "execute", FIRST).code == 0
    late = planned("schedule", "delete", FIRST)
    assert (late.code, late.out) == (1, "")
    assert "PartiallyProcessed" in late.err
    (run,) = rows(tmp_path, "SELECT bill_run_number FROM bill_runs")[0]
    assert planned("cancel", run).code == 0
    deleted = planned("schedule", "delete", FIRST)
    assert (deleted.code, deleted.err) == (0, "")
    assert deleted.out == f"{FIRST} is deleted: its charges are billed by period again.\n"
    assert rows(tmp_path, "SELECT * FROM invoice_schedules") == []
    assert rows(tmp_path, "SELECT * FROM invoice_schedule_items") == []


# ------------------------------------------------------------------ execute, pause and resume


def test_items_are_billed_one_by_one_before_they_are_due(planned: Command, tmp_path: Path) -> None:
    told = planned("schedule", "execute", FIRST)
    assert (told.code, told.err) == (0, "")
    assert [w for w in ("BR-00000001", "target date 2024-01-15", "USD 900.00") if w not in told.out] == []
    item = exact(planned("schedule", "show", FIRST, "--json"))["scheduleItems"][1]["id"]
    file = write(tmp_path, {"scheduleItemId": item})
    body = exact(planned("schedule", "execute", FIRST, file, "--post", "--json"))
    assert {n: body[n] for n in ("billRunNumber", "status", "invoiceDate", "targetDate", "success")} == {
        "billRunNumber": "BR-00000002", "status": "Posted", "invoiceDate": "2024-07-15", "targetDate": "2024-07-15",
        "success": True,
    }  # fmt: skip
    assert body["billRunFilters"][0]["invoiceScheduleItemId"] == item
    again = planned("schedule", "execute", FIRST)
    assert (again.code, again.out) == (1, "")
    assert f"Nothing of {FIRST} is left to bill" in again.err
    assert rows(tmp_path, "SELECT count(*), sum(amount) FROM invoices") == [(2, 1800)]


def test_custom_fields_outlive_a_run(desk: Command, tmp_path: Path) -> None:
    of_item = {"PONumber__c": "PO-1", "integer__c": 1000, "boolean__c": False}
    items = [HALVES["scheduleItems"][0] | of_item, HALVES["scheduleItems"][1]]
    said = HALVES | {"region__c": "North", "scheduleItems": items}
    assert exact(desk("schedule", "create", write(tmp_path, said), "--json"))["region__c"] == "North"
    for _ in items:
        executed = desk("schedule", "execute", FIRST)
        assert (executed.code, executed.err) == (0, "")
    shown = exact(desk("schedule", "show", FIRST, "--json"))
    assert (shown["status"], shown["region__c"]) == ("FullyProcessed", "North")
    found = [{name: value for name, value in item.items() if name.endswith("__c")} for item in shown["scheduleItems"]]
    assert found == [of_item, {}]


def test_a_request_comes_from_standard_input(cli: Command, stocked: Path, tmp_path: Path) -> None:
    shutil.copytree(stocked, tmp_path / "book")
    command = [sys.executable, "-m", "billfold", "schedule", "create", "-", "--json"]
    done = subprocess.run(command, cwd=tmp_path, input=json.dumps(HALVES).encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["number"] == FIRST
    assert cli("schedule", "show", FIRST).code == 0


def test_only_the_next_item_is_billed(planned: Command, tmp_path: Path) -> None:
    second = exact(planned("schedule", "show", FIRST, "--json"))["scheduleItems"][1]["id"]
    for how in (("--item", second), (write(tmp_path, {"scheduleItemId": second}),), ("--item", "none")):
        outcome = planned("schedule", "execute", FIRST, *how)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err
    assert planned("schedule", "execute", FIRST, tmp_path / "request.json", "--item", second).code == 2
    bad = planned("schedule", "execute", FIRST, write(tmp_path, {"item": second}))
    assert (bad.code, bad.out) == (1, "")
    assert "'item' is not known here" in bad.err
    assert rows(tmp_path, "SELECT * FROM bill_runs") == []


def test_a_paused_schedule_is_not_executed_until_it_is_resumed(planned: Command) -> None:
    def status() -> str:
        found: str = exact(planned("schedule", "show", FIRST, "--json"))["status"]
        return found

    assert planned("schedule", "execute", FIRST).code == 0
    paused = planned("schedule", "pause", FIRST)
    assert (paused.code, paused.out, status()) == (0, f"{FIRST} is paused.\n", "Paused")
    refused = planned("schedule", "execute", FIRST)
    assert (refused.code, refused.out) == (1, "")
    assert "aused" in refused.err
    again = exact(planned("schedule", "pause", FIRST, "--json"))
    assert (again["success"], again["status"]) == (True, "Paused")
    resumed = planned("schedule", "resume", FIRST)
    assert (resumed.code, resumed.out, status()) == (0, f"{FIRST} is resumed.\n", "PartiallyProcessed")
    assert planned("schedule", "resume", FIRST).code == 1


# ------------------------------------------------------------------ attach, detach and check


def test_charges_are_detached_and_attached(planned: Command, tmp_path: Path) -> None:
    file = write(tmp_path, SECOND)
    early = planned("schedule", "detach", FIRST, file)
    assert (early.code, early.out) == (1, "")
    assert planned("schedule", "execute", FIRST, "--post").code == 0
    detached = planned("schedule", "detach", FIRST, file)
    assert (detached.code, detached.err) == (0, "")
    assert detached.out == f"The charges are detached from {FIRST}: bill runs bill them by period.\n"
    shown = exact(planned("schedule", "show", FIRST, "--json"))
    assert [shown[f"{k}Amount"] for k in ("total", "actual", "billed", "unbilled")] == [1800, 1500, 900, 600]
    attached = planned("schedule", "attach", FIRST, file, "--json")
    assert (attached.code, attached.json()["success"]) == (0, True)
    shown = exact(planned("schedule", "show", FIRST, "--json"))
    assert [shown[f"{k}Amount"] for k in ("total", "actual", "billed", "unbilled")] == [1800, 1800, 900, 900]
    assert planned("schedule", "attach", FIRST, file).code == 1


def test_a_check_tells_which_schedules_can_not_be_billed(planned: Command, tmp_path: Path) -> None:
    fine = planned("schedule", "check")
    assert (fine.code, fine.err) == (0, "")
    assert fine.out == "The charges of every open schedule agree: all can be billed.\n"
    assert exact(planned("schedule", "check", "--json")) == {"success": True, "invoiceSchedules": []}
    drifted = [SHOP["subscriptions"][0], SHOP["subscriptions"][1] | {"payment_term": "Net 60"}]
    assert planned("load", f"subscriptions={write_rows(tmp_path / 'drifted.csv', drifted)}").code == 0
    told = planned("schedule", "check")
    assert told.code == 3
    assert [word for word in (FIRST, "A-1", "2024-01-15", "payment_term") if word not in told.out] == []
    body = planned("schedule", "check", "--json")
    assert (body.code, body.json()["success"]) == (3, False)
    assert [(f["invoice_schedule_number"], f["field"]) for f in body.json()["invoiceSchedules"]] == [
        (FIRST, "payment_term")
    ]
    for said in ("BR-00000001", "Nothing was billed, and nothing was written."):
        executed = planned("schedule", "execute", FIRST)
        assert (executed.code, executed.err) == (3, "")
        assert said in executed.out
        assert "Account A-1 is parked: " in executed.out


# ------------------------------------------------------------------ from Python


def test_the_same_is_done_from_python(stocked: Path, tmp_path: Path) -> None:
    with Book(shutil.copytree(stocked, tmp_path / "book")) as book:
        body = create_schedule(book, HALVES)
        assert (body["success"], body["number"], body["totalAmount"]) == (True, FIRST, 1800)
        shares = {"scheduleItems": [{"percentage": Decimal("33.3")}, {"percentage": "66.7"}]}
        changed = update_schedule(book, FIRST, json.dumps(shares, default=str))
        assert [i["amount"] for i in changed["scheduleItems"]] == [Decimal("599.4"), Decimal("1200.6")]
        dated = {"scheduleItems": [{"id": i["id"], "runDate": f"2024-0{n}-01"} for n, i in _counted(changed)]}
        assert update_schedule(book, FIRST, dated)["success"]
        run = execute_schedule(book, FIRST, {"scheduleItemId": changed["scheduleItems"][0]["id"]})
        assert (run["success"], run["status"], str(run["targetDate"])) == (True, "Completed", "2024-01-01")
        assert execute_schedule(book, FIRST, post=True)["status"] == "Posted"
        assert execute_schedule(book, FIRST, {"item": 1})["success"] is False
        shown = show_schedule(book, FIRST)
        assert (shown["status"], shown["billedAmount"]) == ("FullyProcessed", 1800)
        assert [i["percentage"] for i in show_schedule(book, FIRST, page=2, page_size=1)["scheduleItems"]] == [
            Decimal("66.7")
        ]
        assert create_schedule(book, "{")["success"] is False
        with pytest.raises(BillfoldError, match="IS-9"):
            show_schedule(book, "IS-9")


def _counted(body: Json) -> enumerate[Json]:
    return enumerate(body["scheduleItems"], 1)
