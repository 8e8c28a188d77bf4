"""Files too large for memory: cut into parts, they give the same book and the same faults as in one piece."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from inputs import Row, contents, json_lines, row, state, write, write_rows

from billfold import Book, RunRequest, bill
from billfold.errors import BillfoldError, InputError
from billfold.intake import files, incoming, load, parts, review, values
from billfold.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from conftest import Command

FORMATS: Final = ("csv", "jsonl", "parquet")
PART: Final = 16
"""Rows of a data file, where tests cut."""


def world() -> dict[str, list[Row]]:
    """Rows of several parts in every table: charges with segments, usage, lines that others pay for."""
    accounts = [row("accounts", f"A-{n:02}", batch=f"Batch{n % 3}") for n in range(40)]
    subscriptions = [
        row("subscriptions", f"S-{n:02}", account_number=f"A-{n % 40:02}", invoice_owner_account_number=f"A-{n % 7:02}",
            contract_effective_date="2024-01-01", term_type="EVERGREEN", Region__c=f"R{n % 4}")
        for n in range(60)
    ]  # fmt: skip
    charges = [
        row("rate_plan_charges", f"C-{n // 2:03}", segment=str(n % 2 + 1), subscription_number=f"S-{n // 2 % 60:02}",
            charge_type="Usage" if n // 2 % 5 == 0 else "Recurring", charge_model="PerUnit", quantity="2")
        for n in range(200)
    ]  # fmt: skip
    usage = [
        row("usage", f"U-{n:03}", account_number=f"A-{n % 40:02}", charge_number=f"C-{n % 20 * 5:03}")
        for n in range(90)
    ]
    lines = [
        row("order_line_items", str(n), order_number=f"O-{n // 3:02}", account_number=f"A-{n % 40:02}")
        for n in range(70)
    ]
    return {
        "accounts": accounts, "subscriptions": subscriptions, "rate_plan_charges": charges, "usage": usage,
        "order_line_items": lines,
    }  # fmt: skip


def written(folder: Path, tables: Mapping[str, Sequence[Row]], suffix: str = "csv") -> str:
    """A folder of files."""
    for table, rows in tables.items():
        write_rows(folder / f"{table}.{suffix}", rows)
    return str(folder)


@contextmanager
def cut(rows: int = PART, batch: int = 23) -> Iterator[None]:
    """Files of so many rows, read a few at a time, and hashes compared a few at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "ROWS", rows)
        patch.setattr(review, "ROWS", rows)
        patch.setattr(incoming, "BLOCK", rows + 3)
        patch.setattr(parts, "_WAITING", 3)
        patch.setattr(files, "ROWS", batch)
        patch.setattr(files, "_BLOCK", 2000)
        patch.setattr(values, "_BUCKET", 11)
        patch.setattr(values, "_TEXTS", 4)
        yield


@pytest.fixture
def another(tmp_path: Path, empty_book: Path) -> Iterator[Book]:
    """A second empty book."""
    shutil.copytree(empty_book, tmp_path / "another")
    with Book(tmp_path / "another") as opened:
        yield opened


def hashes(book: Book) -> list[tuple[Any, ...]]:
    """What every commit did, with the hashes of its files."""
    return book.contents().select("table_name", "how", "row_count", "sha256").rows()


def same(book: Book, other: Book) -> bool:
    """Whether two books have the same rows in their input tables and want the same charges looked at again."""
    told = [contents(b) | {t: b.read(t).collect() for t in ("charges_to_review", "late_usage")} for b in (book, other)]
    return all(rows.sort(rows.columns[:2]).equals(told[1][t].sort(rows.columns[:2])) for t, rows in told[0].items())


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_in_parts_gives_the_rows_of_the_whole_one(
    book: Book, another: Book, tmp_path: Path, suffix: str
) -> None:
    folder = written(tmp_path / "in", world(), suffix)
    whole = load(book, [folder])
    with cut():
        assert load(another, [folder]) == whole
    assert same(book, another)


def test_every_promise_holds_of_a_book_that_was_loaded_in_parts(book: Book, tmp_path: Path) -> None:
    with cut():
        load(book, [written(tmp_path / "in", world())])
    assert [v.promise for v in verify(book) if not v.holds] == []


