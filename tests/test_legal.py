"""Input that is unusual but legal: it comes back unchanged, and a second load of it changes nothing."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, date, datetime, time
from decimal import Decimal
from shutil import copytree
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import pytest
from inputs import KEY, row, seed, state, write, write_rows

from billfold import Book, RunRequest, bill, preview
from billfold.configure import configure
from billfold.errors import BillfoldError, InputError
from billfold.grouping import InvoiceGroup
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = ["csv", "jsonl", "parquet"]

TEXTS = {
    "emoji": "Müller 🧾👩‍👩‍👧‍👦 & Söhne",
    "right_to_left": "شركة الفواتير \u202eabc\u202c",
    "combining": "e\u0301 is not é",
    "astral": "𠜎𠜱 \U0001d4b3",
    "quotes": "\"double\" 'single' `back`",
    "commas": "a,b,,c,",
    "line_feed": "one\ntwo",
    "line_feed_at_the_end": "one\n",
    "carriage_return": "one\r\ntwo",
    "tab": "one\ttwo",
    "blanks_at_the_ends": "  padded  ",
    "only_blanks": "   ",
    "very_long": "long " * 200_000,
    "null_word": "NULL",
    "na_word": "NA",
    "nan_word": "nan",
    "true_word": "true",
    "digits": "007",
    "exponent": "1e5",
    "date_like": "2024-01-31",
    "formula": "=1+1",
    "sql": "'; DROP TABLE accounts; --",
    "markup": "[bold]{name}%s</b>",
    "backslash": "C:\\new\\table",
    "byte_order_mark": "\ufeffmark",
    "line_separator": "one\u2028two",
    "zero_width": "zero\u200bwidth",
    "control": "bell\x07",
}


@pytest.fixture(scope="module")
def seeded(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """A book with a row of every table, shared by tests that bring rows of their own."""
    folder = tmp_path_factory.mktemp("seeded")
    with Book(copytree(empty_book, folder / "book")) as opened:
        load(opened, [str(seed(folder / "seed"))])
        yield opened


def refusal(book: Book, path: Path) -> str:
    """The sentence with which a file of accounts is refused; empty when it is loaded."""
    try:
        load(book, [f"accounts={path}"])
    except BillfoldError as e:
        return str(e)
    return ""


def asked(target: date) -> RunRequest:
    """A run of everything up to a day."""
    return RunRequest(target_date=target, invoice_date=target)


@pytest.mark.parametrize("format_", FORMATS)
def test_texts_come_back_unchanged(book: Book, tmp_path: Path, format_: str) -> None:
    rows = [row("accounts", f"N-{n}", name=text) for n, text in TEXTS.items()]
    load(book, [f"accounts={write_rows(tmp_path / f'a.{format_}', rows)}"])
    expected = {f"N-{n}": text for n, text in TEXTS.items()}
    assert dict(book.read("accounts").select("account_number", "name").collect().iter_rows()) == expected
    assert dict(book.sql("SELECT account_number, name FROM accounts").iter_rows()) == expected


@pytest.mark.parametrize("format_", FORMATS)
def test_odd_keys_find_their_rows(book: Book, tmp_path: Path, format_: str) -> None:
    keys = [t for t in TEXTS.values() if t == t.strip() and t.isprintable() and len(t) <= 255]
    assert len(keys) > 10
    write_rows(tmp_path / "in" / f"accounts.{format_}", [row("accounts", k) for k in keys])
    lines = [row("order_line_items", str(n), account_number=k) for n, k in enumerate(keys)]
    write_rows(tmp_path / "in" / f"order_line_items.{format_}", lines)
    load(book, [str(tmp_path / "in")])
    joined = book.sql("SELECT count(*) FROM order_line_items JOIN accounts USING (account_number)")
    assert joined.item() == len(keys)


PRICES = [
    "0.000000001", "1234567890123456789.123456789", "9999999999999999999.999999999", "-9999999999999999999.999999999",
    "0", "-0.1", "+5", "007.50", ".5", "5.", "0.1", "19.99",
]  # fmt: skip


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_prices_and_quantities_keep_every_digit(book: Book, tmp_path: Path, format_: str) -> None:
    rows = [row("order_line_items", f"{n:02}", amount_per_unit=p, quantity=p) for n, p in enumerate(PRICES)]
    write_rows(tmp_path / "in" / "accounts.csv", [row("accounts", "A-1")])
    write_rows(tmp_path / "in" / f"order_line_items.{format_}", rows)
    load(book, [str(tmp_path / "in")])
    stored = book.read("order_line_items").sort("item_number").collect()
    assert stored["amount_per_unit"].to_list() == [Decimal(p) for p in PRICES]
    queried = book.sql("SELECT quantity FROM order_line_items ORDER BY item_number")
    assert queried["quantity"].to_list() == [Decimal(p) for p in PRICES]


def test_json_numbers_keep_every_digit(book: Book, tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "accounts.csv", [row("accounts", "A-1")])
    line = row("order_line_items", "1", amount_per_unit="@")
    path = write_rows(tmp_path / "in" / "order_line_items.jsonl", [line])
    write(path, path.read_text().replace('"@"', "1234567890123456789.123456789"))
    load(book, [str(tmp_path / "in")])
    stored = book.read("order_line_items").collect()
    assert stored["amount_per_unit"].to_list() == [Decimal("1234567890123456789.123456789")]


@pytest.mark.parametrize(
    ("number", "value"),
    [(pl.Series([0.1]), "0.1"), (pl.Series([123456.789]), "123456.789"), (pl.Series([7], dtype=pl.Int8), "7"),
     (pl.Series([0.5], dtype=pl.Float32), "0.5"), (pl.Series([2**63], dtype=pl.UInt64), str(2**63)),
     (pl.Series([Decimal("1.50")], dtype=pl.Decimal(38, 2)), "1.5")],
    ids=["a_tenth", "three_decimals", "int8", "float32", "uint64", "decimal"],
)  # fmt: skip
def test_exact_numbers_of_any_type_are_prices(book: Book, tmp_path: Path, number: pl.Series, value: str) -> None:
    write_rows(tmp_path / "in" / "accounts.csv", [row("accounts", "A-1")])
    frame = pl.DataFrame([row("order_line_items", "1")]).with_columns(number.alias("amount_per_unit"))
    write(tmp_path / "in" / "order_line_items.parquet", frame)
    load(book, [str(tmp_path / "in")])
    assert book.read("order_line_items").collect()["amount_per_unit"].to_list() == [Decimal(value)]


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "1"), ("USD", "1.23"), ("KWD", "1.235"), ("CLF", "1.2346")])
def test_every_currency_is_billed_to_its_smallest_unit(book: Book, tmp_path: Path, currency: str, amount: str) -> None:
    write_rows(tmp_path / "in" / "accounts.csv", [row("accounts", "A-1", currency=currency)])
    sent = {"item_state": "SentToBilling", "bill_target_date": "2024-01-31", "amount_per_unit": "1.234567890"}
    write_rows(tmp_path / "in" / "order_line_items.csv", [row("order_line_items", "1", **sent)])
    load(book, [str(tmp_path / "in")])
    bill(book, asked(date(2024, 1, 31)))
    assert book.sql("SELECT currency, amount FROM invoices").rows() == [(currency, Decimal(amount))]


def test_dates_at_the_ends_of_the_calendar_come_back(book: Book, tmp_path: Path) -> None:
    days = ["1900-01-01", "2000-02-29", "9999-12-31"]
    rows = [row("orders", d, order_date=d) for d in days]
    write_rows(tmp_path / "in" / "accounts.csv", [row("accounts", "A-1")])
    write_rows(tmp_path / "in" / "orders.csv", rows)
    load(book, [str(tmp_path / "in")])
    stored = book.read("orders").sort("order_number").collect()["order_date"].to_list()
    assert stored == [date.fromisoformat(d) for d in days]


MOMENT = datetime(2024, 2, 29, 23, 59, 58, 123456, tzinfo=UTC)
NAIVE = MOMENT.replace(tzinfo=None)

TYPES: dict[str, pl.Series] = {
    "text": pl.Series(["a", "", "🧾", None]),
    **{
        f"{'u' * unsigned}int{bits}": pl.Series(
            [-(1 - unsigned) * 2 ** (bits - 1), 2 ** (bits - (not unsigned)) - 1, 0, None], dtype=dtype
        )
        for dtype, bits, unsigned in [
            (pl.Int8, 8, 0), (pl.Int16, 16, 0), (pl.Int32, 32, 0), (pl.Int64, 64, 0),
            (pl.UInt8, 8, 1), (pl.UInt16, 16, 1), (pl.UInt32, 32, 1), (pl.UInt64, 64, 1),
        ]
    },
    "float32": pl.Series([0.1, -1.5, float("inf"), None], dtype=pl.Float32),
    "float64": pl.Series([0.1, 1e300, float("nan"), None]),
    "boolean": pl.Series([True, False, None]),
    "date": pl.Series([date(1, 1, 1), date(9999, 12, 31), None]),
    "datetime_ms": pl.Series([NAIVE, None], dtype=pl.Datetime("ms")),
    "datetime_us": pl.Series([NAIVE, None], dtype=pl.Datetime("us")),
    "datetime_ns": pl.Series([1_709_251_198_123_456_789, None]).cast(pl.Datetime("ns")),
    "datetime_utc": pl.Series([MOMENT, None], dtype=pl.Datetime("us", "UTC")),
    "datetime_paris": pl.Series([MOMENT, None], dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Paris"),
    "time": pl.Series([time(23, 59, 58, 123456), time(0), None]),
    "decimal": pl.Series([Decimal("1.10"), Decimal("-99999999.99"), None], dtype=pl.Decimal(10, 2)),
    "wide_decimal": pl.Series([Decimal("1." + "1" * 37), None], dtype=pl.Decimal(38, 37)),
    "binary": pl.Series([b"\x00\xff", b"", None]),
    "list": pl.Series([[1, None], [], None]),
    "list_of_text": pl.Series([["a", "'"], [""], None]),
    "struct": pl.Series([{"a": 1, "b": "x"}, {"a": None, "b": None}, None]),
    "list_of_structs": pl.Series([[{"a": [1, 2]}], [], None]),
}  # fmt: skip
"""Custom fields whose types the book keeps."""

AS_TEXT: dict[str, pl.Series] = {
    "categorical": pl.Series(["a", "b", "a", None], dtype=pl.Categorical),
    "enum": pl.Series(["a", "b", None], dtype=pl.Enum(["a", "b"])),
    "all_null": pl.Series([None, None]),
}
"""Custom fields that become text."""


FIELDS: dict[str, dict[str, pl.Series]] = {
    "most": {f"{name}__c": cells for name, cells in (TYPES | AS_TEXT).items() if name != "time"},
    "times": {"time__c": TYPES["time"]},
}
"""Custom fields by the book that has them: rows with times of day are written by a writer of their own."""

IN_BOOKS = [(held, field) for held, fields in FIELDS.items() for field in fields]
MANY = max(len(cells) for cells in (TYPES | AS_TEXT).values())


class Typed(NamedTuple):
    """A book with some custom fields, which ones, and the folder of its input."""

    book: Book
    fields: dict[str, pl.Series]
    folder: Path


def _accounts(cells: pl.Series, prefix: str = "N", field: str = "x__c") -> pl.DataFrame:
    rows = [row("accounts", f"{prefix}-{n}") for n in range(len(cells))]
    return pl.DataFrame(rows).with_columns(cells.alias(field))


def _stored(book: Book, column: str = "x__c", prefix: str = "N") -> pl.Series:
    mine = pl.col("account_number").str.starts_with(prefix)
    return book.read("accounts").filter(mine).sort("account_number").collect()[column]


def _plain(cells: pl.Series) -> list[object]:
    """Values to compare; a moment is the same in every zone, and NaN equals itself."""
    if isinstance(cells.dtype, pl.Datetime):
        zone = "with a zone" if cells.dtype.time_zone else "without"
        return [zone, *cells.cast(pl.Datetime("ns", cells.dtype.time_zone)).to_physical().to_list()]
    return ["nan" if isinstance(v, float) and v != v else v for v in cells.to_list()]  # noqa: PLR0124 - NaN


def _with(fields: dict[str, pl.Series], rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows with custom fields, which are null where they have no further values."""
    return pl.DataFrame(rows).with_columns(c.extend_constant(None, MANY - len(c)).alias(f) for f, c in fields.items())


