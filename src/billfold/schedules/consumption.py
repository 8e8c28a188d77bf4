"""How an item's amount is shared by charges: group after group, by what is left (docs/schedules.md).

All schedules are done at once, one due item of each at a time: what an item takes depends on those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.money import WIDE
from billfold.schedules.spill import spilled
from billfold.schedules.units import CHARGE, SCALE, UNIT

if TYPE_CHECKING:
    from billfold.rating.amounts import Money

SCHEDULE: Final = "invoice_schedule_number"
_GROUP: Final = [SCHEDULE, "group"]


@dataclass(frozen=True)
class Consumed:
    """What items take: `parts` are UNIT, item_id, taken, before (billed of the unit so far) and net (its total).

    `credits` are CHARGE, item_id and credit: what a charge was billed too much. `billed` is CHARGE and what is billed
    of each afterwards. All in 1/10,000.
    """

    parts: pl.DataFrame
    credits: pl.DataFrame
    billed: pl.DataFrame


def grouped(units: pl.DataFrame, mode: str) -> pl.DataFrame:
    """Priced units with `group`, a number that rises in the order of consumption."""
    priced = units.filter(pl.col("net") != 0).with_columns(last=pl.col("until"))
    if mode == "start_date":
        return priced.with_columns(group=pl.col("first").rank("dense").over(SCHEDULE).cast(pl.Int64)).drop("last")
    labelled = _unions(priced.with_row_index("label").with_columns(pl.col("label").cast(pl.Int64)))
    begin = pl.col("first").min().over(SCHEDULE, "label")
    return labelled.with_columns(
        group=pl.struct(begin.alias("begin"), "label").rank("dense").over(SCHEDULE).cast(pl.Int64)
    ).drop("last", "label")


def _unions(units: pl.DataFrame) -> pl.DataFrame:
    """Units with equal labels where they share a first or a last day, or lie inside the span of such a group.

    Labels sink to the lowest of their neighbours until none does any more.
    """
    while True:
        by = ("first", "last", "label")
        lowest = pl.min_horizontal(pl.col("label").min().over(SCHEDULE, c) for c in by)
        sunk = _inside(units.with_columns(label=lowest))
        if sunk["label"].equals(units["label"]):
            return units
        units = sunk


def _inside(units: pl.DataFrame) -> pl.DataFrame:
    """Units inside the span of another group take its label, if that is lower; otherwise the group takes theirs."""
    spans = units.group_by(SCHEDULE, "label", maintain_order=True).agg(
        begin=pl.col("first").min(), finish=pl.col("last").max()
    )
    if spans.height == spans[SCHEDULE].n_unique():
        return units
    several = spans.filter(pl.len().over(SCHEDULE) > 1).rename({"label": "of"})
    held = (
        units.join(several, on=SCHEDULE)
        .filter(pl.col("first") >= pl.col("begin"), pl.col("last") <= pl.col("finish"), pl.col("of") != pl.col("label"))
        .select(SCHEDULE, "label", "of")
        .unique()
    )
    both = pl.concat([held, held.select(SCHEDULE, label="of", of="label")])
    lower = both.group_by(SCHEDULE, "label").agg(pl.col("of").min())
    joined = units.join(lower, on=[SCHEDULE, "label"], how="left", maintain_order="left")
    return joined.with_columns(label=pl.min_horizontal("label", "of")).drop("of")


def consumed(units: pl.DataFrame, billed: pl.DataFrame, due: pl.DataFrame, money: Money) -> Consumed:
    """Share the amounts of due items.

    `units` are those of attached charges, `billed` are CHARGE, position, currency, billed (so far), exact (the total,
    `WIDE`) and total; `due` are the schedule's number, item_id, nth (from 0) and amount.
    """
    groups = grouped(units, money.settings["schedule_consumption"])
    parts: list[pl.DataFrame] = []
    credits_: list[pl.DataFrame] = []
    for nth in due["nth"].unique().sort():
        now = due.filter(nth=nth)
        given, back = _shares(groups, billed, now, money), _credits(billed, now, money)
        parts.append(given)
        credits_.append(back)
        added = given.group_by(CHARGE).agg(taken=pl.col("taken").sum())
        billed = (
            billed.join(added, on=CHARGE, how="left", maintain_order="left")
            .join(back.select(*CHARGE, "credit"), on=CHARGE, how="left", maintain_order="left")
            .with_columns(billed=pl.col("billed") + pl.col("taken").fill_null(0) - pl.col("credit").fill_null(0))
            .drop("taken", "credit")
        )
    none = Consumed(_no_parts(groups), _no_credits(billed), billed)
    return Consumed(pl.concat([none.parts, *parts]), pl.concat([none.credits, *credits_]), billed)


def _shares(groups: pl.DataFrame, billed: pl.DataFrame, due: pl.DataFrame, money: Money) -> pl.DataFrame:
    """What one item of each schedule takes of every unit: its amount, and what it credits, in other places."""
    over = (pl.col("total") - pl.col("billed")).clip(None, 0)
    credited = billed.group_by(SCHEDULE).agg(over=over.sum())
    asked = due.join(credited, on=SCHEDULE, how="left", maintain_order="left").select(
        SCHEDULE, "item_id", asked=pl.col("amount") - pl.col("over").fill_null(0)
    )
    so_far = billed.select(*CHARGE, "billed", "currency")
    before = (pl.col("net").cum_sum() - pl.col("net")).over(CHARGE, order_by="unit")
    left = (
        groups.drop("currency")
        .join(so_far, on=CHARGE, maintain_order="left")
        .join(asked, on=SCHEDULE, maintain_order="left")
        .with_columns(before=(pl.col("billed") - before).clip(0, pl.col("net")))
        .with_columns(left=pl.col("net") - pl.col("before"))
        .filter(pl.col("left") > 0)
    )
    of_charges = _of_charges(_of_groups(left), money)
    filled = left.join(of_charges, on=[*CHARGE, "group"], maintain_order="left")
    earlier = (pl.col("left").cum_sum() - pl.col("left")).over([*CHARGE, "group"], order_by="unit")
    taken = filled.with_columns(taken=(pl.col("share") - earlier).clip(0, pl.col("left")))
    return taken.filter(pl.col("taken") > 0).select(_no_parts(groups).columns)


def _of_groups(left: pl.DataFrame) -> pl.DataFrame:
    """Charges of groups with what is left of them, and the amount that falls to their group."""
    charges = left.group_by([*CHARGE, "group"], maintain_order=True).agg(
        pl.col("position", "currency", "asked").first(), pl.col("first").min(), left=pl.col("left").sum()
    )
    sums = charges.group_by(_GROUP, maintain_order=True).agg(pl.col("asked").first(), of=pl.col("left").sum())
    before = (pl.col("of").cum_sum() - pl.col("of")).over(SCHEDULE, order_by="group")
    falling = sums.with_columns(falls=(pl.col("asked") - before).clip(0, pl.col("of")))
    return charges.join(falling.select(*_GROUP, "of", "falls"), on=_GROUP, maintain_order="left")


def _of_charges(charges: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Each charge's share of its group's amount, by what is left of it, set to the currency's increment.

    Cents that are over or lacking go to the last of the charges that begin first, then to the others in order.
    """
    product = pl.col("left") * pl.col("falls")
    shared = charges.with_columns(share=pl.min_horizontal(_divided(product, pl.col("of"), money), "left"))
    rest = pl.col("falls") - pl.col("share").sum().over(_GROUP)
    is_first = pl.col("first") == pl.col("first").min().over(_GROUP)
    last = pl.col("position").filter(is_first).max().over(_GROUP)
    chosen = (pl.col("position") == last).cast(pl.Int64)
    roomy = shared.with_columns(rest=rest, order=pl.col("position") - chosen * 10**9).with_columns(
        room=pl.when(pl.col("rest") > 0).then(pl.col("left") - pl.col("share")).otherwise("share")
    )
    return spilled(roomy, _GROUP).select(*CHARGE, "group", share=pl.col("share") + pl.col("given"))


