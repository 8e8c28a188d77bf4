"""What is owed: order lines, and every charge segment by what it serves and what was billed before."""

from __future__ import annotations

import copy
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from oracle_credits import corrections
from oracle_models import DISCOUNTS, UnratableError, Whole, billed_through, match_usage, span_of, whole
from oracle_money import LIMIT, day, first_of, own, rounded
from oracle_world import (
    ONE_DAY,
    Billed,
    Grid,
    Item,
    Line,
    Progress,
    active_owner,
    grid_of,
    payer,
    segment_of,
    share,
    stop_of,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from oracle_money import Row
    from oracle_world import Segment, World


# --- order lines ------------------------------------------------------------------------------------------------


def order_lines(world: World, target: date) -> Iterable[Line]:
    """Sent to billing, and the target date has come (O3)."""
    for row in world.order_lines:
        owner = active_owner(world, row)
        due = row["item_state"] == "SentToBilling" and day(row, "bill_target_date") <= target
        if owner is None or not due or (row["order_number"], row["item_number"]) in world.state.order_lines:
            continue
        first = first_of(row, "transaction_start_date", "transaction_date", "bill_target_date")
        last = first_of(row, "transaction_end_date") or first
        assert first is not None
        assert last is not None
        quantity = Decimal(1) if row.get("quantity") is None else Decimal(row["quantity"])
        price = _unit_price(row)
        exact = Fraction(quantity) * Fraction(price) * (-1 if row["item_category"] == "Return" else 1)
        if abs(exact) >= LIMIT:
            world.troubles.add(owner)
            continue
        source = ("order line", row["order_number"], row["item_number"])
        currency = row.get("currency") or world.accounts[owner]["currency"]
        amount = rounded(exact, currency, world.settings)
        item = Item(source, first, last, quantity, price, amount, _sold_to(world, row))
        yield Line(owner, item, row, row, currency, lead=amount)


def _unit_price(row: Row) -> Decimal:
    """Its own, else the list price less the discount, in the nine decimals that an amount per unit has (O6)."""
    if row.get("amount_per_unit") is not None:
        return Decimal(row["amount_per_unit"])
    listed, discount = Decimal(row["list_price_per_unit"]), Decimal(row.get("discount") or 0)
    off = {"Percentage": listed * discount / 100, "FixedAmount": discount}.get(row.get("discount_type") or "")
    return (listed - (off or Decimal(0))).quantize(Decimal("1e-9"), ROUND_HALF_UP)


def _sold_to(world: World, carrier: Row) -> str | None:
    return own(carrier, "sold_to_contact") or own(world.accounts[carrier["account_number"]], "sold_to_contact")


# --- charges ----------------------------------------------------------------------------------------------------


def charge_lines(world: World, target: date) -> tuple[list[Line], dict[Segment, tuple[str, Progress]]]:
    """Lines of all charges but discounts; and by segment who pays, and what will have been billed afterwards."""
    match_usage(world)
    lines: list[Line] = []
    progresses = {}
    for row in world.charges:
        owner = payer(world, row)
        if owner is None or span_of(world, row) is None:
            continue
        rating = Rating(world, row, owner, target)
        try:
            lines += rating.lines()
        except UnratableError:
            world.troubles.add(owner)
        progresses[segment_of(row)] = (owner, rating.progress)
    return lines, progresses


class Rating:
    """One charge segment in one run."""

    def __init__(self, world: World, row: Row, owner: str, target: date) -> None:
        """Take a copy of what was billed, since a parked account keeps what it had."""
        self.world, self.row, self.owner, self.target = world, row, owner, target
        self.progress = copy.deepcopy(world.state.segments.get(segment_of(row), Progress()))
        subscription = world.subscription(row)
        self.currency = subscription.get("currency") or world.accounts[owner]["currency"]
        self.sold_to = _sold_to(world, subscription)
        span = span_of(world, row)
        assert span is not None
        self.start, self.end = span

    def lines(self) -> list[Line]:
        """Corrections of what was billed, then what is due and was not."""
        if self.row["charge_model"] in DISCOUNTS:
            return self._discount()
        one_time = self.row["charge_type"] == "OneTime"
        made = [*self._once()] if one_time else [*self._periodically()]
        if made or self.progress.items:
            self.progress.terms = self.terms()
        return made

    def terms(self) -> tuple[object, ...]:
        """What an amount depends on and may change in place."""
        numbers = (self.row.get(c) for c in ("price", "quantity"))
        return (*(None if n is None else Decimal(n) for n in numbers), self.row.get("tiers"))

    def _discount(self) -> list[Line]:
        """Percentages come with the items that they reduce; fixed amounts can't be rated."""
        if self.row["charge_model"] == "DiscountFixedAmount":
            self._refuse()
        return []

    def _once(self) -> Iterable[Line]:
        """Owed once, on the day that it is triggered (C14)."""
        if self.progress.items:
            yield from corrections(self, None)
            return
        elsewhere = first_of(self.row, "charged_through_date")
        if self.start > self.target or self.start >= self.end or (elsewhere and elsewhere > self.start):
            return
        yield self.new_line(whole(self.world, self.row, None), (self.start, self.start + ONE_DAY), Fraction(1))

    def _periodically(self) -> Iterable[Line]:
        """Every period of the grid that is due and not billed; of part of one its share (C11 to C15, C24)."""
        grid = grid_of(self.world, self.row, self.owner)
        if grid is None:
            self._refuse()
            return
        if self.row["charge_type"] == "Recurring":
            yield from corrections(self, grid)
        since = max(self.start, self.through or self.start)
        in_arrears = self.row["charge_type"] == "Usage" or self.row["billing_timing"] == "IN_ARREARS"
        while since < self.end:
            period = grid.period(grid.holding(since))
            served = since, min(period[1], self.end)
            if (served[1] if in_arrears else served[0]) > self.target:
                return
            yield from self._of_period(grid, period, served)
            since = served[1]

    @property
    def through(self) -> date | None:
        """Billed up to this day, exclusive."""
        return self.progress.through or first_of(self.row, "charged_through_date")

    def _refuse(self) -> None:
        """Park the account if a charge that can't be rated may owe something, or is owed something."""
        since = max(self.start, self.through or self.start)
        overbilled = self.through is not None and self.through > stop_of(self.world, self.row) <= self.target
        if (self.start <= self.target and since < self.end) or (overbilled and self.row["charge_type"] == "Recurring"):
            raise UnratableError

    def _of_period(self, grid: Grid, period: tuple[date, date], served: tuple[date, date]) -> Iterable[Line]:
        if self.row["charge_type"] != "Usage" or self.row["charge_model"] == "FlatFee":
            part = share(self.world, grid, period, served)
            yield self.new_line(whole(self.world, self.row, grid), served, part)
            return
        waiting = self.world.used.get(segment_of(self.row), ())
        used = [u for u in waiting if served[0] <= day(u, "start_date") < served[1]]
        if any(u["is_ambiguous"] for u in used):
            raise UnratableError
        if used or self.world.settings.get("usage_without_records", "bill") == "bill":
            self.world.processed |= {u["usage_id"]: self.owner for u in used}
            yield self.new_line(whole(self.world, self.row, grid, used), served, Fraction(1))

    def new_line(self, priced: Whole, served: tuple[date, date], part: Fraction) -> Line:
        """A line that is owed for the first time."""
        amount = self.rounded(priced.amount * part)
        billed = Billed(*served, *served, amount, amount)
        self.progress.items.append(billed)
        self.progress.through = max(served[1], self.progress.through or served[1])
        return self.line(priced, served, amount, billed)

    def line(self, priced: Whole, served: tuple[date, date], amount: Decimal, billed: Billed | None) -> Line:
        """A line of this charge over some days, half-open."""
        source = ("charge", self.row["subscription_number"], *map(str, segment_of(self.row)))
        days = (served[0], served[1] - ONE_DAY)
        item = Item(source, *days, priced.quantity, priced.unit_price, amount, self.sold_to)
        carrier = self.world.subscription(self.row)
        return Line(self.owner, item, self.row, carrier, self.currency, lead=amount, billed=billed)

    def rounded(self, amount: Fraction) -> Decimal:
        """The amount of a line."""
        if abs(amount) >= LIMIT:
            raise UnratableError
        return rounded(amount, self.currency, self.world.settings)


__all__ = ["Rating", "billed_through", "charge_lines", "order_lines"]
