"""Amounts that nobody would believe: accounts above a ceiling are parked until someone has looked at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.lines import Documents

CEILING: Final = "invoice_ceiling."
"""Settings of this beginning hold a currency's highest invoice; `change_ceiling` the highest change in percent."""

NO_CEILING: Final = "none"

_BY: Final = ["account_number", "currency"]


def above_ceilings(documents: Documents, settings: Mapping[str, str], last_bills: pl.DataFrame) -> pl.DataFrame:
    """Troubles of accounts with an invoice above its currency's ceiling, or a bill too far from the last one.

    `last_bills` has account_number, currency, bill_run_number and amount: the net of the account's latest run.
    """
    troubles = [_above(documents.invoices, settings), _changed(documents, settings["change_ceiling"], last_bills)]
    return pl.concat(t.select(pl.col(c).cast(d) for c, d in TROUBLE.items()) for t in troubles)


def _above(invoices: pl.DataFrame, settings: Mapping[str, str]) -> pl.DataFrame:
    ceilings = {n.removeprefix(CEILING): v for n, v in settings.items() if n.startswith(CEILING) and v != NO_CEILING}
    stated = pl.DataFrame(list(ceilings.items()), schema={"currency": pl.String, "ceiling": pl.String}, orient="row")
    over = invoices.join(stated, on="currency", maintain_order="left").filter(
        pl.col("amount") > pl.col("ceiling").cast(pl.Decimal(38, 4))
    )
    reason = pl.format("an invoice of {} {} is above the ceiling of {}", "currency", _plain("amount"), "ceiling")
    return _troubles(over, reason, ["currency", "amount", "ceiling"])


def _changed(documents: Documents, ceiling: str, last_bills: pl.DataFrame) -> pl.DataFrame:
    """Bills that differ from the last one by more than so many percent of it; after a bill of nothing, none can."""
    if ceiling == NO_CEILING:
        return TROUBLE.to_frame()
    signed = [(documents.invoices, 1), (documents.credit_memos, -1)]
    bills = pl.concat(h.select(*_BY, amount=pl.col("amount") * sign) for h, sign in signed)
    now = bills.group_by(_BY).agg(pl.col("amount").sum()).sort(_BY)
    last = last_bills.rename({"amount": "last_amount"}).filter(pl.col("last_amount") != 0)
    share = pl.lit(ceiling).cast(pl.Decimal(38, 4))
    over = now.join(last, on=_BY, maintain_order="left").filter(
        (pl.col("amount") - pl.col("last_amount")).abs() * 100 > pl.col("last_amount").abs() * share
    )
    said = "its bill of {} {} differs by more than {} percent from the last one, {} in {}"
    told = pl.format(
        said, "currency", _plain("amount"), pl.lit(ceiling), _plain("last_amount"), "bill_run_number"
    )  # fmt: skip
    return _troubles(over, told, ["currency", "amount", "last_amount", "bill_run_number"])


def _troubles(rows: pl.DataFrame, reason: pl.Expr, keys: list[str]) -> pl.DataFrame:
    texts = [_plain(k).alias(k) if rows.schema[k].is_decimal() else pl.col(k) for k in keys]
    return rows.select(
        "account_number",
        origin=pl.lit(None, dtype=pl.String),
        step=pl.lit("assemble"),
        reason=reason,
        detail=pl.struct(texts).struct.json_encode(),
    )


def _plain(column: str) -> pl.Expr:
    """An amount as text, without idle zeros."""
    return pl.col(column).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
