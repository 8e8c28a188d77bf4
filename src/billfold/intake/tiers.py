"""Tiers of a charge: any of their usual spellings, made one text, so that equal tiers are equal texts.

The text is compact JSON: an array of {startingUnit, endingUnit, price, priceFormat} in order, numbers as plain decimal
text without needless zeros, an open end as null.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from billfold.contracts import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEYS: Final[Mapping[str, str]] = {
    "startingunit": "startingUnit", "from": "startingUnit",
    "endingunit": "endingUnit", "to": "endingUnit", "upto": "endingUnit",
    "price": "price",
    "priceformat": "priceFormat", "format": "priceFormat",
    "tier": "tier",
}  # fmt: skip
"""What a tier may say, by its spellings without capitals and underscores."""

_FORMATS: Final = {"flatfee": "FlatFee", "perunit": "PerUnit"}
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE: Final = 19
_BEHIND: Final = 9
_STEPS: Final = frozenset({Decimal(0), *(Decimal(1).scaleb(-n) for n in range(_BEHIND + 1))})
"""How far behind the end of a tier the next one may begin."""

ARRAY: Final = "a JSON array of one or more tiers, each {startingUnit, endingUnit, price, priceFormat}"
KEYS: Final = "a tier has no keys but startingUnit, endingUnit, price, priceFormat and tier"
ONCE: Final = "a tier has each of its keys once"
NEEDED: Final = "each tier needs startingUnit and price"
NUMBERS: Final = "numbers of tiers are decimals with at most 19 digits before the point and 9 behind"
NEGATIVE: Final = "numbers of tiers are not negative"
FORMAT: Final = "the priceFormat of a tier is FlatFee or PerUnit"
FIRST: Final = "the first tier begins at 0 or 1"
ORDER: Final = "a tier does not end before it begins"
EMPTY: Final = "each tier ends above the end of the one before, the first above 0"
OPEN: Final = "only the last tier may be open, without endingUnit"
GAP: Final = "no gap between tiers: each begins at the end of the one before, or 1, 0.1, 0.01, … above it"
OVERLAP: Final = "no overlap of tiers: each begins at the end of the one before, or just above it"


class _Tier(NamedTuple):
    start: Decimal
    end: Decimal | None
    price: Decimal
    format_: str
    number: Decimal | None


class _BrokenRuleError(ValueError):
    """Tiers break the rule that is its message."""


def canonical(cells: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Cells as their one text, null where they break a rule, and those rules, null where none is broken.

    A file has many rows and few tiers, so each distinct text is read once, and remembered from part to part.
    """
    found = {text: _read(text) for text in cells.unique().drop_nulls()}
    if all(said == (text, None) for text, said in found.items()):
        return cells, pl.Series(cells.name, [None], dtype=pl.String).new_from_index(0, cells.len())
    stored, rules = ({text: said[n] for text, said in found.items()} for n in (0, 1))
    return (
        cells.replace_strict(stored, default=None, return_dtype=pl.String),
        cells.replace_strict(rules, default=None, return_dtype=pl.String),
    )


@lru_cache(maxsize=100_000)
def _read(text: str) -> tuple[str | None, str | None]:
    try:
        tiers = _ordered([_tier(said) for said in _array(text)])
        _check(tiers)
    except _BrokenRuleError as e:
        return None, str(e)
    return _text(tiers), None


def _array(text: str) -> list[Any]:
    """The tiers as they are written, with numbers as the text of their digits, so that none is rounded."""
    try:
        said = json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_keyed)
    except _BrokenRuleError:
        raise
    except (ValueError, RecursionError) as e:
        raise _BrokenRuleError(ARRAY) from e
    if isinstance(said, dict) and len(said) == 1 and plain(next(iter(said))) in {"tier", "tiers"}:
        [said] = said.values()
    if not isinstance(said, list) or not said or not all(isinstance(tier, dict) for tier in said):
        raise _BrokenRuleError(ARRAY)
    return said


def _keyed(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object by the names that keys have here; one without a value is as good as absent."""
    given = [(_KEYS.get(plain(k), k), v) for k, v in pairs if v is not None or plain(k) not in _KEYS]
    if len(dict(given)) < len(given):
        raise _BrokenRuleError(ONCE)
    return dict(given)


def _tier(said: Mapping[str, Any]) -> _Tier:
    if said.keys() - set(_KEYS.values()):
        raise _BrokenRuleError(KEYS)
    start, end, price, number = (_number(said.get(key)) for key in ("startingUnit", "endingUnit", "price", "tier"))
    format_ = said.get("priceFormat", "PerUnit")
    if not isinstance(format_, str) or plain(format_) not in _FORMATS:
        raise _BrokenRuleError(FORMAT)
    if start is None or price is None:
        raise _BrokenRuleError(NEEDED)
    return _Tier(start, end, price, _FORMATS[plain(format_)], number)


def _number(said: object) -> Decimal | None:
    """A number that columns of decimals can hold."""
    if said is None:
        return None
    if not isinstance(said, str) or not _NUMBER.fullmatch(said):
        raise _BrokenRuleError(NUMBERS)
    number = Decimal(said)
    whole, _, behind = f"{number.copy_abs():f}".partition(".")
    if len(whole.lstrip("0")) > _WHOLE or len(behind.rstrip("0")) > _BEHIND:
        raise _BrokenRuleError(NUMBERS)
    if number < 0:
        raise _BrokenRuleError(NEGATIVE)
    return number.copy_abs()


def _ordered(tiers: Sequence[_Tier]) -> list[_Tier]:
    if all(tier.number is not None for tier in tiers):
        return sorted(tiers, key=lambda tier: tier.number or Decimal(0))
    return sorted(tiers, key=lambda tier: tier.start)


def _check(tiers: Sequence[_Tier]) -> None:
    """Each holds what is above the end of the one before, up to and with its own end (docs/rating.md)."""
    if tiers[0].start not in {Decimal(0), Decimal(1)}:
        raise _BrokenRuleError(FIRST)
    if any(tier.end is None for tier in tiers[:-1]):
        raise _BrokenRuleError(OPEN)
    if any(tier.end is not None and tier.end < tier.start for tier in tiers):
        raise _BrokenRuleError(ORDER)
    ends = [Decimal(0), *(tier.end or Decimal(0) for tier in tiers[:-1])]
    for end, tier in zip(ends, tiers, strict=True):
        _check_seam(end, tier)


def _check_seam(end: Decimal, tier: _Tier) -> None:
    """A tier and the end of the one before, 0 for the first."""
    if tier.start < end:
        raise _BrokenRuleError(OVERLAP)
    if tier.start - end not in _STEPS:
        raise _BrokenRuleError(GAP)
    if tier.end == end:
        raise _BrokenRuleError(EMPTY)


def _text(tiers: Sequence[_Tier]) -> str:
    said = [
        {
            "startingUnit": _digits(tier.start),
            "endingUnit": None if tier.end is None else _digits(tier.end),
            "price": _digits(tier.price),
            "priceFormat": tier.format_,
        }
        for tier in tiers
    ]
    return json.dumps(said, separators=(",", ":"))


def _digits(number: Decimal) -> str:
    whole, _, behind = f"{number:f}".partition(".")
    behind = behind.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{behind}" if behind else "")
