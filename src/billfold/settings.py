"""The rules that a book's owner chooses by name: allowed values and defaults (design section 5)."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, tzinfo
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import polars as pl

from billfold.book import Book, Change, Commit, State
from billfold.ceilings import CEILING, NO_CEILING
from billfold.contracts.base import NAME
from billfold.errors import BillfoldError
from billfold.money import AMOUNT_LIMIT, CURRENCIES
from billfold.names import nearest
from billfold.rows import collected
from billfold.terms import PREFIX, meaning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "ungrouped": ("auto", "separate", "pooled"),
    "consolidate_invoices": ("yes", "no"),
    "document_type_rule": ("net", "net_by_charge", "negative_charges", "negative_and_zero_credits"),
    "month_basis": ("actual", "actual_360", "strict_30_360"),
    "long_period_proration": ("month_first", "by_day"),
    "credit_basis": ("used_part", "unused_part"),
    "credit_one_time": ("no", "yes"),
    "rounding_mode": ("half_up", "up", "down"),
    "schedule_consumption": ("union_term", "start_date"),
    "paused_schedules": ("billed", "skipped"),
    "numbering": ("at_posting",),
    "usage_without_records": ("bill", "skip"),
    "credit_wording": ("yes", "no"),
    "change_ceiling": ("none",),
    "time_zone": ("UTC",),
}
"""Settings with their values, the default first. `change_ceiling` and `time_zone` may be others too (`_FREE`)."""

_INCREMENT: Final = "rounding_increment."
_DECIMALS: Final = "uom_decimals."
_ROUNDING: Final = "uom_rounding."
_DIGITS: Final = tuple("0123456789")
_OF_UNITS: Final[Mapping[str, tuple[str, ...]]] = {_DECIMALS: _DIGITS, _ROUNDING: ("up", "down")}
"""Settings of units of measure: the unit follows the point. Their values, without a default of their own."""

_FREE: Final[Mapping[str, str]] = {
    _INCREMENT: "1, 2 or 5 times a power of ten",
    CEILING: "none, or an amount",
    PREFIX: "Net 30, Due Upon Receipt, EOM, Net 30 EOM, Prox 20 Cutoff 12 Months 2",
    "change_ceiling": "none, or a percentage",
    "time_zone": "UTC, or an IANA name such as Europe/Berlin",
}
"""What settings may be that have no list of values, for people."""

_STEP: Final = re.compile(r"0*\.?0*[125]0*\.?0*")


def current(stored: pl.DataFrame) -> dict[str, str]:
    """Every setting by name: what the book stores over the defaults."""
    return {name: values[0] for name, values in CHOICES.items()} | dict(stored.select("name", "value").iter_rows())


def show(book: Book) -> dict[str, str]:
    """The book's settings, by name."""
    return current(collected(book.read("settings")))


def time_zone(book: Book) -> tzinfo:
    """The zone that decides what day it is for a book.

    Raises:
        BillfoldError: this machine does not know the zone.
    """
    name = show(book)["time_zone"]
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except ZoneInfoNotFoundError as e:
        msg = f"This machine does not know the book's time_zone {name}: install its time zone data (tzdata)."
        raise BillfoldError(msg) from e


def allowed(name: str) -> tuple[str, ...]:
    """What a setting may be, for people."""
    prefix = name[: name.find(".") + 1]
    said = _FREE.get(prefix) or _FREE.get(name)
    return (said,) if said else CHOICES.get(name) or _OF_UNITS[prefix]


def change(book: Book, assignments: Mapping[str, str]) -> dict[str, str]:
    """Store settings, all of them or none; returns all settings as they are now.

    Raises:
        BillfoldError: a name or value is not one of those allowed.
    """
    state = State.of(book)
    changes = changing(state, assignments)
    if changes:
        book.commit(state.head, Commit("settings", changes))
    return show(book)


