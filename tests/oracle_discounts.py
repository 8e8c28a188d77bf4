"""What is taken off: percentages of rounded amounts, one after the other (M2 to M4, P13, P16, P17)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from oracle_money import number, rounded
from oracle_world import Item, Line, Segment, segment_of, serves_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from oracle_money import Row
    from oracle_world import World

LEVELS = {"rateplan": 0, "subscription": 1, "account": 2}


def discount_lines(world: World, lines: Sequence[Line]) -> list[Line]:
    """Lines of all discounts on the lines of charges."""
    return [discount for line in lines for discount in (_in_step(world, line) if line.is_credit else _new(world, line))]


def _new(world: World, line: Line) -> Iterable[Line]:
    """On what is billed for the first time: every discount that reaches it."""
    reaching = [d for d in world.charges if _reaches(world, d, line.row, line.item.first_day)]
    for discount, off in _taken_off(world, reaching, line.item.amount, line.currency):
        assert line.billed is not None
        line.billed.given[segment_of(discount)] = off
        place = (line.row["charge_number"], line.row["segment"], line.item.first_day)
        yield _line(line, segment_of(discount), -off, place)


def _in_step(world: World, line: Line) -> Iterable[Line]:
    """On a credit: what is due on what is left less what was given or, by the other basis, that of the unused part."""
    item = line.billed
    if item is None:
        return
    same = [d for d in world.charges if segment_of(d) in item.given and _reaches(world, d, line.row, item.first)]
    by_unused = line.unused is not None and world.settings.get("credit_basis") == "unused_part"
    base = line.unused if by_unused else item.left
    assert base is not None
    due = {segment_of(d): off for d, off in _taken_off(world, same, base, line.currency)}
    for discount, given in item.given.items():
        off = due.get(discount, Decimal(0))
        back = off if by_unused else given - off
        item.given[discount] -= back
        if back:
            yield _line(line, discount, back, (*discount, item.first))


def _taken_off(world: World, discounts: Iterable[Row], base: Decimal, currency: str) -> Iterable[tuple[Row, Decimal]]:
    """What each discount takes of a positive amount: stacked ones of one base, then each of what is left."""
    if base <= 0:
        return
    left, percent = base, Fraction(0)
    for discount in sorted(discounts, key=_rank):
        if discount["is_stacked_discount"]:
            percent += number(discount, "discount_percentage")
            together = min(percent, Fraction(100))
            off = rounded(Fraction(base) * together / 100, currency, world.settings) - (base - left)
        else:
            off = rounded(
                Fraction(max(left, Decimal(0))) * number(discount, "discount_percentage") / 100,
                currency,
                world.settings,
            )
        left -= off
        yield discount, off


def _rank(discount: Row) -> tuple[object, ...]:
    """Stacked before others, higher class before lower and none, nearer level before farther (M2)."""
    level = LEVELS[discount.get("discount_level") or "subscription"]
    return (
        not discount["is_stacked_discount"],
        -int(discount.get("discount_class") or -1),
        level,
        discount["charge_number"],
        discount["segment"],
    )


def _reaches(world: World, discount: Row, row: Row, when: date) -> bool:
    """Whether a discount reduces items of a charge that begin on a day."""
    sold = world.subscription(discount)["status"] not in {"Draft", "Expired"}
    if discount["charge_model"] != "DiscountPercentage" or not sold:
        return False
    kinds = discount.get("apply_discount_to") or "ONETIMERECURRINGUSAGE"
    if row["charge_type"].upper() not in kinds or not serves_on(world, discount, when):
        return False
    same = discount["subscription_number"] == row["subscription_number"]
    match discount.get("discount_level"):
        case "account":
            return bool(world.subscription(discount)["account_number"] == world.subscription(row)["account_number"])
        case "rateplan":
            return bool(same and discount.get("rate_plan_name") == row.get("rate_plan_name"))
        case _:
            return bool(same)


def _line(line: Line, discount: Segment, amount: Decimal, place: tuple[str, int, date]) -> Line:
    """The discount's line, beside the one that it comes with: applied to that or, on a credit, to the discount."""
    source = ("charge", line.row["subscription_number"], *map(str, discount))
    item = Item(source, line.item.first_day, line.item.last_day, None, None, amount, line.item.sold_to, place)
    return Line(line.owner, item, line.row, line.carrier, line.currency, lead=line.lead)
