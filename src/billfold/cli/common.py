"""What commands share: the app, the book's folder, and options that several of them have."""

from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from billfold.in_parts import How

app = typer.Typer(
    help="Batch bill runs on dataframes: subscriptions, charges and order lines in, grouped invoices out.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class ChargeType(StrEnum):
    """Charge types, as Zuora spells them."""

    ONE_TIME = "OneTime"
    RECURRING = "Recurring"
    USAGE = "Usage"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Accounts = Annotated[list[str] | None, typer.Option("--account", help="An account; may be repeated.", metavar="NUMBER")]
DAY: dict[str, Any] = {"formats": ["%Y-%m-%d"], "metavar": "DATE"}
TargetDate = Annotated[datetime, typer.Option(**DAY, help="Bill everything owed up to this day, inclusive.")]
InvoiceDate = Annotated[
    datetime | None, typer.Option(**DAY, help="The date on the documents, from which terms count; default today.")
]
Batches = Annotated[
    list[str] | None, typer.Option(help="Only accounts of this batch; may be repeated.", metavar="BATCH")
]
CycleDay = Annotated[str | None, typer.Option(help="Only accounts with this day: 1 to 31, or AsRunDay.", metavar="DAY")]
ChargeTypes = Annotated[
    list[ChargeType] | None,
    typer.Option(help="OneTime, Recurring or Usage: leave them for another run; at most two.", metavar="TYPE"),
]
Run = Annotated[str, typer.Argument(metavar="RUN")]
Post = Annotated[bool, typer.Option("--post", help="Make the documents final at once.")]
NoCeilings = Annotated[
    bool, typer.Option("--no-ceilings", help="Bill whatever the settings' ceilings say, once someone has looked.")
]
Log = Annotated[
    str | None,
    typer.Option(
        "--log", envvar="BILLFOLD_LOG", help="Add a line of JSON a step to this file; - is standard error.",
        metavar="FILE|-",
    ),
]  # fmt: skip
Where = Annotated[
    str,
    typer.Option(
        "--executor", envvar="BILLFOLD_EXECUTOR", metavar="NAME",
        help="Where a large run is made: local, processes, or dask://HOST:PORT.",
    ),
]  # fmt: skip
Memory = Annotated[
    str | None,
    typer.Option(
        envvar="BILLFOLD_MEMORY", metavar="SIZE",
        help="About how much memory a large run may take, such as 4GB; default half of the machine's.",
    ),
]  # fmt: skip
EXIT_PARKED = 3


class _Chosen:
    """The book that the command line names."""

    book = Path("book")


def book_folder() -> Path:
    """The folder of the book that the command is about."""
    return _Chosen.book


def choose(book: Path) -> None:
    """Take this book for the command."""
    _Chosen.book = book


def way(executor: str, memory: str | None) -> "How":
    """How a run is to be made."""
    from billfold.executors import how

    try:
        return how(executor, memory)
    except BillfoldError as e:
        raise typer.BadParameter(str(e)) from e


def today() -> date:
    """The present day where the command is given."""
    return datetime.now(UTC).astimezone().date()
