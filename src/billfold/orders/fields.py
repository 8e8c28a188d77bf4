"""What the models of order requests are made of: exact values, fields that are kept or refused, and faults."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    StringConstraints,
    create_model,
)
from pydantic import model_validator as _model_validator
from pydantic_core import PydanticCustomError

from billfold.contracts.base import CUSTOM_NAME
from billfold.money import CURRENCIES

_T = TypeVar("_T")
_M = TypeVar("_M", bound="Model")

EARLIEST: Final = date(1900, 1, 1)
LATEST: Final = date(2100, 12, 31)
"""No date lies beyond 2100 (spec/bill_run.md C5)."""

PLAIN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
NAME: Final = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
ORDER_NUMBER: Final = r"^[^\s\x00-\x1f\x7f-\x9f#?/]([^\x00-\x1f\x7f-\x9f#?/]*[^\s\x00-\x1f\x7f-\x9f#?/])?$"
CUSTOM: Final = rf"^{CUSTOM_NAME.pattern}$"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NINTH: Final = Decimal("1e-9")
_EXACT: Final = Context(prec=28, traps=[Inexact, InvalidOperation])
"""Holds what a column of prices holds, 19 digits before the point and 9 behind, and refuses to round."""


class Fault(NamedTuple):
    """A rule that a request breaks: where, seen from the object that has the rule, and what is said of that place."""

    at: tuple[str | int, ...]
    said: str
    kind: Literal["invalid", "missing", "rule"] = "rule"


def missing(name: str, when: str = "") -> Fault:
    """A field that is needed here, perhaps only because of others."""
    return Fault((name,), f"is required {when}".rstrip(), "missing")


class Model(BaseModel):
    """A JSON object of a request. Its fields are spelled as in the API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def has(self, name: str) -> bool:
        """Whether a field was given: neither absent, nor null, nor an empty list."""
        value = getattr(self, name)
        return value is not None and value != ()


class Ruled(Model):
    """An object whose fields must agree with each other."""

    def faults(self) -> Iterator[Fault]:
        """The rules that it breaks, once each of its fields is right by itself."""
        yield from ()

    @_model_validator(mode="after")
    def _obeys(self) -> Self:
        if found := list(self.faults()):
            raise refusal(found)
        return self


def refusal(found: Sequence[Fault]) -> PydanticCustomError:
    """The error that carries faults to whoever words them."""
    words = "; ".join(f"{'.'.join(map(str, fault.at))} {fault.said}" for fault in found)
    return PydanticCustomError("faults", "{words}", {"words": words, "faults": list(found)})


def by_choice(said: Model, choice: str, needs: Mapping[str, Sequence[str]]) -> Iterator[Fault]:
    """Faults of an object where one field decides which of some others are needed; the rest of those are refused."""
    chosen = getattr(said, choice)
    needed = needs.get(chosen, ())
    for name in dict.fromkeys(name for names in needs.values() for name in names):
        if name in needed and not said.has(name):
            yield missing(name, f"when {choice} is {chosen}")
        elif name not in needed and said.has(name):
            choices = " or ".join(option for option, names in needs.items() if name in names)
            yield Fault((name,), f"is only for {choice} {choices}")


def exclusive(said: Model, one: str, other: str) -> Iterator[Fault]:
    """The fault of giving both of two fields that say the same thing, or that contradict each other."""
    if getattr(said, one) and getattr(said, other):
        yield Fault((one,), f"can't be given together with {other}")


def doubles(names: Sequence[str | None], at: Callable[[int], tuple[str | int, ...]]) -> Iterator[Fault]:
    """The faults of names that come twice in a list; `at` tells the place of one."""
    seen: set[str] = set()
    for n, name in enumerate(names):
        if name is not None and name in seen:
            yield Fault(at(n), f"comes twice: {name!r} was given before")
        elif name is not None:
            seen.add(name)


def _amount(value: object) -> Decimal:
    """A number as it was written. Booleans are none, and nothing is rounded."""
    if type(value) is Decimal:
        number = value
    elif type(value) is int or (type(value) is str and _NUMBER.fullmatch(value)):
        number = Decimal(value)
    else:
        raise PydanticCustomError("number", "must be a number")
    if not number:
        return Decimal(0)
    try:
        number.quantize(_NINTH, context=_EXACT)
    except ArithmeticError as e:
        words = "has at most 19 digits before the point and 9 behind"
        raise PydanticCustomError("number", words) from e
    return number


def _not_negative(value: object) -> Decimal:
    number = _amount(value)
    if number < 0:
        raise PydanticCustomError("number", "must be 0 or more")
    return number


def _day(value: object) -> date:
    """A day as ISO 8601 writes it; nothing else that might be one."""
    if type(value) is not str:
        raise PydanticCustomError("day", "must be a day, YYYY-MM-DD")
    return _day_of(value)


@lru_cache(maxsize=4096)
def _day_of(text: str) -> date:
    """Orders name few different days, and those many times."""
    if not _DAY.fullmatch(text):
        raise PydanticCustomError("day", "must be a day, YYYY-MM-DD")
    try:
        day = date.fromisoformat(text)
    except ValueError as e:
        raise PydanticCustomError("day", "must be a day of the calendar, YYYY-MM-DD") from e
    if not EARLIEST <= day <= LATEST:
        raise PydanticCustomError("day", "must be a day from 1900-01-01 to 2100-12-31")
    return day


