"""JSON lines as frames: standard columns as text that keeps every digit, custom fields in the type that all lines give.

A file of more than one block is read twice: which names there are, and what type each custom field has, shows only when
every line was seen.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

NOT_TEXT: Final = "\0"
"""Before the JSON of objects, lists and truth values in a text cell: no text has it, so text columns refuse them."""

_EXPONENT: Final = 30
"""Custom decimals from JSON stay below ten to this power, and above its reciprocal."""

_DIGITS: Final = 38
_CUSTOM: Final = "__c"

Row = dict[str, Any]


@dataclass
class _Outline:
    """The names in a file, in the order in which they come, with the kinds of their values; decimals of custom fields.

    `scales` has the most decimals that a custom field has anywhere.
    """

    path: Path
    kinds: dict[str, set[type]] = field(default_factory=dict)
    scales: dict[str, int] = field(default_factory=dict)

    def see(self, rows: Sequence[Row]) -> None:
        """Add what some lines have."""
        for name, value in (pair for row in rows for pair in row.items()):
            kinds = self.kinds.setdefault(name, set())
            if value is not None:
                kinds.add(type(value))
            if isinstance(value, Decimal) and name.endswith(_CUSTOM):
                self.scales[name] = max(self.scales.get(name, 0), -int(value.as_tuple().exponent))

    def frame(self, rows: Sequence[Row]) -> pl.DataFrame:
        """Some lines with all columns of the file."""
        return pl.DataFrame([self._series(name, [row.get(name) for row in rows]) for name in self.kinds])

    def _series(self, name: str, values: list[Any]) -> pl.Series:
        """Standard columns as text (the contract parses them); custom fields in their own type."""
        kinds = self.kinds[name]
        try:
            if name.endswith(_CUSTOM) and kinds in ({bool}, {int}, {Decimal}, {int, Decimal}):
                return self._typed(name, values)
            if name.endswith(_CUSTOM) and len(kinds) > 1 and not kinds <= {dict, list}:
                said = ", ".join(sorted(k.__name__ for k in kinds))
                msg = f"{self.path}: the values of {name} have several types ({said})."
                raise BillfoldError(msg)
            texts = pl.Series(name, [_text(v) for v in values], dtype=pl.String)
            return texts.str.strip_prefix(NOT_TEXT) if name.endswith(_CUSTOM) else texts
        except (UnicodeEncodeError, OverflowError, TypeError, RuntimeError, pl.exceptions.PolarsError) as e:
            said = "half a character" if isinstance(e, UnicodeEncodeError) else "a number that no column can hold"
            msg = f"{self.path}: the column {name} has {said}."
            raise BillfoldError(msg) from e

    def _typed(self, name: str, values: list[Any]) -> pl.Series:
        """Truth values, whole numbers or decimals."""
        kinds = self.kinds[name]
        if kinds == {bool}:
            return pl.Series(name, values, dtype=pl.Boolean)
        if kinds == {int}:
            return pl.Series(name, values, dtype=pl.Int64)
        numbers = [None if v is None else Decimal(v) for v in values]
        if any(n is not None and not -_EXPONENT < n.adjusted() < _EXPONENT for n in numbers if n):
            raise OverflowError
        kept = pl.Series(name, numbers, dtype=pl.Decimal(_DIGITS, self.scales.get(name, 0)))
        if kept.null_count() > numbers.count(None):  # Polars says nothing when a number has too many digits
            raise OverflowError
        return kept


def json_lines(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """The rows of a file, so many at a time.

    Raises:
        BillfoldError: a line is no JSON object, or a custom field has values of several types or beyond any column's.
    """
    outline, count, last = _Outline(path), 0, list[Row]()
    for last in _blocks(path, rows):
        outline.see(last)
        count += 1
    for block in _blocks(path, rows) if count > 1 else [last]:
        yield outline.frame(block)


def _blocks(path: Path, rows: int) -> Iterator[list[Row]]:
    with path.open(encoding="utf-8-sig") as file:
        objects = (_json_object(path, number, line) for number, line in enumerate(file, 1) if line.strip())
        while block := list(itertools.islice(objects, rows)):
            yield block


def _json_object(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_pairs)
    except (ValueError, RecursionError, ArithmeticError) as e:
        said = "a number is too large" if isinstance(e, ArithmeticError) else e
        msg = f"{path}, line {number}: not a JSON object ({said})."
        raise BillfoldError(msg) from e
    if not isinstance(row, dict):
        msg = f"{path}, line {number}: each line must be one JSON object."
        raise BillfoldError(msg)
    return row


def _refuse_constant(constant: str) -> None:
    msg = f"{constant} is not a number"
    raise ValueError(msg)


def _pairs(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        msg = "a name occurs twice"
        raise ValueError(msg)
    return row


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    said = json.dumps(value, default=str, ensure_ascii=False)
    return said if isinstance(value, int) and not isinstance(value, bool) else NOT_TEXT + said
