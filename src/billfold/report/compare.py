"""A run beside the one before it that was asked for the same things."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.report.reading import documents_of, leading, named
from billfold.report.steps import STEPS, ZERO, Step, followed
from billfold.requests import RunRequest

if TYPE_CHECKING:
    from billfold.report.reading import Read

SHOWN_RUNS: Final = 12
"""How many runs of a kind a report looks back at, this one included."""

COUNTS: Final = ("invoices", "credit_memos", "items", "accounts_billed", "accounts_nothing_due", "parked_accounts")
_BY: Final = ["currency", "account_number"]
_SUM: Final = pl.Decimal(38, 4)
_HISTORY: Final = pl.Schema(
    {
        "bill_run_number": pl.String(),
        "status": pl.String(),
        "target_date": pl.Date(),
        "invoices": pl.Int64(),
        "credit_memos": pl.Int64(),
        "currency": pl.String(),
        "invoiced": _SUM,
        "credited": _SUM,
        "net": _SUM,
    }
)


def kind_of(request: RunRequest) -> str:
    """What a run was for: orders, schedule, or bill run."""
    if request.orders:
        return "orders"
    return "schedule" if request.schedules else "bill run"


def scope_of(request: RunRequest) -> str:
    """What two runs must have in common to be compared: everything that they ask for but dates and ceilings.

    Of runs that bill orders, each is for other orders: they are all compared.
    """
    kind = kind_of(request)
    asked = request.model_dump(mode="json", exclude={"target_date", "invoice_date", "ceilings"})
    return kind if kind == "orders" else f"{kind} {json.dumps(asked, sort_keys=True)}"


def earlier_runs(runs: pl.DataFrame, run: dict[str, Any]) -> pl.DataFrame:
    """Rows of `bill_runs` before a run, with `kind` and `scope`, in order; canceled ones gave everything back."""
    before = runs.filter(pl.col("bill_run_number") < run["bill_run_number"], pl.col("status") != "Canceled")
    asked = [RunRequest.model_validate_json(r) for r in before["request"]]
    return before.with_columns(
        kind=pl.Series([kind_of(r) for r in asked], dtype=pl.String),
        scope=pl.Series([scope_of(r) for r in asked], dtype=pl.String),
    ).sort("bill_run_number")


def history_of(runs: pl.DataFrame) -> pl.DataFrame:
    """What each of the last runs came to: a row a run and currency; a run without documents has no currency."""
    rows = [
        [*(run[c] for c in list(_HISTORY)[:5]), *amounts]
        for run in runs.tail(SHOWN_RUNS).iter_rows(named=True)
        for amounts in _amounts(run) or [(None,) * 4]
    ]
    return pl.DataFrame(rows, schema=_HISTORY, orient="row")


def _amounts(run: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Currency, invoiced, credited, net."""
    found: list[tuple[Any, ...]] = []
    for currency, kept in sorted(json.loads(run["amounts"]).items()):
        invoiced, credited = Decimal(kept["invoices"]), Decimal(kept["credit_memos"])
        found.append((currency, invoiced, credited, invoiced - credited))
    return found


@dataclass(frozen=True)
class Compared:
    """What differs between two runs.

    `counts`: measure, before, now. `amounts`: currency, measure, before, now. `bridge` leads from one net to the other
    (`STEPS`, its `count` is accounts). `movers`: currency, account_number, name, change (new, gone, changed), before,
    now, difference, others.
    """

    counts: pl.DataFrame
    amounts: pl.DataFrame
    bridge: pl.DataFrame
    movers: pl.DataFrame


def compared(read: Read, run: dict[str, Any], before: dict[str, Any], documents: pl.DataFrame) -> Compared:
    """A run and the one before it; `documents` are those of the run."""
    both = _accounts(read, str(before["bill_run_number"]), documents)
    counts = pl.DataFrame(
        [[c, before[c], run[c]] for c in COUNTS], schema=["measure", "before", "now"], orient="row"
    ).cast({"before": pl.Int64, "now": pl.Int64})
    currencies = sorted(both["currency"].unique())
    bridges = [_bridge(c, both.filter(currency=c)) for c in currencies]
    changes = [_movers(both.filter(change=c), c, read) for c in ("new", "gone", "changed")]
    return Compared(counts, _sums(before, run), pl.concat([STEPS.to_frame(), *bridges]), pl.concat(changes))


def _sums(before: dict[str, Any], run: dict[str, Any]) -> pl.DataFrame:
    """Amounts by currency, as the runs' rows tell them; a currency that one of them lacks is 0 there."""
    was, now = ({c: amounts for c, *amounts in _amounts(r)} for r in (before, run))
    none = [ZERO, ZERO, ZERO]
    rows = [
        [currency, measure, was.get(currency, none)[n], now.get(currency, none)[n]]
        for currency in sorted({*was, *now})
        for n, measure in enumerate(("invoiced", "credited", "net"))
    ]
    schema = {"currency": pl.String(), "measure": pl.String(), "before": _SUM, "now": _SUM}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _accounts(read: Read, before: str, documents: pl.DataFrame) -> pl.DataFrame:
    """Net by account in both runs, what differs, and what became of the account: new, gone, changed, same."""
    was = documents_of(read, [before]).group_by(_BY).agg(before=pl.col("net").sum()).collect()
    now = documents.group_by(_BY).agg(now=pl.col("net").sum())
    both = was.join(now, on=_BY, how="full", coalesce=True)
    new, gone, same = pl.col("before").is_null(), pl.col("now").is_null(), pl.col("before") == pl.col("now")
    became = pl.when(new).then(pl.lit("new")).when(gone).then(pl.lit("gone")).when(same).then(pl.lit("same"))
    filled = [pl.col(c).fill_null(0).cast(_SUM) for c in ("before", "now")]
    found = both.with_columns(*filled, change=became.otherwise(pl.lit("changed")))
    return found.with_columns(difference=pl.col("now") - pl.col("before")).sort(_BY)


def _bridge(currency: str, rows: pl.DataFrame) -> pl.DataFrame:
    """From the net of the run before to the net of this one."""
    difference, changed = pl.col("difference"), pl.col("change") == "changed"
    parts = {
        "Accounts not billed this time": pl.col("change") == "gone",
        "Accounts billed less": changed & (difference < 0),
        "Accounts billed more": changed & (difference > 0),
        "Accounts not billed last time": pl.col("change") == "new",
    }
    found = [(name, rows.filter(which)) for name, which in parts.items()]
    moved = [Step(name, _sum(some["difference"]), some.height) for name, some in found if some.height]
    was, now = rows.filter(pl.col("change") != "new"), rows.filter(pl.col("change") != "gone")
    first, last = (_sum(rows[c]) for c in ("before", "now"))
    return followed(
        currency, [Step("Net before", first, was.height, "total"), *moved, Step("Net now", last, now.height, "total")]
    )


def _sum(amounts: pl.Series) -> Decimal:
    return Decimal(str(amounts.sum()))


def _movers(rows: pl.DataFrame, change: str, read: Read) -> pl.DataFrame:
    """The accounts of one kind of change that weigh most, and the others together."""
    first = leading(rows.select(*_BY, "before", "now", "difference"), "difference", "account_number")
    return named(first.with_columns(change=pl.lit(change)), read)
