"""Values of configured grouping fields: what a charge or an order line brings for each, by position."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.grouping import column_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHARGES: Final = "subscriptionGroup"
ORDER_LINES: Final = "orderLineItemGroup"
SUBSCRIPTION: Final = "subscription "
"""On charges, a subscription's fields have this prefix, since both may have a field of one name."""


def configured(stored: pl.DataFrame) -> dict[str | None, Mapping[str, Any]]:
    """The configurations by number; the default one is under None."""
    rows = stored.sort("number").iter_rows(named=True)
    return {None if row["is_default"] else row["number"]: json.loads(row["meta"]) for row in rows}


def fields(groups: Mapping[str | None, Mapping[str, Any]], object_type: str, known: Sequence[str]) -> list[str]:
    """The columns of an object that any configuration names."""
    entries = (e for meta in groups.values() for side in (CHARGES, ORDER_LINES) for e in meta.get(side, ()))
    return sorted({column_of(object_type, e["field"], known) for e in entries if e["objectType"] == object_type})


def with_group_values(
    carriers: pl.LazyFrame, groups: Mapping[str | None, Mapping[str, Any]], side: str
) -> pl.LazyFrame:
    """Adds `group_values` (JSON, by position), `invoice_group_value` (joined by `_`) and `has_configuration`."""
    schema = carriers.collect_schema()
    encoded = shown = pl.lit(None, dtype=pl.String)
    applies_any = pl.lit(value=False)
    for number, condition in _applies(list(groups)).items():
        texts = [_text(_column(entry, schema), schema) for entry in groups[number].get(side, ())]
        applies_any = applies_any | condition
        if texts:
            encoded = pl.when(condition).then(_encoded(texts)).otherwise(encoded)
            shown = pl.when(condition).then(_shown(texts)).otherwise(shown)
    return carriers.with_columns(group_values=encoded, invoice_group_value=shown, has_configuration=applies_any)


def _applies(numbers: Sequence[str | None]) -> dict[str | None, pl.Expr]:
    """When a configuration applies: to the accounts that name it, the default one to all others."""
    own = sorted(n for n in numbers if n)
    named = {n: (pl.col("invoice_group") == n).fill_null(value=False) for n in own}
    return named | ({None: ~pl.col("invoice_group").is_in(own).fill_null(value=False)} if None in numbers else {})


def _column(entry: Mapping[str, str], schema: pl.Schema) -> str:
    """Where a carrier keeps a configured field."""
    object_type, field = entry["objectType"], entry["field"]
    if object_type != "Subscription":
        return column_of(object_type, field, list(schema))
    own = [c.removeprefix(SUBSCRIPTION) for c in schema if c.startswith(SUBSCRIPTION)]
    return SUBSCRIPTION + column_of(object_type, field, own)


def _text(column: str, schema: pl.Schema) -> pl.Expr:
    """A field's value as text, one spelling for equal values of different types: 1.50 and 1.5, 2024-01-31."""
    value = pl.col(column)
    dtype = schema[column]
    if isinstance(dtype, pl.Decimal) or dtype.is_float():
        return value.cast(pl.String).str.replace(r"(\.\d*?)0+$", "$1").str.replace(r"\.$", "")
    if dtype == pl.Time:
        return value.dt.to_string("%H:%M:%S%.f").str.replace(r"(\.\d*?)0+$", "$1").str.replace(r"\.$", "")
    if isinstance(dtype, pl.Struct):
        return value.struct.json_encode()
    if isinstance(dtype, pl.List | pl.Array):
        return pl.struct(value).struct.json_encode()
    if isinstance(dtype, pl.Binary):
        return value.bin.encode("hex")
    return value.cast(pl.String)


def _encoded(texts: Sequence[pl.Expr]) -> pl.Expr:
    """A JSON array of texts and nulls: unlike a joined text, it tells A_B, C from A, B_C."""
    named = pl.struct(v=pl.concat_list(texts)).struct.json_encode()
    return named.str.strip_prefix('{"v":').str.strip_suffix("}")


def _shown(texts: Sequence[pl.Expr]) -> pl.Expr:
    joined = pl.concat_str([t.fill_null("") for t in texts], separator="_")
    return pl.when(pl.any_horizontal(t.is_not_null() for t in texts)).then(joined)
