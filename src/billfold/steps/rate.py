"""Step 2, second half: one line an amount owed.

Each source of lines (order lines, one-time charges, recurring charges) is a function from carriers to `Rated`; a
further one (usage, schedules) is a further function in `SOURCES`, and no later step changes. What a source can't
price is a trouble that parks the account: it never bills zero, and it never bills a guess.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import LINE, TROUBLE, Rated
from billfold.money import AMOUNT_LIMIT, PRICE, WIDE, WIDE_LIMIT, rounded
from billfold.periods import anchor_month, boundary, length_in_months, period_of
from billfold.proration import share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from billfold.lines import Carriers

_ONE = pl.lit(1, dtype=PRICE)
_DAY_TYPES = ("DefaultFromCustomer", "SpecificDayofMonth", "SubscriptionStartDay", "ChargeTriggerDay")
_ALIGNMENTS = ("AlignToCharge", "AlignToSubscriptionStart", "AlignToTermStart")


def rate(carriers: Carriers, target: date, settings: Mapping[str, str], currencies: Sequence[str]) -> Rated:
    """Everything owed up to the target date, inclusive, priced and rounded once."""
    live = replace(carriers, charges=_live(carriers.charges, target))
    parts = [source(live, target, settings) for source in SOURCES]
    priced = pl.concat([p.lines for p in parts])
    amount = rounded(pl.col("wide"), pl.col("currency"), settings, currencies)
    amounts = priced.with_columns(amount=pl.when(~pl.col("too_large")).then(amount))
    lines = amounts.filter(pl.col("amount").is_not_null()).select(LINE.names())
    too_large = amounts.filter(pl.col("amount").is_null())
    refused = _troubles(too_large, "the amount of {} is {} or more", pl.lit(str(AMOUNT_LIMIT)))
    return Rated(lines, pl.concat([*(p.troubles for p in parts), refused]))


def _order_lines(carriers: Carriers, target: date, _: Mapping[str, str]) -> Rated:
    """Order line items sent to billing whose target date has come (spec/bill_run.md O3, O6)."""
    due = carriers.order_lines.filter(item_state="SentToBilling").filter(pl.col("bill_target_date") <= target)
    start = pl.coalesce("transaction_start_date", "transaction_date", "bill_target_date")
    lines = due.with_columns(
        source_type=pl.lit("OrderLineItem"),
        charge_name=pl.coalesce("item_name", "item_number"),
        service_start_date=start,
        service_end_date=pl.coalesce("transaction_end_date", start),
        quantity=pl.coalesce("quantity", _ONE),
        unit_price=pl.coalesce("amount_per_unit", _discounted()),
        is_return=pl.col("item_category") == "Return",
    )
    return Rated(_owed(lines), TROUBLE.to_frame())


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


def _one_time(carriers: Carriers, _target: date, _settings: Mapping[str, str]) -> Rated:
    """One-time charges whose trigger date has come (spec/bill_run.md C14)."""
    unbilled = pl.col("through").is_null() | (pl.col("through") <= pl.col("start"))
    lasts = pl.col("end").is_null() | (pl.col("start") < pl.col("end"))
    due = carriers.charges.filter(pl.col("charge_type") == "OneTime", unbilled, lasts)
    priced = due.filter(_is_simple()).with_columns(service_start_date="start", service_end_date="start")
    return Rated(_charge_lines(priced, _bounded_price()), _unrated(due.filter(~_is_simple())))


def _recurring(carriers: Carriers, target: date, settings: Mapping[str, str]) -> Rated:
    """Billing periods of recurring charges and of flat usage fees, and parts of them (spec/bill_run.md C11 to C24)."""
    charges = carriers.charges.filter(pl.col("charge_type") != "OneTime")
    live = charges.filter(pl.col("through").is_null() | pl.col("end").is_null() | (pl.col("through") < pl.col("end")))
    periods = _due_periods(live.filter(_has_known_grid()), target)
    rated = periods.filter(_is_simple() & _is_flat_if_usage())
    unrated = periods.filter(~(_is_simple() & _is_flat_if_usage())).unique(["charge_number", "segment"])
    whole = (pl.col("service_start") == pl.col("period_start")) & (pl.col("service_end") == pl.col("period_end"))
    dated = rated.with_columns(
        service_start_date="service_start", service_end_date=pl.col("service_end").dt.offset_by("-1d")
    )
    numerator, denominator = share(settings)
    parts = dated.filter(~whole).with_columns(numerator=numerator, denominator=denominator)
    lines = [_charge_lines(dated.filter(whole), _period_price()), _charge_lines(parts, _period_price())]
    credit = "{} ends before {}, up to which it was billed, and credits are not rated yet"
    troubles = (
        _unrated(unrated),
        _unrated(live.filter(~_has_known_grid())),
        _troubles(charges.filter(_is_overpaid()), credit, pl.col("through")),
    )
    return Rated(pl.concat(lines), pl.concat(troubles))


SOURCES: Final[Sequence[Callable[[Carriers, date, Mapping[str, str]], Rated]]] = (_order_lines, _one_time, _recurring)


def _live(charges: pl.DataFrame, target: date) -> pl.DataFrame:
    """Charge segments that have begun, with [start, end) of what may be billed and how far it was (`through`)."""
    activation = pl.coalesce("service_activation_date", "contract_effective_date")
    event = (
        pl.when(trigger_event="CustomerAcceptance").then(pl.coalesce("customer_acceptance_date", activation))
        .when(trigger_event="ServiceActivation").then(activation)
        .when(trigger_event="ContractEffective").then("contract_effective_date")
    )  # fmt: skip
    term_end = pl.when(term_type="TERMED").then("term_end_date")
    begun = charges.with_columns(
        start=pl.coalesce("effective_start_date", event),
        end=pl.min_horizontal("effective_end_date", "cancelled_date", term_end),
        stopped=pl.min_horizontal("effective_end_date", "cancelled_date"),
        through=pl.max_horizontal("billed_through", "charged_through_date"),
    )
    # Segments of a charge keep the grid of its first one; most charges have one segment, so few rows are grouped.
    later = begun.filter(pl.col("segment") > 1).select("charge_number").unique()
    first = (
        begun.join(later, on="charge_number", how="semi")
        .group_by("charge_number")
        .agg(pl.col("start").min().alias("first"))
    )
    return (
        begun.join(first, on="charge_number", how="left", maintain_order="left")
        .with_columns(first_start=pl.coalesce("first", "start"))
        .filter(pl.col("start") <= target, pl.col("end").is_null() | (pl.col("start") < pl.col("end")) | _is_overpaid())
        .drop("first")
    )


def _due_periods(charges: pl.DataFrame, target: date) -> pl.DataFrame:
    """A row a period that is due and not billed: its grid dates, and what of it the segment covers (exclusive ends)."""
    subscription_start = pl.coalesce("subscription_start_date", "contract_effective_date", "first_start")
    day = (
        pl.when(bill_cycle_type="SpecificDayofMonth").then("bill_cycle_day")
        .when(bill_cycle_type="SubscriptionStartDay").then(subscription_start.dt.day().cast(pl.Int64))
        .when(bill_cycle_type="ChargeTriggerDay").then(pl.col("first_start").dt.day().cast(pl.Int64))
        .otherwise("account_bill_cycle_day")
    )  # fmt: skip
    base = (
        pl.when(billing_period_alignment="AlignToSubscriptionStart").then(subscription_start)
        .when(billing_period_alignment="AlignToTermStart").then(pl.coalesce("term_start_date", subscription_start))
        .otherwise("first_start")
    )  # fmt: skip
    anchor, length, grid_day = pl.col("anchor"), pl.col("length"), pl.col("grid_day")
    in_arrears = (pl.col("billing_timing") == "IN_ARREARS") | (pl.col("charge_type") == "Usage")
    at_target = period_of(pl.lit(target), anchor, grid_day, length) - in_arrears.cast(pl.Int32)
    at_end = period_of(pl.col("end").dt.offset_by("-1d"), anchor, grid_day, length)
    ended = (pl.col("end") <= target).fill_null(value=False)
    return (
        charges.with_columns(grid_day=day, length=length_in_months(), since=pl.max_horizontal("start", "through"))
        .with_columns(anchor=anchor_month(base, grid_day))
        .with_columns(
            first=period_of(pl.col("since"), anchor, grid_day, length),
            last=pl.when(ended).then(at_end).otherwise(pl.min_horizontal(at_target, at_end)),
        )
        .with_columns(n=pl.int_ranges("first", pl.col("last") + 1, dtype=pl.Int32))
        .filter(pl.col("last") >= pl.col("first"), (pl.col("since") <= target) | in_arrears)
        .explode("n")
        .with_columns(
            period_start=boundary(anchor + pl.col("n") * length, grid_day),
            period_end=boundary(anchor + (pl.col("n") + 1) * length, grid_day),
        )
        .with_columns(
            service_start=pl.max_horizontal("period_start", "since"),
            service_end=pl.min_horizontal("period_end", "end"),
        )
    )  # fmt: skip


def _period_price() -> pl.Expr:
    """The price of one whole period, from the list price base (spec/bill_run.md C26)."""
    price = _bounded_price()
    return pl.when(list_price_base="Per_Month").then(price * pl.col("length").cast(WIDE)).otherwise(price)


def _bounded_price() -> pl.Expr:
    return _bounded("price")


def _bounded(column: str) -> pl.Expr:
    """A number that may be multiplied: null when it is so large that its amount would be too."""
    number = pl.col(column)
    return pl.when(number.cast(pl.Float64).abs() < float(AMOUNT_LIMIT)).then(number).cast(WIDE)


def _charge_lines(due: pl.DataFrame, price: pl.Expr) -> pl.DataFrame:
    """Lines of flat fees and of units at a price; the name of a prorated one says so (spec/bill_run.md P11)."""
    counted = pl.col("charge_model") == "PerUnit"
    name = pl.coalesce("charge_name", "charge_number")
    return _owed(
        due.with_columns(
            source_type=pl.lit("SubscriptionComponent"),
            charge_name=pl.format("{} Proration", name) if "numerator" in due.columns else name,
            quantity=pl.when(counted).then("quantity").otherwise(_ONE),
            unit_price=price.cast(PRICE),
            is_return=pl.lit(value=False),
        )
    )


def _owed(lines: pl.DataFrame) -> pl.DataFrame:
    """Lines in their common shape with `wide`, the exact amount: quantity times price, negative for returns.

    Lines with `numerator` and `denominator` owe that share of it.
    """
    price, quantity = pl.col("unit_price"), pl.col("quantity")
    parts = "numerator" in lines.columns
    estimate = (price.cast(pl.Float64) * quantity.cast(pl.Float64)).abs()
    fits = estimate < float(AMOUNT_LIMIT)
    if parts:
        fits &= estimate * pl.col("numerator") < float(WIDE_LIMIT)
    fits = fits.fill_null(value=False)
    # A product that does not fit its type would raise for the whole frame; the estimate keeps such rows out of it.
    whole = pl.when(fits).then(quantity).otherwise(0).cast(WIDE) * price.cast(WIDE)
    amount = whole * pl.col("numerator").cast(WIDE) / pl.col("denominator").cast(WIDE) if parts else whole
    shaped = lines.with_columns(
        account_number="owner",
        processing_type=pl.lit("Charge"),
        is_credit=pl.lit(value=False),
        wide=pl.when("is_return").then(-amount).otherwise(amount),
        too_large=~fits,
    )
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in LINE.items() if name not in shaped.schema]
    columns = [name for name in LINE if name != "amount"]
    return shaped.with_columns(absent).select(*(pl.col(c).cast(LINE[c]) for c in columns), "wide", "too_large")


def _is_overpaid() -> pl.Expr:
    """Whether a charge was billed beyond the day that it was ended on; false when either is unknown."""
    return (pl.col("through") > pl.col("stopped")).fill_null(value=False)


def _is_simple() -> pl.Expr:
    return pl.col("charge_model").is_in(["FlatFee", "PerUnit"])


def _is_flat_if_usage() -> pl.Expr:
    return (pl.col("charge_type") != "Usage") | (pl.col("charge_model") == "FlatFee")


def _has_known_grid() -> pl.Expr:
    return (
        length_in_months().is_not_null()
        & pl.col("bill_cycle_type").is_in(_DAY_TYPES)
        & pl.col("billing_period_alignment").is_in(_ALIGNMENTS)
        & pl.col("list_price_base").is_in(["Per_Billing_Period", "Per_Month"])
    )


def _unrated(charges: pl.DataFrame) -> pl.DataFrame:
    """Charges that are due but need rules that this version does not have."""
    kind = pl.concat_str(
        "charge_type", "charge_model", "billing_period", "bill_cycle_type", "billing_period_alignment",
        "list_price_base", separator=" ", ignore_nulls=True,
    )  # fmt: skip
    return _troubles(charges, "{} is a kind of charge that is not rated yet ({})", kind)


def _troubles(rows: pl.DataFrame, reason: str, what: pl.Expr) -> pl.DataFrame:
    """Troubles that name the charge or order line; `reason` has places for its name and for `what`."""
    there = rows.schema
    owner = "owner" if "owner" in there else "account_number"
    keys = [c for c in ("charge_number", "segment", "order_number", "item_number") if c in there]
    charge = pl.format("charge {} segment {}", "charge_number", "segment") if "charge_number" in there else pl.lit(None)
    line = pl.format("order line {} {}", "order_number", "item_number") if "order_number" in there else pl.lit(None)
    return rows.select(
        account_number=owner,
        origin=pl.lit(None, dtype=pl.String),
        step=pl.lit("rate"),
        reason=pl.format(reason, pl.coalesce(charge, line), what.cast(pl.String)),
        detail=pl.struct(keys).struct.json_encode(),
    )
