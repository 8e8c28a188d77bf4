"""What was billed before and is not right any more: credits, and further amounts after changes in place."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from oracle_models import whole
from oracle_world import Grid, share, stop_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oracle_rating import Rating
    from oracle_world import Billed, Line


def corrections(rating: Rating, grid: Grid | None) -> Iterable[Line]:
    """Lines that put right what was billed of a segment, here or elsewhere."""
    changed = rating.progress.terms not in {None, rating.terms()}
    if grid is None:
        yield from _of_one_time(rating, changed=changed)
        return
    if not rating.progress.items and rating.progress.through is None:
        yield from _of_elsewhere(rating, grid)
    stop = rating.end if rating.end <= rating.target else date.max
    for item in [i for i in rating.progress.items if i.kept_from < i.kept_to]:
        yield from _of_item(rating, grid, item, stop, changed=changed)
    if rating.progress.items and rating.progress.through is not None:
        rating.progress.through = min(rating.progress.through, stop)


def _of_one_time(rating: Rating, *, changed: bool) -> Iterable[Line]:
    """Given back only if the setting says so (P9); a changed price is made up for."""
    for item in [i for i in rating.progress.items if i.kept_from < i.kept_to]:
        if rating.start >= rating.end and rating.world.settings.get("credit_one_time") == "yes":
            item.kept_to = item.kept_from
            yield from _credit(rating, None, item, (item.first, item.end), -item.left)
        elif changed:
            worth = rating.rounded(whole(rating.world, rating.row, None).amount)
            yield from _credit(rating, None, item, (item.first, item.end), worth - item.left)


def _of_item(rating: Rating, grid: Grid, item: Billed, stop: date, *, changed: bool) -> Iterable[Line]:
    """One line for all that is different: days that are not served any more (P9, P10), and other terms."""
    begin, end = max(item.kept_from, rating.start), min(item.kept_to, stop)
    is_cut, is_moved = end < item.kept_to, begin > item.kept_from
    if not (is_cut or is_moved or changed):
        return
    kept = (begin, end) if begin < end else (item.kept_from, item.kept_from)
    gone = (max(stop, item.kept_from), item.kept_to) if is_cut else (item.kept_from, item.kept_to)
    if is_moved and not is_cut:
        gone = (item.kept_from, min(rating.start, item.kept_to))
    unused = None
    basis = rating.world.settings.get("credit_basis", "used_part")
    if basis == "unused_part" and is_cut and begin < end and not (is_moved or changed) and _fits(grid, item):
        unused = rating.rounded(_worth(rating, grid, item, gone))
    worth = rating.rounded(_worth(rating, grid, item, kept)) if begin < end else Decimal(0)
    item.kept_from, item.kept_to = kept
    for line in _credit(rating, grid, item, gone, worth - item.left if unused is None else -unused):
        line.unused = unused
        yield line


def _credit(
    rating: Rating, grid: Grid | None, item: Billed, days: tuple[date, date], amount: Decimal
) -> Iterable[Line]:
    """A line that is applied to an item; nothing for a difference of zero."""
    if not amount:
        return
    line = rating.line(whole(rating.world, rating.row, grid), days, amount, item)
    item.left += line.item.amount
    line.is_credit = True
    place = (rating.row["charge_number"], rating.row["segment"], item.first)
    line.item = line.item._replace(applied_to=place)
    yield line


def _worth(rating: Rating, grid: Grid, item: Billed, days: tuple[date, date]) -> Fraction:
    """What some days of an item cost: by the grid or, where it does not fit into that any more, by its own days."""
    if _fits(grid, item):
        period = grid.period(grid.holding(item.first))
        return whole(rating.world, rating.row, grid).amount * share(rating.world, grid, period, days)
    return Fraction(item.amount) * (days[1] - days[0]).days / (item.end - item.first).days


def _fits(grid: Grid, item: Billed) -> bool:
    """Whether an item lies in one period of the grid."""
    return item.end <= grid.period(grid.holding(item.first))[1]


def _of_elsewhere(rating: Rating, grid: Grid) -> Iterable[Line]:
    """What was billed elsewhere beyond the end, period by period, as if it had been billed so here."""
    stop, through = stop_of(rating.world, rating.row), rating.through
    if through is None or not stop < through or stop > rating.target:
        return
    priced = whole(rating.world, rating.row, grid)
    since = max(stop, rating.start)
    while since < through:
        period = grid.period(grid.holding(since))
        billed = (max(period[0], rating.start), min(period[1], through))
        parts = [share(rating.world, grid, period, (start, end)) if start < end else Fraction(0)
                 for start, end in (billed, (billed[0], since), (since, billed[1]))]  # fmt: skip
        total, used, unused = (rating.rounded(priced.amount * part) for part in parts)
        basis = rating.world.settings.get("credit_basis", "used_part")
        back = total - used if basis == "used_part" or since == billed[0] else unused
        if back:
            line = rating.line(priced, (since, billed[1]), -back, None)
            line.is_credit, line.unused = True, back
            yield line
        since = billed[1]
    rating.progress.through = stop
