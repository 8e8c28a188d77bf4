"""Cases as the vendor states them, and books as the test walks through them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

START: Final = "2024-01-01"
"""When everything begins, unless the case names a date."""

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = dict[str, list[Row]]


class Case(BaseModel):
    """One documented case. `settings`, `inputs` and `expected` differ from case to case: see `Stated`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    area: str
    tier: Literal["CORE", "LATER"]
    kind: str
    source_url: str
    origin: Literal["documented", "derived"] = "documented"
    settings: Row = {}
    inputs: Row
    expected: Row
    assumed: list[str] = []
    note: str = ""
    doc_issue: str = ""
    periods_recomputed: bool = False


class Stated:
    """What a case states under one heading. Whoever encodes it takes it key by key; what is left over is an error."""

    def __init__(self, place: str, facts: Row) -> None:
        """Keep the facts until they are taken."""
        self.place, self.left = place, dict(facts)

    def take(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - JSON is anything
        """A fact, or the default where the case does not state it."""
        return self.left.pop(name, default)

    def of(self, *names: str) -> Row:
        """The facts of these names that the case states."""
        return {name: self.left.pop(name) for name in names if name in self.left}

    def close(self) -> None:
        """Refuse to lose a fact."""
        if self.left:
            raise ValueError(f"{self.place} states {', '.join(self.left)}, which nobody has read")


@dataclass(frozen=True)
class Step:
    """Load tables, run up to a target date, compare."""

    tables: Tables
    target: str
    outcome: Row
    asked: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Book:
    """An empty book with settings, and what is done to it."""

    name: str
    steps: list[Step]
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """A case under its three headings, each fact of which has to be taken."""

    case: Case
    inputs: Stated
    expected: Stated
    settings: Stated


def insist(holds: object, what: str) -> None:
    """What a case states beside its items has to agree with what its tables say; it is nowhere else."""
    if not holds:
        raise ValueError(f"the case was expected to state {what}")


def beginning(case: Case, texts: Iterable[str]) -> str | None:
    """The longest of the texts with which a case's id begins."""
    return max((text for text in texts if case.id.startswith(text)), key=len, default=None)
