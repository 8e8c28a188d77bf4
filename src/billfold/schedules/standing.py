"""Where schedules stand: what follows from charges and items, for headers and pending items (docs/schedules.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.money import WIDE
from billfold.schedules.units import amounts, ten_thousandths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.rating.amounts import Money

NUMBER: Final = "invoice_schedule_number"


def stand(
    headers: pl.DataFrame, items: pl.DataFrame, links: pl.DataFrame, money: Money, replanned: Sequence[str] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Headers with amounts and status, and items with what the pending ones are going to bill.

    All are rows of their tables, of the same schedules; next run dates stay as they are. `replanned` are numbers of
    schedules whose items were changed: the amounts of their pending items follow from the percentages again.
    """
    sums = links.group_by(number=NUMBER).agg(actual=pl.col("actual_amount").sum(), billed=pl.col("billed_amount").sum())
    known = headers.join(sums, on="number", how="left", maintain_order="left").with_columns(
        actual_amount=pl.col("actual").fill_null(0).cast(headers.schema["actual_amount"]),
        billed_amount=pl.col("billed").fill_null(0).cast(headers.schema["billed_amount"]),
    )
    summed = known.with_columns(
        unbilled_amount=(pl.col("actual_amount") - pl.col("billed_amount")).cast(headers.schema["unbilled_amount"])
    )
    return _with_status(summed, items).select(headers.columns), _planned(items, summed, money, replanned)


def first_pending(items: pl.DataFrame) -> pl.DataFrame:
    """The next pending item of every schedule that has one: its number, item_id and run_date."""
    pending = items.filter(pl.col("status") != "Processed").sort(NUMBER, "sequence_number")
    return pending.group_by(number=NUMBER, maintain_order=True).agg(pl.col("item_id", "run_date").first())


def with_next_dates(headers: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Headers whose next run date is that of their next pending item."""
    first = first_pending(items).select("number", "run_date")
    joined = headers.drop("next_run_date").join(first, on="number", how="left", maintain_order="left")
    return joined.rename({"run_date": "next_run_date"}).select(headers.columns)


def _with_status(headers: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    done = pl.col("status") == "Processed"
    counts = items.group_by(number=NUMBER).agg(done=done.sum(), all=pl.len())
    status = (
        pl.when(status="Paused").then("status")
        .when(pl.col("done") == 0).then(pl.lit("Pending"))
        .when(pl.col("done") == pl.col("all")).then(pl.lit("FullyProcessed"))
        .otherwise(pl.lit("PartiallyProcessed"))
    )  # fmt: skip
    joined = headers.join(counts, on="number", how="left", maintain_order="left")
    return joined.with_columns(pl.col("done", "all").fill_null(0)).with_columns(status=status)


def _planned(items: pl.DataFrame, headers: pl.DataFrame, money: Money, replanned: Sequence[str]) -> pl.DataFrame:
    """Items with what the pending ones will bill of what is open: in order, the last one all that is left."""
    told = headers.select("currency", "total_amount", number_="number", open="unbilled_amount", actual="actual_amount")
    joined = items.sort(NUMBER, "sequence_number").join(
        told, left_on=NUMBER, right_on="number_", how="left", maintain_order="left"
    )
    untouched = (pl.col("status") == "Processed").sum().over(NUMBER) == 0
    whole = pl.when(untouched).then("actual").otherwise("total_amount")
    by_share = (untouched | pl.col(NUMBER).is_in(list(replanned))) & pl.col("percentage").is_not_null()
    shared = _by_percentages(joined.with_columns(whole=whole, by_share=by_share), money)
    pending = shared.filter(pl.col("status") != "Processed").with_columns(
        open=ten_thousandths(pl.col("open")), size=ten_thousandths(pl.col("amount"))
    )
    before = (pl.col("size").cum_sum() - pl.col("size")).over(NUMBER)
    place, count = pl.int_range(pl.len()).over(NUMBER), pl.len().over(NUMBER)
    owed = pl.min_horizontal("size", (pl.col("open") - before).clip(0, None))
    credit = pl.when(place == 0).then(pl.col("open")).otherwise(0)
    bills = pending.with_columns(
        bills=pl.when(pl.col("open") >= 0).then(owed).otherwise(credit), is_last=place == count - 1
    )
    others = pl.col("bills").filter(~pl.col("is_last")).sum().over(NUMBER)
    planned = bills.with_columns(
        actual_amount=amounts(pl.when("is_last").then(pl.col("open") - others).otherwise("bills"))
    )
    done = shared.filter(status="Processed")
    return pl.concat([done.select(items.columns), planned.select(items.columns)]).sort(NUMBER, "sequence_number")


def _by_percentages(items: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Items whose amounts follow from their percentages, where `by_share` says so; the last one takes the cents.

    They do as long as no item is processed, then only for items that their owner plans anew.
    """
    share = pl.col("whole").cast(WIDE) * pl.col("percentage").cast(WIDE) / pl.lit(100, dtype=WIDE)
    done = pl.col("status") == "Processed"
    rounded = items.with_columns(
        share=pl.when(done).then("amount").otherwise(money.rounded(share)).cast(pl.Decimal(38, 4))
    )
    is_last = pl.col("sequence_number") == pl.col("sequence_number").max().over(NUMBER)
    others = pl.col("share").filter(~is_last).sum().over(NUMBER)
    fresh = pl.when(is_last).then(pl.col("whole") - others).otherwise("share").cast(items.schema["amount"])
    return rounded.with_columns(amount=pl.when(pl.col("by_share") & ~done).then(fresh).otherwise("amount"))
