"""Random charges and usage for the books of `books.py`: every kind that can be rated, and a few that park."""

from __future__ import annotations

import calendar
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
Rows: TypeAlias = dict[str, Any]

CUSTOM: Final = (None, "", " ", "A", "a", "A_B", "B", "B_C", "C", "É")
PRICES: Final = ("10", "99.99", "0", "-10", "0.005", "-0.005", "3.335", "-3.335", "0.0125", "1234.5", "0.000000001")
QUANTITIES: Final = ("1", "3", "2.5", "0", "0.000000001", "1000")
EARLY: Final = ((2023, 10), (2023, 11), (2023, 12), (2024, 1), (2024, 2))
MONTHS: Final = (*EARLY, *((2024, m) for m in range(3, 7)))
ODD_DAYS: Final = ("2024-02-28", "2024-02-29", "2024-03-01", "2023-12-31", "2024-01-15", "2024-04-30", "2024-05-31")
CYCLE_DAYS: Final = (1, 15, 29, 30, 31)
WEEKDAYS: Final = ("Monday", "Wednesday", "Sunday")
UOMS: Final = ("GB", "GB", "GB", "h")
BOUGHT: Final = ("FlatFee", "FlatFee", "PerUnit", "PerUnit", "Volume", "Tiered")
USED: Final = (
    "FlatFee", "PerUnit", "PerUnit", "Volume", "Tiered", "Overage", "TieredWithOverage", "PreratedPerUnit",
    "PreratedPricing",
)  # fmt: skip
TYPES: Final = ("OneTime", *["Recurring"] * 5, *["Usage"] * 2)


def _tiers(*tiers: tuple[object, object, object, str]) -> str:
    """Tiers as the JSON text of a charge."""
    names = ("startingUnit", "endingUnit", "price", "priceFormat")
    return json.dumps([dict(zip(names, tier, strict=True)) for tier in tiers])


TIERS: Final = (
    _tiers(("0", "2", "1", "PerUnit"), ("2", "10", "0.9", "PerUnit"), ("10", None, "0.333", "PerUnit")),
    _tiers((0, 2, 7.5, "PerUnit"), (3, 5, 5, "PerUnit"), (6, None, 0.01, "PerUnit")),
    _tiers(("0", "2", "5", "FlatFee"), ("2.1", "100", "12.345", "FlatFee"), ("100.1", None, "3", "PerUnit")),
    _tiers(("0", "2.5", "0", "PerUnit"), ("2.5", "5000", "0.005", "PerUnit")),
)
"""Touching ends, ends a whole unit apart, flat fees, a closed last tier."""

PARKING_TIERS: Final = (
    _tiers(("1", "2", "1", "PerUnit"), ("3", None, "2", "FlatFee")),
    _tiers(("0", "2", "4", "PerUnit")),
)
"""Tiers that do not hold 0, or not more than 2."""

BOUNDED_TIERS: Final = (TIERS[3], _tiers(("0", "2", "4", "FlatFee"), ("2", "3", "1", "PerUnit")))
"""Tiers that overage can come behind."""


def segments(draw: Draw, book: Rows, account: Rows, subscription: Rows) -> list[Rows]:
    """One charge, of one segment or of two that follow each other."""
    kind = one(draw, TYPES)
    charge = {
        "charge_number": f"C-{len(book['rate_plan_charges'])}",
        "segment": 1,
        "subscription_number": subscription["subscription_number"],
        "product_rate_plan_charge_id": one(draw, (None, "P1", "p1")),
        "rate_plan_name": one(draw, ("Basic", "Basic", "Plus", None)),
        "charge_type": kind,
        "uom": one(draw, UOMS) if kind == "Usage" else None,
        **terms(draw, kind),
        **_periods(draw, subscription),
        "trigger_event": one(draw, (None, None, "ServiceActivation", "CustomerAcceptance", "SpecificDate")),
        "effective_start_date": often(draw, day(draw, account, months=EARLY)),
        "charged_through_date": seldom(draw, 8, day(draw, account)),
        "Region__c": one(draw, CUSTOM),
    }
    if charge["charge_model"] == "FlatFee":
        charge["uom"] = None
    change = day(draw, account)
    start = charge["effective_start_date"]
    if start is None or change <= start or draw(st.booleans()):
        return [charge]
    later = {**terms(draw, kind, charge), "segment": 2, "effective_start_date": change, "charged_through_date": None}
    return [{**charge, "effective_end_date": change}, {**charge, **later}]


