"""`grouping diff`: what another grouping or other settings would do to a book, if a run were made now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.book import State
from billfold.configure import clearing, configuring, runs_with_drafts
from billfold.errors import BillfoldError
from billfold.lifecycle import runs
from billfold.receipt import Progress, silent
from billfold.requests import RunRequest
from billfold.rows import collected
from billfold.run import made
from billfold.schedules.check import drifted
from billfold.settings import changing, current
from billfold.terms import PREFIX
from billfold.whatif import comparison as say
from billfold.whatif.comparison import Comparison
from billfold.whatif.match import matched
from billfold.whatif.sides import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.book import Book, Change
    from billfold.grouping import InvoiceGroup


def compare(  # noqa: PLR0913 - one argument for each rule
    book: Book,
    request: RunRequest | str,
    grouping: InvoiceGroup | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    accounts: Sequence[str] = (),
    clear: bool = False,
    progress: Progress = silent,
) -> Comparison:
    """What a run would make now, beside what it would make under other rules; nothing is written.

    Args:
        book: the book; drafts may exist.
        request: the run; or the number of one that was made, which is compared as it was asked, from what it read.
        grouping: another configuration, as the default or, with `accounts`, as theirs.
        settings: other settings, by name.
        accounts: whose own configuration `grouping` is, or `clear` takes away.
        clear: without the default configuration or, with `accounts`, without theirs.
        progress: called with what is being done.

    Raises:
        BillfoldError: the rules are not possible, or an account or the run does not exist.
    """
    before, asked = _made_before(book, request) if isinstance(request, str) else (State.of(book), request)
    changes = [*changing(before, settings or {}), *_regrouping(before, grouping, accounts, clear=clear)]
    after = before.after(changes)
    # Due dates come with posting, and only these settings change them.
    post = any(name.startswith(PREFIX) for name in settings or ())
    sides = [_side(state, asked, progress, post=post, number=number) for number, state in enumerate((before, after))]
    progress("comparing", 0.9)
    return Comparison(
        request=asked,
        bill_run_number=request if isinstance(request, str) else None,
        snapshot_id=before.head.snapshot_id,
        drafts=tuple(runs_with_drafts(before)),
        rules=_rules(before, after, accounts),
        **say.frames(matched(*sides), *(side.parked for side in sides)),
        schedules=_schedules(before, after, asked),
    )


def _made_before(book: Book, bill_run_number: str) -> tuple[State, RunRequest]:
    """What a run read, and how it was asked."""
    run = runs(book, bill_run_number).row(0, named=True)
    request = RunRequest.model_validate_json(run["request"])
    if request.orders_sha256:
        msg = f"{bill_run_number} was committed together with the orders that it bills, so that it can't be compared."
        raise BillfoldError(msg)
    return State(book, book.head(run["snapshot_id"])), request


def _regrouping(
    state: State, grouping: InvoiceGroup | None, accounts: Sequence[str], *, clear: bool
) -> Sequence[Change]:
    """What another grouping would change."""
    if grouping and clear:
        msg = "A grouping can't be another one and be cleared at once."
        raise BillfoldError(msg)
    if clear:
        return clearing(state, accounts)
    return configuring(state, grouping, accounts).changes if grouping else ()


def _side(state: State, request: RunRequest, progress: Progress, *, post: bool, number: int) -> Side:
    """One of the two runs."""
    name = say.SIDES[number]
    receipt, _ = made(
        state, request, post=post, progress=lambda step, share: progress(f"{name}: {step}", (number + share) * 0.45)
    )
    return Side.of(receipt)


def _schedules(before: State, after: State, request: RunRequest) -> pl.DataFrame:
    """Schedules that would break, of the accounts that are asked for."""
    found = say.schedules(drifted(before), drifted(after))
    return found.filter(pl.col("account_number").is_in(request.accounts)) if request.accounts else found


def _rules(before: State, after: State, accounts: Sequence[str]) -> pl.DataFrame:
    """Rules that differ, in words."""
    told = [_told(state, accounts) for state in (before, after)]
    both = [(name, *(t.get(name) for t in told)) for name in dict.fromkeys([*told[0], *told[1]])]
    schema = dict.fromkeys(("rule", *say.SIDES), pl.String)
    return pl.DataFrame([row for row in both if row[1] != row[2]], schema=schema, orient="row")


def _told(state: State, accounts: Sequence[str]) -> dict[str, str | None]:
    """The default grouping, that of some accounts, configurations that others have, and all settings."""
    groups = collected(state.read("invoice_groups").sort("number"))
    fields = {row["number"]: _fields(json.loads(row["meta"])) for row in groups.iter_rows(named=True)}
    own = collected(state.read("accounts").select("account_number", "invoice_group").sort("account_number"))
    named = pl.col("account_number").is_in(list(accounts))
    others = own.filter(~named)["invoice_group"].drop_nulls().unique()
    default = groups.filter("is_default")["number"]
    return {
        "grouping": fields[default[0]] if default.len() else None,
        **{f"grouping of {a}": fields.get(number or "") for a, number in own.filter(named).iter_rows()},
        **{f"grouping {n}": fields.get(n) for n in others.sort()},
        **current(collected(state.read("settings").sort("name"))),
    }


def _fields(meta: Mapping[str, Any]) -> str:
    """The configured fields of both sides, as people write them."""
    sides = (", ".join(f"{f['objectType']}.{f['field']}" for f in side) for side in meta.values())
    return " | ".join(s for s in sides if s)