@pytest.fixture(scope="module")
def typed(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Typed]]:
    """Books with custom fields of every type, on accounts N-… and on an order line that is due for each of them."""
    sent = {"account_number": "N-0", "item_state": "SentToBilling", "bill_target_date": date(2024, 1, 31)}
    with ExitStack() as stack:
        made = {}
        for name, fields in FIELDS.items():
            folder = tmp_path_factory.mktemp(name)
            accounts = _with(fields, [row("accounts", f"N-{n}") for n in range(MANY)])
            lines = _with(fields, [row("order_line_items", str(n), **sent) for n in range(MANY)])
            write(folder / "in" / "accounts.parquet", accounts)
            write(folder / "in" / "order_line_items.parquet", lines)
            book = stack.enter_context(Book(copytree(empty_book, folder / "book")))
            load(book, [str(folder / "in")])
            made[name] = Typed(book, fields, folder)
        yield made


@pytest.fixture(scope="module")
def extended(typed: dict[str, Typed], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Book]]:
    """Copies of these books with accounts M-… of the same values and another name for N-0."""
    with ExitStack() as stack:
        made = {}
        for name, one in typed.items():
            folder = tmp_path_factory.mktemp(name)
            book = stack.enter_context(Book(copytree(one.book.folder, folder / "book")))
            further = _with(one.fields, [row("accounts", f"M-{n}") for n in range(MANY)])
            load(book, [f"accounts={write(folder / 'b.parquet', further)}"])
            load(book, [f"accounts={write_rows(folder / 'c.csv', [row('accounts', 'N-0', name='renamed')])}"])
            made[name] = book
        yield made


