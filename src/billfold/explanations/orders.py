"""What billed an order line, and why it is not billed, as the book is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.explanations.billed import amounts, billed_by
from billfold.explanations.models import CarrierWhy, Reason
from billfold.explanations.waiting import of_account, of_day, together
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]


def order_line_why(read: Read, order_number: str, item_number: str) -> CarrierWhy:
    """The explanation of an order line that is there."""
    only = Only(among=pl.Series("order_number", [order_number]))
    row = collected(read("order_line_items", only=only).filter(item_number=item_number)).row(0, named=True)
    own = (pl.col("order_number") == order_number) & (pl.col("item_number") == item_number)
    billed, canceled = billed_by(read, own)
    owner = row["invoice_owner_account_number"] or row["account_number"]
    return CarrierWhy(
        what=f"order line {order_number}/{item_number}",
        account_number=row["account_number"],
        invoice_owner_account_number=owner,
        billed=billed,
        billed_amounts=amounts(billed),
        canceled_items=canceled,
        segments=(),
        reasons=(Reason("billed", "An order line is billed once, and has been."),)
        if billed
        else together(_reasons(read, row), of_account(read, owner, None)),
    )


def _reasons(read: Read, row: Row) -> Iterator[Reason]:
    if row["item_state"] != "SentToBilling":
        state = f"The order line is {row['item_state']}"
        yield Reason("state", f"{state}: only lines that were sent to billing (SentToBilling) are billed.")
    elif row["bill_target_date"]:
        yield of_day(read, row["bill_target_date"], "The order line")
