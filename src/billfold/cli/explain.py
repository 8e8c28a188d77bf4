"""The command that answers why a document, an item, a charge or an order line is as it is."""

from enum import StrEnum
from typing import Annotated

import typer

from billfold.cli.common import AsJson, app, book_folder


class Kind(StrEnum):
    """What an id can be the id of."""

    INVOICE = "invoice"
    CREDIT_MEMO = "credit-memo"
    ITEM = "item"
    CHARGE = "charge"
    ORDER_LINE = "order-line"


@app.command()
def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An invoice or credit memo (id or number), an item, a charge, or an order line ORDER/ITEM.",
        ),
    ],
    item: Annotated[str | None, typer.Argument(metavar="ITEM", help="An order line: ID is its order.")] = None,
    segment: Annotated[int | None, typer.Option(help="Only this segment of a charge.", metavar="N")] = None,
    kind: Annotated[
        Kind | None, typer.Option("--as", help="What is meant, where several things are called so.")
    ] = None,
    *,
    rows: Annotated[bool, typer.Option("--rows", help="Print the input rows too; --json always has them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say why a document, an item, a charge or an order line is as it is."""
    from billfold.book import Book
    from billfold.explanations.api import explain as answer
    from billfold.explanations.paper import show

    wanted = kind.value.replace("-", "_") if kind else None
    with Book(book_folder(), read_only=True) as book:
        explanation = answer(book, name, item, kind=wanted, segment=segment)
    show(explanation, rows=rows, as_json=as_json)
