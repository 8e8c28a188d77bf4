"""Every documented rating case of data/rating_examples is billed step by step, and gives the items that it states."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

import pytest

import billfold.book
import billfold.cli.common

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

KEYS: Final = {
    *("account_number", "subscription_number", "charge_number", "usage_id"),
    *("order_number", "original_order_number"),
}
"""Columns by which rows are found and refer to others."""

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


@dataclass(frozen=True)
class Part:
    """A case's book; `prefix` begins its keys, where several cases share one book."""

    name: str
    folder: Path
    book: Row
    prefix: str = ""
    numbers: list[str | None] = field(default_factory=list)
    """The numbers of the runs that it has taken part in; None for a run that billed nothing."""

    @property
    def step(self) -> Row:
        """The next one to take."""
        following: Row = self.book["steps"][len(self.numbers)]
        return following

    def keeps(self, found: Sequence[Row], key: str) -> list[dict[str, Any]]:
        """Its own rows, by a key, as they would be without the prefix."""
        mine = [row for row in found if row[key].startswith(self.prefix)]
        return [{k: v.replace(self.prefix, "") if isinstance(v, str) else v for k, v in row.items()} for row in mine]

    def tables(self) -> dict[str, list[dict[str, str]]]:
        """The tables that the next step loads, with the prefix."""
        if "load" not in self.step:
            return {}
        files = sorted((self.folder / self.step["load"]).glob("*.csv"))
        read = {path.stem: list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) for path in files}
        return {
            table: [{k: self.prefix + v if v and k in KEYS else v for k, v in row.items()} for row in content]
            for table, content in read.items()
        }


def part_of(name: str) -> Part:
    """A case that has a book to itself."""
    case, book = BOOKS[name]
    return Part(name, FOLDER / case, book)


def pack_of(name: str) -> str:
    """Cases with the same settings share a book; those without any, which are most, if they begin in the same year.

    A document's number counts all documents of a book, so a case that states one has a book to itself.
    """
    book = BOOKS[name][1]
    if any("number" in document for step in book["steps"] for document in step["documents"]):
        return name
    settings = ",".join(f"{k}={v}" for k, v in sorted(book.get("settings", {}).items()))
    return settings or f"defaults,{book['steps'][0]['run']['target_date'][:4]}"


PACKS: Final = {pack: list(names) for pack, names in groupby(sorted(BOOKS, key=lambda n: (pack_of(n), n)), key=pack_of)}


def run(cli: Command, asked: Row, accounts: Sequence[str], monkeypatch: pytest.MonkeyPatch | None = None) -> Outcome:
    """Bill, and make the documents final at once; `today` is what the command takes for the present day."""
    options = [
        part for name, value in asked.items() if name != "today" for part in (f"--{name.replace('_', '-')}", value)
    ]
    options += [part for account in accounts for part in ("--account", account)]
    if "today" in asked:
        assert monkeypatch is not None
        stopped = type("Stopped", (datetime,), {"now": classmethod(lambda _, zone: noon(asked["today"], zone))})
        monkeypatch.setattr(billfold.cli.common, "datetime", stopped)
    return cli("run", *options, "--post", "--json")


def noon(text: str, zone: object) -> datetime:
    assert zone is UTC
    return datetime.fromisoformat(f"{text}T12:00:00+00:00")


