"""What was billed too much, or on other terms: differences to items of earlier runs (spec/bill_run.md P9 to P13, C10).

Each item that a segment's new end, start or terms concern is looked at by itself, so that its credit names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.money import AMOUNT, WIDE
from billfold.proration import days
from billfold.rating.amounts import shared
from billfold.rating.discounts import discounts_on
from billfold.rating.due import is_ratable
from billfold.rating.grids import GRIDS
from billfold.rating.models import with_whole_amounts
from billfold.rating.spans import is_overbilled, serves
from billfold.rating.usage import without_usage
from billfold.rows import collected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from billfold.rating.amounts import Money
    from billfold.rating.grids import Grid

ELSEWHERE: Final = "elsewhere"
"""What credits of amounts that were billed before billfold name as their item."""

_KEY: Final = ("charge_number", "segment")
_OF_ITEMS: Final = ("item_id", "first", "last", "last_left", "billed", "left")
"""Of an item: its days (inclusive), the last one not credited yet, its amount, and what earlier credits left of it."""


@dataclass(frozen=True)
class Credits:
    """Differences to items: `rows` have amount, service_start_date, service_end_date, item_id and what they are of.

    `touched` has the segments' row and cut. `discounts` have line (the row's number), charge_number, segment,
    charge_name, item_id (the discount) and amount.
    """

    rows: pl.DataFrame
    discounts: pl.DataFrame
    touched: pl.DataFrame


def concerned(charges: pl.DataFrame, target: date, settings: Mapping[str, str]) -> pl.DataFrame:
    """Segments of which something billed may have to be given back, or more to be billed, by the target date.

    Adds `cut` (the end beyond which items are credited, if any), `ended` (the end, if it has come) and `is_repriced`.
    """
    recurring, once = pl.col("charge_type") == "Recurring", pl.col("charge_type") == "OneTime"
    cut = pl.when(recurring & is_overbilled() & (pl.col("excess") <= target)).then("excess")
    repriced = pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"billed_{c}")) for c in ("price", "quantity", "tiers"))
    removed = once & ~serves() & (settings["credit_one_time"] == "yes")
    reviewed = pl.col("here") & recurring & pl.col("is_reviewed")
    flagged = charges.with_columns(
        ended=pl.when(recurring & (pl.col("end") <= target)).then("end"),
        cut=pl.when(removed & pl.col("here")).then(pl.col("through").dt.offset_by("-1d")).otherwise(cut),
        is_repriced=pl.col("here") & repriced & (recurring | once),
    ).filter(pl.col("cut").is_not_null() | pl.col("is_repriced") | reviewed)
    return flagged.filter(is_ratable() & pl.col("start").is_not_null())


def credits_of(
    charges: pl.DataFrame, items: pl.LazyFrame, discounts: pl.DataFrame, target: date, money: Money
) -> Credits:
    """Differences between what items billed and what is owed for their days now."""
    found = concerned(charges, target, money.settings)
    if found.is_empty():
        return Credits(found.head(0), pl.DataFrame(), found.select("row", "cut"))
    numbers = found["charge_number"].unique().implode()
    known = collected(items.filter(pl.col("charge_number").is_in(numbers) & ~pl.col("is_scheduled")))
    rows = pl.concat([_here(found, known), *_elsewhere(found.filter(~pl.col("here")))])
    valued = _valued(rows, money).with_row_index("line")
    given = _discounts(valued, items, discounts, money)
    changed = valued.filter(pl.col("amount").ne_missing(0))  # one that is too large to be billed is null, and parks
    touched = found.filter(pl.col("cut").is_not_null() | pl.col("row").is_in(changed["row"].implode()))
    lasting = given.filter(pl.col("amount") != 0).join(
        changed.select("line"), on="line", how="semi", maintain_order="left"
    )
    return Credits(changed, lasting, touched.select("row", "cut"))


def _here(charges: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Billfold's own items of the segments, with what is left of each and of its days.

    Days beyond what the segment is charged through were credited, and days that a later item bills are that item's.
    """
    of_charges = items.filter(processing_type="Charge")
    given = of_charges.group_by(item_id="applied_to_item_id").agg(given=pl.col("amount").sum())
    following = pl.col("service_start_date").shift(-1).over(_KEY, order_by="item_id")
    original = (
        of_charges.filter(pl.col("applied_to_item_id").is_null())
        .join(given, on="item_id", how="left", maintain_order="left")
        .sort("item_id")
        .select(
            *_KEY,
            "item_id",
            first="service_start_date",
            last="service_end_date",
            next_first=following.reverse().cum_min().reverse().over(_KEY),
            billed="amount",
            left=(pl.col("amount") + pl.col("given").fill_null(0)).cast(AMOUNT),
        )
    )
    known = charges.join(original, on=_KEY, maintain_order="left").sort("charge_number", "segment", "first", "item_id")
    day_before = [pl.col(c).dt.offset_by("-1d") for c in ("through", "next_first")]
    left = known.with_columns(last_left=pl.min_horizontal("last", *day_before)).filter(
        pl.col("last_left") >= pl.col("first")
    )
    return left.select(*charges.columns, *_OF_ITEMS)