def terms(draw: Draw, kind: str, charge: Rows | None = None) -> Rows:
    """What a charge's amount depends on; of a `charge`, other terms of the same model."""
    model = charge["charge_model"] if charge else one(draw, USED if kind == "Usage" else BOUGHT)
    bought = kind != "Usage" and model != "FlatFee"
    tiers = {
        "TieredWithOverage": BOUNDED_TIERS,
        "Volume": (*TIERS * 4, *PARKING_TIERS),
        "Tiered": (*TIERS * 4, *PARKING_TIERS),
    }.get(model)
    return {
        "charge_model": model,
        "price": one(draw, PRICES) if model in {"FlatFee", "PerUnit"} else None,
        "quantity": one(draw, QUANTITIES) if bought else None,
        "tiers": one(draw, tiers) if tiers else None,
        "included_units": one(draw, ("0", "2", "3.5")) if model == "Overage" else None,
        "overage_price": one(draw, PRICES) if "Overage" in model else None,
    }


def discount(draw: Draw, book: Rows, account: Rows, subscription: Rows) -> Rows:
    """A discount on whatever it reaches; fixed amounts, which park, are few."""
    fixed = seldom(draw, 40, value=True)
    return {
        "charge_number": f"C-{len(book['rate_plan_charges'])}",
        "segment": 1,
        "subscription_number": subscription["subscription_number"],
        "rate_plan_name": one(draw, ("Basic", "Basic", "Plus", None)),
        "charge_type": one(draw, ("Recurring", "Recurring", "OneTime")),
        "charge_model": "DiscountFixedAmount" if fixed else "DiscountPercentage",
        "discount_percentage": None if fixed else one(draw, ("10", "12.5", "33.333", "60", "-5", "99.9")),
        "discount_level": one(draw, (None, "rateplan", "subscription", "account")),
        "discount_class": one(draw, (None, None, "1", "2")),
        "is_stacked_discount": one(draw, (None, None, False, True)),
        "apply_discount_to": one(draw, (None, None, "RECURRING", "ONETIMEUSAGE", "USAGE", "ONETIMERECURRING")),
        "effective_start_date": one(draw, (None, "2023-10-01", "2023-10-01", day(draw, account))),
        "effective_end_date": None,
        "Region__c": one(draw, CUSTOM),
    }


def _periods(draw: Draw, subscription: Rows) -> Rows:
    """Billing periods of any kind; what can't be reckoned, such as weeks on a day of the month, is rare."""
    if seldom(draw, 30, value=True):
        return dict(one(draw, _PARKING_PERIODS))
    length = one(draw, (*["Month"] * 5, "Quarter", "Semi_Annual", "Annual", "Specific_Months", *_SHORT))
    weeks = length in _SHORT
    ends = ("TermEndDay",) if subscription["term_end_date"] else ()
    by_day = ("SpecificDayofWeek", "SpecificDayofWeek") if weeks else ("SpecificDayofMonth", "SpecificDayofMonth")
    chosen = one(draw, (None, None, *by_day, "SubscriptionStartDay", "ChargeTriggerDay", "TermStartDay", *ends))
    to_end = ("AlignToTermEnd",) if subscription["term_end_date"] else ()
    per = "Per_Week" if length in {"Week", "Specific_Weeks"} else None if weeks else "Per_Month"
    return {
        "billing_period": length,
        "specific_billing_period": {"Specific_Months": 2, "Specific_Weeks": 3, "Specific_Days": 45}.get(length),
        "billing_timing": one(draw, (None, None, "IN_ARREARS")),
        "bill_cycle_type": chosen,
        "bill_cycle_day": one(draw, CYCLE_DAYS) if chosen == "SpecificDayofMonth" else None,
        "weekly_bill_cycle_day": one(draw, WEEKDAYS) if chosen == "SpecificDayofWeek" else None,
        "billing_period_alignment": one(draw, (None, None, "AlignToSubscriptionStart", "AlignToTermStart", *to_end)),
        "list_price_base": one(draw, (None, None, per)),
    }


