"""Settings and columns of charges that many cases state alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from make_examples import said

if TYPE_CHECKING:
    from rating_examples.case import Row, Stated, Told

BASES: Final = {
    "use_actual_days": "actual",
    "assume_30_actual_360": "actual_360",
    "assume_30_strict_30_360": "strict_30_360",
    "actual": "actual",
    "30_actual": "actual_360",
    "30_strict": "strict_30_360",
}
"""Month bases, as cases and as settings spell them."""

UNITS: Final = {"MonthFirst": "month_first", "Day": "by_day"}
MODES: Final = {"Up": "up", "Down": "down", "HalfUp": "half_up"}
RULES: Final = {
    "NetNegativeWithoutGrouping (default)": "net",
    "NetNegativeWithGrouping": "net_by_charge",
    "AllNegativeOnCreditMemo": "negative_charges",
}
"""Values of settings, as cases spell them."""

FOR_USAGE: Final = {"Overage", "TieredWithOverage", "PreRatedPerUnit", "PreRated"}


def tiers(stated: list[Row]) -> str:
    """Tiers as the table has them."""
    names = {"from_": "startingUnit", "to": "endingUnit", "price": "price", "format": "priceFormat"}
    ordered = sorted(stated, key=lambda tier: tier["tier"])
    return json.dumps([{names[k]: v for k, v in tier.items() if k != "tier"} for tier in ordered])


def proration(told: Told) -> dict[str, str]:
    """Settings of proration and credits. Those of parts of periods have to be yes, which is all that billfold does."""
    stated = told.settings
    switches = stated.of("bill_partial_month", "prorate_partial_period", "bill_partial_week")
    if not all(switches.values()):
        raise ValueError(f"{told.case.id} states {switches}, but parts of periods are always billed")
    basis, unit, credit = stated.take("month_basis"), stated.take("proration_unit"), stated.take("credit_basis")
    used = None if credit is None else "used_part" if credit.startswith("TotalPeriod") else "unused_part"
    choices = {"month_basis": basis and BASES[basis], "long_period_proration": unit and UNITS[unit]}
    return said({**choices, "credit_basis": used, **rounding(told.inputs)})


def rounding(stated: Stated) -> dict[str, str]:
    """Settings of rounding."""
    increment, mode = stated.take("rounding_increment"), stated.take("rounding_mode")
    return said({"rounding_increment.USD": increment, "rounding_mode": mode and MODES[mode]})


def common(stated: Stated) -> Row:
    """Columns of a charge that cases name alike."""
    base, tiered = stated.take("list_price_base"), stated.take("tiers")
    same = stated.of(
        "charge_model", "charge_type", "quantity", "billing_period", "specific_billing_period", "bill_cycle_type",
        "weekly_bill_cycle_day", "billing_period_alignment", "billing_timing", "included_units", "overage_price",
    )  # fmt: skip
    price = stated.of("list_price")
    if tiered or same.get("charge_model") in FOR_USAGE:
        price = {"list_price": None}
    if "weekly_bill_cycle_day" in same:
        same.setdefault("bill_cycle_type", "SpecificDayofWeek")
    return {
        **same,
        **({"price": price["list_price"]} if price else {}),
        **({"list_price_base": f"Per_{base}"} if base else {}),
        **({"tiers": tiers(tiered)} if tiered else {}),
    }
