"""What a run read: the book at its snapshot, with the orders of its own commit, its request and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from billfold.book import State
from billfold.explanations.models import RunFacts
from billfold.lifecycle import runs
from billfold.orders.register import CHANGED
from billfold.receipt import is_of_run
from billfold.replay import ordered_before
from billfold.requests import RunRequest
from billfold.rows import collected
from billfold.settings import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.book import Book

_UNKNOWN: Final = "the run was made before the book kept a record of what runs write"


@dataclass(frozen=True)
class Past:
    """A run and what it read. `unknown` says why nobody can know exactly what that was, if so."""

    facts: RunFacts
    state: State
    settings: Mapping[str, str]
    request: RunRequest
    unknown: str | None


def past(book: Book, bill_run_number: str) -> Past:
    """What a run read.

    Raises:
        BookError: the book does not keep that snapshot any more.
    """
    run = runs(book, bill_run_number).row(0, named=True)
    recorded = book.contents().filter(is_of_run(bill_run_number))
    state = State(book, book.head(int(run["snapshot_id"])))
    if recorded["table_name"].is_in(list(CHANGED)).any():
        state = state.after(ordered_before(state, recorded))
    return Past(
        facts_of(run),
        state,
        current(collected(state.read("settings"))),
        RunRequest.model_validate_json(run["request"]),
        _UNKNOWN if recorded.is_empty() else None,
    )


def facts_of(run: Mapping[str, Any]) -> RunFacts:
    """What explanations say of a row of `bill_runs`."""
    return RunFacts(**{name: run[name] for name in RunFacts.__dataclass_fields__})