_SHORT: Final = ("Week", "Specific_Weeks", "Specific_Days")
_PARKING_PERIODS: Final[Sequence[Mapping[str, Any]]] = (
    {"billing_period": "Subscription_Term"},
    {"billing_period": "Month", "list_price_base": "Per_Year"},
    {"billing_period": "Month", "list_price_base": "Per_Week"},
    {"billing_period": "Week", "bill_cycle_type": "SpecificDayofMonth", "bill_cycle_day": 1},
    {"billing_period": "Quarter", "billing_period_alignment": "AlignToTermEnd"},
)


def usage_of(draw: Draw, book: Rows, account: Rows, kind: str = "U") -> list[Rows]:
    """A record or two of an account: of a charge, or found by unit of measure among all of the account's charges."""
    own = {s["subscription_number"] for s in book["subscriptions"] if s["account_number"] == account["account_number"]}
    charges = [c for c in book["rate_plan_charges"] if c["subscription_number"] in own and c["charge_type"] == "Usage"]
    measured = [c for c in charges if c["charge_model"] != "FlatFee"]
    if not measured:
        return []
    charge, how = one(draw, measured), one(draw, ("charge", "charge", "charge", "subscription", "account"))
    return [
        {
            "usage_id": f"{kind}-{len(book['usage']) + n}",
            "account_number": account["account_number"],
            "charge_number": charge["charge_number"] if how == "charge" else None,
            "subscription_number": charge["subscription_number"] if how == "subscription" else None,
            "uom": one(draw, (charge["uom"],) if how == "charge" else (charge["uom"], charge["uom"], "t", "")),
            "quantity": one(draw, (*QUANTITIES, "2.005", seldom(draw, 10, "-1") or "3")),
            "unit_rate": None if seldom(draw, 20, value=True) else one(draw, ("0.5", "0", "3.335")),
            "total": one(draw, ("2", "2", "0", "3.335")),
            "start_date": _day_of_use(draw, account, charge),
        }
        for n in range(draw(st.integers(1, 2)))
    ]


def _day_of_use(draw: Draw, account: Rows, charge: Rows) -> str:
    """Mostly some day within the charge's first months."""
    start = charge["effective_start_date"]
    if start is None or draw(st.integers(0, 5)) == 5:
        return day(draw, account)
    return (date.fromisoformat(start) + timedelta(days=draw(st.integers(0, 130)))).isoformat()


# --- draws ------------------------------------------------------------------------------------------------------


def day(draw: Draw, account: Rows, *others: str, months: Sequence[tuple[int, int]] = MONTHS) -> str:
    """Mostly the account's bill cycle day of some month."""
    if draw(st.integers(0, 9)) == 9:
        return str(one(draw, (*ODD_DAYS, *others)))
    year, month = one(draw, months)
    number = min(account["bill_cycle_day"], calendar.monthrange(year, month)[1])
    return date(year, month, number).isoformat()


def one(draw: Draw, values: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever the values are
    """One of some values."""
    return draw(st.sampled_from(values))


def rarely(draw: Draw, value: object) -> object:
    """A value, or mostly none."""
    return one(draw, (None, None, None, value))


def seldom(draw: Draw, times: int, value: object) -> Any:  # noqa: ANN401 - whatever the value is
    """A value once in so many times, else none; Hypothesis likes the ends of a range best, so it is not one of them."""
    return value if draw(st.integers(1, times)) == times // 2 else None


def often(draw: Draw, value: object) -> Any:  # noqa: ANN401 - whatever the value is
    """A value, or rarely none."""
    return one(draw, (value, value, value, None))
