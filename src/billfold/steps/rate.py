"""Step 2, second half: one line an amount owed (docs/rating.md).

Order lines, what charges owe for periods, and differences to what was billed before give regular lines; discounts give
lines of their own behind them. What can't be priced is a trouble that parks the account: it never bills zero, and it
never bills a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import LINE, PROGRESS, TROUBLE, USED, Rated
from billfold.money import AMOUNT, AMOUNT_LIMIT, PRICE, WIDE, WIDE_LIMIT
from billfold.rating.amounts import Money, with_amounts
from billfold.rating.credits import Credits, credits_of
from billfold.rating.discounts import discounts_on
from billfold.rating.due import FOR_GRIDS, due, is_ratable, is_usage, may_owe, next_due
from billfold.rating.spans import is_overbilled, with_spans
from billfold.rating.usage import Used, with_usage, without_usage
from billfold.schedules.lines import scheduled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from billfold.lines import Carriers
    from billfold.requests import RunRequest

_ONE: Final = pl.lit(1, dtype=PRICE)
_FOR_DISCOUNTS: Final = ("subscriber", "rate_plan_name")
_OF_LINES: Final = (*LINE, *_FOR_DISCOUNTS)
_OF_PROGRESS: Final = (
    "owner", "charge_number", "segment", "price", "quantity", "tiers", "billed_price", "billed_quantity",
    "billed_tiers", "billed_by", "here", "excess", "kept_through", "later",
)  # fmt: skip


@dataclass(frozen=True)
class Working:
    """How lines come about: the charge segments, and what is owed for `periods`, given `back`, and `ordered`.

    `lines` are all lines with their discounts, those without an amount too; `too_large` are all of the latter.
    """

    target: date
    charges: pl.DataFrame
    used: Used
    periods: pl.DataFrame
    back: Credits
    ordered: pl.DataFrame
    lines: pl.DataFrame
    too_large: pl.DataFrame


def rate(carriers: Carriers, request: RunRequest, settings: Mapping[str, str], currencies: Sequence[str]) -> Rated:
    """Everything owed up to the target date, inclusive, priced and rounded once."""
    money = Money(settings, currencies)
    parts = [_rated(working) for working in workings(carriers, request, money)]
    if carriers.schedules.headers.height:
        parts.append(scheduled(carriers, None if request.schedules else request.target_date, money))
    return parts[0] if len(parts) == 1 else Rated.joined(parts)


def workings(carriers: Carriers, request: RunRequest, money: Money) -> Iterator[Working]:
    """How lines come about that are no schedule's, by the day up to which their charges are billed."""
    return (_working(some, target, money) for target, some in _by_target(carriers, request.target_date))


def _by_target(carriers: Carriers, target: date) -> list[tuple[date, Carriers]]:
    """The carriers by the day up to which they are billed: schedules may bring subscriptions with days of their own."""
    if carriers.also_billed.is_empty():
        return [(target, carriers)]
    on = {"left_on": ["subscription_number", "subscriber"], "right_on": ["subscription_number", "account_number"]}
    dated = carriers.charges.join(carriers.also_billed, how="left", maintain_order="left", **on)  # type: ignore[arg-type]
    until = pl.when(pl.col("charge_type") != "Usage").then(pl.max_horizontal("until", pl.lit(target)))
    parts = dated.with_columns(until=until.fill_null(target)).partition_by("until", as_dict=True)
    found = {day: part.drop("until") for (day,), part in sorted(parts.items())}
    first = replace(carriers, charges=found.pop(target, carriers.charges.clear()))
    others = replace(carriers, order_lines=carriers.order_lines.clear())
    return [(target, first), *((day, replace(others, charges=part)) for day, part in found.items())]


def _rated(working: Working) -> Rated:
    """What charges and order lines owe."""
    lines, charges = working.lines.filter(pl.col("amount").is_not_null()), working.charges
    troubles = [*_unrated(charges, working.target), *_unpriced(working.periods), _too_large(working.too_large)]
    return Rated(
        lines.select(LINE.names()),
        pl.concat(troubles),
        working.used.processed.select(pl.col(c).cast(t) for c, t in USED.items()),
        _progress(charges, working.periods, working.back),
    )