@pytest.mark.parametrize(("held", "field"), IN_BOOKS)
def test_custom_fields_of_every_type_come_back_unchanged(typed: dict[str, Typed], held: str, field: str) -> None:
    cells = FIELDS[held][field]
    assert _plain(_stored(typed[held].book, field).head(len(cells))) == _plain(cells)


@pytest.mark.parametrize(("held", "field"), IN_BOOKS)
def test_custom_fields_of_every_type_come_back_from_sql(typed: dict[str, Typed], held: str, field: str) -> None:
    cells = FIELDS[held][field]
    stored = f"CAST({field} AS VARCHAR)" if field == "datetime_ns__c" else field
    queried = typed[held].book.sql(f"FROM accounts SELECT {stored} ORDER BY account_number").to_series()
    if field == "datetime_ns__c":  # queries show times to the microsecond only
        queried = queried.str.to_datetime(time_unit="ns")
    assert _plain(queried.head(len(cells))) == _plain(cells)


@pytest.mark.parametrize(("held", "field"), IN_BOOKS)
def test_custom_fields_keep_their_type_or_become_text(typed: dict[str, Typed], held: str, field: str) -> None:
    kept = pl.String() if field.removesuffix("__c") in AS_TEXT else FIELDS[held][field].dtype
    if field.startswith("datetime"):
        # A moment is kept as such, in UTC.
        assert isinstance(_stored(typed[held].book, field).dtype, pl.Datetime)
    else:
        assert _stored(typed[held].book, field).dtype == kept


