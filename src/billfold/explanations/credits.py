"""How differences to items of earlier runs come about: what was billed, what its days are worth now, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.explanations.amounts import fraction_of
from billfold.explanations.models import Step
from billfold.explanations.texts import exactly, in_currency, number, span
from billfold.rating.amounts import shared
from billfold.rating.credits import ELSEWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from billfold.explanations.again import Again, Line

    Row = Mapping[str, Any]


def steps_of_credit(again: Again, line: Line, earlier: Row | None) -> Iterator[Step]:
    """The steps of a difference to an `earlier` item; None of what was billed elsewhere."""
    working = line.working
    assert working is not None  # noqa: S101 - credits of charges have one
    own = {c: line.row[c] for c in ("charge_number", "segment", "service_start_date")}
    rows = working.back.rows.filter(**own, item_id=line.row["applied_to_item_id"])
    row, currency = rows.row(0, named=True), line.row["currency"]
    yield _earlier(row, earlier, currency)
    yield Step("reason", _why(row), {n: row[n] for n in ("is_cut", "is_moved", "is_repriced", "cut", "ended", "start")})
    if row["charge_type"] != "OneTime" and row["fits"]:
        yield _worth(again, rows, currency)
    yield _difference(again, row, currency)


def _earlier(row: Row, earlier: Row | None, currency: str) -> Step:
    values = {"item_id": row["item_id"], "billed": row["billed"], "left": row["left"], "first": row["first"],
              "last": row["last"]}  # fmt: skip
    days, left = span(row["first"], row["last"]), in_currency(currency, row["left"])
    if earlier is None or row["item_id"] == ELSEWHERE:
        return Step("earlier", f"{days} was billed before billfold, for {left} by today's price.", values)
    billed = in_currency(currency, row["billed"])
    said = f"{days} was billed by item {row['item_id']} for {billed}"
    said += "." if row["left"] == row["billed"] else f", of which earlier credits left {left}."
    told = {"document_id": earlier["document_id"], "bill_run_number": earlier.get("bill_run_number")}
    return Step("earlier", said, {**values, **told})


def _why(row: Row) -> str:
    """What changed since the item was billed."""
    found = []
    if row["is_cut"]:
        once = row["charge_type"] == "OneTime"
        found.append("the one-time charge was removed" if once else f"the segment ends on {row['cut']} (exclusive)")
    if row["is_moved"]:
        found.append(f"the segment starts on {row['start']} now")
    if row["is_repriced"]:
        found.append(f"its terms changed: {_terms(row)}")
    return f"Since then {' and '.join(found)}."


def _terms(row: Row) -> str:
    changed = [
        f"{name} {number(row[f'billed_{name}'])} to {number(row[name])}"
        for name in ("price", "quantity")
        if row[name] != row[f"billed_{name}"] and None not in {row[name], row[f"billed_{name}"]}
    ]
    return ", ".join([*changed, *(["other tiers"] if row["tiers"] != row["billed_tiers"] else [])]) or "its price"


def _worth(again: Again, rows: pl.DataFrame, currency: str) -> Step:
    """What the days that count are worth now: the used ones, or the unused ones by the older way of crediting."""
    row = rows.row(0, named=True)
    of, whole = ("unused_of", "period_of_unused") if row["by_unused"] else ("used_of", "period_of")
    exact = rows.select(shared(pl.col("whole"), pl.col(of), pl.col(whole))).item()
    part = _part_of(again, rows, row[of], row[whole])
    which = "unused" if row["by_unused"] else "used"
    values = {"whole_amount": row["whole"], "numerator": row[of], "denominator": row[whole], "exact": exact,
              "amount": row["basis"], "used_from": row["used_from"], "used_to": row["used_to"],
              "credit_basis": again.money.settings["credit_basis"]}  # fmt: skip
    said = f"A whole period costs {exactly(row['whole'])} now; its {which} part is {part}: {exactly(exact)}"
    rest = "" if exact == row["basis"] else f", rounded to {in_currency(currency, row['basis'])}"
    return Step("worth", f"{said}{rest}.", values)


def _part_of(again: Again, rows: pl.DataFrame, numerator: int, denominator: int) -> str:
    if numerator in {0, denominator}:
        return "all of it" if numerator else "none of it"
    return fraction_of(again.money.settings, rows, numerator, denominator)


def _difference(again: Again, row: Row, currency: str) -> Step:
    """What is owed now less what was billed."""
    amount, left, now = row["amount"], row["left"], row["now"]
    values = {"left": left, "now": now, "amount": amount, "rest": row["rest"]}
    if row["by_unused"]:
        said = f"The unused part is given back (setting credit_basis unused_part): {in_currency(currency, amount)}."
        return Step("difference", said, values)
    basis = again.money.settings["credit_basis"]
    said = f"{in_currency(currency, now)} is owed for these days now, less {in_currency(currency, left)} billed"
    return Step("difference", f"{said}: {in_currency(currency, amount)} (setting credit_basis {basis}).", values)


def steps_of_discount_credit(line: Line, given: Row) -> Iterator[Step]:
    """The steps of a discount that is taken back, or given further, in step with the credit of what it reduces."""
    working = line.working
    assert working is not None  # noqa: S101 - discounts of charges have one
    found = working.back.discounts.filter(
        item_id=given["item_id"], charge_number=line.row["charge_number"], segment=line.row["segment"]
    )
    row, currency = found.row(0, named=True), line.row["currency"]
    left = row["rest"] - row["amount"]
    values = {"item_id": given["item_id"], "left": left, "rest": row["rest"], "amount": row["amount"],
              "billed": given["owed"]}  # fmt: skip
    said = f"Item {given['item_id']} gave this discount, of which {in_currency(currency, left)} is left"
    yield Step("earlier", f"{said}; it follows the credit of the item that it reduces.", values)
    text = f"{in_currency(currency, row['rest'])} is due on what remains of that item"
    yield Step("difference", f"{text}, so the difference is {in_currency(currency, row['amount'])}.", values)
