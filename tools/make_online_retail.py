"""Make data/online_retail, a year of real order lines as input tables, from the Online Retail II data set.

    python tools/make_online_retail.py SOURCE.parquet [OUT_FOLDER]

The same source gives the same bytes: every table has an order of its own, and nothing depends on the clock.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import polars as pl

OUT: Final = Path(__file__).parents[1] / "data" / "online_retail"
DECIMAL: Final = pl.Decimal(28, 9)
WALK_IN: Final = "walk-in"
ADJUSTMENTS: Final = "adjustments"

INVOICE: Final = pl.col("Invoice")
IS_RETURN: Final = INVOICE.str.starts_with("C")
IS_ADJUSTMENT: Final = INVOICE.str.starts_with("A")
LINE_DATE: Final = pl.col("InvoiceDate").dt.date()

ACCOUNT_NUMBER: Final = (
    pl.when(IS_ADJUSTMENT).then(pl.lit(ADJUSTMENTS)).otherwise(pl.col("Customer ID").cast(pl.String).fill_null(WALK_IN))
)
# A return's quantity counts what came back. It is negated, not made absolute: on C496350 the source has goods
# going out, and the absolute value would turn its charge into a credit.
QUANTITY: Final = pl.when(IS_RETURN).then(-pl.col("Quantity")).otherwise(pl.col("Quantity"))
ITEM_NAME: Final = (
    pl.when(pl.col("Description").str.strip_chars().fill_null("") == "")
    .then(pl.col("StockCode"))
    .otherwise(pl.col("Description"))
)
ACCOUNT_NAME: Final = (
    pl.when(pl.col("account_number") == WALK_IN)
    .then(pl.lit("Walk-in customers"))
    .when(pl.col("account_number") == ADJUSTMENTS)
    .then(pl.lit("Adjustments"))
    .otherwise("Customer " + pl.col("account_number"))
)

README: Final = """\
# Online retail

Every order line of a UK online gift retailer from {first} to {last}, as input tables of billfold:
{lines:,} lines on {documents:,} documents of {accounts:,} accounts.

    billfold init
    billfold load data/online_retail
    billfold run --target-date {last}

| documents | number | lines | exact sum | sum of lines rounded to pence |
| --- | ---: | ---: | ---: | ---: |
{totals}

Sums are what the lines are worth to the retailer, so returns count as negative. Each line is rounded half
away from zero; only {fractions} lines have a fraction of a penny to round.

## Source and licence

Online Retail II, UCI Machine Learning Repository, Daqing Chen (2012), <https://doi.org/10.24432/C5CG6D>,
sheet "Year 2009-2010". Licensed under Creative Commons Attribution 4.0 International (CC BY 4.0),
<https://creativecommons.org/licenses/by/4.0/>. These tables are adapted from it, under the same licence.

What was changed (`tools/make_online_retail.py` is the whole of it):

- Accounts are made from `Customer ID`. Lines without a customer belong to the account `walk-in`. Documents
  that start with A (bad debt written off) belong to the account `adjustments`: they net negative and can't be
  invoiced, and an account of their own keeps that from anybody else's documents.
- `Invoice` is the order number, and the invoice group number that keeps the lines of a document together.
- Lines are numbered within their document in the source's order, and sorted by document.
- A document that starts with C is a return. The sign of its quantities is turned round, because a return's
  quantity counts what came back. C496350 has a positive quantity in the source, hence a negative one here:
  it charges 373.57, where every other return credits.
- Sales and adjustments keep their signs. {write_offs:,} sales lines have a negative quantity and the price 0:
  stock written off.
- Where there is no description ({unnamed:,} lines), the stock code is the item's name. Other texts are
  untouched, blanks at their ends included.
