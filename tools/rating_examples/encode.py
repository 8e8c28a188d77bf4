"""Which case becomes tables how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rating_examples.case import Book, Case, Stated, Told, beginning
from rating_examples.derived import as_tables
from rating_examples.documents import due, groups, negative, negative_sales, numbers, returned, rounded_values, run_day
from rating_examples.periods import (
    fixed_ends,
    grid,
    never_billed,
    partial,
    progress,
    ratio,
    series,
    trigger_day,
    until_due,
)
from rating_examples.reductions import credit, discounts, rounded_discount
from rating_examples.usage import late_usage, model, usage_by_period, usage_on_target

if TYPE_CHECKING:
    from collections.abc import Callable

ENCODERS: Final[dict[str, Callable[[Told], list[Book]]]] = {
    "PRO-RATIO": ratio,
    "PRO-": partial,
    **dict.fromkeys(("PER-", "ALIGN-", "TIMING-"), grid),
    "TARGET-BCD": until_due,
    "TRIGGER-DAY-SEGMENTS": trigger_day,
    "END-DATE-FIXED": fixed_ends,
    "SERIES-SEMI": series,
    "SERIES-76": never_billed,
    "PTD-": progress,
    "CREDIT-": credit,
    "DISC-": discounts,
    "DISC-PCT-ROUNDING": rounded_discount,
    "CM-": model,
    "USAGE-GROUP-": usage_by_period,
    "USAGE-CLOSED": late_usage,
    "USAGE-ARREARS": usage_on_target,
    "DOC-NEG-": negative,
    "OLI-NEG-": negative_sales,
    "OLI-RETURN": returned,
    "DUE-NET": due,
    "ROUND-HALFUP": rounded_values,
    "NUMBER-PAD": numbers,
    "ASRUNDAY-": run_day,
    "GROUP-SUB": groups,
    "X-": as_tables,
}
"""How cases become tables, by what their ids begin with; the longest one counts."""

ENCODED: Final = {
    "PRO-RATIO": "The ratio is shown as an amount: the price is 100 times the least multiple of all denominators.",
    "PRO-WEEK": "The subscription is evergreen: a term of five weeks would end within the fifth full week (doc_issue).",
    "ALIGN-": "A charge ends with the last period that the case states, unless the first period is not stated.",
    "TARGET-BCD": "The text's 15 February is read as the target date up to which a first run has billed.",
    "TIMING-ARREARS": "A run up to the day before bills nothing, as the case's note says.",
    "END-DATE-FIXED": "Three subscriptions, monthly in advance; the third is renewed between two runs.",
    "SERIES-76": "The following period is a second run; there are no catch-up runs.",
    "PTD-": "The processed-through date is the first day of the last item; it is not stored.",
    "CREDIT-PERIOD": "The case states no price; it is 90 a quarter, and the credit's amount is not compared.",
    "CREDIT-PCT-DISCOUNT": "An annual charge; charge and discount both end with their removal.",
    "DISC-SEQ": "A one-time charge; the numbers of the discounts run against the order of their levels.",
    "DISC-STACK": "A one-time charge and discounts of its subscription; items of a stated total follow docs/rating.md.",
    "DISC-PCT-ROUNDING": "The option to take discounts from unrounded amounts does not exist.",
    "CM-FLAT": "One month; then a usage charge without usage, as the note says.",
    "CM-TIERED-FLAT": "A one-time Tiered charge; then usage that is TieredWithOverage, which has the overage price.",
    "CM-": "Bought once unless a period is stated; used within January 2024 unless a day is stated.",
    "USAGE-GROUP": "Records are found by their unit of measure; file and group are custom fields.",
    "USAGE-CLOSED": "Per unit; the record is loaded after the run and stays late.",
    "USAGE-ARREARS": "Per unit at 100; a run a month later bills the record.",
    "DOC-NEG-NOGROUP": "The amounts that include tax are billed, since there are no taxes.",
    "OLI-RETURN": "What is available for return is a query over the order lines; nothing fulfills in parts.",
    "ASRUNDAY": "One account for each bill cycle day. The command reads the clock, which the test sets.",
}
"""What the tables say that cases don't, by what ids begin with; the longest one counts."""


def encode(case: Case) -> list[Book]:
    """The case as books; a fact that is stated and not used is an error."""
    told = Told(case, *(Stated(f"{case.id}, {n}", getattr(case, n)) for n in ("inputs", "expected", "settings")))
    name = beginning(case, ENCODERS)
    if name is None:
        raise ValueError(f"{case.id}: there is no rule for such a case")
    books = ENCODERS[name](told)
    for part in (told.inputs, told.expected, told.settings):
        part.close()
    return books


def encoded(case: Case, state: str = "runnable") -> str | None:
    """What the tables of a case that is billed say and the case doesn't."""
    name = beginning(case, ENCODED)
    return ENCODED[name] if name is not None and state == "runnable" else None