def walk(
    cli: Command, parts: Sequence[Part], scratch: Path, monkeypatch: pytest.MonkeyPatch | None = None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Go through the steps of books that share one; for each its name and what compares it.

    Documents that are posted stay as they are, so items are compared at the end.
    """
    if settings := [f"{name}={value}" for name, value in parts[0].book.get("settings", {}).items()]:
        assert cli("settings", "set", *settings).code == 0
    accounts = {part.name: [row["account_number"] for row in part.tables()["accounts"]] for part in parts}
    load(cli, parts, scratch)
    compared: dict[str, list[Callable[[], None]]] = {part.name: [] for part in parts}
    while turn := following(parts):
        for alike in by_columns([part for part in turn if part.numbers]):
            load(cli, alike, scratch)
        chosen = [] if len(turn) == len(parts) else [number for part in turn for number in accounts[part.name]]
        take_step(cli, turn, chosen, compared, monkeypatch)
    found = rows(cli, ITEMS)
    for part in parts:
        yield part.name, partial(compare, part, part.keeps(found, "account_number"), compared[part.name])


def following(parts: Sequence[Part]) -> list[Part]:
    """Those whose next run is the earliest; it is one run for all of them."""
    open_ = [part for part in parts if len(part.numbers) < len(part.book["steps"])]
    first = min((sorted(part.step["run"].items()) for part in open_), default=None)
    return [part for part in open_ if sorted(part.step["run"].items()) == first]


def by_columns(parts: Sequence[Part]) -> list[list[Part]]:
    """A file's columns are those that change, so only files with the same ones can become one."""
    alike: dict[str, list[Part]] = {}
    for part in parts:
        columns = {table: list(content[0]) for table, content in part.tables().items()}
        if columns:
            alike.setdefault(repr(columns), []).append(part)
    return list(alike.values())


def load(cli: Command, parts: Sequence[Part], scratch: Path) -> None:
    """Load the tables of the next step, together if there are several parts."""
    source = parts[0].folder / parts[0].step["load"]
    if len(parts) > 1 or parts[0].prefix:
        source = Path(mkdtemp(dir=scratch))
        read = [part.tables() for part in parts]
        for table in {table for tables in read for table in tables}:
            content = [row for tables in read for row in tables.get(table, [])]
            with (source / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(dict.fromkeys(name for row in content for name in row)))
                writer.writeheader()
                writer.writerows(content)
    loaded = cli("load", source)
    assert loaded.code == 0, loaded.err + loaded.out


def take_step(
    cli: Command, turn: Sequence[Part], accounts: Sequence[str], compared: Mapping[str, list[Callable[[], None]]],
    monkeypatch: pytest.MonkeyPatch | None,
) -> None:  # fmt: skip
    """Bill, and keep what each part is to be compared with besides its items."""
    ran = run(cli, turn[0].step["run"], accounts, monkeypatch)
    assert ran.code in {0, 3}, ran.err + ran.out
    receipt = ran.json()
    assert (ran.code == 3) == bool(receipt["parked"])
    late = rows(cli, "FROM late_usage ORDER BY usage_id") if any("late" in part.step for part in turn) else []
    for part in turn:
        step = part.step
        parked = part.keeps(receipt["parked"], "account_number")
        told: list[tuple[object, object]] = [(sorted(p["account_number"] for p in parked), step.get("parked", []))]
        if "late" in step:
            told.append(([r["usage_id"] for r in part.keeps(late, "usage_id")], step["late"]))
        if "query" in step:
            told.append(answers(cli, part))
        compared[part.name].append(partial(same, told, parked))
        part.numbers.append(receipt["bill_run_number"])


def same(told: Sequence[tuple[object, object]], parked: Sequence[Row]) -> None:
    for found, wanted in told:
        assert found == wanted, parked


def compare(part: Part, found: Sequence[Row], compared: Sequence[Callable[[], None]]) -> None:
    """Everything that a case states about its steps."""
    for one in compared:
        one()
    for step, number in zip(part.book["steps"], part.numbers, strict=True):
        check(step, [row for row in found if row["bill_run_number"] == number])
    assert [brief(row) for row in found if row["bill_run_number"] not in part.numbers] == [], "items of others' runs"


def answers(cli: Command, part: Part) -> tuple[object, object]:
    """What the book answers to a step's question, and what it should answer; the question sees the part's own rows."""
    owners = {
        "order_line_items": "account_number",
        "invoice_items": "account_number",
        "charge_progress": "charge_number",
    }
    own = ", ".join(f"{t} AS (FROM {t} WHERE starts_with({key}, '{part.prefix}'))" for t, key in owners.items())
    query = part.step["query"]
    found = rows(cli, f"WITH {own} {query['sql']}" if part.prefix else query["sql"])
    numbers, wanted = ([{k: as_number(v) for k, v in row.items()} for row in told] for told in (found, query["rows"]))
    return numbers, wanted


def as_number(value: object) -> object:
    """Decimals are printed as text."""
    text = str(value)
    return Decimal(text) if text.replace(".", "", 1).lstrip("-").isdigit() else value


@pytest.mark.parametrize("pack", PACKS)
def test_cases_give_the_items_that_they_state(  # noqa: PLR0913, PLR0917 - fixtures
    pack: str,
    quick: Command,
    tmp_path: Path,
    empty_book: Path,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    shutil.copytree(empty_book, tmp_path / "book")
    alone = [part_of(name) for name in PACKS[pack]]
    parts = alone if len(alone) == 1 else [replace(part, prefix=f"{part.name}:", numbers=[]) for part in alone]
    with billfold.book.Book(tmp_path / "book") as opened:
        # Opening a book takes as long as a small run, and the processes below do it for each command.
        monkeypatch.setattr(billfold.book, "Book", lambda *_, **__: nullcontext(opened))
        for name, compared in walk(quick, parts, tmp_path, monkeypatch):
            with subtests.test(name):
                compared()


@pytest.mark.parametrize("case", THROUGH_A_PROCESS)
def test_a_case_gives_the_same_through_a_process(case: str, cli: Command, tmp_path: Path) -> None:
    assert cli("init").code == 0
    [*_, last] = [name for name, (of, _) in BOOKS.items() if of == case]
    for _, compared in walk(cli, [part_of(last)], tmp_path):
        compared()


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
