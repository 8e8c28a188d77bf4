"""How a table of the book is declared: a pandera model whose fields carry the data dictionary.

A field says more than its type: what it means, whether a file must have it, what stands in for a blank,
and the rule in words that an error prints. Everything else (the readers, the book's columns, the table
reference in docs/tables.md) is made from these declarations, so they can't drift apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pandera.polars as pa
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


CUSTOM_NAME: Final = re.compile(r"[^\W\d]\w*__c")
"""A custom field's name: a letter, then letters, digits or underscores, then `__c`."""


class Table(pa.DataFrameModel):
    """Base of all contracts: no unknown columns, keys are unique, `lazy=True` collects every fault."""

    class Config:
        """Columns are checked as declared; custom fields are set aside before."""

        strict = True


@dataclass(frozen=True)
class Column:
    """One column of a contract, as readers, writers and the reference need it."""

    name: str
    dtype: pl.DataType
    meaning: str
    rule: str
    required: bool
    nullable: bool
    default: str | int | bool | None
    values: tuple[str, ...]
    is_json: bool
    is_tiers: bool
    is_own: bool
    """billfold alone writes it: files can't have it."""

    def spelling(self, value: str) -> str:
        """The book's spelling of an enumerated value, or the value itself when it is none of them."""
        return {plain(v): v for v in self.values}.get(plain(value), value)


def plain(value: str) -> str:
    """A value without what differs between Zuora's own APIs: `Flat Fee Pricing` and `FlatFee` are one."""
    return re.sub(r"[^a-z0-9]", "", value.lower()).removesuffix("pricing")


def field(  # noqa: PLR0913 - one argument for each thing that a column can say about itself
    meaning: str,
    *,
    rule: str = "",
    required: bool = False,
    default: str | int | bool | None = None,
    values: Sequence[str] = (),
    is_json: bool = False,
    is_tiers: bool = False,
    is_own: bool = False,
    **checks: Any,  # noqa: ANN401 - whatever pandera checks
) -> Any:  # noqa: ANN401 - stands in for a column of any type
    """A column. It may be missing from a file unless `required`; blanks take `default` or stay null."""
    if values:
        checks["isin"] = list(values)
        rule = f"one of {', '.join(values)}"
    said = {"rule": rule, "required": required, "default": default, "values": tuple(values)}
    return pa.Field(
        nullable=not required and default is None,
        description=meaning,
        metadata=said | {"is_json": is_json or is_tiers, "is_tiers": is_tiers, "is_own": is_own},
        **checks,
    )


def key(meaning: str, *, default: str | int | None = None) -> Any:  # noqa: ANN401 - like `field`
    """A text column that names a row: required, not blank, free of control characters."""
    rule = "not blank, at most 255 characters, none of them a control character, no blanks at its ends"
    return field(meaning, rule=rule, required=default is None, default=default, str_matches=NAME)


NAME: Final = r"^[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]{0,253}[^\s\x00-\x1f\x7f-\x9f])?$"


@cache
def columns(model: type[Table]) -> dict[str, Column]:
    """The columns of a contract: its keys, then the others as declared."""
    declared = model.to_schema().columns
    return {name: _column(name, declared[name]) for name in dict.fromkeys([*keys(model), *declared])}


def checks(model: type[Table], given: Iterable[str]) -> pa.DataFrameSchema:
    """What a contract asks of rows whose other columns than the given ones are blank or have their default.

    That no key occurs twice is not among it, since that shows only when all rows are together.
    """
    declared = model.to_schema()
    return pa.DataFrameSchema({c: declared.columns[c] for c in columns(model) if c in set(given)}, declared.checks)


def empty(model: type[Table]) -> pl.DataFrame:
    """A frame with a contract's columns and no rows."""
    return pl.DataFrame(schema={c.name: c.dtype for c in columns(model).values()})


def _column(name: str, spec: Any) -> Column:  # noqa: ANN401 - pandera's, which is generic
    said = spec.metadata or {}
    dtype = spec.dtype.type
    return Column(
        name=name,
        dtype=dtype() if isinstance(dtype, type) else dtype,
        meaning=spec.description or "",
        rule=said.get("rule", ""),
        required=said.get("required", False),
        nullable=spec.nullable,
        default=said.get("default"),
        values=said.get("values", ()),
        is_json=said.get("is_json", False),
        is_tiers=said.get("is_tiers", False),
        is_own=said.get("is_own", False),
    )


def keys(model: type[Table]) -> tuple[str, ...]:
    """The columns that identify a row."""
    return tuple(model.to_schema().unique or ())
