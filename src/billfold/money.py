"""Exact amounts: currencies, their smallest units, and the one rounding that an amount gets.

Amounts stay unrounded in `WIDE` until `rounded` sets them, once, to the currency's increment (bill_run.md P14).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

AMOUNT: Final = pl.Decimal(18, 4)
"""Money on documents: every ISO 4217 currency has at most 4 decimals; 99,999,999,999,999.9999 at most."""

PRICE: Final = pl.Decimal(28, 9)
"""Prices and quantities: 19 digits before the point, 9 behind (a unit of measure has at most 9)."""

AMOUNT_LIMIT: Final = Decimal(10) ** 14
"""Amounts of one line stay below this, or the account is parked."""

WIDE_LIMIT: Final = Decimal(9) * 10**19
"""What is multiplied on the way to an amount stays below this."""

WIDE: Final = pl.Decimal(38, 18)
"""Amounts before rounding: a price times a quantity is exact in it, below 10^20."""

# Minor units of ISO 4217 where they are not 2; funds codes and metals bill nobody and are left out.
_MINOR_UNITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
}
CURRENCIES: Final[Mapping[str, int]] = {
    code: digits for digits, codes in _MINOR_UNITS.items() for code in codes.split()
}
"""Every currency that can be billed, with the number of its decimals."""


def increment(currency: str, settings: Mapping[str, str]) -> Decimal:
    """The smallest step of a currency's amounts: the setting `rounding_increment.CHF`, else its minor unit."""
    return Decimal(settings.get(f"rounding_increment.{currency}", Decimal(1).scaleb(-CURRENCIES[currency])))


def rounded(
    amount: pl.Expr, currency: pl.Expr, settings: Mapping[str, str], present: Collection[str] = tuple(CURRENCIES)
) -> pl.Expr:
    """An amount set to its currency's increment, once; `amount` must be `WIDE`, the result is an `AMOUNT`.

    What does not fit into an `AMOUNT` after rounding is null.

    Half away from zero by default; the setting `rounding_mode` may say up (away from zero) or down (towards it).
    `present` names the currencies that can occur: each increment among them costs a pass over the column.
    """
    steps: dict[Decimal, list[str]] = {}
    for code in sorted(present):
        steps.setdefault(increment(code, settings).normalize(), []).append(code)
    result = pl.lit(None, dtype=WIDE)
    for step, codes in steps.items():
        to_step = _to_step(amount, step, settings["rounding_mode"])
        result = to_step if len(steps) == 1 else pl.when(currency.is_in(codes)).then(to_step).otherwise(result)
    return result.cast(AMOUNT, strict=False)


def _to_step(amount: pl.Expr, step: Decimal, mode: str) -> pl.Expr:
    """Steps are 1, 2 or 5 times a power of ten, so counting them is an exact multiplication."""
    _, digits, exponent = step.as_tuple()
    if mode == "half_up" and digits == (1,) and isinstance(exponent, int) and exponent <= 0:
        return amount.round(-exponent, mode="half_away_from_zero")
    counted = amount * pl.lit(1 / step, dtype=WIDE)
    match mode:
        case "half_up":
            whole = counted.round(0, mode="half_away_from_zero")
        case "up":
            whole = pl.when(counted < 0).then(counted.floor()).otherwise(counted.ceil())
        case _:
            whole = pl.when(counted < 0).then(counted.ceil()).otherwise(counted.floor())
    return whole * pl.lit(step, dtype=WIDE)
