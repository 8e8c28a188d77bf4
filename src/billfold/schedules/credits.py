"""What schedules billed too much: credits to their newest items first, none beyond what it billed (section 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.schedules.consumption import SCHEDULE
from billfold.schedules.units import CHARGE, negative, ten_thousandths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.rating.amounts import Money

_OF_LINES: Final = (
    *CHARGE, "segment", "item_id", "applied_to_item_id", "service_start_date", "service_end_date", "amount", "is_whole",
)  # fmt: skip


def credited(
    credits_: pl.DataFrame, links: pl.DataFrame, items: pl.DataFrame, money: Money
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines that take back `credits_` (CHARGE, item_id, credit in 1/10,000), and those of their discounts.

    `links` have CHARGE, until (the charge's end now; null if nothing is left of it) and total; `items` are all items of
    these schedules that count, amounts signed as owed. Lines have amount in 1/10,000; discounts also `of`, the item
    whose credit they belong to.
    """
    # Cents fall to discounts in this order, and items come from the book in any.
    known = items.with_columns(amount=ten_thousandths(pl.col("amount"))).sort("invoice_item_id")
    off = _discounts_left(known)
    left = _items_left(known, off, links)
    taken = _taken(left, credits_)
    gross = _gross(taken, money)
    back = _discounts_back(gross, off)
    zero = _zero(left, credits_)
    lines = pl.concat([gross.select(_OF_LINES), zero.select(_OF_LINES)])
    return lines.sort(*CHARGE, "item_id", "service_start_date", "applied_to_item_id"), back


def _discounts_left(items: pl.DataFrame) -> pl.DataFrame:
    """Discount items with what earlier credits left of them: discount, of (the item that they reduce), left."""
    discounts = items.filter(processing_type="Discount")
    back = discounts.group_by(discount="applied_to_item_id").agg(back=pl.col("amount").sum())
    own = discounts.select(
        *CHARGE, "segment", "charge_name", "amount", discount="invoice_item_id", of="applied_to_item_id"
    )
    first = own.join(own.select(of="discount"), on="of", how="anti", maintain_order="left")
    joined = first.join(back, on="discount", how="left", maintain_order="left")
    return joined.with_columns(left=pl.col("amount") + pl.col("back").fill_null(0)).drop("back", "amount")


def _items_left(items: pl.DataFrame, off: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Items of charges, newest first, with what earlier credits left of them and of their days."""
    lines = items.filter(processing_type="Charge")
    given = lines.group_by(invoice_item_id="applied_to_item_id").agg(
        given=pl.col("amount").sum(), from_day=pl.col("service_start_date").min()
    )
    reduced = off.group_by(invoice_item_id="of").agg(reduced=pl.col("left").sum())
    return (
        lines.filter(pl.col("applied_to_item_id").is_null())
        .join(given, on="invoice_item_id", how="left", maintain_order="left")
        .join(reduced, on="invoice_item_id", how="left", maintain_order="left")
        .join(links, on=CHARGE, maintain_order="left")
        .with_columns(gross=pl.col("amount") + pl.col("given").fill_null(0))
        .with_columns(left=pl.col("gross") + pl.col("reduced").fill_null(0))
        .sort("service_start_date", "service_end_date", "invoice_item_id", descending=True)
        .with_columns(
            begin=pl.when(pl.col("until") <= pl.col("service_end_date"))
            .then(pl.max_horizontal("until", "service_start_date"))
            .otherwise("service_start_date"),
            finish=pl.min_horizontal("service_end_date", pl.col("from_day").dt.offset_by("-1d")),
        )
        .with_columns(finish=pl.max_horizontal("begin", "finish"))
    )


def _taken(left: pl.DataFrame, credits_: pl.DataFrame) -> pl.DataFrame:
    """How much of each item is taken back."""
    wanted = left.filter(pl.col("left") > 0).join(credits_, on=CHARGE, maintain_order="left")
    before = (pl.col("left").cum_sum() - pl.col("left")).over(CHARGE)
    taken = wanted.with_columns(take=(pl.col("credit") - before).clip(0, pl.col("left")))
    return taken.filter(pl.col("take") > 0)


def _gross(taken: pl.DataFrame, money: Money) -> pl.DataFrame:
    """The line of each item's credit: gross of the discounts, which are taken back beside it."""
    step = pl.col("currency").replace_strict(money.steps(), return_dtype=pl.Int128)
    share = (2 * pl.col("gross") * pl.col("take") + pl.col("left") * step) // (2 * pl.col("left") * step) * step
    whole = pl.col("take") == pl.col("left")
    plain = pl.col("gross") == pl.col("left")
    amount = pl.when(whole).then(pl.col("gross")).when(plain).then(pl.col("take")).otherwise(share)
    return taken.with_columns(
        amount=negative(amount), is_whole=whole, applied_to_item_id="invoice_item_id", service_start_date="begin",
        service_end_date="finish",
    )  # fmt: skip


def _discounts_back(gross: pl.DataFrame, off: pl.DataFrame) -> pl.DataFrame:
    """What discounts on the items give back: each by what is left of it, all together what the line is too much."""
    joined = gross.select(
        "item_id", "take", "is_whole", "service_start_date", "service_end_date", line="amount",
        of="invoice_item_id", charge_of_line="charge_number", left_of_item="left",
    ).join(off, on="of", maintain_order="left")  # fmt: skip
    rest = negative(pl.col("line")) - pl.col("take")
    so_far, whole = negative(pl.col("left").cum_sum().over("of")), negative(pl.col("left").sum().over("of"))
    until = pl.when(whole == 0).then(0).otherwise(so_far * rest // pl.when(whole == 0).then(1).otherwise(whole))
    shares = joined.with_columns(until=until)
    amount = pl.col("until") - pl.col("until").shift(1).over("of").fill_null(0)
    return shares.with_columns(
        amount=pl.when("is_whole").then(negative(pl.col("left"))).otherwise(amount), applied_to_item_id="discount"
    ).filter(pl.col("amount") != 0)


def _zero(left: pl.DataFrame, credits_: pl.DataFrame) -> pl.DataFrame:
    """Charges without a price get credits of 0 for items that reach beyond their end, where others are credited."""
    crediting = credits_.select(SCHEDULE, "item_id").unique(maintain_order=True)
    beyond = left.filter(
        pl.col("amount") == 0, pl.col("total") == 0, pl.col("from_day").is_null(),
        pl.col("until") <= pl.col("service_end_date"),
    )  # fmt: skip
    return beyond.join(crediting, on=SCHEDULE, maintain_order="left").with_columns(
        amount=pl.lit(0, dtype=pl.Int128), is_whole=pl.lit(value=True), applied_to_item_id="invoice_item_id",
        service_start_date="begin", service_end_date="finish",
    )  # fmt: skip


def worded(name: pl.Expr, is_whole: pl.Expr, settings: Mapping[str, str]) -> pl.Expr:
    """What a credit is called (setting `credit_wording`)."""
    part, whole = (" Proration Credit", " Credit") if settings["credit_wording"] == "yes" else (" Proration", "")
    return pl.concat_str(name, pl.when(is_whole).then(pl.lit(whole)).otherwise(pl.lit(part)))