def _elsewhere(charges: pl.DataFrame) -> list[pl.DataFrame]:
    """Periods that were billed elsewhere beyond the segment's end, as if they were items, all of one name."""
    found = []
    for grid in GRIDS:
        gridded = grid.of(charges.filter(grid.holds(), pl.col("charge_type") != "OneTime"))
        from_day, to_day = pl.max_horizontal("start", "cut"), pl.col("through").dt.offset_by("-1d")
        periods = (
            gridded.filter(pl.col("through") > pl.max_horizontal("start", "cut"))
            .with_columns(n=pl.int_ranges(grid.number_of(from_day), grid.number_of(to_day) + 1, dtype=pl.Int32))
            .explode("n")
            .with_columns(
                item_id=pl.lit(ELSEWHERE),
                first=pl.max_horizontal(grid.start_of(pl.col("n")), "start"),
                last=pl.min_horizontal(grid.start_of(pl.col("n") + 1), "through").dt.offset_by("-1d"),
            )
            .with_columns(last_left="last", billed=pl.lit(None, dtype=AMOUNT), left=pl.lit(None, dtype=AMOUNT))
        )
        found.append(periods.select(*charges.columns, *_OF_ITEMS))
    return found


def _valued(rows: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Items with what their days are worth now, and the difference: `amount`, its dates, and `rest`, what remains."""
    cut_off, moved = pl.col("cut") <= pl.col("last_left"), pl.col("start") > pl.col("first")
    recurring = pl.col("charge_type") == "Recurring"
    begin = pl.when(recurring).then(pl.max_horizontal("first", "start")).otherwise("first")
    following = pl.col("last_left").dt.offset_by("1d")
    spans = rows.with_columns(
        is_cut=cut_off.fill_null(value=False), is_moved=recurring & moved, used_from=begin,
        used_to=pl.min_horizontal(following, "cut", "ended"), following=following,
    ).filter(pl.col("is_cut") | pl.col("is_moved") | pl.col("is_repriced"))  # fmt: skip
    priced = pl.concat([
        *(_shares(grid, spans.filter(recurring & grid.holds()), money.settings) for grid in GRIDS),
        _undivided(spans.filter(~recurring)),
    ])  # fmt: skip
    whole = with_whole_amounts(without_usage(priced))
    unfit = pl.col("billed").cast(WIDE) * pl.col("used_days").cast(WIDE) / pl.col("item_days").cast(WIDE)
    worth = shared(pl.col("whole"), pl.col("used_of"), pl.col("period_of"))
    nothing = pl.lit(0, dtype=AMOUNT)
    is_used = pl.col("used_from") < pl.col("used_to")
    now = money.rounded(pl.when("fits").then(worth).otherwise(unfit))
    unused = money.rounded(shared(pl.col("whole"), pl.col("unused_of"), pl.col("period_of_unused")))
    before = money.rounded(shared(pl.col("whole"), pl.col("billed_of"), pl.col("period_of_billed")))
    old_way = (money.settings["credit_basis"] == "unused_part") & pl.col("is_cut") & pl.col("fits") & is_used
    old_way &= ~pl.col("is_repriced") & ~pl.col("is_moved")
    return (
        whole.with_columns(
            left=pl.coalesce("left", before), now=pl.when(is_used).then(now).otherwise(nothing), by_unused=old_way
        )
        .with_columns(basis=pl.when("by_unused").then(unused).otherwise("now"))
        .with_columns(amount=pl.when("by_unused").then(-pl.col("basis")).otherwise(pl.col("now") - pl.col("left")))
        .with_columns(
            rest=pl.col("left") + pl.col("amount"),
            service_start_date=pl.when("is_cut").then(pl.max_horizontal("cut", "first"))
            .when("is_repriced").then("used_from").otherwise("first"),
            service_end_date=pl.when(pl.col("is_moved") & ~pl.col("is_cut") & ~pl.col("is_repriced"))
            .then(pl.min_horizontal(pl.col("start").dt.offset_by("-1d"), "last_left"))
            .otherwise("last_left"),
        )
    )  # fmt: skip


def _shares(grid: Grid, rows: pl.DataFrame, settings: Mapping[str, str]) -> pl.DataFrame:
    """What the used, the unused and the billed days of each item are of its period."""
    gridded = grid.of(rows).with_columns(n=grid.number_of(pl.col("first")))
    dated = gridded.with_columns(
        period_start=grid.start_of(pl.col("n")), period_end=grid.start_of(pl.col("n") + 1)
    ).with_columns(
        fits=pl.col("last") < pl.col("period_end"),
        used_days=days(pl.col("used_from"), pl.col("used_to")),
        item_days=days(pl.col("first"), pl.col("last")) + 1,
    )
    spans: dict[tuple[str, str], tuple[str | pl.Expr, str]] = {
        ("used_of", "period_of"): ("used_from", "used_to"),
        ("unused_of", "period_of_unused"): (pl.max_horizontal("first", "cut"), "following"),
        ("billed_of", "period_of_billed"): ("first", "following"),
    }
    for (of, whole), (start, end) in spans.items():
        spanned = dated.with_columns(service_start=start, service_end=end)
        numerator, denominator = grid.share(settings)
        sensible = (pl.col("service_start") < pl.col("service_end")) & pl.col("fits")
        entire = (pl.col("service_start") == pl.col("period_start")) & (pl.col("service_end") == pl.col("period_end"))
        one = pl.lit(1, dtype=pl.Int64)
        dated = spanned.with_columns(
            pl.when(entire).then(one).when(sensible).then(numerator).otherwise(0).alias(of),
            pl.when(entire | ~sensible).then(one).otherwise(denominator).alias(whole),
        )
    return dated.select(*rows.columns, *_SHARES)


_SHARES: Final = (
    "multiplier", "fits", "used_days", "item_days", "used_of", "period_of", "unused_of", "period_of_unused",
    "billed_of", "period_of_billed",
)  # fmt: skip


def _undivided(rows: pl.DataFrame) -> pl.DataFrame:
    """One-time charges: the whole of them or nothing."""
    one = pl.lit(1, dtype=pl.Int64)
    said = dict.fromkeys(_SHARES, one)
    return (
        rows.with_columns(**said)
        .with_columns(fits=pl.lit(value=True), multiplier=one.cast(WIDE))
        .select(*rows.columns, *_SHARES)
    )


def _discounts(rows: pl.DataFrame, items: pl.LazyFrame, discounts: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Discounts on the items, credited in step: what is due on `basis` now, less what is left of what was given."""
    wanted = rows["item_id"].drop_nulls().unique().implode()
    of_discounts = items.filter(processing_type="Discount")
    given = collected(of_discounts.filter(pl.col("applied_to_item_id").is_in(wanted))).sort("item_id")
    back = collected(of_discounts.filter(pl.col("applied_to_item_id").is_in(given["item_id"].implode())))
    sums = back.group_by(item_id="applied_to_item_id").agg(back=pl.col("amount").sum())
    left = given.join(sums, on="item_id", how="left", maintain_order="left").select(
        *_KEY, "charge_name", "item_id",
        of_item="applied_to_item_id",
        left_of=(pl.col("amount") + pl.col("back").fill_null(0)).cast(AMOUNT),
    )  # fmt: skip
    met = rows.select("line", "by_unused", "rest", of_item="item_id").join(left, on="of_item", maintain_order="left")
    base = rows.with_columns(
        amount="basis", service_start_date="first"
    )  # fmt: skip
    due = discounts_on(base, discounts, money, only=met.select("line", *_KEY)).select("line", *_KEY, off="amount")
    difference = pl.col("off") - pl.col("left_of")
    unused = pl.when(pl.col("rest") == 0).then(-pl.col("left_of")).otherwise(-pl.col("off"))
    delta = pl.when("by_unused").then(unused).otherwise(difference)
    return (
        met.join(due, on=["line", *_KEY], how="left", maintain_order="left")
        .with_columns(pl.col("off").fill_null(0))
        .select("line", *_KEY, "charge_name", "item_id", amount=delta.cast(AMOUNT), rest=pl.col("left_of") + delta)
    )
