"""The contracts really check: a bad value in any checked column of any table is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandera.errors
import polars as pl
import pytest

from billfold.contracts import INPUTS, TABLES, Table, columns, keys
from billfold.intake.conform import conform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pandera.api.checks import Check

_PLAIN: Final[Mapping[type[pl.DataType], object]] = {
    pl.String: "x",
    pl.Int64: 1,
    pl.Boolean: True,
    pl.Decimal: Decimal(1),
    pl.Date: date(2024, 1, 31),
    pl.Datetime: datetime(2024, 1, 31, tzinfo=UTC).replace(tzinfo=None),
}
_CHOSEN: Final[Mapping[str, object]] = {
    "currency": "USD",
    "percentage": None,
    "billing_period": "Month",
    "transaction_end_date": date(2024, 2, 1),
}
"""Values of columns that have rules of their own."""


def valid(table: str) -> dict[str, Any]:
    """A row that a table accepts, with a value in nearly every column."""
    return {
        c.name: _CHOSEN[c.name] if c.name in _CHOSEN
        else c.default if c.default is not None
        else c.values[0] if c.values
        else _PLAIN[c.dtype.base_type()]
        for c in columns(TABLES[table]).values()
    }  # fmt: skip


def framed(table: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """Rows in the types of a table."""
    return pl.DataFrame(rows, schema={c.name: c.dtype for c in columns(TABLES[table]).values()}, orient="row")


def named(table: str, name: str) -> dict[str, Any]:
    """A valid row with a name of its own in its text keys."""
    texts = [k for k in keys(TABLES[table]) if columns(TABLES[table])[k].dtype == pl.String]
    return valid(table) | dict.fromkeys(texts, name)


def refusals(table: str, frame: pl.DataFrame) -> list[tuple[str, str, int | None]]:
    """What pandera finds: the column, the check and the position of the row."""
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        TABLES[table].validate(frame, lazy=True)
    cases = pl.DataFrame(caught.value.failure_cases)
    return list(cases.select("column", "check", "index").iter_rows())


BREAKERS: Final[Mapping[str, Callable[[Mapping[str, Any]], object]]] = {
    "isin": lambda _: "no such value",
    "notin": lambda said: next(iter(said["forbidden_values"])),
    "str_matches": lambda _: " blank before",
    "str_length": lambda said: "x" * (said["max_value"] + 1),
    "greater_than_or_equal_to": lambda said: said["min_value"] - 1,
    "less_than_or_equal_to": lambda said: said["max_value"] + 1,
    "greater_than": lambda said: said["min_value"],
    "less_than": lambda said: said["max_value"],
}
"""A value that each kind of check must refuse."""


def _checked() -> list[tuple[str, str, Check]]:
    return [
        (table, column, check)
        for table, model in TABLES.items()
        for column, spec in model.to_schema().columns.items()
        for check in spec.checks
    ]


CHECKED: Final = _checked()


@pytest.mark.parametrize("table", TABLES)
def test_a_valid_row_is_accepted(table: str) -> None:
    rows = framed(table, valid(table))
    assert TABLES[table].validate(rows, lazy=True).equals(rows)


@pytest.mark.parametrize(
    ("table", "column", "check"), CHECKED, ids=[f"{table}.{column}-{check.name}" for table, column, check in CHECKED]
)
def test_a_bad_value_is_refused_in_its_row(table: str, column: str, check: Check) -> None:
    bad = valid(table) | {column: BREAKERS[str(check.name)](check.statistics or {})}
    rows = framed(table, *(named(table, n) for n in "abc"))
    broken = pl.concat([rows[:1], framed(table, bad), rows[2:]])
    found = [(c, index) for c, said, index in refusals(table, broken) if said.startswith(str(check.name))]
    assert found == [(column, 1)]


@pytest.mark.parametrize(
    ("table", "column"), [(t, c.name) for t, m in TABLES.items() for c in columns(m).values() if not c.nullable]
)
def test_a_null_is_refused_where_a_value_must_be(table: str, column: str) -> None:
    found = refusals(table, framed(table, valid(table) | {column: None}))
    assert (column, "not_nullable", 0) in found


@pytest.mark.parametrize("table", TABLES)
def test_nulls_are_accepted_where_nothing_asks_for_a_value(table: str) -> None:
    needed = {"price", "billing_period", "amount_per_unit", "quantity", "amount"}
    free = {c.name: None for c in columns(TABLES[table]).values() if c.nullable and c.name not in needed}
    frame = framed(table, valid(table) | free)
    assert TABLES[table].validate(frame, lazy=True).equals(frame)


@pytest.mark.parametrize(("table", "column"), [(t, c) for t, m in TABLES.items() for c in columns(m)])
def test_a_column_of_another_type_is_refused(table: str, column: str) -> None:
    frame = framed(table, valid(table)).with_columns(pl.lit(1.5).alias(column))  # no column is of floats
    assert any(c == column and said.startswith("dtype") for c, said, _ in refusals(table, frame))


@pytest.mark.parametrize(("table", "column"), [(t, c) for t, m in TABLES.items() for c in columns(m)])
def test_a_missing_column_is_refused(table: str, column: str) -> None:
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        TABLES[table].validate(framed(table, valid(table)).drop(column), lazy=True)
    assert column in str(caught.value)


@pytest.mark.parametrize("table", TABLES)
def test_an_unknown_column_is_refused(table: str) -> None:
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        TABLES[table].validate(framed(table, valid(table)).with_columns(surplus=pl.lit(1)), lazy=True)
    assert "surplus" in str(caught.value)


@pytest.mark.parametrize("table", TABLES)
def test_a_key_that_occurs_twice_is_refused_in_both_rows(table: str) -> None:
    twice = framed(table, valid(table), valid(table))
    assert {(said, i) for _, said, i in refusals(table, twice)} == {
        ("multiple_fields_uniqueness", 0), ("multiple_fields_uniqueness", 1),
    }  # fmt: skip


LONG_AGO, LATER = date(2024, 1, 1), date(2024, 2, 1)
PRICED: Final[list[tuple[str, dict[str, Any]]]] = [
    ("a FlatFee or PerUnit charge needs a price", {"charge_model": "FlatFee", "price": None}),
    ("a FlatFee or PerUnit charge needs a price", {"charge_model": "PerUnit", "price": None}),
    ("a recurring charge needs a billing_period", {"charge_type": "Recurring", "billing_period": None}),
    ("a Specific_… billing_period needs specific_billing_period",
     {"billing_period": "Specific_Weeks", "specific_billing_period": None}),
    ("bill_cycle_type SpecificDayofMonth needs bill_cycle_day",
     {"bill_cycle_type": "SpecificDayofMonth", "bill_cycle_day": None}),
    ("bill_cycle_type SpecificDayofWeek needs weekly_bill_cycle_day",
     {"bill_cycle_type": "SpecificDayofWeek", "weekly_bill_cycle_day": None}),
    ("a Volume, Tiered or TieredWithOverage charge needs tiers", {"charge_model": "Volume", "tiers": None}),
    ("a Volume, Tiered or TieredWithOverage charge needs tiers",
     {"charge_model": "TieredWithOverage", "charge_type": "Usage", "tiers": None}),
    ("an Overage charge needs included_units and overage_price",
     {"charge_model": "Overage", "charge_type": "Usage", "included_units": None}),
    ("an Overage charge needs included_units and overage_price",
     {"charge_model": "Overage", "charge_type": "Usage", "overage_price": None}),
    ("a TieredWithOverage charge needs overage_price",
     {"charge_model": "TieredWithOverage", "charge_type": "Usage", "overage_price": None}),
    ("the last tier of a TieredWithOverage charge needs endingUnit, where the overage begins",
     {"charge_model": "TieredWithOverage", "charge_type": "Usage", "tiers": '[{"endingUnit":null}]'}),
    ("a DiscountPercentage charge needs discount_percentage",
     {"charge_model": "DiscountPercentage", "discount_percentage": None}),
    *(("Overage, TieredWithOverage, PreratedPerUnit and PreratedPricing are models of Usage charges only",
       {"charge_model": model, "charge_type": kind})
      for model in ("Overage", "TieredWithOverage", "PreratedPerUnit", "PreratedPricing")
      for kind in ("OneTime", "Recurring")),
]  # fmt: skip
CONTRADICTIONS: Final[list[tuple[str, str, dict[str, Any]]]] = [
    *(("rate_plan_charges", said, changes) for said, changes in PRICED),
    *(("product_rate_plan_charges", said, changes) for said, changes in PRICED),
    *(("rate_plan_charges", "a PerUnit, Volume or Tiered charge needs a quantity, unless it is for Usage",
       {"charge_model": model, "quantity": None}) for model in ("PerUnit", "Volume", "Tiered")),
    ("rate_plan_charges", "effective_end_date must not be before effective_start_date",
     {"effective_start_date": LATER, "effective_end_date": LONG_AGO}),
    ("order_line_items", "an order line item needs amount_per_unit or list_price_per_unit",
     {"amount_per_unit": None, "list_price_per_unit": None}),
    ("order_line_items", "a line that was sent to billing needs bill_target_date",
     {"item_state": "SentToBilling", "bill_target_date": None}),
    ("order_line_items", "transaction_end_date must not be before transaction_start_date",
     {"transaction_start_date": LATER, "transaction_end_date": LONG_AGO}),
    ("sequence_sets", "invoices and credit memos need different prefixes",
     {"invoice_prefix": "X", "credit_memo_prefix": "X"}),
]  # fmt: skip


@pytest.mark.parametrize(("table", "said", "changes"), CONTRADICTIONS)
def test_a_row_that_contradicts_itself_is_refused_in_its_place(
    table: str, said: str, changes: dict[str, object]
) -> None:
    rows = framed(table, named(table, "a"), valid(table) | changes, named(table, "b"))
    assert [(check, index) for _, check, index in refusals(table, rows)] == [(said, 1)]


def test_every_rule_about_rows_has_a_row_that_breaks_it() -> None:
    declared = {
        (table, check.error) for table, model in TABLES.items() for check in model.to_schema().checks
    }  # fmt: skip
    assert declared == {(table, said) for table, said, _ in CONTRADICTIONS}


@pytest.mark.parametrize(
    ("table", "changes"),
    [("rate_plan_charges", {"charge_model": "Tiered", "price": None}),
     ("rate_plan_charges", {"charge_type": "OneTime", "billing_period": None}),
     ("rate_plan_charges", {"charge_model": "PerUnit", "charge_type": "Usage", "quantity": None}),
     ("rate_plan_charges", {"charge_model": "Tiered", "charge_type": "Usage", "quantity": None}),
     ("rate_plan_charges", {"charge_model": "Tiered", "tiers": '[{"endingUnit":null}]'}),
     ("rate_plan_charges", {"charge_model": "Overage", "charge_type": "Usage", "included_units": Decimal(0)}),
     ("rate_plan_charges", {"charge_model": "PreratedPricing", "charge_type": "Usage", "price": None}),
     ("product_rate_plan_charges", {"charge_model": "Volume", "quantity": None}),
     ("rate_plan_charges", {"effective_start_date": LONG_AGO, "effective_end_date": LONG_AGO}),
     ("rate_plan_charges", {"charge_model": "DiscountPercentage", "billing_period": None, "price": None}),
     ("order_line_items", {"amount_per_unit": None, "list_price_per_unit": Decimal(1)}),
     ("order_line_items", {"item_state": "Executing", "bill_target_date": None}),
     ("order_line_items", {"transaction_start_date": LATER, "transaction_end_date": None}),
     ("invoice_schedule_items", {"amount": None, "percentage": Decimal(100)}),
     ("accounts", {"bill_cycle_day": 31}),
     ("order_line_items", {"quantity": Decimal(-1)}),
     ("credit_memos", {"amount": Decimal(0)})],
)  # fmt: skip
def test_rows_at_the_edge_of_a_rule_are_accepted(table: str, changes: dict[str, object]) -> None:
    frame = framed(table, valid(table) | changes)
    assert TABLES[table].validate(frame, lazy=True).equals(frame)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_says_what_it_is(table: str) -> None:
    said = vars(TABLES[table]).get("__doc__") or ""
    assert said.strip().endswith(".")
    assert said != Table.__doc__


@pytest.mark.parametrize(("table", "column"), [(t, c) for t, m in TABLES.items() for c in columns(m)])
def test_every_column_says_what_it_means(table: str, column: str) -> None:
    meaning = columns(TABLES[table])[column].meaning
    assert len(meaning) >= 5
    assert meaning.lower().replace(" ", "_") != column
    assert "\n" not in meaning


@pytest.mark.parametrize(
    ("table", "column"), [(t, c.name) for t, m in TABLES.items() for c in columns(m).values() if c.values]
)
def test_every_enumerated_column_lists_its_values_in_its_rule(table: str, column: str) -> None:
    spec = columns(TABLES[table])[column]
    assert all(value in spec.rule for value in spec.values)


@pytest.mark.parametrize(("table", "column", "check"), CHECKED)
def test_every_check_of_a_column_has_words_for_people(table: str, column: str, check: Check) -> None:
    assert columns(TABLES[table])[column].rule, check.name


@pytest.mark.parametrize("table", INPUTS)
def test_a_column_that_a_file_lacks_gets_its_default(table: str) -> None:
    model = INPUTS[table]
    required = [c.name for c in columns(model).values() if c.required]
    raw = pl.DataFrame({name: pl.Series([None], dtype=pl.String) for name in required})
    rows = conform(Path("f.csv"), raw, model, {}).rows
    lacking = [c for c in columns(model).values() if not c.required]
    assert {c.name: rows[c.name].to_list() for c in lacking} == {c.name: [c.default] for c in lacking}


@pytest.mark.parametrize("table", INPUTS)
def test_a_blank_cell_gets_the_default(table: str) -> None:
    model = INPUTS[table]
    raw = pl.DataFrame({c: pl.Series([""]) for c in columns(model)})
    rows = conform(Path("f.csv"), raw, model, {}).rows
    assert rows.row(0, named=True) == {c.name: c.default for c in columns(model).values()}


@pytest.mark.parametrize("table", TABLES)
def test_a_column_with_a_default_is_never_null_and_never_required(table: str) -> None:
    with_default = [c for c in columns(TABLES[table]).values() if c.default is not None]
    assert all(not c.nullable and not c.required for c in with_default)
    for c in with_default:
        TABLES[table].validate(framed(table, valid(table) | {c.name: c.default}), lazy=True)


@pytest.mark.parametrize("table", TABLES)
def test_keys_come_first_and_are_never_null(table: str) -> None:
    named = list(columns(TABLES[table]).values())
    key = keys(TABLES[table])
    assert key
    assert tuple(c.name for c in named[: len(key)]) == key
    assert not any(c.nullable for c in named[: len(key)])


def test_each_table_has_a_check_that_can_fail() -> None:
    checked = {table for table, _, _ in CHECKED}
    assert checked == set(TABLES)


def test_inputs_are_among_the_tables_with_parents_first() -> None:
    assert [t for t in TABLES if t in INPUTS] == list(INPUTS)
    assert next(iter(INPUTS)) == "accounts"
