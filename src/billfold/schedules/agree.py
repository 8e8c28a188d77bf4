"""Whether charges of a schedule can share a document: who pays, in which currency, with which attributes and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPONENTS: Final = ("owner", "currency", *ATTRIBUTES, "invoice_group_number", "group_values")
"""In what the charges of a schedule have to agree."""

_NAMES: Final = {"owner": "invoice_owner_account_number", "group_values": "invoice_group_value"}


def differing(charges: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """One row a group of `by` and component in which its charges differ: `by`, field and values (a text)."""
    plain = charges.with_columns(invoice_group_number=pl.col("invoice_group_number").str.to_lowercase())
    found = [_in_component(plain, by, c) for c in COMPONENTS]
    return pl.concat(found).sort(*by, "field")


def _in_component(charges: pl.DataFrame, by: Sequence[str], component: str) -> pl.DataFrame:
    shown = pl.col(component).cast(pl.String).fill_null("blank")
    several = charges.group_by(by).agg(values=shown.unique().sort()).filter(pl.col("values").list.len() > 1)
    return several.select(
        *by, field=pl.lit(_NAMES.get(component, component)), values=pl.col("values").list.head(5).list.join("; ")
    )