def _divided(product: pl.Expr, by: pl.Expr, money: Money) -> pl.Expr:
    """A positive quotient of 1/10,000, set to the increment of its currency by the book's rounding mode."""
    step = pl.col("currency").replace_strict(money.steps(), return_dtype=pl.Int128)
    whole, rest = product // (by * step), product % (by * step)
    match money.settings["rounding_mode"]:
        case "half_up":
            more = 2 * rest >= by * step
        case "up":
            more = rest > 0
        case _:
            more = pl.lit(value=False)
    return (whole + more.cast(pl.Int128)) * step


def _credits(billed: pl.DataFrame, due: pl.DataFrame, money: Money) -> pl.DataFrame:
    """What charges were billed too much, credited by one item of each schedule.

    Where nothing is left to bill, the sum is split anew by the exact amounts, the cents going to the largest rests:
    so the vendor's example has them (UC-REMOVE-FULL).
    """
    over = billed.join(due.select(SCHEDULE, "item_id"), on=SCHEDULE, maintain_order="left").with_columns(
        credit=pl.col("billed") - pl.col("total")
    )
    only = (pl.col("credit").min().over(SCHEDULE) >= 0) & (pl.col("exact").null_count().over(SCHEDULE) == 0)
    exact = (pl.col("billed").cast(pl.Decimal(38, 4)) / SCALE).cast(WIDE) - pl.col("exact")
    step = pl.col("currency").replace_strict(money.steps(), return_dtype=pl.Int128)
    fine = (exact.clip(0, None) * SCALE).floor().cast(pl.Int128)
    lower = fine // step * step
    shared = over.with_columns(fine=fine, lower=lower, step=step).with_columns(
        missing=(pl.col("credit").sum().over(SCHEDULE) - pl.col("lower").sum().over(SCHEDULE)) // pl.col("step"),
        place=pl.struct(-(exact * SCALE - lower.cast(WIDE)), "position").rank("ordinal").over(SCHEDULE),
    )
    anew = pl.col("lower") + pl.when(pl.col("place") <= pl.col("missing")).then(pl.col("step")).otherwise(0)
    fits = (pl.col("missing") >= 0) & (pl.col("missing") <= pl.len().over(SCHEDULE)) & (anew <= pl.col("billed"))
    whole = only & fits.all().over(SCHEDULE)
    return (
        shared.with_columns(credit=pl.when(whole).then(anew).otherwise("credit"))
        .filter(pl.col("credit") > 0)
        .select(_no_credits(billed).columns)
    )


def _no_parts(groups: pl.DataFrame) -> pl.DataFrame:
    number = pl.lit(None, dtype=pl.Int128)
    return groups.head(0).select(
        *UNIT, item_id=pl.lit(None, dtype=pl.String), taken=number, before=number, net="net"
    )  # fmt: skip


def _no_credits(billed: pl.DataFrame) -> pl.DataFrame:
    return billed.head(0).select(
        *CHARGE, item_id=pl.lit(None, dtype=pl.String), credit=pl.lit(None, dtype=pl.Int128)
    )  # fmt: skip
