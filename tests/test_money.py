"""Amounts are rounded once, to their currency's increment, exactly as decimal arithmetic says."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

import oracle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold.money import AMOUNT, CURRENCIES, WIDE, increment, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HALF_UP: Final = {"rounding_mode": "half_up"}
MODES: Final = ("half_up", "up", "down")
CODES: Final = ("JPY", "EUR", "CHF", "KWD", "CLF")
INCREMENTS: Final = ("0.0001", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.5", "1", "5", "10", "500")

amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=18, allow_nan=False)
halves = st.integers(-(10**6), 10**6).map(lambda n: Decimal(n) / 20000)
currencies = st.sampled_from(CODES)
steps = st.sampled_from(INCREMENTS)


def to_increment(amount: str, currency: str, **chosen: str) -> Decimal:
    return of_many([Decimal(amount)], [currency], {**HALF_UP, **chosen})[0]


def of_many(values: Sequence[Decimal], codes: Sequence[str], chosen: Mapping[str, str]) -> list[Decimal]:
    frame = pl.DataFrame({"amount": values, "currency": codes}, schema={"amount": WIDE, "currency": pl.String})
    series = frame.select(rounded(pl.col("amount"), pl.col("currency"), chosen).alias("r"))["r"]
    assert series.dtype == AMOUNT
    return series.to_list()


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("1.005", "EUR", "1.01"),  # binary floating point would say 1.00
        ("2.675", "EUR", "2.68"),
        ("0.125", "EUR", "0.13"),  # half to even would say 0.12
        ("-0.125", "EUR", "-0.13"),  # half up towards plus would say -0.12
        ("-0.124999999999999999", "EUR", "-0.12"),
        ("0.004999999999999999", "EUR", "0"),
        ("0.5", "JPY", "1"),
        ("-2.5", "JPY", "-3"),
        ("1.0005", "KWD", "1.001"),
        ("1.00005", "CLF", "1.0001"),
        ("0", "EUR", "0"),
    ],
)
def test_halves_go_away_from_zero_to_the_currencys_last_decimal(amount: str, currency: str, expected: str) -> None:
    assert to_increment(amount, currency) == Decimal(expected)


@pytest.mark.parametrize(
    ("mode", "up", "down"),
    [("half_up", "3.49", "3.50"), ("up", "3.01", "4.00"), ("down", "2.99", "3.99")],
)
def test_modes_differ_in_what_they_do_with_a_remainder(mode: str, up: str, down: str) -> None:
    whole = {"half_up": ("3", "4"), "up": ("4", "4"), "down": ("2", "3")}[mode]
    chosen = {"rounding_mode": mode, "rounding_increment.EUR": "1"}
    assert [to_increment(a, "EUR", **chosen) for a in (up, down)] == [Decimal(w) for w in whole]
    assert [to_increment(f"-{a}", "EUR", **chosen) for a in (up, down)] == [-Decimal(w) for w in whole]


@pytest.mark.parametrize(
    ("amount", "mode", "expected"),
    [
        ("2.12", "half_up", "2.10"),
        ("2.125", "half_up", "2.15"),
        ("2.12", "up", "2.15"),
        ("2.12", "down", "2.10"),
        ("-2.12", "up", "-2.15"),
        ("-2.12", "down", "-2.10"),
        ("2.15", "up", "2.15"),
    ],
)
def test_francs_go_to_five_centimes_when_the_setting_says_so(amount: str, mode: str, expected: str) -> None:
    chosen = {"rounding_mode": mode, "rounding_increment.CHF": "0.05"}
    assert to_increment(amount, "CHF", **chosen) == Decimal(expected)


def test_a_setting_leaves_other_currencies_alone() -> None:
    assert to_increment("2.12", "EUR", **{"rounding_increment.CHF": "0.05"}) == Decimal("2.12")


def test_each_row_is_rounded_by_its_own_currency() -> None:
    values = [Decimal("1.23456")] * len(CODES)
    assert of_many(values, CODES, HALF_UP) == [Decimal(e) for e in ("1", "1.23", "1.23", "1.235", "1.2346")]


def test_a_blank_amount_stays_blank() -> None:
    frame = pl.DataFrame({"amount": [None], "currency": ["EUR"]}, schema={"amount": WIDE, "currency": pl.String})
    assert frame.select(rounded(pl.col("amount"), pl.col("currency"), HALF_UP)).item() is None


@pytest.mark.parametrize(
    ("currency", "digits"), [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4), ("ISK", 0), ("TND", 3)]
)
def test_the_increment_is_the_minor_unit_unless_a_setting_says_otherwise(currency: str, digits: int) -> None:
    assert CURRENCIES[currency] == digits
    assert increment(currency, {}) == Decimal(1).scaleb(-digits)
    assert increment(currency, {f"rounding_increment.{currency}": "5"}) == Decimal(5)


def test_every_minor_unit_fits_an_amount() -> None:
    assert max(CURRENCIES.values()) == AMOUNT.scale
    assert {len(code) for code in CURRENCIES} == {3}


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(amounts | halves, currencies), min_size=1, max_size=20),
    mode=st.sampled_from(MODES),
    chosen=st.dictionaries(currencies, steps, max_size=3),
)
def test_rounding_is_decimals_rounding(rows: list[tuple[Decimal, str]], mode: str, chosen: dict[str, str]) -> None:
    rules = {"rounding_mode": mode, **{f"rounding_increment.{c}": step for c, step in chosen.items()}}
    values, codes = [value for value, _ in rows], [code for _, code in rows]
    assert of_many(values, codes, rules) == [oracle.rounded(v, c, rules) for v, c in rows]


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(amounts | halves, min_size=1, max_size=20), code=currencies, mode=st.sampled_from(MODES), step=steps
)
def test_a_rounded_amount_is_the_nearest_multiple_on_its_side(
    values: list[Decimal], code: str, mode: str, step: str
) -> None:
    rules = {"rounding_mode": mode, f"rounding_increment.{code}": step}
    found = of_many(values, [code] * len(values), rules)
    with localcontext(prec=60):
        assert [f % Decimal(step) for f in found] == [0] * len(found)
        away = [abs(f) - abs(v) for f, v in zip(found, values, strict=True)]
    most = {"half_up": Decimal(step) / 2, "up": Decimal(step), "down": Decimal(0)}[mode]
    least = {"half_up": -Decimal(step) / 2, "up": Decimal(0), "down": -Decimal(step)}[mode]
    assert all(least <= a <= most for a in away)


@settings(deadline=None, max_examples=60)
@given(values=st.lists(amounts | halves, min_size=1, max_size=20), code=currencies, mode=st.sampled_from(MODES))
def test_rounding_again_changes_nothing_and_signs_are_symmetric(values: list[Decimal], code: str, mode: str) -> None:
    rules, codes = {"rounding_mode": mode}, [code] * len(values)
    once = of_many(values, codes, rules)
    assert of_many(once, codes, rules) == once
    assert of_many([-v for v in values], codes, rules) == [-r for r in once]
