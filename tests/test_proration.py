"""Parts of billing periods: the vendor's printed amounts (spec/bill_run.md 3.2 and 3.3), through a bill run."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import polars as pl
import pytest
from books import Shelf, asked

from billfold.proration import share
from billfold.run import preview

ACTUAL: Final = {"month_basis": "actual"}
THIRTY: Final = {"month_basis": "actual_360"}
STRICT: Final = {"month_basis": "strict_30_360"}
BY_DAY: Final = {"long_period_proration": "by_day"}

QUARTER: Final = {
    "price": "100", "list_price_base": "Per_Month", "billing_period": "Quarter", "effective_start_date": "2018-01-16",
    "bill_cycle_type": "SpecificDayofMonth", "bill_cycle_day": 1,
    "billing_period_alignment": "AlignToSubscriptionStart",
}  # fmt: skip
MONTH: Final = {
    "price": "100", "list_price_base": "Per_Month", "billing_period": "Month", "effective_start_date": "2018-01-01",
    "bill_cycle_type": "SpecificDayofMonth", "bill_cycle_day": 15,
}  # fmt: skip
ANNUAL: Final = {
    "price": "1200", "billing_period": "Annual", "effective_start_date": "2018-07-14",
    "bill_cycle_type": "SubscriptionStartDay", "billing_period_alignment": "AlignToTermStart",
}  # fmt: skip
SEMI: Final = {
    "price": "100", "list_price_base": "Per_Month", "billing_period": "Semi_Annual", "bill_cycle_day": 10,
    "bill_cycle_type": "SpecificDayofMonth", "effective_start_date": "2021-01-01",
    "effective_end_date": "2024-01-01",
}  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


def _amounts(shelf: Shelf, charge: dict[str, Any], settings: dict[str, str], target: date) -> list[str]:
    """Amounts of the items that one charge of a term from its year's first day makes up to a target."""
    year = f"{charge['effective_start_date'][:4]}-01-01"
    row = {"charge_number": "C", "subscription_number": "S", "charge_type": "Recurring", "charge_model": "PerUnit"}
    term = {"subscription_start_date": year, "term_start_date": year, "contract_effective_date": year}
    tables = {
        "accounts": [{"account_number": "A", "currency": "USD"}],
        "subscriptions": [{"subscription_number": "S", "account_number": "A", **term}],
        "rate_plan_charges": [{**row, "quantity": "1", **charge}],
        "settings": settings,
    }
    with shelf.holding(tables) as book:
        items = preview(book, asked(target)).documents.invoice_items
    return [f"{amount:.2f}" for amount in items.sort("service_start_date")["amount"]]


@pytest.mark.parametrize(
    ("charge", "settings", "target", "printed"),
    [
        pytest.param(QUARTER, THIRTY, date(2018, 2, 1), ["253.33"], id="PRO-QTR-1"),
        pytest.param(QUARTER, ACTUAL, date(2018, 2, 1), ["251.61"], id="quarter, actual days"),
        pytest.param(QUARTER, STRICT, date(2018, 2, 1), ["250.00"], id="PRO-QTR-3"),
        pytest.param(MONTH, THIRTY, date(2018, 2, 14), ["46.67", "100.00"], id="PRO-MONTH-1"),
        pytest.param(MONTH, ACTUAL, date(2018, 2, 14), ["45.16", "100.00"], id="month, actual days"),
        pytest.param(ANNUAL, THIRTY, date(2018, 12, 31), ["560.00"], id="PRO-YEAR-1"),
        pytest.param(ANNUAL, ACTUAL, date(2018, 12, 31), ["558.06"], id="PRO-YEAR-2"),
        pytest.param(ANNUAL, THIRTY | BY_DAY, date(2018, 12, 31), ["570.00"], id="year by day of 360"),
        pytest.param(ANNUAL, ACTUAL | BY_DAY, date(2018, 12, 31), ["562.19"], id="PRO-YEAR-4"),
        pytest.param(
            SEMI, ACTUAL, date(2023, 12, 31), ["29.03", *["600.00"] * 5, "570.97"], id="semi-annual over three years"
        ),
    ],
)
def test_amounts_are_as_printed(
    shelf: Shelf, charge: dict[str, Any], settings: dict[str, str], target: date, printed: list[str]
) -> None:
    assert _amounts(shelf, charge, settings, target) == printed


@pytest.mark.parametrize(
    ("first", "last", "actual", "thirty", "strict"),
    [
        pytest.param(date(2021, 1, 27), date(2021, 1, 31), "5/31", "5/30", "4/30", id="PRO-RATIO-1"),
        pytest.param(date(2021, 2, 27), date(2021, 2, 28), "2/28", "2/30", "4/30", id="PRO-RATIO-2"),
        pytest.param(date(2021, 2, 1), date(2021, 2, 28), "1", "1", "1", id="a whole February"),
        pytest.param(date(2021, 4, 21), date(2021, 4, 29), "9/30", "9/30", "9/30", id="PRO-RATIO-4"),
    ],
)
def test_a_part_of_a_month_is_the_printed_ratio(first: date, last: date, actual: str, thirty: str, strict: str) -> None:
    month = first.replace(day=1)
    row = pl.DataFrame(
        {"period_start": [month], "service_start": [first], "service_end": [last], "grid_day": [1], "length": [1]}
    ).with_columns(pl.col("service_end").dt.offset_by("1d"), period_end=pl.col("period_start").dt.offset_by("1mo"))
    for basis, printed in ((ACTUAL, actual), (THIRTY, thirty), (STRICT, strict)):
        numerator, denominator = share({**basis, "long_period_proration": "month_first"})
        ratio = row.select(n=numerator, d=denominator).row(0)
        assert Fraction(*ratio) == Fraction(printed)


def test_parts_of_a_period_cut_by_a_price_change_add_up_to_it(shelf: Shelf) -> None:
    """Two segments of one price, cut on the 11th: their two items cost what the uncut month would."""
    uncut = {**MONTH, "bill_cycle_day": 1}
    tables = [{**uncut, "effective_end_date": "2018-01-11"}, {**uncut, "effective_start_date": "2018-01-11"}]
    parts = [_amounts(shelf, charge, ACTUAL, date(2018, 1, 31)) for charge in tables]
    assert sum((Decimal(a) for part in parts for a in part), Decimal(0)) == Decimal("100.00")