def test_files_are_cut_by_rows_alone(book: Book, another: Book, tmp_path: Path) -> None:
    """However much is read at a time."""
    folder = written(tmp_path / "in", world(), "parquet")
    with cut(batch=9):
        load(book, [folder])
    with cut(batch=37):
        load(another, [folder])
    charges = [n for table, _, n, _ in hashes(book) if table == "rate_plan_charges"]
    assert charges == [PART] * 12 + [8]
    assert hashes(book) == hashes(another)
    assert book.head().digest == another.head().digest


def test_a_small_load_is_one_file_a_table(book: Book, tmp_path: Path) -> None:
    load(book, [written(tmp_path / "in", world())])
    assert [t for t, *_ in hashes(book)] == [*world(), "charges_to_review"]


def test_a_load_in_parts_replaces_only_rows_that_change(book: Book, another: Book, tmp_path: Path) -> None:
    """Some rows change, some are new, most are neither; columns that the file lacks stay as they are."""
    tables = world()
    changed = [c | ({"price": "11"} if n % 9 == 0 else {}) for n, c in enumerate(tables["rate_plan_charges"])]
    more = {
        "accounts": [{"account_number": a["account_number"], "currency": "USD"} for a in tables["accounts"]]
        + [row("accounts", "A-99")],
        "subscriptions": [s | {"Region__c": "R9", "Size__c": "x"} for s in tables["subscriptions"][:3]],
        "rate_plan_charges": [*changed, row("rate_plan_charges", "C-999", subscription_number="S-03")],
        "usage": tables["usage"],
    }
    first, second = written(tmp_path / "first", tables), written(tmp_path / "second", more)
    for each in (book, another):
        load(each, [first])
    whole = load(book, [second])
    before = len(hashes(another))
    with cut():
        assert load(another, [second]) == whole
    assert {r.table: (r.rows, r.new, r.changed) for r in whole} == {
        "accounts": (41, 1, 0), "subscriptions": (3, 0, 3), "rate_plan_charges": (201, 1, 23), "usage": (90, 0, 0),
    }  # fmt: skip
    assert same(book, another)
    assert {t: sum(n for table, _, n, _ in hashes(another)[before:] if table == t) for t in more} == {
        "accounts": 1, "subscriptions": 3, "rate_plan_charges": 24, "usage": 0,
    }  # fmt: skip
    assert another.read("accounts").filter(account_number="A-04").collect()["batch"].item() == "Batch1"
    with cut():
        assert sum(r.new + r.changed for r in load(another, [second])) == 0


def twice(tables: dict[str, list[Row]]) -> None:
    tables["accounts"].append(dict(tables["accounts"][2]))
    tables["rate_plan_charges"].append(dict(tables["rate_plan_charges"][5]))


def nowhere(tables: dict[str, list[Row]]) -> None:
    tables["subscriptions"][3]["account_number"] = "nobody"
    tables["rate_plan_charges"][170]["subscription_number"] = "nothing"
    for n in (1, 50, 89):
        tables["usage"][n]["charge_number"] = "none"


def torn(tables: dict[str, list[Row]]) -> None:
    tables["rate_plan_charges"].append(row("rate_plan_charges", "C-002", segment="3", subscription_number="S-50"))


def unstated(tables: dict[str, list[Row]]) -> None:
    tables["accounts"][5]["currency"] = "EUR"


def misspelt(tables: dict[str, list[Row]]) -> None:
    for n in (0, 17, 199):
        tables["rate_plan_charges"][n]["price"] = "much"
    tables["order_line_items"][69]["item_state"] = "Lost"


FAULTS: Final = [twice, nowhere, torn, unstated, misspelt]


def refused(book: Book, folder: str) -> pl.DataFrame:
    """The faults of a load that leaves the book as it was."""
    before = state(book)
    with pytest.raises(InputError) as caught:
        load(book, [folder])
    assert state(book) == before
    return caught.value.failures


