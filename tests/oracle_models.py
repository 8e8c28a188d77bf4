"""What a whole billing period costs, by charge model, and which usage it holds."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oracle_money import LIMIT, decimal, first_of, number, to_step
from oracle_world import Grid, end_of, segment_of, serves_on, start_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from oracle_money import Row
    from oracle_world import World

DISCOUNTS: Final = frozenset({"DiscountPercentage", "DiscountFixedAmount"})
TIERED: Final = frozenset({"Volume", "Tiered", "TieredWithOverage"})


class UnratableError(Exception):
    """The data can't be billed: its account is parked."""


class Whole(NamedTuple):
    """What a whole period shows, and its exact amount."""

    quantity: Decimal
    unit_price: Decimal | None
    amount: Fraction


class Tier(NamedTuple):
    """Units beyond `lower` up to `upper`, which None leaves open; the first one may hold 0."""

    lower: Fraction
    upper: Fraction | None
    price: Fraction
    is_flat: bool
    holds_zero: bool

    def reached(self, units: Fraction) -> bool:
        """Whether a quantity goes into it."""
        return units > self.lower or (units == 0 and self.holds_zero)

    def holds(self, units: Fraction) -> bool:
        """Whether a quantity ends in it."""
        return self.reached(units) and (self.upper is None or units <= self.upper)

    def slice_of(self, units: Fraction) -> Fraction:
        """What of a quantity lies in it."""
        return (units if self.upper is None else min(units, self.upper)) - self.lower


def whole(world: World, row: Row, grid: Grid | None, used: Sequence[Row] | None = None) -> Whole:
    """The whole period of a charge; `used` are the records of a usage charge's period."""
    found = _whole(world, row, times(row, grid), used)
    if abs(found.amount) >= LIMIT:
        raise UnratableError
    return found


def times(row: Row, grid: Grid | None) -> int:
    """How many prices a whole period costs (C26)."""
    if grid is None:
        return 1
    return {"Per_Month": grid.length, "Per_Week": grid.length // 7}.get(row["list_price_base"], 1)


def _whole(world: World, row: Row, prices: int, used: Sequence[Row] | None) -> Whole:
    model, price = row["charge_model"], number(row, "price") * prices
    if model == "FlatFee":
        return Whole(Decimal(1), decimal(price), price)
    units = number(row, "quantity") if used is None else _rounded_units(world, row, used)
    shown = decimal(units)
    if used is not None and not used:
        return Whole(shown, decimal(price) if model == "PerUnit" else None, Fraction(0))
    if model == "PerUnit":
        return Whole(shown, decimal(price), units * price)
    return _of_tiers(row, units, prices) if model in TIERED else Whole(shown, None, _of_units(row, units, prices, used))


def _of_units(row: Row, units: Fraction, prices: int, used: Sequence[Row] | None) -> Fraction:
    """Models that show no price: units beyond the included ones, or what the records say themselves."""
    if row["charge_model"] == "Overage":
        return max(units - number(row, "included_units"), Fraction(0)) * number(row, "overage_price") * prices
    if row["charge_model"] == "PreratedPerUnit":
        return sum((_units(u) * _brought(u, "unit_rate") for u in used or ()), Fraction(0))
    return sum((_brought(u, "total") for u in used or ()), Fraction(0))


def _of_tiers(row: Row, units: Fraction, prices: int) -> Whole:
    """Volume: one tier prices everything. Tiered: each prices its slice, and flat fees add up."""
    tiers = _tiers(row["tiers"])
    last = tiers[-1].upper
    over = row["charge_model"] == "TieredWithOverage" and last is not None and units > last
    if not over and not any(t.holds(units) for t in tiers):
        raise UnratableError
    if row["charge_model"] == "Volume":
        tier = next(t for t in tiers if t.holds(units))
        amount = tier.price if tier.is_flat else units * tier.price
        return Whole(decimal(units), None if tier.is_flat else decimal(tier.price * prices), amount * prices)
    amount = sum(
        (t.price if t.is_flat else t.slice_of(units) * t.price for t in tiers if t.reached(units)), Fraction(0)
    )
    if over and last is not None:
        amount += (units - last) * number(row, "overage_price")
    return Whole(decimal(units), None, amount * prices)


def _tiers(text: str) -> list[Tier]:
    """Each begins where the one before it ends, whatever its first unit says (docs/rating.md)."""
    tiers: list[Tier] = []
    for given in json.loads(text):
        upper = None if given.get("endingUnit") is None else _number(given["endingUnit"])
        lower = tiers[-1].upper if tiers else Fraction(0)
        assert lower is not None
        from_zero = not tiers and _number(given["startingUnit"]) == 0
        tiers.append(Tier(lower, upper, _number(given["price"]), given.get("priceFormat") == "FlatFee", from_zero))
    return tiers


def _number(value: object) -> Fraction:
    return Fraction(Decimal(str(value)))


def _units(record: Row) -> Fraction:
    return number(record, "quantity")


def _brought(record: Row, column: str) -> Fraction:
    """A rate or total that a record must bring (M8)."""
    if record.get(column) is None:
        raise UnratableError
    return number(record, column)


def _rounded_units(world: World, row: Row, used: Sequence[Row]) -> Fraction:
    """What was used, summed and then rounded to the unit of measure (P18)."""
    step = Decimal(1).scaleb(-int(world.settings.get(f"uom_decimals.{row.get('uom')}", 9)))
    mode = world.settings.get(f"uom_rounding.{row.get('uom')}", "up")
    return Fraction(to_step(sum((_units(u) for u in used), Fraction(0)), step, mode))


# --- which charge a usage record belongs to ---------------------------------------------------------------------


def match_usage(world: World) -> None:
    """Put every record that was not billed yet with its segment; late ones are told apart.

    A record that fits several charges is with all of them: the first period that would bill it parks the account.
    """
    world.late |= world.state.late
    for record in world.usage:
        if record["usage_id"] not in world.state.usage:
            fitting = [row for row in world.charges if _fits(world, record, row)]
            ambiguous = len({row["charge_number"] for row in fitting}) > 1
            for row in fitting:
                _put(world, {**record, "is_ambiguous": ambiguous}, row)


def _fits(world: World, record: Row, row: Row) -> bool:
    when = first_of(record, "start_date")
    assert when is not None
    billable = world.subscription(row)["status"] not in {"Draft", "Expired"}
    if row["charge_type"] != "Usage" or row["charge_model"] in DISCOUNTS or not billable:
        return False
    if not serves_on(world, row, when):
        return False
    if record.get("charge_number") is not None:
        return bool(row["charge_number"] == record["charge_number"])
    if record.get("subscription_number") not in {None, row["subscription_number"]}:
        return False
    of_account = world.subscription(row)["account_number"] == record["account_number"]
    return bool(of_account and record.get("uom") is not None and record["uom"] == row.get("uom"))


def _put(world: World, record: Mapping[str, Any], row: Row) -> None:
    through = billed_through(world, row)
    if through is not None and first_of(record, "start_date") < through:  # type: ignore[operator]
        world.late |= set() if record["is_ambiguous"] else {record["usage_id"]}
    else:
        world.used.setdefault(segment_of(row), []).append(dict(record))


def billed_through(world: World, row: Row) -> date | None:
    """How far a segment was billed: here or, if it never was, elsewhere."""
    progress = world.state.segments.get(segment_of(row))
    here = progress.through if progress else None
    return here or first_of(row, "charged_through_date")


def span_of(world: World, row: Row) -> tuple[date, date] | None:
    """A segment's days, half-open; None when it has not been triggered."""
    start = start_of(world, row)
    return None if start is None else (start, end_of(world, row))
