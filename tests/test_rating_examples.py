"""Every documented rating case of data/rating_examples is billed step by step, and gives the items that it states."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import billfold.cli

if TYPE_CHECKING:
    from conftest import Command, Outcome

FOLDER: Final = Path(__file__).parents[1] / "data" / "rating_examples"
INDEX: Final[list[dict[str, Any]]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
RUNNABLE: Final = [case["id"] for case in INDEX if case["status"] == "runnable"]

THROUGH_A_PROCESS: Final = ("SERIES-SEMI-2", "CREDIT-METHOD-NEW", "OLI-NEG-2")
"""One each of: segments with a discount, settings with a cancellation, a parked account."""

DOCUMENT: Final = "bill_run_number, due_date, bill_to_contact, payment_term, invoice_group_number"
ITEMS: Final = f"""
SELECT i.*, i.amount AS owed, 'invoice' AS document, i.invoice_id AS id, d.amount AS total, d.invoice_number AS number,
       d.invoice_date, {DOCUMENT}
FROM invoice_items i JOIN invoices d USING (invoice_id)
UNION ALL BY NAME
SELECT i.*, -i.amount AS owed, 'credit_memo' AS document, i.credit_memo_id AS id, d.amount AS total,
       d.credit_memo_number AS number, d.credit_memo_date AS invoice_date, {DOCUMENT}
FROM credit_memo_items i JOIN credit_memos d USING (credit_memo_id)
"""  # noqa: S608 - ours
"""Items with their documents; what is owed is positive on an invoice and negative on a credit memo."""

EXACT: Final = ("amount", "quantity")

Row = Mapping[str, Any]


def expected_of(case: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / case / "expected.json").read_text(encoding="utf-8"))
    return read


BOOKS: Final = {f"{case}/{book['name']}": (case, book) for case in RUNNABLE for book in expected_of(case)["books"]}


# What a step gives


def rows(cli: Command, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cli("sql", query, "--format", "json").json()
    return found


def agrees(expected: Row, found: Row) -> bool:
    """A row has all values that are stated; numbers are compared as numbers."""
    return all(
        Decimal(str(value)) == Decimal(str(found[name])) if name in EXACT and found[name] is not None
        else value == found[name]
        for name, value in expected.items()
    )  # fmt: skip


def unmatched(expected: Sequence[Row], found: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows that are stated and not found, and those that are found and not stated."""
    missing: list[Row] = []
    left = list(found)
    for row in expected:
        place = next((n for n, other in enumerate(left) if agrees(row, other)), None)
        if place is None:
            missing.append(row)
        else:
            left.pop(place)
    return missing, left


def brief(found: Row) -> Row:
    """What a person needs to see of an item that nobody expected."""
    names = ("charge_number", "segment", "item_number", "charge_name", "service_start_date", "service_end_date", "owed")
    return {name: found[name] for name in (*names, "quantity", "processing_type")}


def documents_of(found: Sequence[Row]) -> list[dict[str, Any]]:
    """Documents with the numbers of their charges."""
    by_id = {row["id"]: {**row, "amount": row["total"]} for row in found}
    held = {name: {row["charge_number"] for row in found if row["id"] == name} for name in by_id}
    return [{**document, "charges": held[name]} for name, document in by_id.items()]


def check(step: Row, found: Sequence[Row]) -> None:
    """A run made the items and documents of a step, and no others."""
    items = [{**row, "amount": row["owed"]} for row in found]
    missing, others = unmatched(step.get("items", step.get("includes", [])), items)
    if "items" not in step:
        others = []
    assert [missing, [brief(row) for row in others]] == [[], []], "items that are missing, items that nobody expected"
    assert [brief(row) for row in found if row["processing_type"] == "Discount" and not row["applied_to_item_id"]] == []
    wanted = [{**d, **({"charges": set(d["charges"])} if "charges" in d else {})} for d in step["documents"]]
    missing, others = unmatched(wanted, documents_of(found))
    made = [(d["document"], d["total"], d["charges"]) for d in others]
    assert [missing, made] == [[], []], "documents that are missing, documents that nobody expected"


# The steps of a case


