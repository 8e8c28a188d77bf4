"""One account that breaks a whole frame costs only itself: the frame is made again in parts, down to that account."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.errors import PromiseError
from billfold.lines import Documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from billfold.lines import Carriers

    Work = Callable[[Carriers], Documents]

_BREAKS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ArithmeticError)
"""What an operation on a frame raises when a value breaks it. A broken promise or an unreadable book is neither."""

_PARTS: Final = 4
"""Into how many parts a broken frame is split: fewer would fail more often, more would cost more beginnings."""

_FEW: Final = 2_000
"""Of so many accounts, it pays to look for the one that breaks the work before making the others."""

_MOST: Final = 100
"""So many accounts that break by themselves are no data trouble any more, but a fault of billfold."""


def isolated(work: Work, carriers: Carriers, run: str) -> list[Documents]:
    """The documents of all accounts, in parts; accounts that break the work by themselves are parked.

    `run` is the bill run's number.

    Raises:
        PolarsError: the work breaks without any account too, or by too many of them: the fault is not in the data.
    """
    try:
        return [work(carriers)]
    except _BREAKS:
        work(carriers.among(carriers.accounts().head(0)))
        return _split(work, carriers, run, [])


def _split(work: Work, carriers: Carriers, run: str, parked: list[str]) -> list[Documents]:
    """The documents of accounts that break the work together: made in parts, each of which may break it again."""
    accounts = carriers.accounts()
    if accounts.len() <= _FEW:
        return _without_culprits(work, carriers, run, parked)
    size = -(-accounts.len() // _PARTS)
    made: list[Documents] = []
    for n in range(0, accounts.len(), size):
        part = carriers.among(accounts[n : n + size])
        try:
            found = [work(part)]
        except _BREAKS:
            found = _split(work, part, run, parked)
        made += found
    return made


def _without_culprits(work: Work, carriers: Carriers, run: str, parked: list[str]) -> list[Documents]:
    """Of few accounts, those that break the work are looked for one by one, and the others made together."""
    made: list[Documents] = []
    while True:
        culprit = _culprit(work, carriers)
        parked.append(culprit)
        made.append(_parked(work, carriers.among(pl.Series([culprit])), run, too_many=len(parked) > _MOST))
        accounts = carriers.accounts()
        carriers = carriers.among(accounts.filter(accounts != culprit))
        try:
            return [work(carriers), *made]
        except _BREAKS:
            continue


def _culprit(work: Work, carriers: Carriers) -> str:
    """An account among those that break the work together; if one half does not, the other one does."""
    accounts = carriers.accounts()
    while accounts.len() > 1:
        half = accounts.head(accounts.len() // 2)
        accounts = half if _breaks(work, carriers.among(half)) else accounts[half.len() :]
    return str(accounts[0])


def _parked(work: Work, alone: Carriers, run: str, *, too_many: bool) -> Documents:
    """No documents, and the account with the step that it breaks, and what of it does."""
    try:
        work(alone)
    except _BREAKS as e:
        if too_many:
            raise
        return _told(alone.accounts()[0], e, _offending(work, alone), run)
    msg = "Accounts break the line together, but none of them alone: a fault of billfold, nothing was written."
    raise PromiseError(msg)


def _told(account: str, error: BaseException, keys: list[str], run: str) -> Documents:
    said = " ".join(str(error).split("\n")[0].split())[:200]
    what = f" by charge {', '.join(keys[:5])}" if keys else ""
    row = {
        "bill_run_number": run,
        "account_number": account,
        "step": _step(error),
        "reason": f"its data break the step{what}: {said}",
        "detail": json.dumps({"charge_number": keys, "error": type(error).__name__}),
    }
    none = Documents.none()
    return replace(none, parked_accounts=pl.DataFrame([row], schema=none.parked_accounts.schema))


def _offending(work: Work, carriers: Carriers) -> list[str]:
    """The charges of an account that break the work by themselves."""
    numbers = carriers.charges["charge_number"].unique().sort().head(_MOST).to_list()
    return [n for n in numbers if _breaks(work, carriers.with_charge(n))]


def _breaks(work: Work, carriers: Carriers) -> bool:
    try:
        work(carriers)
    except _BREAKS:
        return True
    return False


def _step(error: BaseException) -> str:
    """The step of the line that raised an error."""
    trace, step = error.__traceback__, "rate"
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename)
        step = path.stem if path.parent.name == "steps" else step
        trace = trace.tb_next
    return step