@pytest.mark.parametrize("held", FIELDS)
def test_custom_fields_loaded_again_change_nothing(typed: dict[str, Typed], held: str) -> None:
    book, _, folder = typed[held]
    before = state(book)
    again = load(book, [str(folder / "in")])
    assert [(r.new, r.changed) for r in again] == [(0, 0), (0, 0)]
    assert state(book) == before


@pytest.mark.parametrize("held", FIELDS)
def test_custom_fields_of_any_type_can_be_billed(typed: dict[str, Typed], held: str) -> None:
    receipt = preview(typed[held].book, asked(date(2024, 1, 31)))
    assert receipt.documents.invoice_items.height == MANY


@pytest.mark.parametrize(("held", "field"), IN_BOOKS)
def test_custom_fields_stay_readable_beside_further_and_replaced_rows(
    extended: dict[str, Book], held: str, field: str
) -> None:
    cells = FIELDS[held][field]
    for prefix in ("N", "M"):
        assert _plain(_stored(extended[held], field, prefix).head(len(cells))) == _plain(cells)


def test_arrays_become_lists_or_are_refused_by_name(book: Book, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", _accounts(pl.Series([[1, 2], None], dtype=pl.Array(pl.Int64, 2))))
    before = state(book)
    said = refusal(book, path)
    if said:
        assert "x__c" in said
        assert "a.parquet" in said
        assert state(book) == before
    else:
        assert _stored(book).to_list() == [[1, 2], None]


JSON_CUSTOM: list[tuple[str, list[Any], list[Any]]] = [
    ("text", ["a", "", None], ["a", "", None]),
    ("whole_numbers", [1, 1 - 2**63, None], [1, 1 - 2**63, None]),
    ("booleans", [True, False, None], [True, False, None]),
    ("decimals", [1.5, 2, None], [Decimal("1.5"), Decimal(2), None]),
    ("lists", [[1, "a"], [], None], ['[1, "a"]', "[]", None]),
    ("objects", [{"a": "é"}, None], ['{"a": "é"}', None]),
    ("nulls", [None, None], [None, None]),
]


@pytest.mark.parametrize(("given", "kept"), [c[1:] for c in JSON_CUSTOM], ids=[c[0] for c in JSON_CUSTOM])
def test_custom_fields_of_json_lines_come_back(book: Book, tmp_path: Path, given: list[Any], kept: list[Any]) -> None:
    rows = [row("accounts", f"N-{n}", x__c=v) for n, v in enumerate(given)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    load(book, [f"accounts={path}"])
    assert _stored(book).to_list() == kept
    before = state(book)
    load(book, [f"accounts={path}"])
    assert state(book) == before


WORDS = ["größe__c", "x1__c", "_a__c", "SELECT__c", "order__c", "a__b__c", "Ωmega__c"]


def test_custom_fields_may_be_called_by_any_word(book: Book, tmp_path: Path) -> None:
    for file, value in (("a.csv", "v"), ("b.csv", "w")):
        fields = {name: f"{value} of {name}" for name in WORDS}
        load(book, [f"accounts={write_rows(tmp_path / file, [row('accounts', 'N-0', **fields)])}"])
    assert {name: _stored(book, name).to_list() for name in WORDS} == {name: [f"w of {name}"] for name in WORDS}


def test_an_empty_text_is_not_a_blank_in_a_custom_field(book: Book, tmp_path: Path) -> None:
    text = 'account_number,currency,x__c\nN-0,USD,""\nN-1,USD,\nN-2,USD,x\n'
    load(book, [f"accounts={write(tmp_path / 'a.csv', text)}"])
    assert _stored(book).to_list() == ["", None, "x"]
    assert book.sql("SELECT count(*) FROM accounts WHERE x__c IS NULL").item() == 1


def test_an_empty_text_is_a_blank_in_a_standard_column(book: Book, tmp_path: Path) -> None:
    text = 'account_number,currency,name,batch\nN-0,USD,"",""\n'
    load(book, [f"accounts={write(tmp_path / 'a.csv', text)}"])
    assert book.sql("SELECT name, batch FROM accounts").rows() == [(None, "Batch1")]


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfaccount_number,currency\nN-1,USD\n", b"account_number,currency\r\nN-1,USD\r\n",
     b"account_number,currency\nN-1,USD", b'"account_number","currency"\n"N-1","USD"\n',
     b"currency,account_number\nUSD,N-1\n", b"account_number,currency\nN-1,USD\n\n",
     b"account_number,currency\rN-1,USD\r",
     b'\xef\xbb\xbf"account_number","currency"\r\n"N-1","USD"'],
    ids=["byte_order_mark", "crlf", "no_last_line_break", "all_quoted", "other_order", "blank_line_at_the_end",
         "carriage_returns", "mark_quotes_and_crlf"],
)  # fmt: skip
def test_csv_dialects_are_one(book: Book, tmp_path: Path, content: bytes) -> None:
    load(book, [f"accounts={write(tmp_path / 'a.csv', content)}"])
    assert book.sql("SELECT account_number, currency FROM accounts").rows() == [("N-1", "USD")]