def run(cli: Command, asked: Row, monkeypatch: pytest.MonkeyPatch | None = None) -> Outcome:
    """Bill, and make the documents final at once; `today` is what the command takes for the present day."""
    options = [
        part for name, value in asked.items() if name != "today" for part in (f"--{name.replace('_', '-')}", value)
    ]
    if "today" in asked:
        assert monkeypatch is not None
        stopped = type("Stopped", (datetime,), {"now": classmethod(lambda _, zone: noon(asked["today"], zone))})
        monkeypatch.setattr(billfold.cli, "datetime", stopped)
    return cli("run", *options, "--post", "--json")


def noon(text: str, zone: object) -> datetime:
    assert zone is UTC
    return datetime.fromisoformat(f"{text}T12:00:00+00:00")


def walk(cli: Command, folder: Path, book: Row, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Go through the steps of a book; documents that are posted stay as they are, so items are compared at the end."""
    if settings := [f"{name}={value}" for name, value in book.get("settings", {}).items()]:
        assert cli("settings", "set", *settings).code == 0
    numbers = [take_step(cli, folder, step, monkeypatch) for step in book["steps"]]
    found = rows(cli, ITEMS)
    for step, number in zip(book["steps"], numbers, strict=True):
        check(step, [row for row in found if row["bill_run_number"] == number])


def take_step(cli: Command, folder: Path, step: Row, monkeypatch: pytest.MonkeyPatch | None) -> str | None:
    """Load the tables of a step, if it has any, and bill; the run's number, unless it bills nothing."""
    if "load" in step:
        loaded = cli("load", folder / step["load"])
        assert loaded.code == 0, loaded.err + loaded.out
    ran = run(cli, step["run"], monkeypatch)
    parked = step.get("parked", [])
    assert ran.code == (3 if parked else 0), ran.err + ran.out
    receipt = ran.json()
    assert sorted(p["account_number"] for p in receipt["parked"]) == parked, receipt["parked"]
    if "late" in step:
        assert [r["usage_id"] for r in rows(cli, "FROM late_usage ORDER BY usage_id")] == step["late"]
    if "query" in step:
        found, wanted = ([{k: as_number(v) for k, v in row.items()} for row in told] for told in answers(cli, step))
        assert found == wanted
    number: str | None = receipt["bill_run_number"]
    return number


def answers(cli: Command, step: Row) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the book answers to a step's question, and what it should answer."""
    return rows(cli, step["query"]["sql"]), step["query"]["rows"]


def as_number(value: object) -> object:
    """Decimals are printed as text."""
    text = str(value)
    return Decimal(text) if text.replace(".", "", 1).lstrip("-").isdigit() else value


@pytest.mark.parametrize("name", BOOKS)
def test_a_case_gives_the_items_that_it_states(
    name: str, quick: Command, tmp_path: Path, empty_book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, book = BOOKS[name]
    shutil.copytree(empty_book, tmp_path / "book")
    walk(quick, FOLDER / case, book, monkeypatch)


@pytest.mark.parametrize("case", THROUGH_A_PROCESS)
def test_a_case_gives_the_same_through_a_process(case: str, cli: Command) -> None:
    assert cli("init").code == 0
    walk(cli, FOLDER / case, expected_of(case)["books"][-1])


# The list of cases


def test_every_core_case_is_billed() -> None:
    assert [case["id"] for case in INDEX if case["tier"] == "CORE" and case["status"] != "runnable"] == []


def test_every_other_case_says_why_not() -> None:
    others = [case for case in INDEX if case["status"] != "runnable"]
    assert {case["status"] for case in others} == {"waiting", "out_of_scope"}
    assert [case["id"] for case in others if not case["reason"]] == []


def test_the_index_and_the_folders_agree() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    waiting = {case["id"] for case in INDEX if case["status"] == "waiting"}
    assert folders == waiting | set(RUNNABLE)
    assert {f for f in folders if (FOLDER / f / "expected.json").is_file()} == set(RUNNABLE)
    assert {f for f in folders if (FOLDER / f / "case.json").is_file()} == waiting
    assert [expected_of(case)["id"] for case in RUNNABLE] == RUNNABLE


def test_every_table_is_loaded_by_a_step() -> None:
    loads = {
        (FOLDER / c / s["load"]).resolve()
        for c in RUNNABLE
        for b in expected_of(c)["books"]
        for s in b["steps"]
        if "load" in s
    }
    assert {path.parent.resolve() for path in FOLDER.rglob("*.csv")} == loads