def _working(carriers: Carriers, target: date, money: Money) -> Working:
    """What charges and order lines owe, and how it comes about."""
    settings = money.settings
    charges = with_spans(carriers.charges).with_row_index("row")
    used = _used(due(charges, target, settings), charges, carriers, settings)
    periods = with_amounts(used.periods, money)
    back = credits_of(charges, carriers.items, carriers.discounts, target, money)
    ordered = _order_lines(carriers.order_lines, target, money)
    found = (_lines(ordered), _charge_lines(periods, charges), _credit_lines(back, money))
    regular = pl.concat([f.filter(pl.col("amount").is_not_null()) for f in found])
    new = regular.height - found[-1]["amount"].count()
    lines = _with_discounts(regular.with_row_index("line"), new, back, carriers.discounts, money)
    too_large = pl.concat(f.filter(pl.col("amount").is_null()) for f in (*found, lines))
    return Working(target, charges, used, periods, back, ordered, lines, too_large)


def _used(periods: pl.DataFrame, charges: pl.DataFrame, carriers: Carriers, settings: Mapping[str, str]) -> Used:
    """Periods with the units that they rate: what was bought, or what was used in them."""
    bought, measured = periods.filter(~is_usage()), periods.filter(is_usage())
    if measured.is_empty():
        return Used(without_usage(bought), USED.to_frame())
    subscribers = charges["subscriber"].gather(measured["row"].unique()).unique()
    used = with_usage(measured, subscribers, carriers, settings)
    counted = used.periods
    if settings["usage_without_records"] == "skip":
        counted = counted.filter((pl.col("records") > 0) | (pl.col("charge_model") == "FlatFee"))
    both = pl.concat([without_usage(bought).select(counted.columns), counted])
    return Used(both, used.processed.rename({"account": "account_number"}))


def _order_lines(carriers: pl.DataFrame, target: date, money: Money) -> pl.DataFrame:
    """Order line items sent to billing whose target date has come (spec/bill_run.md O3, O6); returns owe a minus.

    `exact` is the amount before it is rounded.
    """
    start = pl.coalesce("transaction_start_date", "transaction_date", "bill_target_date")
    lines = carriers.filter(pl.col("item_state") == "SentToBilling", pl.col("bill_target_date") <= target).with_columns(
        source_type=pl.lit("OrderLineItem"),
        charge_name=pl.coalesce("item_name", "item_number"),
        service_start_date=start,
        service_end_date=pl.coalesce("transaction_end_date", start),
        quantity=pl.coalesce("quantity", _ONE),
        unit_price=pl.coalesce("amount_per_unit", _discounted()),
        is_return=pl.col("item_category") == "Return",
    )
    quantity, price = pl.col("quantity"), pl.col("unit_price")
    fits = (quantity.cast(pl.Float64) * price.cast(pl.Float64)).abs() < float(AMOUNT_LIMIT)
    wide = pl.when(fits).then(quantity).otherwise(0).cast(WIDE) * pl.when(fits).then(price).cast(WIDE)
    exact = lines.with_columns(exact=pl.when("is_return").then(-wide).otherwise(wide))
    return exact.with_columns(amount=money.rounded(pl.col("exact")))


def _discounted() -> pl.Expr:
    """The list price less the inline discount, for lines without an amount per unit."""
    listed, discount = _bounded("list_price_per_unit"), _bounded("discount").fill_null(0)
    product = pl.col("list_price_per_unit").cast(pl.Float64) * pl.col("discount").fill_null(0).cast(pl.Float64)
    fits = product.abs() < float(WIDE_LIMIT)
    percent = pl.when(fits).then(listed) * pl.when(fits).then(discount) / pl.lit(100, dtype=WIDE)
    off = (
        pl.when(discount_type="Percentage").then(percent)
        .when(discount_type="FixedAmount").then(discount)
        .otherwise(0)
    )  # fmt: skip
    price = (listed - off).round(9, mode="half_away_from_zero")
    return pl.when(price.cast(pl.Float64).abs() < float(AMOUNT_LIMIT)).then(price).cast(PRICE)


def _bounded(column: str) -> pl.Expr:
    number = pl.col(column)
    return pl.when(number.cast(pl.Float64).abs() < float(AMOUNT_LIMIT)).then(number).cast(WIDE)


