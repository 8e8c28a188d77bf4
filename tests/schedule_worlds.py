"""Random schedules, as plain values: what is sold, how it is planned, and by which rules it is billed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import schedule_oracle as oracle
from hypothesis import assume
from hypothesis import strategies as st
from schedule_books import asked, discount, fee, once, shares

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
    Json: TypeAlias = dict[str, Any]

STEPS: Final[Mapping[str, Fraction]] = {
    "USD": Fraction(1, 100), "JPY": Fraction(1), "KWD": Fraction(1, 1000), "CHF": Fraction(1, 20),
}  # fmt: skip
STARTS: Final = (
    date(2023, 1, 1), date(2023, 1, 1), date(2023, 1, 1), date(2023, 2, 1), date(2023, 3, 15), date(2023, 6, 1),
    date(2023, 1, 31), date(2024, 1, 1),
)  # fmt: skip
LENGTHS: Final = (12, 12, 12, 11, 10, 7, 6, 1, 24, 36)
PRICES: Final = ("12000", "12000", "36900", "21500", "800", "99.99", "1000.005", "333.333333333", "50", "0")
BASES: Final[Mapping[str, int]] = {"Per_Year": 12, "Per_Month": 1, "Per_Billing_Period": 120}
DISCOUNTS: Final = ((), (), (), ("10",), ("33.3",), ("10", "10"), ("12.5", "7.25"))
FIRST: Final = date(2023, 1, 4)
"""The first of the run dates."""


@dataclass
class World:
    """Charges as the oracle has them, and a plan of amounts or percentages."""

    currency: str
    rules: oracle.Rules
    charges: Sequence[oracle.Charge]
    bases: Mapping[str, str]
    amounts: Sequence[Fraction] = ()
    percentages: Sequence[Fraction] = ()
    shares_a_subscription: bool = False
    """All charges are of one subscription; discounts are of rate plans."""

    days: Sequence[date] = ()
    stops: Sequence[date] = field(default_factory=tuple)
    """Target dates of the runs that bill it."""

    def schedule(self) -> oracle.Schedule:
        return oracle.Schedule(self.charges, self.rules, amounts=self.amounts, percentages=self.percentages)

    @property
    def settings(self) -> dict[str, str]:
        rules = self.rules
        chosen = {
            "schedule_consumption": rules.consumption,
            "month_basis": rules.basis,
            "rounding_mode": rules.rounding,
        }
        return {**chosen, "credit_one_time": "yes", "rounding_increment.CHF": "0.05"}

    @property
    def request(self) -> Json:
        if self.percentages:
            return shares([*zip(self.days, map(text, self.percentages), strict=True)])
        return asked([*zip(self.days, map(text, self.amounts), strict=True)])

    @property
    def rows(self) -> list[Json]:
        """Rows of the charges and of their discounts."""
        return [row for charge in self.charges for row in self._rows(charge)]

    def subscription(self, charge: str) -> str:
        """The subscription of a charge."""
        return "S1" if self.shares_a_subscription else f"S{charge[1:]}"

    def _rows(self, charge: oracle.Charge) -> list[Json]:
        number, first, of = charge.number, charge.segments[0], self.subscription(charge.number)
        if charge.once:
            found = [once(number, text(first.price), first.start, subscription_number=of)]
        else:
            base = {"list_price_base": self.bases[number], "subscription_number": of}
            found = [
                fee(number, text(s.price), s.start, s.end, segment=n, **base) for n, s in enumerate(charge.segments, 1)
            ]
        end = oracle.months_on(first.start, 12) if charge.once else charge.segments[-1].end
        plan = {"discount_level": "rateplan", "rate_plan_name": found[0]["rate_plan_name"]}
        return found + [
            discount(f"D{n}{number}", text(p), first.start, end, of, **plan) for n, p in enumerate(charge.off)
        ]


def text(number: Fraction) -> str:
    """A number that has finitely many decimals, written out."""
    found = Decimal(number.numerator) / Decimal(number.denominator)
    assert Fraction(found) == number
    return f"{found:f}"


@st.composite
def worlds(draw: Draw, *, most: int = 6) -> World:
    """A schedule of up to six charges and five items, and the target dates of the runs that bill it."""
    currency = draw(st.sampled_from(sorted(STEPS, reverse=True)))
    rules = oracle.Rules(
        STEPS[currency],
        draw(st.sampled_from(("union_term", "union_term", "start_date"))),
        draw(st.sampled_from(("actual", "actual", "actual", "actual_360", "strict_30_360"))),
        draw(st.sampled_from(("half_up", "half_up", "half_up", "up", "down"))),
    )
    sold = [_charge(draw, n) for n in range(1, draw(st.integers(1, most)) + 1)]
    world = World(currency, rules, [c for c, _ in sold], {c.number: base for c, base in sold})
    world.shares_a_subscription = draw(st.integers(0, 2)) == 0
    _plan(draw, world)
    gaps = draw(st.lists(st.integers(1, 90), min_size=5, max_size=5))
    count = len(world.amounts) or len(world.percentages)
    world.days = [FIRST + timedelta(days=sum(gaps[:n])) for n in range(count)]
    merged = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    world.stops = [d for d, skipped in zip(world.days[:-1], merged, strict=False) if not skipped] + [world.days[-1]]
    return world


def _charge(draw: Draw, number: int) -> tuple[oracle.Charge, str]:
    """A charge, and the span that its price is for."""
    start, length = draw(st.sampled_from(STARTS)), draw(st.sampled_from(LENGTHS))
    base = draw(st.sampled_from(("Per_Year", "Per_Year", "Per_Year", "Per_Month", "Per_Billing_Period")))
    off = [Fraction(p) for p in draw(st.sampled_from(DISCOUNTS))]
    name = f"C{number}"
    if draw(st.integers(0, 5)) == 0:
        price = Fraction(draw(st.sampled_from(PRICES[:-1])))
        return oracle.Charge(name, [oracle.Segment(start, start, price)], once=True, off=off), base
    ends = [oracle.months_on(start, length)]
    if length > 1 and draw(st.integers(0, 3)) == 0:
        ends.insert(0, oracle.months_on(start, draw(st.integers(1, length - 1))))
    elif draw(st.integers(0, 5)) == 0:
        ends[-1] += timedelta(days=draw(st.integers(1, 27)))
    scale = BASES[base] // 12 or 1
    segments = []
    for begin, end in zip([start, *ends], ends, strict=False):
        price = Fraction(draw(st.sampled_from(PRICES))) * scale
        segments.append(oracle.Segment(begin, end, price, BASES[base]))
    return oracle.Charge(name, segments, off=off), base


def _plan(draw: Draw, world: World) -> None:
    """Amounts that add up to the total, or percentages that add up to 100; none is nothing."""
    steps = int(world.schedule().total / world.rules.step)
    assume(steps >= 100)
    count = draw(st.integers(1, 5))
    by_percent = draw(st.integers(0, 3)) == 0
    whole = 10000 if by_percent else steps
    cuts = sorted(draw(st.sets(st.integers(1, whole - 1), min_size=count - 1, max_size=count - 1)))
    parts = [b - a for a, b in zip([0, *cuts], [*cuts, whole], strict=True)]
    if by_percent:
        assume(all(Fraction(p, 10000) * steps >= 1 for p in parts))
        world.percentages = [Fraction(p, 100) for p in parts]
    else:
        world.amounts = [p * world.rules.step for p in parts]