@pytest.mark.parametrize("spoil", FAULTS)
@pytest.mark.parametrize("filled", [False, True], ids=["first", "again"])
def test_parts_are_refused_for_the_faults_of_the_whole_file(
    book: Book,
    tmp_path: Path,
    spoil: Callable[[dict[str, list[Row]]], None],
    filled: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    tables = world()
    if filled:
        load(book, [written(tmp_path / "good", tables)])
    spoil(tables)
    folder = written(tmp_path / "in", tables)
    whole = refused(book, folder)
    assert whole.height
    with cut():
        assert refused(book, folder).equals(whole)


def test_a_charge_of_the_book_is_not_torn_apart_by_a_part(book: Book, tmp_path: Path) -> None:
    tables = world()
    load(book, [written(tmp_path / "in", tables)])
    moved = [c | {"subscription_number": "S-50"} for c in tables["rate_plan_charges"][:40:2]]
    with cut():
        faults = refused(book, written(tmp_path / "moved", {"rate_plan_charges": moved}))
    assert faults["row"].to_list() == list(range(1, 21))
    both = [c | {"subscription_number": "S-50"} for c in tables["rate_plan_charges"][:40]]
    with cut():
        assert load(book, [written(tmp_path / "both", {"rate_plan_charges": both})])[0].changed == 40


def test_an_account_of_the_book_keeps_its_currency_below_lines_that_state_none(book: Book, tmp_path: Path) -> None:
    load(book, [written(tmp_path / "in", world())])
    changed = [row("accounts", f"A-{n:02}", currency="EUR" if n == 30 else "USD") for n in range(40)]
    with cut():
        faults = refused(book, written(tmp_path / "changed", {"accounts": changed}))
    assert faults.select("row", "column", "value").rows() == [(3, "currency", "USD"), (31, "currency", "EUR")]


def test_keys_that_only_seem_equal_are_told_apart(
    book: Book, another: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if all hashes of keys, and all of charges, were the same."""
    folder = written(tmp_path / "in", world())
    load(book, [folder])
    monkeypatch.setattr(incoming, "hashed", lambda _: pl.lit(7, dtype=pl.UInt64()))
    suspected = pl.concat([book.read("rate_plan_charges").collect()["charge_number"].hash().unique()])
    monkeypatch.setattr("billfold.intake.references.with_several", lambda _: suspected)
    missing = "billfold.intake.references.missing_from"
    monkeypatch.setattr(missing, lambda wanted, _: pl.concat([pl.Series([], dtype=pl.UInt64()), *wanted]).clear())
    load(another, [folder])
    assert same(book, another)
    tables = world()
    twice(tables)
    found = refused(another, written(tmp_path / "twice", tables))
    assert found["row"].to_list() == [3, 41, 6, 201]


def test_what_was_written_is_removed_when_the_load_is_stopped(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(book)
    reading = incoming.Incoming.read

    def stopped(self: incoming.Incoming, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - whatever it takes
        if self.table == "usage":
            assert state(book) != before
            raise KeyboardInterrupt
        reading(self, *arguments, **options)

    monkeypatch.setattr(incoming.Incoming, "read", stopped)
    with cut(), pytest.raises(KeyboardInterrupt):
        load(book, [written(tmp_path / "in", world())])
    assert state(book) == before


def test_a_disk_that_becomes_full_between_parts_is_told(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, write_file, count = state(book), type(book.files).write, 0

    def full(self: Any, table: str, rows: pl.DataFrame) -> Any:  # noqa: ANN401 - whatever it is
        nonlocal count
        count += 1
        if count == 9:
            raise OSError(28, "No space left on device")
        return write_file(self, table, rows)

    monkeypatch.setattr(type(book.files), "write", full)
    with cut(), pytest.raises(BillfoldError, match=r"nothing was changed: .*No space left"):
        load(book, [written(tmp_path / "in", world())])
    assert state(book) == before


def test_a_json_field_has_one_type_in_all_parts(book: Book, tmp_path: Path) -> None:
    """Whole numbers at first and decimals later; and one that only later lines have."""
    rows = [row("accounts", f"A-{n:02}", Level__c=n) for n in range(20)]
    rows += [row("accounts", f"B-{n:02}", Level__c=n + 0.25, Late__c=True, name=f"No {n}") for n in range(20)]
    path = write(tmp_path / "accounts.jsonl", json_lines(rows))
    with cut():
        load(book, [f"accounts={path}"])
    loaded = book.read("accounts").select("Level__c", "Late__c", "name").collect()
    assert loaded.schema["Level__c"] == pl.Decimal(38, 2)
    assert [loaded.row(n) for n in (19, 39)] == [(Decimal(19), None, None), (Decimal("19.25"), True, "No 19")]


def test_a_json_field_of_two_kinds_is_refused_wherever_the_second_comes(book: Book, tmp_path: Path) -> None:
    rows = [row("accounts", f"A-{n:02}", Level__c="high" if n == 30 else n) for n in range(31)]
    path = write(tmp_path / "accounts.jsonl", json_lines(rows))
    with cut(), pytest.raises(BillfoldError, match="Level__c have several types"):
        load(book, [f"accounts={path}"])


def test_a_number_with_more_digits_than_any_column_is_refused(book: Book, tmp_path: Path) -> None:
    """Beside one with many decimals, which all numbers of the column get."""
    lines = (
        '{"account_number":"A","currency":"USD","x__c":1e29}\n{"account_number":"B","currency":"USD","x__c":1e-29}\n'
    )
    with pytest.raises(BillfoldError, match="x__c has a number that no column can hold"):
        load(book, [f"accounts={write(tmp_path / 'accounts.jsonl', lines)}"])


def test_a_broken_line_behind_many_good_ones_refuses_all(book: Book, tmp_path: Path) -> None:
    before = state(book)
    text = (tmp_path / "accounts.csv", "account_number,currency\n" + "".join(f"A-{n},USD\n" for n in range(500)))
    with cut(), pytest.raises(BillfoldError, match="A-500,USD,x"):
        load(book, [f"accounts={write(text[0], text[1] + 'A-500,USD,x' + chr(10))}"])
    assert state(book) == before


def test_usage_that_comes_too_late_is_found_in_every_part(book: Book, another: Book, tmp_path: Path) -> None:
    tables = world()
    usage = tables.pop("usage")
    first, late = written(tmp_path / "first", tables), written(tmp_path / "late", {"usage": usage})
    for each in (book, another):
        load(each, [first])
        bill(each, RunRequest(target_date=date(2024, 3, 1), invoice_date=date(2024, 3, 1)), post=True)
    load(book, [late])
    with cut():
        load(another, [late])
    assert same(book, another)
    assert another.read("late_usage").collect().height == 90


@pytest.mark.parametrize("opened", [True, False], ids=["billed elsewhere", "never billed"])
def test_usage_is_late_only_if_something_was_billed(book: Book, tmp_path: Path, opened: bool) -> None:  # noqa: FBT001
    tables = world()
    for charge in tables["rate_plan_charges"]:
        charge["charged_through_date"] = "2024-02-01" if opened else ""
    with cut():
        load(book, [written(tmp_path / "in", tables)])
    assert book.read("late_usage").collect().height == (90 if opened else 0)


def test_a_changed_account_has_its_charges_looked_at_again(book: Book, tmp_path: Path) -> None:
    """Those of subscriptions that it has or pays for, once each, beside those that were loaded."""
    tables = world()
    load(book, [written(tmp_path / "in", tables)])
    bill(book, RunRequest(target_date=date(2024, 3, 1), invoice_date=date(2024, 3, 1)), post=True)
    assert book.read("charges_to_review").collect().is_empty()
    theirs = {s["subscription_number"] for s in tables["subscriptions"]
              if "A-03" in {s["account_number"], s["invoice_owner_account_number"]}}  # fmt: skip
    price = [c | {"price": "12"} for c in tables["rate_plan_charges"][:6]]
    with cut(rows=4):
        load(
            book,
            [written(tmp_path / "more", {"accounts": [row("accounts", "A-03", name="x")], "rate_plan_charges": price})],
        )
    wanted = {(c["charge_number"], int(c["segment"])) for c in tables["rate_plan_charges"]
              if c in tables["rate_plan_charges"][:6] or c["subscription_number"] in theirs}  # fmt: skip
    found = book.read("charges_to_review").collect().rows()
    assert len(found) == len(set(found))
    assert set(found) == wanted


def test_the_command_tells_what_parts_brought(quick: Command, tmp_path: Path) -> None:
    written(tmp_path / "in", world())
    with cut():
        assert quick("init").code == 0
        assert quick("load", "in", "--json").json()["rate_plan_charges"] == {"rows": 200, "new": 200, "changed": 0}
        again = quick("load", "in")
    assert (again.code, again.err) == (0, "")
    assert again.out.splitlines()[4].split() == ["rate_plan_charges", "200", "0", "0", "200"]
