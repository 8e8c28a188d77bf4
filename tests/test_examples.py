"""Every documented example of data/examples is billed, and gives the documents that the vendor's page shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from billfold import Book, bill, post
from billfold.configure import configure
from billfold.errors import BillfoldError
from billfold.grouping import from_file
from billfold.intake import load
from billfold.requests import RunRequest
from billfold.settings import change, from_toml

if TYPE_CHECKING:
    from conftest import Command

FOLDER: Final = Path(__file__).parents[1] / "data" / "examples"
INDEX: Final[list[dict[str, Any]]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
RUNNABLE: Final = [case["id"] for case in INDEX if case["status"] == "runnable"]

WAITING: Final = {
    "bs-preview-ex1": "invoice schedules",
    "bs-preview-ex2": "invoice schedules",
    "bs-preview-ex3": "invoice schedules",
    "bs-preview-ex4-credit-memo": "invoice schedules",
    "bs-ignores-iss": "invoice schedules",
    "owner-transfer-later-credit": "examples of two runs (tests/test_rating.py bills it)",
}
"""Cases that later issues will make runnable, and what each waits for."""

THROUGH_THE_COMMAND_LINE: Final = (
    "ig-ex1-subscriptions",
    "cig-uc4-s2-different-field-names",
    "oli-is-table2-ex2",
    "num-yyyymm",
    "num-collision-together",
)
"""One each of: the default, a configuration, settings and a parked account, posting, a refusal."""

HEADER: Final = {
    "account": "account_number",
    "bill_to": "bill_to_contact",
    "payment_term": "payment_term",
    "invoice_template": "invoice_template",
    "sequence_set": "sequence_set",
    "invoice_group_number": "invoice_group_number",
    "group_value": "invoice_group_value",
    "currency": "currency",
    "total": "amount",
    "number": "number",
    "draft_number": "draft_number",
}
"""The name of a document's field in a case, and here."""

ITEM: Final = {"amount": "amount", "sold_to": "sold_to_contact"}

NOT_COMPARED: Final = {"label", "total_with_tax", "items"}
"""A page's name for the document, tax (which billfold does not reckon), and what is compared item by item."""

Row = Mapping[str, Any]
Query = Callable[[str], list[dict[str, Any]]]


def expected_of(case: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / case / "expected.json").read_text(encoding="utf-8"))
    return read