- The time of day was dropped. `Country` is the sold-to contact. Currency, status and payment term were added.
"""


def order_line_items(source: pl.DataFrame) -> pl.DataFrame:
    """Make one row a line of the source."""
    return source.select(
        order_number=INVOICE,
        item_number=pl.int_range(1, pl.len() + 1).over("Invoice"),
        account_number=ACCOUNT_NUMBER,
        item_name=ITEM_NAME,
        item_type=pl.lit("Product"),
        item_category=pl.when(IS_RETURN).then(pl.lit("Return")).otherwise(pl.lit("Sales")),
        item_state=pl.lit("SentToBilling"),
        quantity=QUANTITY.cast(DECIMAL),
        amount_per_unit=pl.col("Price").cast(DECIMAL),
        currency=pl.lit("GBP"),
        product_code=pl.col("StockCode"),
        bill_target_date=LINE_DATE,
        transaction_date=LINE_DATE,
        sold_to_contact=pl.col("Country"),
        invoice_group_number=INVOICE,
    ).sort("order_number", "item_number")


def orders(items: pl.DataFrame) -> pl.DataFrame:
    """Make one row a document."""
    return items.group_by("order_number", maintain_order=True).agg(
        pl.col("account_number").first(),
        order_date=pl.col("transaction_date").first(),
        status=pl.lit("Completed"),
    )


def accounts(items: pl.DataFrame) -> pl.DataFrame:
    """Make one row a customer, and one each for lines without a customer and for adjustments."""
    return items.select(pl.col("account_number").unique().sort()).with_columns(
        name=ACCOUNT_NAME,
        currency=pl.lit("GBP"),
        payment_term=pl.lit("Due Upon Receipt"),
        bill_cycle_day=pl.lit(1, pl.Int64),
        status=pl.lit("Active"),
    )


def tables(source: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Make the input tables by name. Line numbers become text only after they have served to sort."""
    items = order_line_items(source)
    return {
        "accounts": accounts(items),
        "orders": orders(items),
        "order_line_items": items.with_columns(pl.col("item_number").cast(pl.String)),
    }


def totals(items: pl.DataFrame) -> pl.DataFrame:
    """Count documents and lines and sum amounts by kind of document, largest first."""
    kinds = {ADJUSTMENTS: "adjustments (A…)", "Return": "returns (C…)", "Sales": "sales"}
    kind = pl.when(pl.col("account_number") == ADJUSTMENTS).then("account_number").otherwise("item_category")
    thousandths = (pl.col("quantity").cast(pl.Int64) * (pl.col("amount_per_unit") * 1000).cast(pl.Int64)) * (
        pl.when(pl.col("item_category") == "Return").then(-1).otherwise(1)
    )
    return (
        items.group_by(kind.replace_strict(kinds).alias("kind"))
        .agg(
            documents=pl.col("order_number").n_unique(),
            lines=pl.len(),
            exact=thousandths.sum(),
            pence=(thousandths.sign() * ((thousandths.abs() + 5) // 10)).sum(),
        )
        .sort("lines", descending=True)
    )


def readme(book: dict[str, pl.DataFrame]) -> str:
    """Say what the tables are, and where they come from."""
    items, days = book["order_line_items"], sorted(book["orders"]["order_date"].to_list())
    return README.format(
        first=days[0],
        last=days[-1],
        lines=items.height,
        documents=book["orders"].height,
        accounts=book["accounts"].height,
        fractions=items.filter((pl.col("amount_per_unit") * 1000).cast(pl.Int64) % 10 != 0).height,
        write_offs=items.filter(pl.col("quantity") < 0, pl.col("item_category") == "Sales").height,
        unnamed=items.filter(pl.col("item_name") == pl.col("product_code")).height,
        totals="\n".join(_row(*row) for row in totals(items).iter_rows()),
    )


def _row(kind: str, documents: int, lines: int, exact: int, pence: int) -> str:
    return f"| {kind} | {documents:,} | {lines:,} | {_point(exact, 3)} | {_point(pence, 2)} |"


def _point(units: int, digits: int) -> str:
    """Write a whole number of smallest units as a decimal: 10305892024 is 10,305,892.024."""
    whole, rest = divmod(abs(units), 10**digits)
    return f"{'-' if units < 0 else ''}{whole:,}.{rest:0{digits}}"


def main(source: Path, out: Path = OUT) -> None:
    """Write the tables and their README."""
    book = tables(pl.read_parquet(source))
    out.mkdir(parents=True, exist_ok=True)
    for name, table in book.items():
        table.write_parquet(out / f"{name}.parquet", compression="zstd", compression_level=19)
    (out / "README.md").write_text(readme(book), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
