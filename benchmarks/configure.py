"""Gives the accounts of a made-up book that want one a grouping configuration of their own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.generate import OWN_GROUPING
from billfold import Book
from billfold.configure import configure
from billfold.grouping import InvoiceGroup

_BY_CENTER: Final = {
    "name": OWN_GROUPING,
    "meta": {
        "subscriptionGroup": [{"objectType": "RatePlanCharge", "field": "CostCenter__c"}],
        "orderLineItemGroup": [{"objectType": "OrderLineItem", "field": "CostCenter__c"}],
    },
}


def by_cost_center(book: Book) -> None:
    """Let the accounts whose `Grouping__c` says so have a document for each cost center."""
    wanting = book.read("accounts").filter(pl.col("Grouping__c") == OWN_GROUPING).select("account_number").collect()
    configure(book, InvoiceGroup.model_validate(_BY_CENTER), wanting["account_number"].to_list())


def main() -> None:
    """Configure a book."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("book", type=Path)
    with Book(parser.parse_args().book) as book:
        by_cost_center(book)


if __name__ == "__main__":
    main()