def item_keys(items: list[dict[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """What a document holds, without order: one key a line."""
    counted: Counter[tuple[str, ...]] = Counter()
    for item in items:
        key = ("charge", item["charge"]) if "charge" in item else ("line", item["order"], item["item"])
        counted[key] += item.get("count", 1)
    return tuple(sorted(counted.elements()))


def found_documents(query: Query, kind: str) -> list[dict[str, Any]]:
    """The stored documents of a kind, each with its items."""
    headers = query(f"SELECT *, {kind}_number AS number, {kind}_id AS id FROM {kind}s ORDER BY id")  # noqa: S608 - ours
    items = query(f"SELECT *, {kind}_id AS id FROM {kind}_items ORDER BY {kind}_item_id")  # noqa: S608 - ours
    return [{**h, "items": [_named(i) for i in items if i["id"] == h["id"]]} for h in headers]


def _named(item: Row) -> dict[str, Any]:
    if item["charge_number"] is not None:
        return {**item, "charge": item["charge_number"]}
    return {**item, "order": item["order_number"], "item": item["item_number"]}


def differences(expected: Row, found: Row) -> list[str]:
    """What a case states about a document and the book says otherwise."""
    unknown = set(expected) - set(HEADER) - NOT_COMPARED
    assert not unknown, f"the test does not know what {unknown} means"
    said = [
        f"{name}: {found[HEADER[name]]!r} instead of {value!r}"
        for name, value in expected.items()
        if name not in NOT_COMPARED and not _equal(name, value, found[HEADER[name]])
    ]
    for item in expected["items"]:
        same = [i for i in found["items"] if item_keys([_one(i)]) == item_keys([_one(item)])]
        said += [
            f"{name} of {_one(item)}: {i[column]!r} instead of {item[name]!r}"
            for name, column in ITEM.items()
            for i in same
            if name in item and not _equal(name, item[name], i[column])
        ]
    return said


def _one(item: Row) -> dict[str, Any]:
    return {name: item[name] for name in ("charge", "order", "item") if name in item}


def _equal(name: str, expected: object, found: object) -> bool:
    if name in ("total", "amount"):
        return Decimal(str(expected)) == Decimal(str(found))
    return expected == found


def check(expected: Row, found: Mapping[str, list[dict[str, Any]]], parked: list[dict[str, Any]]) -> None:
    """The book holds exactly the documents of a case, and has parked exactly the accounts of its rejections."""
    for kind in ("invoices", "credit_memos"):
        wanted = {item_keys(d["items"]): d for d in expected[kind]}
        made = {item_keys(d["items"]): d for d in found[kind]}
        assert sorted(made) == sorted(wanted), f"the {kind} hold other items"
        assert len(found[kind]) == len(expected[kind])
        said = {keys: differences(wanted[keys], made[keys]) for keys in wanted}
        assert not {keys: s for keys, s in said.items() if s}
    assert {p["account_number"] for p in parked} == {r["account"] for r in expected["rejections"]}
    for rejection in expected["rejections"]:
        details = [json.loads(p["detail"]) for p in parked if p["account_number"] == rejection["account"]]
        assert [Decimal(d["net"]) for d in details] == [Decimal(rejection["total"])]


def rows_of(book: Book) -> Query:
    return lambda text: book.sql(text).to_dicts()


def documents(query: Query, draft_numbers: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """All documents of the book, each with the number that it had as a draft."""
    found = {f"{kind}s": found_documents(query, kind) for kind in ("invoice", "credit_memo")}
    return {kind: [{**d, "draft_number": draft_numbers.get(d["id"])} for d in found[kind]] for kind in found}


def draft_numbers(query: Query) -> dict[str, str]:
    rows = query(
        "SELECT invoice_id AS id, invoice_number AS number FROM invoices "
        "UNION ALL SELECT credit_memo_id, credit_memo_number FROM credit_memos"
    )
    return {row["id"]: row["number"] for row in rows}


def set_up(book: Book, folder: Path) -> None:
    """Load a case's tables, then its settings and its configuration, if it has any."""
    load(book, [str(folder)])
    if (folder / "settings.toml").exists():
        change(book, from_toml(folder / "settings.toml"))
    if (folder / "invoice_group.json").exists():
        configure(book, from_file(folder / "invoice_group.json"))


@pytest.mark.parametrize("case", RUNNABLE)
def test_an_example_gives_the_documents_of_its_page(case: str, book: Book) -> None:
    expected = expected_of(case)
    target = date.fromisoformat(expected["target_date"])
    invoice_date = date.fromisoformat(expected.get("invoice_date", expected["target_date"]))

    query = rows_of(book)
    set_up(book, FOLDER / case)
    run = bill(book, RunRequest(target_date=target, invoice_date=invoice_date)).bill_run_number
    assert run is not None
    drafts = draft_numbers(query)
    if "refused" in expected:
        with pytest.raises(BillfoldError, match=expected["refused"].split()[-1]):
            post(book, run)
        assert draft_numbers(query) == drafts
        return
    if expected["post"]:
        post(book, run)
    check(expected, documents(query, drafts), query("FROM parked_accounts"))


@pytest.mark.parametrize("case", THROUGH_THE_COMMAND_LINE)
def test_an_example_gives_the_same_through_the_command_line(case: str, cli: Command, tmp_path: Path) -> None:
    folder, expected = FOLDER / case, expected_of(case)
    assert cli("init").code == 0
    assert cli("load", folder).code == 0
    for file, command in (("settings.toml", "settings"), ("invoice_group.json", "grouping")):
        if (folder / file).exists():
            assert cli(command, "set", folder / file).code == 0
    posting = ["--post"] if expected["post"] else []
    ran = cli("run", "--target-date", expected["target_date"], *posting, "--json")
    with Book(tmp_path / "book", read_only=True) as book:
        query = rows_of(book)
        if "refused" in expected:
            assert ran.code == 1
            assert expected["refused"].split()[-1] in ran.err
            assert query("FROM bill_runs") == query("FROM invoices") == []
            return
        assert ran.code == (3 if expected["rejections"] else 0)
        check(expected, documents(query, {}), query("FROM parked_accounts"))


def test_the_cases_that_wait_are_these() -> None:
    assert {case["id"]: case["waits_for"] for case in INDEX if case["status"] == "waiting"} == WAITING


def test_the_index_and_the_folders_agree() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert folders == {case["id"] for case in INDEX if case["status"] != "out_of_scope"}
    assert {f for f in folders if (FOLDER / f / "expected.json").is_file()} == set(RUNNABLE)
    assert {f for f in folders if (FOLDER / f / "case.json").is_file()} == set(WAITING)
    assert [c["id"] for c in INDEX if c["status"] not in ("runnable", "waiting", "out_of_scope")] == []


def test_an_expected_json_is_that_of_its_folder() -> None:
    assert [expected_of(case)["id"] for case in RUNNABLE] == RUNNABLE