def changing(state: State, assignments: Mapping[str, str]) -> list[Change]:
    """What `change` would change at a state of the book: nothing, or rows of `settings` with other values.

    Raises:
        BillfoldError: a name or value is not one of those allowed.
    """
    checked = dict(_checked(name, str(value)) for name, value in assignments.items())
    before = current(collected(state.read("settings")))
    other = sorted((n, v) for n, v in checked.items() if before.get(n) != v)
    rows = pl.DataFrame(other, schema={"name": pl.String, "value": pl.String}, orient="row")
    return [Change("settings", rows, replace=True)] if other else []


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` arguments as a mapping."""
    pairs = [a.partition("=") for a in arguments]
    for name, equals, _ in pairs:
        if not equals:
            msg = f"{name!r} is not a setting: write NAME=VALUE, or give a file that ends in .toml."
            raise BillfoldError(msg)
    return {name.strip(): value.strip() for name, _, value in pairs}


def from_toml(path: Path) -> dict[str, str]:
    """The settings in a TOML file; a table such as `[rounding_increment]` joins its names with a point."""
    try:
        return _flat(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as e:
        msg = f"{path} can't be read: {e.strerror}."
        raise BillfoldError(msg) from e
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        msg = f"{path} can't be read as TOML: {e}."
        raise BillfoldError(msg) from e


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return flat


def _checked(name: str, value: str) -> tuple[str, str]:
    """A setting's name and value as they are stored."""
    if name.startswith(_INCREMENT):
        return name, _checked_increment(name, value)
    if name.startswith(CEILING) or name == "change_ceiling":
        return name, _checked_ceiling(name, value)
    if name == "time_zone":
        return name, _checked_zone(value)
    if name.startswith(PREFIX):
        return PREFIX + " ".join(name.removeprefix(PREFIX).split()), _checked_term(name, value)
    choices = CHOICES.get(name)
    for prefix, values in _OF_UNITS.items():
        if name.startswith(prefix):
            name, choices = prefix + _unit(prefix, name), values
    if choices is None:
        msg = f"There is no setting {name!r}{nearest(name, CHOICES)}; they are {', '.join(CHOICES)}, {_INCREMENT}CUR"
        raise BillfoldError(f"{msg}, {CEILING}CUR, {_DECIMALS}UOM, {_ROUNDING}UOM and {PREFIX}NAME.")
    value = value.lower()
    if value not in choices:
        msg = f"The setting {name} can't be {value!r}: it is one of {', '.join(choices)}."
        raise BillfoldError(msg)
    return name, value


def _unit(prefix: str, name: str) -> str:
    """The unit of measure that a setting is for, spelled as charges spell it."""
    unit = name.removeprefix(prefix).strip()
    if not re.fullmatch(NAME, unit):
        msg = f"{name!r} names no unit of measure: write {prefix}UOM, such as {prefix}GB."
        raise BillfoldError(msg)
    return unit


def _checked_term(name: str, value: str) -> str:
    """What a payment term of that name means."""
    if not name.removeprefix(PREFIX).strip() or meaning(value) is None:
        msg = f"{name} can't be {value!r}: it is a payment term's name and what it means, such as {_FREE[PREFIX]}."
        raise BillfoldError(msg)
    return value


def _checked_zone(value: str) -> str:
    """A time zone by its IANA name; UTC needs no data."""
    if value not in (known := available_timezones() | {"UTC"}):
        hint = nearest(value, known)
        msg = f"The setting time_zone can't be {value!r}{hint}: it is {_FREE['time_zone']}."
        raise BillfoldError(msg)
    return value


def _checked_ceiling(name: str, value: str) -> str:
    """An amount above which an invoice is not made, or a change in percent that is not believed."""
    if name.startswith(CEILING):
        _refuse_unknown_currency(name, name.removeprefix(CEILING))
    number = _number(value)
    if value.lower() == NO_CEILING:
        return NO_CEILING
    if not number.is_finite() or not 0 <= number < AMOUNT_LIMIT or number != round(number, 4):
        msg = f"{name} can't be {value!r}: it is none, or a number from 0 on with at most 4 decimals."
        raise BillfoldError(msg)
    return f"{number:f}"


def _refuse_unknown_currency(name: str, currency: str) -> None:
    if currency not in CURRENCIES:
        msg = f"{name}: {currency!r} is not an ISO 4217 currency{nearest(currency.upper(), CURRENCIES)}."
        raise BillfoldError(msg)


def _number(value: str) -> Decimal:
    """A number as it was typed; what is none is not a number."""
    try:
        return Decimal(value if "_" not in value else "NaN")
    except InvalidOperation:
        return Decimal("NaN")


def _checked_increment(name: str, value: str) -> str:
    _refuse_unknown_currency(name, name.removeprefix(_INCREMENT))
    number = _number(value)
    fits = number.is_finite() and number > 0 and _STEP.fullmatch(value) and number == round(number, 4)
    if not fits:
        msg = f"{name} can't be {value!r}: it is 1, 2 or 5 times a power of ten, 0.0001 or more, such as 0.05."
        raise BillfoldError(msg)
    return value
