"""Files of requests: JSON in, and either requests whose values are exact, or every reason against them."""

from __future__ import annotations

import gc
import json
import re
import types
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from billfold.errors import BillfoldError
from billfold.names import nearest
from billfold.orders.fields import CUSTOM, NAME, ORDER_NUMBER, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

T = TypeVar("T", bound=BaseModel)
Path = tuple[str | int, ...]

_CODES: Final = {"invalid": "53100020", "unknown": "53100021", "missing": "53100022", "rule": "53100030"}
_MALFORMED: Final = "53100090"
_TOO_DEEP: Final = "The JSON is nested too deeply."
_SHOWN: Final = 60
"""How much of a strange value or name an error quotes."""

_TYPES: Final[Mapping[str, str]] = {
    "string_type": "must be a text",
    "string_unicode": "must be a text of whole characters",
    "int_type": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a JSON array",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "missing": "is required",
    "string_too_short": "must not be empty",
}
"""Errors of pydantic in the words of JSON."""

_PATTERNS: Final[Mapping[str, str]] = {
    PLAIN: "must not contain control characters",
    NAME: "must not be empty, have blanks at its ends or contain control characters",
    ORDER_NUMBER: "must not be empty, have blanks at its ends or contain #, ?, / or control characters",
    CUSTOM: "must be the name of a custom field: a letter, letters, digits or _, then __c",
}
_LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "string_too_long": ("max_length", "must have at most {} characters"),
    "too_long": ("max_length", "must have at most {} entries"),
    "too_short": ("min_length", "must have at least {} entry"),
    "greater_than_equal": ("ge", "must be {} or more"),
    "less_than_equal": ("le", "must be {} or less"),
}
_OWN: Final = frozenset({"number", "day", "currency", "unsupported"})
"""Errors of `billfold.orders.fields`, which are worded already."""

_QUOTED: Final = frozenset({"number", "day", "currency", "greater_than_equal", "less_than_equal"})
"""Errors that are clearer with the value that was given."""


@dataclass(frozen=True)
class Reason:
    """One fault of a request: its code is object (531000, an order) and category; its sentence names the field."""

    code: str
    message: str


@dataclass(frozen=True)
class Parsed(Generic[T]):
    """What one line of a file asks for, or why it can't be understood."""

    line: int
    """From 1; a single document counts as line 1."""

    request: T | None
    raw: str
    """What was asked as canonical JSON, equal for equal requests; empty if it can't be read."""

    reasons: tuple[Reason, ...]


def parsed(content: bytes, model: type[T]) -> tuple[list[Parsed[T]], bool]:
    """The requests of a file, and whether it is JSON lines.

    A file is one JSON document, perhaps on many lines, or one document a line. Blank lines are skipped but counted.

    Raises:
        BillfoldError: the file is not UTF-8, or empty.
    """
    text = _text(content)
    reader = _Reader()
    whole, fault = reader.read(text)
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if fault is None or not _is_lines(reader, [line for _, line in lines]):
        return [_judged(1, whole, fault, reader, model)], False
    found = []
    with undisturbed():
        for n, line in lines:
            said, fault = reader.read(line)
            found.append(_judged(n, said, fault, reader, model))
    return found, True


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without the collector of garbage, which would look again and again at a million objects that all stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            # To freeze and thaw objects makes them old at once, without a look at each.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        msg = f"The requests can't be read: byte {e.start + 1} is not UTF-8; save the file as UTF-8."
        raise BillfoldError(msg) from e
    if not text.strip():
        msg = "The file is empty; it should hold one request as JSON, or one on each line."
        raise BillfoldError(msg)
    return text


def _is_lines(reader: _Reader, lines: Sequence[str]) -> bool:
    """Whether a text that is no JSON document is JSON lines, of which some may be broken."""
    if len(lines) == 1 or lines[0].strip() in {"{", "["}:
        return False
    return any(reader.read(line)[1] is None for line in lines)


_SECRETS: Final = frozenset({"creditCard", "paymentMethod", "electronicPaymentOptions"})
"""Means of payment: billfold moves no money, and what it keeps of a request must not hold card numbers."""


class _Reader:
    """Reads JSON without losing anything: decimals stay exact, and no doubled key is dropped unseen."""

    def __init__(self) -> None:
        self.odd: list[str] = []
        """What the last document has that JSON allows no one to rely on."""

        self._decoder = json.JSONDecoder(
            parse_float=Decimal, parse_constant=self._constant, object_pairs_hook=self._object
        )

    def read(self, text: str) -> tuple[Any, str | None]:
        """The document, and why it is none."""
        self.odd.clear()
        try:
            said = self._decoder.decode(text)
            if _SURROGATE.search(text):
                _PLAIN_ENCODER.encode(said).encode()
        except json.JSONDecodeError as e:
            return None, f"The JSON is malformed: {_lowered(e.msg)} at line {e.lineno}, column {e.colno}."
        except RecursionError:
            return None, _TOO_DEEP
        except UnicodeEncodeError:
            return None, "The JSON has half a character: a surrogate without its other half."
        except (ValueError, ArithmeticError):
            return None, "The JSON has a number that is too long."
        return said, None

    def _constant(self, name: str) -> None:
        self.odd.append(f"The JSON has {name}, which is not a number.")

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        said = dict(pairs)
        if len(said) < len(pairs):
            names = [name for name, _ in pairs]
            doubled = sorted({name for name in names if names.count(name) > 1})
            self.odd += [f"The key '{_key(name)}' is given twice in one object." for name in doubled]
        if not _SECRETS.isdisjoint(said):
            said |= dict.fromkeys(_SECRETS & said.keys(), "***")
        return said