def test_json_lines_may_begin_with_a_mark_and_hold_blank_lines(book: Book, tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"currency":"USD","account_number":"N-1"}\r\n\r\n{"account_number":"N-2","currency":"EUR"}'
    load(book, [f"accounts={write(tmp_path / 'a.jsonl', content)}"])
    assert sorted(book.sql("SELECT account_number FROM accounts").to_series()) == ["N-1", "N-2"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_of_headings_only_loads_nothing(book: Book, tmp_path: Path, end: str) -> None:
    before = state(book)
    [loaded] = load(book, [f"accounts={write(tmp_path / 'a.csv', 'account_number,currency' + end)}"])
    assert (loaded.rows, loaded.new, loaded.changed) == (0, 0, 0)
    assert state(book) == before


def test_a_parquet_file_without_rows_loads_nothing(book: Book, tmp_path: Path) -> None:
    before = state(book)
    empty = pl.DataFrame([row("accounts", "N-1")]).clear()
    [loaded] = load(book, [f"accounts={write(tmp_path / 'a.parquet', empty)}"])
    assert loaded.rows == 0
    assert state(book) == before


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_files_again_change_nothing(seeded: Book, tmp_path: Path, format_: str) -> None:
    for table in KEY:
        rows = [row(table, f"{format_}-{n}", note__c=str(n)) for n in (1, 2)]
        typed = pl.DataFrame(rows).with_columns(pl.col("^start_date$").str.to_date())
        path = tmp_path / f"{table}.{format_}"
        _ = write(path, typed) if format_ == "parquet" else write_rows(path, rows)
    first = load(seeded, [str(tmp_path)])
    assert {r.table: (r.rows, r.new, r.changed) for r in first} == dict.fromkeys(KEY, (2, 2, 0))
    before = state(seeded)
    again = load(seeded, [str(tmp_path)])
    assert {r.table: (r.rows, r.new, r.changed) for r in again} == dict.fromkeys(KEY, (2, 0, 0))
    assert state(seeded) == before


def test_a_row_replaces_the_row_with_its_key(book: Book, tmp_path: Path) -> None:
    load(book, [f"accounts={write_rows(tmp_path / 'a.csv', [row('accounts', k, name='old') for k in 'ABC'])}"])
    later = [row("accounts", "B", name="new"), row("accounts", "D", name="new"), row("accounts", "A", name="old")]
    [loaded] = load(book, [f"accounts={write_rows(tmp_path / 'b.csv', later)}"])
    assert (loaded.rows, loaded.new, loaded.changed) == (3, 1, 1)
    stored = book.read("accounts").sort("account_number").select("account_number", "name").collect().rows()
    assert stored == [("A", "old"), ("B", "new"), ("C", "old"), ("D", "new")]


def test_columns_that_a_file_lacks_keep_what_the_book_has(book: Book, tmp_path: Path) -> None:
    full = row("accounts", "A", name="n", batch="Batch7", bill_cycle_day="15", status="Draft", x__c="x")
    load(book, [f"accounts={write_rows(tmp_path / 'a.csv', [full])}"])
    partial = row("accounts", "A", payment_term="Net 30")
    load(book, [f"accounts={write_rows(tmp_path / 'b.csv', [partial])}"])
    query = "SELECT name, batch, bill_cycle_day, status, x__c, payment_term FROM accounts"
    assert book.sql(query).rows() == [("n", "Batch7", 15, "Draft", "x", "Net 30")]


def test_new_rows_of_a_partial_file_take_the_defaults(book: Book, tmp_path: Path) -> None:
    load(book, [f"accounts={write_rows(tmp_path / 'a.csv', [row('accounts', 'A', batch='Batch7')])}"])
    load(book, [f"accounts={write_rows(tmp_path / 'b.csv', [row('accounts', k) for k in 'AB'])}"])
    assert book.sql("SELECT batch FROM accounts ORDER BY account_number").rows() == [("Batch7",), ("Batch1",)]


def test_a_blank_cell_takes_the_value_away(book: Book, tmp_path: Path) -> None:
    load(book, [f"accounts={write_rows(tmp_path / 'a.csv', [row('accounts', 'A', name='n', batch='B', x__c='x')])}"])
    load(book, [f"accounts={write_rows(tmp_path / 'b.csv', [row('accounts', 'A', name='', batch='', x__c='')])}"])
    assert book.sql("SELECT name, batch, x__c FROM accounts").rows() == [(None, "Batch1", None)]


def test_a_custom_field_may_come_later(book: Book, tmp_path: Path) -> None:
    load(book, [f"accounts={write_rows(tmp_path / 'a.csv', [row('accounts', k, x__c='x') for k in 'AB'])}"])
    load(book, [f"accounts={write_rows(tmp_path / 'b.csv', [row('accounts', k, y__c='y') for k in 'BC'])}"])
    expected = [("A", "x", None), ("B", "x", "y"), ("C", None, "y")]
    assert book.sql("SELECT account_number, x__c, y__c FROM accounts ORDER BY 1").rows() == expected
    columns = ["account_number", "x__c", "y__c"]
    assert book.read("accounts").sort("account_number").select(columns).collect().rows() == expected


LATER: list[tuple[int, str, str, Any]] = [
    (0, "int8", "-128", -128), (0, "int64", "9223372036854775807", 2**63 - 1),
    (0, "uint64", "18446744073709551615", 2**64 - 1), (0, "float64", "0.25", 0.25), (0, "boolean", "true", True),
    (1, "boolean", "false", False), (0, "date", "2024-02-29", date(2024, 2, 29)),
    (0, "decimal", "1.5", Decimal("1.50")), (0, "text", "1", "1"),
]  # fmt: skip
"""The number of an account, the name of a type, a text for its field, and the value that it means."""


@pytest.fixture(scope="module")
def retold(typed: dict[str, Typed], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """A copy of the book with most types, whose accounts have got the texts above from a CSV file."""
    folder = tmp_path_factory.mktemp("retold")
    with Book(copytree(typed["most"].book.folder, folder / "book")) as opened:
        rows = {n: row("accounts", f"N-{n}") for n, _, _, _ in LATER}
        for n, name, text, _ in LATER:
            rows[n][f"{name}__c"] = text
        load(opened, [f"accounts={write_rows(folder / 'b.csv', list(rows.values()))}"])
        yield opened


@pytest.mark.parametrize(("account", "name", "text", "value"), LATER)
def test_csv_text_takes_the_type_that_the_book_has(
    retold: Book, account: int, name: str, text: str, value: object
) -> None:
    stored = _stored(retold, f"{name}__c")
    assert stored.to_list()[account] == value, text
    assert stored.dtype == TYPES[name].dtype


MISFITS: list[tuple[str, Any]] = [
    ("int8", "128"), ("int8", "1.5"), ("int8", "x"), ("uint64", "-1"), ("float64", "x"), ("boolean", "maybe"),
    ("date", "2024-02-30"), ("date", "soon"), ("datetime_us", "soon"), ("time", "25:00:00"), ("decimal", "1.005"),
    ("decimal", "999999999999"), ("datetime_utc", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), MISFITS)
def test_text_that_does_not_fit_the_type_in_the_book_is_refused(
    typed: dict[str, Typed], tmp_path: Path, name: str, text: str
) -> None:
    book, field = typed["times" if name == "time" else "most"].book, f"{name}__c"
    before = state(book)
    rows = [row("accounts", "M-1"), row("accounts", "M-2") | {field: text}]
    with pytest.raises(InputError) as caught:
        load(book, [f"accounts={write_rows(tmp_path / 'b.csv', rows)}"])
    assert caught.value.failures.select("row", "column", "value").rows() == [(2, field, text)]
    assert state(book) == before


@pytest.mark.parametrize(("name", "text"), [("list", "[1]"), ("struct", '{"a": 1}'), ("binary", "a")])
def test_text_for_a_field_that_csv_cannot_hold_is_refused_or_kept(
    book: Book, tmp_path: Path, name: str, text: str
) -> None:
    load(book, [f"accounts={write(tmp_path / 'a.parquet', _accounts(TYPES[name]))}"])
    before = state(book)
    path = write_rows(tmp_path / "b.csv", [row("accounts", "N-0", x__c=text)])
    said = refusal(book, path)
    if said:
        assert "\n" not in said
        assert state(book) == before
    else:
        assert _stored(book).to_list()[0] in ([1], {"a": 1}, b"a")


FRAMES: list[tuple[str, pl.Series]] = [
    ("int8", pl.Series([1.5])), ("int8", pl.Series([300])), ("float64", pl.Series([2**53 + 1])),
    ("boolean", pl.Series([2])), ("decimal", pl.Series([Decimal("1.005")])), ("struct", pl.Series([{"a": 1, "c": 2}])),
    ("list", pl.Series([["x"]])), ("list", pl.Series([[1.5]])), ("date", pl.Series([datetime(2024, 1, 1, 12)])),  # noqa: DTZ001
    ("date", pl.Series([20240101])), ("datetime_us", pl.Series([20240101])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "cells"), FRAMES, ids=[f"{s.dtype}_for_{n}" for n, s in FRAMES])
def test_values_that_would_change_in_the_type_of_the_book_are_refused(
    typed: dict[str, Typed], tmp_path: Path, name: str, cells: pl.Series
) -> None:
    book, field = typed["most"].book, f"{name}__c"
    before = state(book)
    with pytest.raises(InputError) as caught:
        load(book, [f"accounts={write(tmp_path / 'b.parquet', _accounts(cells, 'M', field))}"])
    assert caught.value.failures.select("row", "column").rows() == [(1, field)]
    assert state(book) == before


def test_a_wider_type_is_kept_where_every_value_fits(book: Book, tmp_path: Path) -> None:
    load(book, [f"accounts={write(tmp_path / 'a.parquet', _accounts(TYPES['int8']))}"])
    load(book, [f"accounts={write(tmp_path / 'b.parquet', _accounts(pl.Series([5]), 'M'))}"])
    assert _stored(book, prefix="M").to_list() == [5]
    assert _stored(book).dtype == pl.Int8


SQLISH = ["'; DROP TABLE accounts; --", '"; DELETE FROM head; --', "$1", "A' OR '1'='1", "{{x}}", "%s", "\\'", "[a]*?"]


@pytest.fixture(scope="module")
def sqlish(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """A book whose account, order and group numbers look like SQL, billed."""
    folder = tmp_path_factory.mktemp("sqlish")
    sent = {"item_state": "SentToBilling", "bill_target_date": "2024-01-31"}
    lines = [
        row("order_line_items", n, order_number=n, account_number=n, invoice_group_number=n, x__c=n, **sent)
        for n in SQLISH
    ]
    write_rows(folder / "in" / "accounts.csv", [row("accounts", n, batch=n) for n in SQLISH])
    write_rows(folder / "in" / "orders.csv", [row("orders", n, account_number=n) for n in SQLISH])
    write_rows(folder / "in" / "order_line_items.csv", lines)
    with Book.create(folder / "book") as opened:
        load(opened, [str(folder / "in")])
        meta = {"orderLineItemGroup": [{"objectType": "OrderLineItem", "field": "x__c"}]}
        configure(opened, InvoiceGroup.model_validate({"name": "by x", "meta": meta}), [SQLISH[0], SQLISH[3]])
        day = date(2024, 1, 31)
        bill(opened, RunRequest(target_date=day, invoice_date=day, accounts=(SQLISH[0],)))
        bill(opened, RunRequest(target_date=day, invoice_date=day, batches=(SQLISH[1],)))
        bill(opened, RunRequest(target_date=day, invoice_date=day))
        yield opened


def test_numbers_that_look_like_sql_are_billed_like_others(sqlish: Book) -> None:
    billed = sqlish.sql("SELECT account_number, invoice_group_number, item_count FROM invoices").rows()
    assert sorted(billed) == sorted((n, n, 1) for n in SQLISH)


def test_a_run_of_one_account_that_looks_like_sql_bills_it_alone(sqlish: Book) -> None:
    runs = sqlish.sql("SELECT bill_run_number, account_number FROM invoices ORDER BY ALL").rows()
    assert [a for r, a in runs if r.endswith("1")] == [SQLISH[0]]
    assert [a for r, a in runs if r.endswith("2")] == [SQLISH[1]]


def test_numbers_that_look_like_sql_are_group_values(sqlish: Book) -> None:
    grouped = sqlish.sql("SELECT account_number, invoice_group_value FROM invoices WHERE invoice_group_value NOT NULL")
    assert sorted(grouped.rows()) == sorted([(SQLISH[0], SQLISH[0]), (SQLISH[3], SQLISH[3])])
    keys = [json.loads(k) for k in sqlish.sql("SELECT group_key FROM invoices").to_series()]
    assert all(any(n in str(k.values()) or repr(n) in str(k.values()) for k in keys) for n in SQLISH)


def test_numbers_that_look_like_sql_leave_the_tables_alone(sqlish: Book) -> None:
    assert sqlish.sql("SELECT count(*) FROM accounts").item() == len(SQLISH)
    assert sqlish.head().version > 0


SPELLINGS: list[tuple[str, str, str, str]] = [
    ("rate_plan_charges", "charge_model", "Flat Fee Pricing", "FlatFee"),
    ("rate_plan_charges", "charge_model", "flat_fee", "FlatFee"),
    ("rate_plan_charges", "charge_model", "FlatFee", "FlatFee"),
    ("rate_plan_charges", "charge_model", "Tiered with Overage Pricing", "TieredWithOverage"),
    ("rate_plan_charges", "charge_model", "Volume Pricing", "Volume"),
    ("rate_plan_charges", "charge_model", "Discount-Percentage", "DiscountPercentage"),
    ("rate_plan_charges", "charge_type", "recurring", "Recurring"),
    ("rate_plan_charges", "charge_type", "One Time", "OneTime"),
    ("rate_plan_charges", "weekly_bill_cycle_day", "tuesday", "Tuesday"),
    ("rate_plan_charges", "weekly_bill_cycle_day", "SUNDAY", "Sunday"),
    ("rate_plan_charges", "billing_timing", "In Advance", "IN_ADVANCE"),
    ("rate_plan_charges", "billing_timing", "in_arrears", "IN_ARREARS"),
    ("rate_plan_charges", "billing_period", "Semi-Annual", "Semi_Annual"),
    ("rate_plan_charges", "billing_period", "Semi Annual", "Semi_Annual"),
    ("rate_plan_charges", "billing_period", "MONTH", "Month"),
    ("rate_plan_charges", "billing_period_alignment", "Align to Subscription Start", "AlignToSubscriptionStart"),
    ("rate_plan_charges", "list_price_base", "Per Billing Period", "Per_Billing_Period"),
    ("rate_plan_charges", "trigger_event", "Contract Effective", "ContractEffective"),
    ("rate_plan_charges", "bill_cycle_type", "Subscription Start Day", "SubscriptionStartDay"),
    ("subscriptions", "term_type", "Evergreen", "EVERGREEN"),
    ("subscriptions", "status", "PendingActivation", "Pending Activation"),
    ("subscriptions", "status", "ACTIVE", "Active"),
    ("accounts", "status", "active", "Active"),
    ("orders", "status", "completed", "Completed"),
    ("order_line_items", "item_state", "Executing", "Executing"),
    ("order_line_items", "item_category", "RETURN", "Return"),
    ("order_line_items", "discount_type", "fixed amount", "FixedAmount"),
]


TIERS = '[{"startingUnit": 0, "endingUnit": 1, "price": 1}]'
NEEDED: dict[str, dict[str, str]] = {
    "Volume": {"tiers": TIERS, "quantity": "1"},
    "TieredWithOverage": {"charge_type": "Usage", "tiers": TIERS, "overage_price": "1"},
    "DiscountPercentage": {"discount_percentage": "10"},
}
"""What a row must have beside one of these values."""


@pytest.fixture(scope="module")
def respelled(seeded: Book, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """The tables of the book after a load of all spellings in each format, each in a row of its own."""
    for format_ in ("csv", "parquet"):
        folder = tmp_path_factory.mktemp(format_)
        files: dict[str, list[dict[str, Any]]] = {}
        for n, (table, column, given, kept) in enumerate(SPELLINGS):
            needed = NEEDED.get(kept, {})
            files.setdefault(table, []).append(row(table, f"{format_}-{n}", **needed, **{column: given}))
        for table, rows in files.items():
            write_rows(folder / f"{table}.{format_}", rows)
        load(seeded, [str(folder)])
    return {table: seeded.read(table).collect() for table, _, _, _ in SPELLINGS}


@pytest.mark.parametrize(("number", "spelling"), list(enumerate(SPELLINGS)), ids=["-".join(s) for s in SPELLINGS])
@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_spellings_of_the_vendor_become_one(
    respelled: dict[str, pl.DataFrame], number: int, spelling: tuple[str, str, str, str], format_: str
) -> None:
    table, column, _, kept = spelling
    assert respelled[table].filter(pl.col(KEY[table]) == f"{format_}-{number}")[column].to_list() == [kept]


@pytest.mark.parametrize("word", ["true", "TRUE", "Yes", "1"])
def test_words_for_yes_are_true(seeded: Book, tmp_path: Path, word: str) -> None:
    load(seeded, [f"subscriptions={write_rows(tmp_path / 'f.csv', [row('subscriptions', word, auto_renew=word)])}"])
    assert seeded.read("subscriptions").filter(subscription_number=word).collect()["auto_renew"].to_list() == [True]


@pytest.mark.parametrize("word", ["false", "No", "0"])
def test_words_for_no_are_false(seeded: Book, tmp_path: Path, word: str) -> None:
    line = row("subscriptions", word, invoice_separately=word)
    load(seeded, [f"subscriptions={write_rows(tmp_path / 'f.csv', [line])}"])
    stored = seeded.read("subscriptions").filter(subscription_number=word).collect()
    assert stored["invoice_separately"].to_list() == [False]
