"""The amount of a whole period, by charge model (spec/bill_run.md section 4; docs/rating.md, "How much").

Rows bring charge_model, price, units (how many are rated; null for flat fees), included_units, overage_price, tiers and
multiplier (prices a period costs). They leave with quantity, unit_price, `whole` (WIDE, exact) and `trouble`: why
there is no amount. Products that would not fit their type are never made: such rows have a `whole` of null.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import polars as pl

from billfold.money import AMOUNT_LIMIT, PRICE, WIDE

TIERED: Final = ("Volume", "Tiered", "TieredWithOverage")
_TIER: Final = pl.List(
    pl.Struct({"startingUnit": pl.String, "endingUnit": pl.String, "price": pl.String, "priceFormat": pl.String})
)
_ZERO: Final = pl.lit(0, dtype=WIDE)
_FACTOR_LIMIT: Final = Decimal(10) ** 16
"""A price or quantity below it can be multiplied by the months of any period."""


def with_whole_amounts(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the amount of their whole period. A usage charge without records owes nothing, whatever its tiers."""
    owing = _is_used()
    of_tiers = pl.col("charge_model").is_in(TIERED) & owing
    plain, tiered = rows.filter(~of_tiers), rows.filter(of_tiers)
    parts = [_plain(plain)] if tiered.is_empty() else [_plain(plain), _tiered(tiered)]
    return pl.concat(p.select(parts[0].columns) for p in parts)