def _charge_lines(periods: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """Lines of periods, with their charge's attributes; the name of a prorated one says so (spec/bill_run.md P11)."""
    priced = periods.filter(pl.col("trouble").is_null(), pl.col("ambiguous").is_null())
    computed = priced.select("row", "quantity", "unit_price", "amount", "service_start", "service_end", "is_part")
    attributes = charges.select("owner", *(c for c in _OF_LINES if c not in computed.columns and c in charges.columns))
    name = pl.coalesce("charge_name", "charge_number")
    return _lines(
        computed.hstack(attributes[computed["row"]]).with_columns(
            source_type=pl.lit("SubscriptionComponent"),
            charge_name=pl.when("is_part").then(pl.format("{} Proration", name)).otherwise(name),
            service_start_date="service_start",
            service_end_date=pl.col("service_end").dt.offset_by("-1d"),
        )
    )


def _credit_lines(back: Credits, money: Money) -> pl.DataFrame:
    """Lines of differences to items of earlier runs."""
    if back.rows.is_empty():
        return _lines(LINE.to_frame())
    name = pl.coalesce("charge_name", "charge_number")
    return _lines(
        back.rows.with_columns(
            source_type=pl.lit("SubscriptionComponent"),
            charge_name=pl.concat_str(name, _credit_wording(money.settings)),
            applied_to_item_id="item_id",
            is_credit=pl.col("amount") < 0,
        )
    )


def _credit_wording(settings: Mapping[str, str], back: pl.Expr | None = None) -> pl.Expr:
    """What a difference is called: a credit of a part, of all that there was, or a further amount."""
    worded = settings["credit_wording"] == "yes"
    part, whole = (" Proration Credit", " Credit") if worded else (" Proration", "")
    return (
        pl.when(~(pl.col("amount") < 0 if back is None else back)).then(pl.lit(" Proration"))
        .when(pl.col("rest") == 0).then(pl.lit(whole))
        .otherwise(pl.lit(part))
    )  # fmt: skip


def _with_discounts(
    regular: pl.DataFrame, new: int, back: Credits, discounts: pl.DataFrame, money: Money
) -> pl.DataFrame:
    """All lines: the regular ones, then discounts on new amounts, then differences to discounts that were given.

    The first `new` lines are new amounts, the others differences to earlier ones.
    """
    found = [] if discounts.is_empty() else [discounts_on(regular.head(new), discounts, money)]
    if back.discounts.height:
        discounted = back.rows.join(back.discounts, on="line", how="semi")
        credited = discounted.select("line", of_item="item_id").join(
            regular.select("applied_to_item_id", at="line"), left_on="of_item", right_on="applied_to_item_id"
        )
        worded = pl.concat_str(
            pl.coalesce("charge_name", "charge_number"), _credit_wording(money.settings, pl.col("amount") > 0)
        )
        taken_back = back.discounts.with_columns(charge_name=worded)
        found.append(taken_back.join(credited, on="line", maintain_order="left").drop("line").rename({"at": "line"}))
    applied = [_discount_lines(f, regular) for f in found]
    return pl.concat([regular.drop("line"), *applied])


def _discount_lines(found: pl.DataFrame, regular: pl.DataFrame) -> pl.DataFrame:
    """Lines of discounts: what the line that they reduce says, under the discount's charge and with its amount."""
    own = found.select(
        pl.col("amount").cast(AMOUNT),
        "charge_number", "segment", "charge_name",
        applied_line="line",
        applied_to_item_id=pl.col("item_id") if "item_id" in found.columns else pl.lit(None, dtype=pl.String),
    )  # fmt: skip
    reduced = regular[own["applied_line"]]
    blank = [pl.lit(None, dtype=PRICE).alias(c) for c in ("quantity", "unit_price")]
    return reduced.drop("line").with_columns(
        *(own[c] for c in own.columns), *blank, processing_type=pl.lit("Discount"),
    )  # fmt: skip


def _lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in the shape of lines, with what discounts need to know; columns that they lack are blank."""
    named = rows.with_columns(account_number="owner") if "owner" in rows.columns else rows
    given = {"processing_type": pl.lit("Charge"), "is_credit": pl.lit(value=False), "is_return": pl.lit(value=False)}
    lacking = {c: e for c, e in given.items() if c not in named.columns}
    shape = LINE | dict.fromkeys(_FOR_DISCOUNTS, pl.String())
    blank = [pl.lit(None, dtype=t).alias(c) for c, t in shape.items() if c not in named.columns and c not in lacking]
    return named.with_columns(*blank, **lacking).select(pl.col(c).cast(t) for c, t in shape.items())


def _progress(charges: pl.DataFrame, periods: pl.DataFrame, back: Credits) -> pl.DataFrame:
    """How far every charge that was looked at is billed after this run, on what terms, and when it is next due."""
    billed = periods.group_by("row").agg(pl.col("service_end").max())
    touched = back.touched.with_columns(is_touched=pl.lit(value=True))
    done = (
        charges.select("row")
        .join(billed, on="row", how="left", maintain_order="left")
        .join(touched, on="row", how="left", maintain_order="left")
    )
    given_back = (pl.col("charge_type") == "OneTime") & pl.col("cut").is_not_null()
    known = charges.select(dict.fromkeys((*_OF_PROGRESS, "charge_type", *FOR_GRIDS)).keys())
    after = known.hstack(done.drop("row")).with_columns(
        is_billed=pl.col("service_end").is_not_null() | pl.col("is_touched").fill_null(value=False),
        through=pl.when(given_back).then(None).otherwise(pl.coalesce("service_end", "cut", "through")),
    )
    following = pl.min_horizontal("next_due_date", "later")
    return after.with_columns(next_due(after)).with_columns(next_due_date=following).select(
        account_number="owner",
        charge_number="charge_number",
        segment="segment",
        charged_through_date=pl.when(pl.col("is_billed") | pl.col("here")).then("through").otherwise("kept_through"),
        next_due_date="next_due_date",
        **{c: pl.when("is_billed").then(c).otherwise(f"billed_{c}") for c in ("price", "quantity", "tiers")},
        bill_run_number="billed_by",
        is_billed="is_billed",
    ).select(pl.col(c).cast(t) for c, t in PROGRESS.items())  # fmt: skip


def _unrated(charges: pl.DataFrame, target: date) -> list[pl.DataFrame]:
    """Charges that are due but need rules that this version does not have."""
    kind = pl.concat_str(
        "charge_type", "charge_model", "billing_period", "bill_cycle_type", "billing_period_alignment",
        "list_price_base", separator=" ", ignore_nulls=True,
    )  # fmt: skip
    over = is_overbilled() & (pl.col("excess") <= target) & (pl.col("charge_type") == "Recurring")
    over &= pl.col("through") > pl.col("start")
    unknown = charges.filter((may_owe(target) | over.fill_null(value=False)) & ~is_ratable())
    return [_troubles(unknown, "{} is a kind of charge that is not rated yet ({})", kind)]


def _unpriced(periods: pl.DataFrame) -> list[pl.DataFrame]:
    """Periods without a price: no tier, no rate of the record, records that several charges could rate."""
    several = pl.format("its usage record {} fits other charges too; give the record a charge_number", "ambiguous")
    said = periods.with_columns(said=pl.coalesce("trouble", several)).filter(pl.col("said").is_not_null())
    return [_troubles(said, "{} can't be rated: {}", pl.col("said"))]


def _too_large(lines: pl.DataFrame) -> pl.DataFrame:
    return _troubles(lines, "the amount of {} is {} or more", pl.lit(str(AMOUNT_LIMIT)))


def _troubles(rows: pl.DataFrame, reason: str, what: pl.Expr) -> pl.DataFrame:
    """Troubles that name the charge or order line; `reason` has places for its name and for `what`."""
    there = rows.schema
    keys = [c for c in ("charge_number", "segment", "order_number", "item_number") if c in there]
    charge = pl.format("charge {} segment {}", "charge_number", "segment") if "charge_number" in there else pl.lit(None)
    line = pl.format("order line {} {}", "order_number", "item_number") if "order_number" in there else pl.lit(None)
    return rows.select(
        account_number="owner" if "owner" in there else "account_number",
        origin=pl.lit(None, dtype=pl.String),
        step=pl.lit("rate"),
        reason=pl.format(reason, pl.coalesce(charge, line), what.cast(pl.String)),
        detail=pl.struct(keys).struct.json_encode(),
    ).select(TROUBLE.names())