def _currency(value: object) -> str:
    if type(value) is not str or value not in CURRENCIES:
        raise PydanticCustomError("currency", "must be an ISO 4217 code in capitals, such as GBP")
    return value


def _custom(value: object) -> dict[str, Any] | None:
    """Custom fields: names as columns have them, values that a cell can hold."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise PydanticCustomError("model_type", "must be a JSON object")
    if found := [fault for name, cell in value.items() for fault in _custom_faults(name, cell)]:
        raise refusal(found)
    return value


def _custom_faults(name: str, cell: object) -> Iterator[Fault]:
    if not CUSTOM_NAME.fullmatch(name):
        yield Fault((name,), "is no name of a custom field: a letter, letters, digits or _, then __c", "invalid")
    if not (cell is None or isinstance(cell, (str, int, Decimal))):
        yield Fault((name,), "must be a text, a number, true, false or null", "invalid")
    elif isinstance(cell, str) and _CONTROL.search(cell):
        yield Fault((name,), "must not contain control characters", "invalid")


def words(most: int, least: int = 0) -> StringConstraints:
    """Free text of some length, without control characters."""
    return StringConstraints(strict=True, min_length=least, max_length=most, pattern=PLAIN)


def name(most: int, pattern: str = NAME) -> StringConstraints:
    """The name or number of something: not empty, no blanks at its ends, no control characters."""
    return StringConstraints(strict=True, max_length=most, pattern=pattern)


def null_is(default: object) -> BeforeValidator:
    """A null stands for the field's default."""
    return BeforeValidator(lambda value: default if value is None else value)


def _listed(value: object) -> object:
    """A single object stands for a list of it, as in the documented sample of a preview."""
    return [value] if isinstance(value, dict) else value


Day = Annotated[date, PlainValidator(_day)]
Amount = Annotated[Decimal, PlainValidator(_amount)]
Count = Annotated[Decimal, PlainValidator(_not_negative)]
"""An amount or a quantity that is not negative."""
Currency = Annotated[str, PlainValidator(_currency)]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Length = Annotated[int, Strict(), Field(ge=1, le=100_000)]
"""How many periods; 200 years have 73,000 days."""
Text = Annotated[str, words(255)]
Text500 = Annotated[str, words(500)]
Name = Annotated[str, name(255)]
Name100 = Annotated[str, name(100)]
Name70 = Annotated[str, name(70)]
Name50 = Annotated[str, name(50)]
NewOrExisting = Annotated[Name100 | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A number that may be empty, which asks for a new one."""
GroupNumber = Annotated[str, words(255, least=1)]
CustomFields = Annotated[dict[str, Any] | None, PlainValidator(_custom)]
Many = Annotated[tuple[_T, ...], null_is(())]
OneOrMany = Annotated[tuple[_T, ...], BeforeValidator(_listed), null_is(())]


class Keyed(Ruled):
    """A request that may come twice: by its key it is known again."""

    idempotencyKey: Text | None = None
    """Not in the API's body, where it is a header."""


def knows(
    kept: str = "",
    *,
    cannot: Mapping[str, str] | None = None,
    only: Mapping[str, tuple[str, object]] | None = None,
    instead: Mapping[str, str] | None = None,
) -> Callable[[type[_M]], type[_M]]:
    """Further fields of a model, by their names: the API has many that billfold needn't read but must not mistake.

    Args:
        kept: fields without effect on bills; they may hold anything.
        cannot: fields that would change what is billed or paid in a way that billfold can't do, by what that is;
            they have to be absent, null, false or empty.
        only: fields of which billfold can do one value, by what the others are.
        instead: fields that can't be looked up here, by the field to use in their place.
    """
    fields: dict[str, Any] = dict.fromkeys(kept.split(), (Any, None))
    for what, names in (cannot or {}).items():
        said = f"is not possible: billfold can't do {what} yet; leave it out"
        fields |= {name: (_refused(said), None) for name in names.split()}
    for better, names in (instead or {}).items():
        said = f"can't be looked up by billfold; use {better} instead"
        fields |= {name: (_refused(said), None) for name in names.split()}
    for what, (name, value) in (only or {}).items():
        fields[name] = (_refused(f"is not possible: billfold can't do {what} yet; leave it out", value), None)

    def widened(model: type[_M]) -> type[_M]:
        wider = create_model(
            model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **fields
        )
        wider.__qualname__ = model.__qualname__
        return wider

    return widened


def _refused(said: str, *allowed: object) -> Any:  # noqa: ANN401 - a type that only pydantic reads
    """The type of a field that must be empty or, if something is allowed, that."""
    fine: list[object] = [None, *(allowed or ("", False, [], {}))]

    def check(value: object) -> object:
        if not any(type(value) is type(other) and value == other for other in fine):
            raise PydanticCustomError("unsupported", said)
        return value

    return Annotated[Any, PlainValidator(check)]