def _lowered(said: str) -> str:
    return said[:1].lower() + said[1:]


def _judged(line: int, said: Any, fault: str | None, reader: _Reader, model: type[T]) -> Parsed[T]:  # noqa: ANN401 - JSON
    """A document as a request, or the reasons against it."""
    faults = [fault] if fault else list(reader.odd)
    raw = ""
    if not faults:
        try:
            raw = _canonical(said)
        except RecursionError:
            faults = [_TOO_DEEP]
    if faults:
        return Parsed(line, None, "", tuple(Reason(_MALFORMED, f) for f in faults))
    if not isinstance(said, dict):
        what = "an array: write one request a line, without brackets" if isinstance(said, list) else "no JSON object"
        return Parsed(line, None, raw, (Reason(_CODES["invalid"], f"The request is {what}."),))
    try:
        return Parsed(line, model.model_validate(said), raw, ())
    except ValidationError as e:
        return Parsed(line, None, raw, tuple(_reasons(e, model)))


def _canonical(said: dict[str, Any] | list[Any] | str | float | None) -> str:
    """JSON with sorted keys, no blanks and exact numbers, equal for equal numbers."""
    return _ENCODER.encode(said).replace(f'"{_MARK}', "").replace(f'{_MARK}"', "")


def _marked(number: Decimal) -> str:
    """A decimal as a text whose quotes can be found again, as Python's encoder writes no decimals."""
    return f"{_MARK}{_digits(number)}{_MARK}"


_MARK: Final = "\udcff"
"""Half a character, which no request may have."""

_ENCODER: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False, default=_marked
)
_PLAIN_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=str)
_SURROGATE: Final = re.compile(r"\\u[dD]")
_WORDS: Final = {None: "null", True: "true", False: "false"}
_PLAIN_DIGITS: Final = 60


def _digits(number: Decimal) -> str:
    """A decimal as plain digits without needless zeros, unless that would be a very long text."""
    if not number:
        return "0"
    if abs(number.adjusted()) > _PLAIN_DIGITS:
        sign, digits, _ = number.as_tuple()
        text = "".join(map(str, digits))
        return f"{'-' * sign}{text[0]}.{text[1:].rstrip('0') or '0'}E{number.adjusted():+}"
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _reasons(error: ValidationError, model: type[BaseModel]) -> Iterator[Reason]:
    for e in error.errors(include_url=False):
        if e["type"] == "too_short" and e["input"]:
            continue  # Entries are there, but faulty, which is said of themselves.
        if e["type"] == "faults":
            for fault in e["ctx"]["faults"]:
                yield _reason(fault.kind, (*e["loc"], *fault.at), fault.said)
        else:
            yield _reason(_kind(e), e["loc"], _said(e, model))


def _reason(kind: str, at: Path, said: str) -> Reason:
    place = _place(at)
    return Reason(_CODES[kind], f"'{place}' {said}." if place else f"The request {said}.")


def _kind(error: ErrorDetails) -> str:
    kinds = {"missing": "missing", "extra_forbidden": "unknown", "unsupported": "rule"}
    return kinds.get(error["type"], "invalid")


def _said(error: ErrorDetails, model: type[BaseModel]) -> str:
    """An error of pydantic as what is said of the field."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _OWN:
        said = error["msg"]
    elif kind == "extra_forbidden":
        said = f"is not known here{nearest(str(error['loc'][-1])[:_SHOWN], _known(model, error['loc'][:-1]))}"
    elif kind == "literal_error":
        said = f"must be one of {context['expected'].replace(chr(39), '').replace(' or ', ', ')}"
        return f"{said}, not {_shown(error['input'])}"
    elif kind == "string_pattern_mismatch":
        said = _PATTERNS[context["pattern"]]
    elif kind in _LIMITS:
        name, words = _LIMITS[kind]
        said = words.format(context[name])
    else:
        said = _TYPES.get(kind, "can't have this value")
    return f"{said}, not {_shown(error['input'])}" if kind in _QUOTED else said


def _known(model: type[BaseModel], at: Path) -> list[str]:
    """The fields of the object at a place of a request."""
    for part in at:
        if isinstance(part, str):
            model = next(_models(model.model_fields[part].annotation))
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type
    """The models that a field's type mentions."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
    else:
        for inner in get_args(annotation):
            yield from _models(inner)


def _place(at: Path) -> str:
    """A path as people write it: `subscriptions[0].orderActions[1].type`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in at)
    return "".join(parts).removeprefix(".")


def _key(name: str) -> str:
    """A key as an error shows it: a short one as it is, without surprises for a terminal."""
    shown = re.sub(r"[^\w -]", lambda found: ascii(found[0])[1:-1] if not found[0].isprintable() else found[0], name)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _shown(value: object) -> str:
    """A value as an error shows it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    text = f"'{_key(value)}'" if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
