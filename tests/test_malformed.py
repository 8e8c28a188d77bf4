"""Input that is refused: in one sentence, with the place, and without a trace in the book."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from inputs import KEY, csv_text, row, seed, state, write, write_rows

from billfold.book import Book
from billfold.contracts.references import REFERENCES, Reference
from billfold.errors import BillfoldError, InputError
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEAD = "account_number,currency"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """One book for all: a refusal does not change it, which each test checks."""
    folder = tmp_path_factory.mktemp("malformed")
    with Book.create(folder / "book") as opened:
        load(opened, [str(seed(folder / "seed"))])
        yield opened


def refusal(book: Book, *arguments: str) -> BillfoldError:
    """The error of a load that must be refused, having checked its sentence and that the book is as it was."""
    before = state(book)
    with pytest.raises(BillfoldError) as caught:
        load(book, arguments)
    assert state(book) == before
    said = str(caught.value)
    assert "\n" not in said
    assert "Traceback" not in said
    assert said.endswith(".")
    assert len(said) < 1000
    return caught.value


def faults(book: Book, *arguments: str) -> list[dict[str, Any]]:
    """The faults of a load whose rows must be refused."""
    error = refusal(book, *arguments)
    assert isinstance(error, InputError)
    assert error.failures.columns == ["file", "row", "column", "value", "rule"]
    return error.failures.to_dicts()


def only_fault(book: Book, path: Path, table: str) -> dict[str, Any]:
    """The single fault of a file, whose name and rule it must give."""
    [fault] = faults(book, f"{table}={path}")
    assert fault["file"] == str(path)
    assert fault["rule"]
    return fault


def cell_fault(book: Book, path: Path, table: str) -> dict[str, Any]:
    """The single fault of a cell; rules about its whole row may fail with it."""
    found = faults(book, f"{table}={path}")
    assert len({f["row"] for f in found}) == 1
    [fault] = [f for f in found if f["column"]]
    assert fault["file"] == str(path)
    assert fault["rule"]
    return fault


CELLS: list[tuple[str, str, str, str]] = [
    ("text_for_a_quantity", "order_line_items", "quantity", "many"),
    ("nan_for_a_quantity", "order_line_items", "quantity", "NaN"),
    ("infinity_for_a_quantity", "order_line_items", "quantity", "Infinity"),
    ("minus_inf_for_a_price", "order_line_items", "amount_per_unit", "-inf"),
    ("an_exponent_in_csv", "order_line_items", "quantity", "1e5"),
    ("a_thousands_separator", "order_line_items", "quantity", "1,000"),
    ("a_decimal_comma", "order_line_items", "quantity", "1,5"),
    ("a_currency_sign", "order_line_items", "amount_per_unit", "£5"),
    ("arabic_digits", "order_line_items", "quantity", "١٢"),
    ("fullwidth_digits", "order_line_items", "quantity", "\uff11\uff12"),
    ("a_hexadecimal_number", "order_line_items", "quantity", "0x1F"),
    ("underscores_in_a_number", "order_line_items", "quantity", "1_000"),
    ("two_signs", "order_line_items", "quantity", "--1"),
    ("a_lone_sign", "order_line_items", "quantity", "-"),
    ("a_lone_point", "order_line_items", "quantity", "."),
    ("a_number_with_a_blank_behind", "order_line_items", "quantity", "1 "),
    ("a_number_with_a_blank_before", "order_line_items", "quantity", " 1"),
    ("twenty_digits_before_the_point", "order_line_items", "quantity", "12345678901234567890"),
    ("ten_decimals", "order_line_items", "amount_per_unit", "1.1234567890"),
    ("four_hundred_digits", "order_line_items", "quantity", "1" * 400),
    ("a_whole_number_beyond_64_bits", "accounts", "bill_cycle_day", "9223372036854775808"),
    ("a_whole_number_with_a_point", "accounts", "bill_cycle_day", "1.0"),
    ("day_zero", "accounts", "bill_cycle_day", "0"),
    ("day_32", "accounts", "bill_cycle_day", "32"),
    ("a_negative_day", "accounts", "bill_cycle_day", "-1"),
    ("a_segment_of_zero", "rate_plan_charges", "segment", "0"),
    ("a_discount_of_100_percent_or_more", "rate_plan_charges", "discount_percentage", "100"),
    ("the_30th_of_february", "order_line_items", "bill_target_date", "2024-02-30"),
    ("the_29th_of_february_1900", "order_line_items", "bill_target_date", "1900-02-29"),
    ("day_first", "order_line_items", "bill_target_date", "31/01/2024"),
    ("zeros_for_a_date", "order_line_items", "bill_target_date", "0000-00-00"),
    ("a_date_with_a_time", "order_line_items", "bill_target_date", "2024-01-01 00:00:00"),
    ("a_date_with_a_time_and_a_zone", "order_line_items", "bill_target_date", "2024-01-01T00:00:00Z"),
    ("a_date_without_dashes", "order_line_items", "bill_target_date", "20240101"),
    ("a_date_without_zeros", "order_line_items", "bill_target_date", "2024-1-1"),
    ("a_date_before_1900", "order_line_items", "bill_target_date", "1899-12-31"),
    ("a_year_of_five_digits", "order_line_items", "bill_target_date", "10000-01-01"),
    ("a_month_13", "usage", "start_date", "2024-13-01"),
    ("a_serial_number_for_a_date", "usage", "start_date", "45306"),
    ("maybe_for_yes_or_no", "subscriptions", "auto_renew", "maybe"),
    ("two_for_yes_or_no", "subscriptions", "auto_renew", "2"),
    ("an_unknown_status", "accounts", "status", "Sleeping"),
    ("an_unknown_charge_type", "rate_plan_charges", "charge_type", "Yearly"),
    ("an_unknown_charge_model", "rate_plan_charges", "charge_model", "Guess"),
    ("an_unknown_item_state", "order_line_items", "item_state", "Shipped"),
    ("an_unknown_item_category", "order_line_items", "item_category", "Refund"),
    ("an_unknown_billing_period", "rate_plan_charges", "billing_period", "Fortnight"),
    ("an_unknown_currency", "accounts", "currency", "XXX"),
    ("a_currency_in_small_letters", "accounts", "currency", "usd"),
    ("a_metal_for_a_currency", "accounts", "currency", "XAU"),
    ("an_unknown_currency_of_a_line", "order_line_items", "currency", "BTC"),
    ("a_reserved_prefix", "sequence_sets", "invoice_prefix", "TMP-INV-"),
    ("a_prefix_with_a_quote", "sequence_sets", "invoice_prefix", "I'"),
    ("a_first_number_of_zero", "sequence_sets", "invoice_start", "0"),
    ("a_group_number_of_256_characters", "subscriptions", "invoice_group_number", "g" * 256),
    ("a_key_of_a_blank", "accounts", "account_number", " "),
    ("a_key_with_a_blank_before", "accounts", "account_number", " A-9"),
    ("a_key_with_a_blank_behind", "accounts", "account_number", "A-9 "),
    ("a_key_with_a_no_break_space_before", "accounts", "account_number", "\u00a0A-9"),
    ("a_key_with_a_tab", "accounts", "account_number", "A\t9"),
    ("a_key_with_a_line_break", "accounts", "account_number", "A\n9"),
    ("a_key_with_nul", "accounts", "account_number", "A\x009"),
    ("a_key_with_a_bell", "subscriptions", "subscription_number", "S\x07"),
    ("a_key_with_delete", "orders", "order_number", "O\x7f"),
    ("a_key_with_a_c1_control", "order_line_items", "item_number", "1\x85"),
    ("a_key_of_256_characters", "accounts", "account_number", "A" * 256),
    ("negative_included_units", "rate_plan_charges", "included_units", "-0.1"),
    ("an_unknown_weekday", "rate_plan_charges", "weekly_bill_cycle_day", "Tue"),
    ("a_rate_that_is_no_number", "usage", "unit_rate", "x"),
    ("a_total_with_ten_decimals", "usage", "total", "0.0000000001"),
    ("maybe_for_stacked", "rate_plan_charges", "is_stacked_discount", "maybe"),
    ("a_gigantic_key", "usage", "usage_id", "u" * 2_000_000),
]


@pytest.mark.parametrize(("table", "column", "value"), [c[1:] for c in CELLS], ids=[c[0] for c in CELLS])
def test_a_bad_cell_is_refused_in_its_row(book: Book, tmp_path: Path, table: str, column: str, value: str) -> None:
    rows = [row(table, "N-1"), row(table, "N-2") | {column: value}, row(table, "N-3")]
    fault = cell_fault(book, write_rows(tmp_path / f"{table}.csv", rows), table)
    assert (fault["row"], fault["column"]) == (2, column)
    assert fault["value"].startswith(value)  # a number may be shown with all its decimals


BLANKS = [
    ("accounts", "account_number"), ("accounts", "currency"), ("subscriptions", "subscription_number"),
    ("subscriptions", "account_number"), ("rate_plan_charges", "charge_type"), ("usage", "quantity"),
    ("usage", "start_date"), ("orders", "order_number"), ("order_line_items", "order_number"),
    ("order_line_items", "item_number"), ("sequence_sets", "name"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), BLANKS)
@pytest.mark.parametrize("quoted", ["", '""'], ids=["empty", "quoted"])
def test_a_blank_in_a_required_column_is_refused(
    book: Book, tmp_path: Path, table: str, column: str, quoted: str
) -> None:
    text = csv_text([row(table, "N-1"), row(table, "N-2") | {column: "@"}, row(table, "N-3")]).replace("@", quoted)
    fault = only_fault(book, write(tmp_path / f"{table}.csv", text), table)
    assert (fault["row"], fault["column"], fault["value"] or "") == (2, column, "")


def _decimals(*values: str) -> list[Decimal]:
    return [Decimal(v) for v in values]


TYPED: list[tuple[str, str, str, pl.Series]] = [
    ("a_float_that_is_no_decimal", "order_line_items", "quantity", pl.Series([1.0, 0.1 + 0.2, 2.0])),
    ("a_float_with_too_many_decimals", "order_line_items", "amount_per_unit", pl.Series([1.0, 1e-10, 2.0])),
    ("a_third_as_float", "order_line_items", "amount_per_unit", pl.Series([1.0, 1 / 3, 2.0])),
    ("a_float_nan", "order_line_items", "quantity", pl.Series([1.0, float("nan"), 2.0])),
    ("a_float_infinity", "order_line_items", "quantity", pl.Series([1.0, float("inf"), 2.0])),
    ("a_float_too_large", "order_line_items", "quantity", pl.Series([1.0, 1e25, 2.0])),
    ("a_decimal_with_ten_decimals", "order_line_items", "quantity",
     pl.Series(_decimals("1", "1.0000000001", "2"), dtype=pl.Decimal(38, 10))),
    ("a_decimal_too_large", "order_line_items", "quantity",
     pl.Series(_decimals("1", "1" + "0" * 30, "2"), dtype=pl.Decimal(38, 0))),
    ("a_uint64_too_large", "order_line_items", "quantity", pl.Series([1, 2**64 - 1, 2], dtype=pl.UInt64)),
    ("a_broken_day", "accounts", "bill_cycle_day", pl.Series([1.0, 1.5, 2.0])),
    ("a_day_of_nan", "accounts", "bill_cycle_day", pl.Series([1.0, float("nan"), 2.0])),
    ("a_float_for_text", "accounts", "name", pl.Series([None, 2.0, None], dtype=pl.Float64)),
    ("bytes_that_are_no_text", "accounts", "name", pl.Series([b"a", b"\xff", b"b"])),
    ("a_datetime_with_a_time_for_a_date", "order_line_items", "bill_target_date",
     pl.Series([None, datetime(2024, 1, 1, 12), None])),  # noqa: DTZ001 - without a zone, like a date
    ("a_date_before_1900_in_parquet", "order_line_items", "bill_target_date",
     pl.Series([None, date(1800, 1, 1), None])),
    ("a_number_for_a_date", "order_line_items", "bill_target_date", pl.Series([None, 20240101, None])),
    ("a_count_of_days_for_a_date", "order_line_items", "bill_target_date", pl.Series([None, 19000, None])),
    ("a_float_for_a_date", "order_line_items", "bill_target_date", pl.Series([None, 19000.0, None])),
    ("a_time_for_a_date", "order_line_items", "bill_target_date", pl.Series([None, time(1), None])),
    ("a_boolean_for_a_quantity", "order_line_items", "quantity", pl.Series([None, True, None])),
    ("a_date_for_a_quantity", "order_line_items", "quantity", pl.Series([None, date(2024, 1, 1), None])),
    ("a_date_for_text", "accounts", "name", pl.Series([None, date(2024, 1, 1), None])),
    ("a_two_for_yes_or_no_in_parquet", "subscriptions", "auto_renew", pl.Series([0, 2, 1])),
    ("a_list_for_a_quantity", "order_line_items", "quantity", pl.Series([None, [1], None])),
    ("a_list_for_a_currency", "order_line_items", "currency", pl.Series([None, ["USD"], None])),
    ("a_struct_for_a_date", "order_line_items", "bill_target_date", pl.Series([None, {"y": 2024}, None])),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "cells"), [c[1:] for c in TYPED], ids=[c[0] for c in TYPED])
def test_a_bad_typed_cell_is_refused_in_its_row(
    book: Book, tmp_path: Path, table: str, column: str, cells: pl.Series
) -> None:
    valid = pl.DataFrame([row(table, f"N-{n}") for n in (1, 2, 3)])
    bad = valid.with_columns(cells.alias(column))
    found = faults(book, f"{table}={write(tmp_path / 'f.parquet', bad)}")
    assert [(f["row"], f["column"]) for f in found if f["column"]] == [(2, column)]


JSON_CELLS: list[tuple[str, str, str, str]] = [
    ("nan_as_text_in_json", "order_line_items", "quantity", '"NaN"'),
    ("true_for_a_quantity", "order_line_items", "quantity", "true"),
    ("a_list_for_a_quantity_in_json", "order_line_items", "quantity", "[1]"),
    ("a_quantity_beyond_any_size", "order_line_items", "quantity", "1e400"),
    ("a_quantity_with_too_many_decimals", "order_line_items", "quantity", "1e-10"),
    ("a_number_for_a_date_in_json", "order_line_items", "bill_target_date", "20240101"),
    ("an_impossible_date_in_json", "order_line_items", "bill_target_date", '"2023-02-29"'),
    ("an_object_for_a_day", "accounts", "bill_cycle_day", '{"day": 1}'),
    ("an_object_for_a_key", "accounts", "account_number", '{"a": 1}'),
    ("a_list_for_a_key", "accounts", "account_number", '["A-9"]'),
    ("a_boolean_for_a_key", "accounts", "account_number", "true"),
    ("nul_in_a_key_in_json", "accounts", "account_number", '"A\\u00009"'),
]


@pytest.mark.parametrize(("table", "column", "value"), [c[1:] for c in JSON_CELLS], ids=[c[0] for c in JSON_CELLS])
def test_a_bad_json_value_is_refused_in_its_row(
    book: Book, tmp_path: Path, table: str, column: str, value: str
) -> None:
    rows = [row(table, "N-1"), row(table, "N-2") | {column: "@"}, row(table, "N-3")]
    path = write_rows(tmp_path / f"{table}.jsonl", rows)
    fault = only_fault(book, write(path, path.read_text().replace('"@"', value)), table)
    assert (fault["row"], fault["column"]) == (2, column)


RULES: list[tuple[str, str, dict[str, str], str]] = [
    ("flat_fee_without_price", "rate_plan_charges", {"price": ""}, "price"),
    ("catalog_flat_fee_without_price", "product_rate_plan_charges", {"price": ""}, "price"),
    ("recurring_without_period", "rate_plan_charges", {"billing_period": ""}, "billing_period"),
    ("specific_period_without_length", "rate_plan_charges", {"billing_period": "Specific_Months"},
     "specific_billing_period"),
    ("fixed_day_without_day", "rate_plan_charges", {"bill_cycle_type": "SpecificDayofMonth"}, "bill_cycle_day"),
    ("per_unit_without_quantity", "rate_plan_charges", {"charge_model": "PerUnit"}, "quantity"),
    ("volume_without_quantity", "rate_plan_charges", {"charge_model": "Volume", "tiers": '[{"from": 0, "price": 1}]'},
     "quantity"),
    ("catalog_volume_without_tiers", "product_rate_plan_charges", {"charge_model": "Volume"}, "tiers"),
    ("fixed_weekday_without_it", "rate_plan_charges", {"bill_cycle_type": "SpecificDayofWeek"},
     "weekly_bill_cycle_day"),
    ("discount_without_percentage", "rate_plan_charges", {"charge_model": "DiscountPercentage"},
     "discount_percentage"),
    ("overage_without_its_price", "rate_plan_charges",
     {"charge_model": "Overage", "charge_type": "Usage", "included_units": "1"}, "overage_price"),
    ("overage_that_recurs", "rate_plan_charges",
     {"charge_model": "Overage", "included_units": "1", "overage_price": "1"}, "Usage"),
    ("tiers_with_overage_that_are_open", "rate_plan_charges",
     {"charge_model": "TieredWithOverage", "charge_type": "Usage", "tiers": '[{"from": 0, "price": 1}]',
      "overage_price": "1"}, "endingUnit"),
    ("segment_that_ends_before_it_starts", "rate_plan_charges",
     {"effective_start_date": "2024-02-01", "effective_end_date": "2024-01-31"}, "effective_end_date"),
    ("order_line_without_price", "order_line_items", {"amount_per_unit": ""}, "amount_per_unit"),
    ("order_line_without_target_date", "order_line_items", {"item_state": "SentToBilling"}, "bill_target_date"),
    ("service_that_ends_before_it_starts", "order_line_items",
     {"transaction_start_date": "2024-02-01", "transaction_end_date": "2024-01-31"}, "transaction_end_date"),
    ("one_prefix_for_both_documents", "sequence_sets", {"invoice_prefix": "X", "credit_memo_prefix": "X"}, "prefix"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "changes", "word"), [r[1:] for r in RULES], ids=[r[0] for r in RULES])
def test_a_row_that_contradicts_itself_is_refused(
    book: Book, tmp_path: Path, table: str, changes: dict[str, str], word: str
) -> None:
    rows = [row(table, "N-1"), row(table, "N-2", **changes), row(table, "N-3")]
    fault = only_fault(book, write_rows(tmp_path / f"{table}.csv", rows), table)
    assert fault["row"] == 2
    assert word in fault["rule"]
    assert "N-2" in fault["value"]


@pytest.mark.parametrize("table", list(KEY))
def test_both_rows_with_one_key_are_refused(book: Book, tmp_path: Path, table: str) -> None:
    rows = [row(table, "N-1"), row(table, "N-2"), row(table, "N-1")]
    found = faults(book, f"{table}={write_rows(tmp_path / f'{table}.csv', rows)}")
    assert [f["row"] for f in found] == [1, 3]
    assert all(KEY[table] in f["rule"] and "N-1" in f["value"] for f in found)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: f"{r.table}.{r.column}")
def test_a_reference_to_nothing_is_refused(book: Book, tmp_path: Path, reference: Reference) -> None:
    table = reference.table
    rows = [row(table, "N-1"), row(table, "N-2") | {reference.column: "nobody"}, row(table, "N-3")]
    fault = only_fault(book, write_rows(tmp_path / f"{table}.csv", rows), table)
    assert (fault["row"], fault["column"], fault["value"]) == (2, reference.column, "nobody")
    assert reference.parent in fault["rule"]


@pytest.mark.parametrize("table", ["subscriptions", "order_line_items"])
def test_a_currency_must_be_stated_between_accounts_of_two_currencies(book: Book, tmp_path: Path, table: str) -> None:
    rows = [
        row(table, "N-1", invoice_owner_account_number="A-1"),
        row(table, "N-2", invoice_owner_account_number="A-2"),
        row(table, "N-3", invoice_owner_account_number="A-2", currency="EUR"),
    ]
    fault = only_fault(book, write_rows(tmp_path / f"{table}.csv", rows), table)
    assert (fault["row"], fault["column"]) == (2, "currency")
    assert "USD" in fault["rule"]
    assert "EUR" in fault["rule"]


def test_an_account_cannot_change_its_currency_below_lines_that_state_none(tmp_path: Path) -> None:
    with Book.create(tmp_path / "book") as own:
        same = [row("accounts", "A-1"), row("accounts", "A-2")]
        owned = [row("subscriptions", "S-1", invoice_owner_account_number="A-2")]
        write_rows(tmp_path / "in" / "accounts.csv", same)
        write_rows(tmp_path / "in" / "subscriptions.csv", owned)
        load(own, [str(tmp_path / "in")])
        changed = write_rows(tmp_path / "a.csv", [row("accounts", "A-2", currency="EUR")])
        refusal(own, f"accounts={changed}")


def _parquet(tmp: Path, frame: pl.DataFrame) -> bytes:
    return write(tmp / "made.parquet", frame).read_bytes()


FILES: list[tuple[str, str, str | bytes, str]] = [
    ("an_empty_csv", "accounts.csv", "", "empty"),
    ("an_empty_parquet", "accounts.parquet", "", "empty"),
    ("empty_json_lines", "accounts.jsonl", "", "empty"),
    ("only_line_breaks", "accounts.csv", "\n\n", ""),
    ("only_blanks", "accounts.csv", "   ", ""),
    ("only_a_byte_order_mark", "accounts.csv", b"\xef\xbb\xbf", ""),
    ("only_line_breaks_of_json", "accounts.jsonl", "\n\n", "account_number"),
    ("latin_1_cells", "accounts.csv", f"{HEAD},name\nN-1,USD,Müller\n".encode("latin-1"), "UTF-8"),
    ("latin_1_headings", "accounts.csv", f"{HEAD},größe__c\nN-1,USD,1\n".encode("latin-1"), "UTF-8"),
    ("latin_1_json", "accounts.jsonl", '{"account_number":"Ä","currency":"USD"}\n'.encode("latin-1"), "UTF-8"),
    ("utf_16_with_mark", "accounts.csv", f"{HEAD}\nN-1,USD\n".encode("utf-16"), "UTF-8"),
    ("utf_16_without_mark", "accounts.csv", f"{HEAD}\nN-1,USD\n".encode("utf-16-le"), ""),
    ("utf_16_json", "accounts.jsonl", '{"account_number":"N-1","currency":"USD"}\n'.encode("utf-16"), "UTF-8"),
    ("too_few_cells", "accounts.csv", f"{HEAD},name\nN-1,USD,x\nN-2,USD\n", "N-2,USD"),
    ("too_many_cells", "accounts.csv", f"{HEAD}\nN-1,USD\nN-2,USD,3\n", "N-2,USD,3"),
    ("semicolons_between_cells", "accounts.csv", "account_number;currency\nN-1;USD\n", "account_number;currency"),
    ("tabs_between_cells", "accounts.csv", "account_number\tcurrency\nN-1\tUSD\n", "account_number"),
    ("a_quote_that_never_ends", "accounts.csv", f'{HEAD}\n"N-1,USD\n', ""),
    ("a_gigantic_heading", "accounts.csv", f"{HEAD},{'x' * 200_000}\nN-1,USD,1\n", ""),
    ("an_unknown_column", "accounts.csv", f"{HEAD},payment_trem\nN-1,USD,x\n", "did you mean payment_term"),
    ("an_unknown_column_in_json", "accounts.jsonl", '{"account_number":"N-1","currency":"USD","nam":"x"}\n', "name"),
    ("a_heading_with_sql", "accounts.csv", f'{HEAD},"x; DROP TABLE accounts; --"\nN-1,USD,1\n', "DROP TABLE"),
    ("a_custom_field_with_a_quote", "accounts.csv", f'{HEAD},"x"" INT); DROP TABLE accounts__c"\nN-1,USD,1\n',
     "ends in __c"),
    ("a_custom_field_with_a_semicolon", "accounts.csv", f"{HEAD},a;b__c\nN-1,USD,1\n", "a;b__c"),
    ("a_custom_field_with_a_blank", "accounts.csv", f"{HEAD},a b__c\nN-1,USD,1\n", "a b__c"),
    ("a_custom_field_with_a_line_break", "accounts.csv", f'{HEAD},"a\nb__c"\nN-1,USD,1\n', ""),
    ("a_custom_field_that_begins_with_a_digit", "accounts.csv", f"{HEAD},1a__c\nN-1,USD,1\n", "1a__c"),
    ("a_custom_field_without_a_name", "accounts.csv", f"{HEAD},__c\nN-1,USD,1\n", "__c"),
    ("a_custom_field_with_nul", "accounts.jsonl", '{"account_number":"N-1","currency":"USD","a\\u0000__c":1}\n', ""),
    ("a_heading_without_a_name", "accounts.csv", f"{HEAD},\nN-1,USD,1\n", "unknown"),
    ("a_column_twice", "accounts.csv", f"{HEAD},name,name\nN-1,USD,1,2\n", "'name' is there twice"),
    ("a_column_twice_but_for_case", "accounts.csv", f"{HEAD},x__c,X__c\nN-1,USD,1,2\n", "twice"),
    ("a_standard_column_twice_but_for_case", "accounts.csv", f"{HEAD},Name,name\nN-1,USD,1,2\n", "twice"),
    ("a_standard_column_in_capitals", "accounts.csv", "ACCOUNT_NUMBER,currency\nN-1,USD\n", "ACCOUNT_NUMBER"),
    ("a_missing_key_column", "accounts.csv", "name,currency\nx,USD\n", "account_number"),
    ("two_missing_columns", "accounts.csv", "name\nx\n", "account_number, currency"),
    ("a_missing_column_in_json", "accounts.jsonl", '{"account_number":"N-1"}\n', "currency"),
    ("text_in_a_parquet_file", "accounts.parquet", f"{HEAD}\nN-1,USD\n", "parquet"),
    ("a_parquet_file_of_four_bytes", "accounts.parquet", b"PAR1", "parquet"),
    ("garbage_between_parquet_marks", "accounts.parquet", b"PAR1" + b"\xff" * 50 + b"PAR1", "parquet"),
    ("half_a_json_object", "accounts.jsonl", '{"account_number":"N-1","currency":"USD"}\n{"account_number"\n',
     "line 2"),
    ("two_json_objects_in_a_line", "accounts.jsonl", '{"account_number":"N-1","currency":"USD"} {}\n', "line 1"),
    ("a_json_array_of_objects", "accounts.jsonl", '[{"account_number":"N-1","currency":"USD"}]\n', "line 1"),
    ("a_pretty_printed_json_object", "accounts.jsonl", '{\n"account_number": "N-1",\n"currency": "USD"\n}\n', "line 1"),
    ("a_json_number_alone", "accounts.jsonl", "1\n", "line 1"),
    ("a_json_null_alone", "accounts.jsonl", "null\n", "line 1"),
    ("nan_in_json", "accounts.jsonl", '{"account_number":"N-1","currency":"USD","x__c":NaN}\n', "NaN"),
    ("infinity_in_json", "accounts.jsonl", '{"account_number":"N-1","currency":"USD","x__c":-Infinity}\n', "Infinity"),
    ("a_json_name_twice", "accounts.jsonl", '{"account_number":"N-1","account_number":"N-2","currency":"USD"}\n',
     "twice"),
    ("a_json_name_twice_but_for_case", "accounts.jsonl",
     '{"account_number":"N-1","currency":"USD","x__c":1,"X__c":2}\n', "twice"),
    ("deeply_nested_json", "accounts.jsonl", "[" * 100_000 + "\n", "line 1"),
    ("half_a_surrogate_pair", "accounts.jsonl", '{"account_number":"N-1","currency":"USD","name":"\\ud800"}\n', ""),
    ("mixed_types_in_a_custom_field", "accounts.jsonl",
     '{"account_number":"N-1","currency":"USD","x__c":1}\n{"account_number":"N-2","currency":"USD","x__c":"a"}\n',
     "x__c"),
    ("a_custom_decimal_too_large", "accounts.jsonl", '{"account_number":"N-1","currency":"USD","x__c":1e400}\n', ""),
    ("a_custom_decimal_too_fine", "accounts.jsonl", '{"account_number":"N-1","currency":"USD","x__c":1e-50}\n', ""),
    ("an_exponent_too_large_for_any_decimal", "accounts.jsonl",
     '{"account_number":"N-1","currency":"USD","bill_cycle_day":1e999999999999999999999}\n', ""),
    ("a_custom_number_of_5000_digits", "accounts.jsonl",
     f'{{"account_number":"N-1","currency":"USD","x__c":{"9" * 5000}}}\n', ""),
]  # fmt: skip


@pytest.mark.parametrize(("file", "content", "words"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_a_broken_file_is_refused_by_name(
    book: Book, tmp_path: Path, file: str, content: str | bytes, words: str
) -> None:
    path = write(tmp_path / file, content)
    said = str(refusal(book, f"accounts={path}"))
    assert str(path) in said
    assert words in said


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.95])
def test_a_parquet_file_that_was_cut_off_is_refused(book: Book, tmp_path: Path, keep: float) -> None:
    whole = _parquet(tmp_path, pl.DataFrame([row("accounts", f"N-{n}") for n in range(1000)]))
    path = write(tmp_path / "accounts.parquet", whole[: int(len(whole) * keep)])
    assert str(path) in str(refusal(book, f"accounts={path}"))


def test_a_parquet_file_with_flipped_bytes_is_refused(book: Book, tmp_path: Path) -> None:
    whole = _parquet(tmp_path, pl.DataFrame([row("accounts", f"N-{n}") for n in range(1000)]))
    path = write(tmp_path / "accounts.parquet", whole[:20] + b"\xff" * 40 + whole[60:])
    assert str(path) in str(refusal(book, f"accounts={path}"))


UNKEEPABLE: list[tuple[str, pl.Series]] = [
    ("a_duration", pl.Series([timedelta(days=1)])),
    ("a_list_of_durations", pl.Series([[timedelta(days=1)]])),
    ("fields_that_differ_by_case", pl.Series([{"a": 1, "A": 2}])),
    ("a_field_without_a_name", pl.Series([{"": 1, "b": 2}])),
    ("a_128_bit_integer", pl.Series([2**100], dtype=pl.Int128)),
]


@pytest.mark.parametrize("cells", [c[1] for c in UNKEEPABLE], ids=[c[0] for c in UNKEEPABLE])
def test_a_custom_type_that_the_book_cannot_keep_is_refused_by_name(
    book: Book, tmp_path: Path, cells: pl.Series
) -> None:
    frame = pl.DataFrame([row("accounts", "N-1")]).with_columns(cells.alias("odd__c"))
    said = str(refusal(book, f"accounts={write(tmp_path / 'a.parquet', frame)}"))
    assert "odd__c" in said
    assert "a.parquet" in said


def test_a_custom_field_that_the_book_spells_otherwise_is_refused_by_name(tmp_path: Path) -> None:
    with Book.create(tmp_path / "book") as own:
        load(own, [f"accounts={write_rows(tmp_path / 'a.csv', [row('accounts', 'N-1', region__c='x')])}"])
        other = write_rows(tmp_path / "b.csv", [row("accounts", "N-1", Region__c="y")])
        said = str(refusal(own, f"accounts={other}"))
        assert str(other) in said
        assert "region__c" in said


NAMES = [
    "acounts.csv", "invoices.csv", "settings.csv", "accounts; drop.csv", "accounts' OR 1=1 --.csv",
    'accounts".csv', "ACCOUNTS.CSV", "..csv", "billfold.head.csv",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_no_input_table_is_refused_by_name(book: Book, tmp_path: Path, name: str) -> None:
    write(tmp_path / name, f"{HEAD}\nN-1,USD\n")
    assert name in str(refusal(book, str(tmp_path)))


def test_the_nearest_table_is_offered(book: Book, tmp_path: Path) -> None:
    write(tmp_path / "acounts.csv", f"{HEAD}\nN-1,USD\n")
    assert "did you mean accounts" in str(refusal(book, str(tmp_path)))


@pytest.mark.parametrize("table", ["accounts; drop", "accounts' --", 'a"b', "", "invoices", "main.accounts"])
def test_a_table_of_another_name_is_refused(book: Book, tmp_path: Path, table: str) -> None:
    path = write(tmp_path / "f.csv", f"{HEAD}\nN-1,USD\n")
    assert "is not an input table" in str(refusal(book, f"{table}={path}"))


@pytest.mark.parametrize("name", ["it's.csv", 'quo"te.csv', "semi; DROP TABLE accounts.csv", "br[a]cket*?.csv"])
def test_an_odd_file_name_is_shown_as_it_is(book: Book, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, f"{HEAD}\nN-1,XXX\n")
    assert only_fault(book, path, "accounts")["column"] == "currency"


def test_two_files_for_one_table_are_refused(book: Book, tmp_path: Path) -> None:
    write_rows(tmp_path / "accounts.csv", [row("accounts", "N-1")])
    write_rows(tmp_path / "accounts.jsonl", [row("accounts", "N-1")])
    said = str(refusal(book, str(tmp_path)))
    assert "accounts.csv" in said
    assert "accounts.jsonl" in said


def test_one_table_given_twice_is_refused(book: Book, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "accounts.csv", [row("accounts", "N-1")])
    assert "accounts" in str(refusal(book, str(tmp_path), f"accounts={path}"))


@pytest.mark.parametrize("name", ["notes.txt", None], ids=["other_files", "no_files"])
def test_a_folder_without_tables_is_refused(book: Book, tmp_path: Path, name: str | None) -> None:
    if name:
        write(tmp_path / name, "x")
    assert str(tmp_path) in str(refusal(book, str(tmp_path)))


@pytest.mark.parametrize(
    "argument",
    ["{0}/nowhere", "accounts={0}/nowhere.csv", "accounts={0}", "accounts={0}/*.csv", "accounts=", "{0}/bare.csv",
     "accounts={0}/folder.csv", "accounts={0}/nul\0.csv", "accounts={0}/" + "x" * 300 + ".csv", "{0}/" + "x" * 300,
     "accounts=https://localhost/a.csv", "accounts={0}/link.csv", "accounts={0}/bare", "accounts={0}/a.xlsx"],
    ids=["no_folder", "no_file", "a_folder_for_a_file", "a_pattern", "no_path", "no_table", "a_folder_called_csv",
         "nul_in_a_path", "a_long_file_name", "a_long_folder_name", "a_web_address", "a_dangling_link", "no_ending",
         "another_ending"],
)  # fmt: skip
def test_a_path_to_nothing_readable_is_refused(book: Book, tmp_path: Path, argument: str) -> None:
    write(tmp_path / "bare.csv", f"{HEAD}\nN-1,USD\n")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    refusal(book, argument.format(tmp_path))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may read every file")
def test_an_unreadable_file_is_refused(book: Book, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "accounts.csv", [row("accounts", "N-1")])
    path.chmod(0)
    assert str(path) in str(refusal(book, f"accounts={path}"))


def test_one_bad_row_refuses_all_files_of_the_load(book: Book, tmp_path: Path) -> None:
    write_rows(tmp_path / "accounts.csv", [row("accounts", "N-1")])
    write_rows(tmp_path / "orders.csv", [row("orders", "N-2", order_date="soon")])
    [fault] = faults(book, str(tmp_path))
    assert (fault["file"], fault["row"]) == (str(tmp_path / "orders.csv"), 1)


def test_every_fault_is_reported_in_the_order_of_rows(book: Book, tmp_path: Path) -> None:
    rows = [row("accounts", f"N-{n}") for n in range(1, 7)]
    rows[1] |= {"currency": "UX", "bill_cycle_day": "99"}
    rows[3] |= {"account_number": " ", "bill_cycle_day": "x"}
    rows[5] |= {"status": "?"}
    found = faults(book, f"accounts={write_rows(tmp_path / 'a.csv', rows)}")
    assert [f["row"] for f in found] == [2, 2, 4, 4, 6]
    assert {(f["row"], f["column"]) for f in found} == {
        (2, "currency"), (2, "bill_cycle_day"), (4, "account_number"), (4, "bill_cycle_day"), (6, "status"),
    }  # fmt: skip


def test_rows_are_counted_rightly_behind_cells_with_line_breaks(book: Book, tmp_path: Path) -> None:
    rows = [row("accounts", "N-1", name="a\nb\nc"), row("accounts", "N-2", name="x", currency="?")]
    assert only_fault(book, write_rows(tmp_path / "a.csv", rows), "accounts")["row"] == 2


def test_rows_are_counted_rightly_in_a_large_file(book: Book, tmp_path: Path) -> None:
    rows = [row("accounts", f"N-{n}") for n in range(1, 20_001)]
    rows[15_431]["currency"] = "?"
    assert only_fault(book, write_rows(tmp_path / "a.csv", rows), "accounts")["row"] == 15_432


def test_the_sentence_names_the_first_fault(book: Book, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv", [row("accounts", "N-1"), row("accounts", "N-2", currency="UX")])
    said = str(refusal(book, f"accounts={path}"))
    assert str(path) in said
    assert "row 2" in said
    assert "currency" in said


def _billfold(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "billfold", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _told(book: Book, *arguments: str) -> str:
    """What a refused load prints on standard error, having checked that it is a refusal and no accident."""
    done = _billfold("--book", str(book.folder), "load", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "failed unexpectedly" not in done.stderr
    return done.stderr


def test_the_command_shows_and_saves_the_place_of_every_fault(book: Book, tmp_path: Path) -> None:
    rows = [row("accounts", f"N-{n}", bill_cycle_day="[x]") for n in range(1, 31)]
    path = write_rows(tmp_path / "a.csv", rows)
    before = state(book)
    told = _told(book, f"accounts={path}", "--errors", str(tmp_path / "errors.csv"))
    assert all(word in told for word in ("a.csv", "bill_cycle_day", "[x]", "1 to 31", "30 of 30 rows"))
    saved = pl.read_csv(tmp_path / "errors.csv")
    assert saved.columns == ["file", "row", "column", "value", "rule"]
    assert saved["row"].to_list() == list(range(1, 31))
    assert state(book) == before


def test_the_command_refuses_a_broken_file_in_one_sentence(book: Book, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"{HEAD},nmae\nN-1,USD,x\n")
    told = _told(book, f"accounts={path}").strip()
    assert told.startswith("billfold: ")
    assert "\n" not in told
    assert "did you mean name" in told


def arguments_of(cases: Sequence[Sequence[object]]) -> list[object]:
    """The names of cases."""
    return [c[0] for c in cases]


def test_every_case_has_a_claim_of_its_own() -> None:
    named = [arguments_of(c) for c in (CELLS, TYPED, JSON_CELLS, RULES, FILES, UNKEEPABLE)]
    names = [n for group in named for n in group]
    assert len(names) == len(set(names))
    assert len(names) >= 60