def _is_used() -> pl.Expr:
    """Not a usage charge of a period without records."""
    return ~((pl.col("charge_type") == "Usage") & (pl.col("charge_model") != "FlatFee") & (pl.col("records") == 0))


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Models whose amount is one product: quantity times price."""
    model = pl.col("charge_model")
    beyond = _bounded(pl.max_horizontal(pl.col("units") - pl.col("included_units").fill_null(0), 0))
    flat, counted = model == "FlatFee", model == "PerUnit"
    factor = pl.when(flat).then(pl.lit(1, dtype=WIDE)).when(counted).then(_number("units")).otherwise(beyond)
    of_one = pl.when(flat | counted).then(_number("price")).otherwise(_number("overage_price"))
    prerated = model.is_in(["PreratedPerUnit", "PreratedPricing"])
    factored = rows.with_columns(factor=factor, of_one=of_one * pl.col("multiplier"))
    product = _product_of(factored, "factor", "of_one")
    return factored.with_columns(
        quantity=pl.when(flat).then(pl.lit(1, dtype=PRICE)).otherwise("units"),
        unit_price=pl.when(flat | counted).then("of_one").cast(PRICE, strict=False),
        whole=pl.when(~_is_used()).then(_ZERO).when(prerated).then(_number("rated_total")).otherwise(product),
        trouble=_unrated_record(prerated),
    ).drop("factor", "of_one")


def _unrated_record(prerated: pl.Expr) -> pl.Expr:
    missing = pl.format("{} of its usage records have no rate of their own", "without_rate")
    return pl.when(prerated & (pl.col("without_rate") > 0)).then(missing)


def _tiered(rows: pl.DataFrame) -> pl.DataFrame:
    """Models with tiers. Rows meet the tiers of their list, and what the tiers make of the units is added up."""
    numbered = rows.with_row_index("of_row")
    of_rows = (
        tier_parts(numbered)
        .group_by("of_row", maintain_order=True)
        .agg(
            pl.col("unit_price").drop_nulls().first(),
            whole=pl.when(pl.col("part").null_count() == 0).then(pl.col("part").sum()).cast(WIDE),
            held=pl.col("held").any(),
        )
    )
    units = pl.col("units").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    known = numbered.join(of_rows, on="of_row", how="left", maintain_order="left")
    multiple = _product_of(known, "whole", "multiplier")
    return known.with_columns(
        quantity="units",
        unit_price=(pl.col("unit_price") * pl.col("multiplier")).cast(PRICE, strict=False),
        whole=multiple,
        trouble=pl.when(~pl.col("held").fill_null(value=False)).then(pl.format("no tier holds {} units", units)),
    ).drop("of_row", "held")


def tier_parts(numbered: pl.DataFrame) -> pl.DataFrame:
    """A row a row (`of_row`) and tier: (lower, upper], price, is_flat, units, and what the tier makes of them.

    `part` is its amount, `priced` how many units it prices, `counts` whether it prices any, `over` whether units
    beyond it, the last one, are priced too; `held` says that it holds the last unit.
    """
    met = numbered.select(
        "of_row", "charge_model", "tiers", "multiplier", "overage_price", units=_number("units")
    ).join(_tier_rows(numbered), on="tiers", how="left", maintain_order="left")
    below = pl.col("is_first") & (pl.col("units") >= 0) & (pl.col("lower") == 0) & pl.col("from_zero")
    reached = (pl.col("units") > pl.col("lower")) | below
    inside = reached & (pl.col("upper").is_null() | (pl.col("units") <= pl.col("upper")))
    within = pl.min_horizontal("units", "upper") - pl.col("lower")
    flat, volume = pl.col("is_flat"), pl.col("charge_model") == "Volume"
    over = (pl.col("charge_model") == "TieredWithOverage") & pl.col("is_last") & (pl.col("units") > pl.col("upper"))
    priced = pl.when(volume).then("units").otherwise(pl.max_horizontal(within, _ZERO))
    counts = pl.when(volume).then(inside).otherwise(reached)
    told = met.with_columns(priced=priced, counts=counts, over=over, held=inside | over)
    amount = pl.when(flat).then("price").otherwise(_product_of(told, "priced", "price"))
    part = pl.when("counts").then(amount).otherwise(_ZERO)
    if told["over"].any():
        beyond = _product(pl.col("units") - pl.col("upper"), _number("overage_price"))
        part += pl.when("over").then(beyond).otherwise(_ZERO)
    return told.with_columns(part=part, unit_price=pl.when(volume & inside & ~flat).then("price"))


def _tier_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a tier: (lower, upper], what it costs, and its place. Lists that many charges share are read once."""
    read = rows.select("tiers").unique(maintain_order=True).with_columns(
        tier=pl.col("tiers").str.json_decode(_TIER)
    )  # fmt: skip
    place = pl.int_range(pl.len()).over("tiers")
    tiers = read.explode("tier").unnest("tier").with_columns(
        upper=pl.col("endingUnit").str.to_decimal(scale=9).cast(WIDE),
        first_unit=pl.col("startingUnit").str.to_decimal(scale=9).cast(WIDE),
        price=pl.col("price").str.to_decimal(scale=9).cast(WIDE),
        is_first=place == 0,
        is_last=place == pl.len().over("tiers") - 1,
    )  # fmt: skip
    return tiers.select(
        "tiers", "upper", "price", "is_first", "is_last",
        lower=pl.col("upper").shift(1).over("tiers").fill_null(_ZERO),
        from_zero=pl.col("first_unit") == 0,
        is_flat=pl.col("priceFormat") == "FlatFee",
    )  # fmt: skip


def _number(column: str) -> pl.Expr:
    return _bounded(pl.col(column))


def _bounded(number: pl.Expr) -> pl.Expr:
    """A number that may be multiplied; null when it is too large for that."""
    return pl.when(number.abs() < pl.lit(_FACTOR_LIMIT)).then(number).cast(WIDE)


def _product_of(rows: pl.DataFrame, first: str, second: str) -> pl.Expr:
    """The product of two columns; that of their largest numbers mostly says that no row needs to be looked at."""
    largest = rows.select(pl.col(first, second).abs().max().cast(pl.Float64)).row(0)
    if None not in largest and largest[0] * largest[1] < float(AMOUNT_LIMIT):
        return pl.col(first) * pl.col(second)
    return _product(pl.col(first), pl.col(second))


def _product(first: pl.Expr, second: pl.Expr) -> pl.Expr:
    """A product, or null where it would not fit: one that overflows would raise for the whole frame."""
    fits = (first.cast(pl.Float64) * second.cast(pl.Float64)).abs() < float(AMOUNT_LIMIT)
    return pl.when(fits).then(first).otherwise(_ZERO) * pl.when(fits).then(second)
