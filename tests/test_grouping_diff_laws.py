"""Laws of `grouping diff` on random small books, and agreement with a slow oracle and with what really happens then.

`LAWS=20 pytest tests/test_grouping_diff_laws.py` looks at twenty times as many books.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl
import pytest
from books import ACCOUNTS, TARGETS, Shelf, asked, books, groupings, load_more
from histories import Step, histories
from hypothesis import event, given
from hypothesis import strategies as st
from inputs import state
from test_laws import laws

from billfold.configure import clear, configure
from billfold.grouping import InvoiceGroup
from billfold.lines import IDENTITY
from billfold.run import bill, preview
from billfold.settings import change
from billfold.whatif import compare
from billfold.whatif.match import components

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from charges import Draw

    from billfold.book import Book
    from billfold.receipt import Receipt
    from billfold.whatif import Comparison

Rows: TypeAlias = dict[str, Any]

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
"""A book as it failed is long to print, and worth it."""

KINDS: Final = (("invoice", 1), ("credit_memo", -1))
SETTINGS: Final = {
    "ungrouped": ("auto", "separate", "pooled"),
    "consolidate_invoices": ("yes", "no"),
    "document_type_rule": ("net", "net_by_charge", "negative_charges", "negative_and_zero_credits"),
    "rounding_mode": ("half_up", "up", "down"),
    "month_basis": ("actual", "actual_360"),
    "usage_without_records": ("bill", "skip"),
    "rounding_increment.JPY": ("1", "100"),
}


@dataclass(frozen=True)
class Rules:
    """What would be different."""

    grouping: InvoiceGroup | None
    accounts: tuple[str, ...]
    settings: Mapping[str, str]

    def compared(self, book: Book, target: date) -> Comparison:
        """What the comparison says."""
        return compare(book, asked(target), self.grouping, settings=self.settings, accounts=self.accounts)

    def settle(self, book: Book) -> None:
        """Make it different."""
        if self.grouping:
            configure(book, self.grouping, self.accounts)
        change(book, self.settings)


def group_of(said: Rows) -> InvoiceGroup:
    return InvoiceGroup.model_validate_json(json.dumps(said))


@st.composite
def rules(draw: Draw) -> Rules:
    """A default or own configuration, some settings, or both."""
    said = draw(st.none() | groupings("Other") | groupings("Own (1)"))
    own = draw(st.sets(st.sampled_from(ACCOUNTS[:2]))) if said else ()
    names = draw(st.sets(st.sampled_from(sorted(SETTINGS)), min_size=0 if said else 1, max_size=2))
    settings = {name: draw(st.sampled_from(SETTINGS[name])) for name in sorted(names)}
    return Rules(group_of(said) if said else None, tuple(sorted(own)), settings)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


# --- the oracle: one item at a time -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Document:
    """A document of a receipt, and what its items owe, by what they are."""

    name: tuple[str, str]
    account: str
    currency: str
    kind: str
    items: Mapping[tuple[Any, ...], Decimal]


def documents_of(side: str, receipt: Receipt) -> list[Document]:
    """Every document of a receipt."""
    rows = [
        (kind, sign, row)
        for kind, sign in KINDS
        for row in getattr(receipt.documents, f"{kind}_items").iter_rows(named=True)
    ]
    ids = {row[f"{kind}_item_id"]: row for kind, _, row in rows}
    items: dict[str, dict[tuple[Any, ...], Decimal]] = defaultdict(dict)
    for kind, sign, row in rows:
        items[row[f"{kind}_id"]][identity(row, ids)] = row["amount"] * sign
    return [
        Document((side, row[f"{kind}_id"]), row["account_number"], row["currency"], kind, items[row[f"{kind}_id"]])
        for kind, _ in KINDS
        for row in getattr(receipt.documents, f"{kind}s").iter_rows(named=True)
    ]


def identity(row: Rows, ids: Mapping[str, Rows]) -> tuple[Any, ...]:
    """What an item is: what it says of itself, and what that which it reduces says."""
    applied = row["applied_to_item_id"]
    reduced = identity(ids[applied], ids) if applied in ids else applied
    return (*(row[c] for c in IDENTITY), reduced)


def matches_of(documents: Sequence[Document]) -> list[list[Document]]:
    """Documents that share items, however remotely, together: found one by one."""
    left, found = list(documents), []
    while left:
        group, new = [], [left.pop(0)]
        while new:
            group += new
            items = {item for d in new for item in d.items}
            new = [d for d in left if items & d.items.keys()]
            left = [d for d in left if d not in new]
        found.append(group)
    return found


def change_of(match: Sequence[Document]) -> str:
    before, after = ([d for d in match if d.name[0] == side] for side in ("before", "after"))
    counts = (min(len(before), 2), min(len(after), 2))
    several = {(0, 1): "appeared", (1, 0): "disappeared", (2, 1): "merged", (1, 2): "split", (2, 2): "regrouped"}
    if counts in several:
        return several[counts]
    if before[0].kind != after[0].kind:
        return "other_type"
    return "unchanged" if before[0].items == after[0].items else "other_items"


def told(comparison: Comparison) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Every match as the comparison says it: what becomes of it, and its documents."""
    rows = comparison.documents.group_by("match").agg("change", "side", "document_id").rows()
    return {(changes[0], frozenset(zip(sides, ids, strict=True))) for _, changes, sides, ids in rows}


@laws(8)
@given(rows=books(), target=st.sampled_from(TARGETS), other=rules())
def test_matches_are_the_oracles_and_the_after_side_is_what_really_happens(
    shelf: Shelf, rows: Rows, target: date, other: Rules
) -> None:
    with shelf.holding(rows) as book:
        untouched = state(book)
        found = other.compared(book, target)
        assert state(book) == untouched
        before = preview(book, asked(target))
        other.settle(book)
        after = preview(book, asked(target))
    documents = [*documents_of("before", before), *documents_of("after", after)]
    expected = {(change_of(m), frozenset(d.name for d in m)) for m in matches_of(documents)}
    for changed, _ in expected:
        event(changed)
    assert told(found) == expected
    adds_up(found)
    for side, receipt in (("before", before), ("after", after)):
        parked = receipt.documents.parked_accounts.select("account_number", "step", "reason").sort("account_number")
        assert getattr(found, f"parked_{side}").equals(parked)


# --- laws -----------------------------------------------------------------------------------------------------------


def adds_up(found: Comparison) -> None:
    """The frames of a comparison say the same."""
    for side in ("before", "after"):
        documents = found.documents.filter(side=side)
        counts = dict(documents["document_type"].value_counts().iter_rows())
        assert found.counts[side]["invoices"] == counts.get("invoice", 0)
        assert found.counts[side]["credit_memos"] == counts.get("credit_memo", 0)
        for frame in (found.matches, found.changes, found.accounts, found.totals):
            assert frame[f"documents_{side}"].sum() == documents.height
        assert found.totals[f"amount_{side}"].sum() == documents["amount"].sum()
        assert (
            found.totals[f"items_{side}"].sum() == documents["item_count"].sum() == found.matches[f"items_{side}"].sum()
        )
        assert net(found.matches, side) == net(found.accounts, side) == owed(found, side)
    for row in found.items.iter_rows(named=True):
        first, then = (owed(found, side).get(row["currency"], 0) for side in ("before", "after"))
        more = row["repriced_amount"] + row["only_after_amount"] - row["only_before_amount"]
        assert then == first + more
    changed = found.changes.filter(pl.col("change") != "unchanged")
    for column in ("documents_before", "documents_after"):
        assert found.why[column].sum() == changed[column].sum()


def net(rows: pl.DataFrame, side: str) -> dict[str, Decimal]:
    """What is owed, by currency."""
    return non_zero(rows.group_by("currency").agg(pl.col(f"amount_{side}").sum()).iter_rows())


def owed(found: Comparison, side: str) -> dict[str, Decimal]:
    """What the documents of a side owe, by currency."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for currency, kind, amount in (
        found.documents.filter(side=side).select("currency", "document_type", "amount").iter_rows()
    ):
        sums[currency] += dict(KINDS)[kind] * amount
    return non_zero(sums.items())


def non_zero(sums: Iterable[Any]) -> dict[str, Decimal]:
    return {currency: amount for currency, amount in sums if amount}


@laws(2)
@given(rows=books(), target=st.sampled_from(TARGETS))
def test_the_rules_that_a_book_has_change_nothing(shelf: Shelf, rows: Rows, target: date) -> None:
    with shelf.holding(rows) as book:
        found = compare(book, asked(target), settings=rows["settings"])
    assert found.rules.is_empty()
    assert found.why.is_empty()
    assert found.parked.is_empty()
    assert set(found.documents["change"]) <= {"unchanged"}
    assert found.matches.select(pl.col("documents_before", "documents_after").eq(1).all()).row(0) == (True, True)


@laws(2)
@given(rows=books(), target=st.sampled_from(TARGETS), said=groupings("Other"))
def test_another_grouping_reprices_nothing(shelf: Shelf, rows: Rows, target: date, said: Rows) -> None:
    with shelf.holding(rows) as book:
        found = compare(book, asked(target), group_of(said))
    assert found.items["repriced"].sum() == 0
    assert not {"other_items", "other_type"} & set(found.documents["change"])
    unparked = found.matches.filter(~pl.col("is_parked"))
    assert unparked["amount_before"].to_list() == unparked["amount_after"].to_list()


@laws(2)
@given(rows=books(), target=st.sampled_from(TARGETS), other=rules())
def test_forth_and_back_is_the_same_seen_from_behind(shelf: Shelf, rows: Rows, target: date, other: Rules) -> None:
    """Where a comparison says merged, the way back says split."""
    behind = {"merged": "split", "split": "merged", "appeared": "disappeared", "disappeared": "appeared"}
    settings = {name: rows["settings"].get(name, values[0]) for name, values in SETTINGS.items()}
    with shelf.holding({**rows, "default_grouping": None}) as book:
        forth = Rules(other.grouping, (), other.settings).compared(book, target)
        Rules(other.grouping, (), other.settings).settle(book)
        back = compare(book, asked(target), settings=settings, clear=other.grouping is not None)
    turned = {"before": "after", "after": "before"}
    expected = {
        (behind.get(changed, changed), frozenset((turned[side], name) for side, name in names))
        for changed, names in told(forth)
    }
    assert told(back) == expected


@laws(2)
@given(steps=histories(), other=rules())
def test_credits_and_discounts_of_what_was_billed_find_their_counterparts(
    shelf: Shelf, steps: Sequence[Step], other: Rules
) -> None:
    with shelf.holding(steps[0].rows) as book:
        for step, following in pairwise(steps):
            bill(book, asked(step.target), post=True)
            load_more(book, following.changed)
        found = other.compared(book, steps[-1].target)
        before = preview(book, asked(steps[-1].target))
        other.settle(book)
        after = preview(book, asked(steps[-1].target))
    documents = [*documents_of("before", before), *documents_of("after", after)]
    assert told(found) == {(change_of(m), frozenset(d.name for d in m)) for m in matches_of(documents)}
    adds_up(found)


@laws(50)
@given(pairs=st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1))
def test_components_are_those_of_a_walk(pairs: set[tuple[int, int]]) -> None:
    schema = {"document": pl.UInt32, "document_after": pl.UInt32}
    edges = pl.DataFrame(sorted(pairs), schema=schema, orient="row")
    for before, after, root in components(edges).iter_rows():
        reached, size = {before}, 0
        while len(reached) > size:
            size = len(reached)
            afters = {a for b, a in pairs if b in reached}
            reached |= {b for b, a in pairs if a in afters}
        assert root == min(reached), (before, after)


def test_a_chain_of_a_hundred_thousand_documents_is_one_match() -> None:
    """Each shares an item with the next; the numbers along the chain go up and down."""
    place = pl.int_range(100_000, eager=True)
    number = (place * 48_271) % 100_003
    edges = pl.concat(pl.DataFrame({"document": number, "document_after": place + step}) for step in (0, 1)).cast(
        pl.UInt32
    )
    assert components(edges)["root"].unique().to_list() == [int(str(number.min()))]


def test_clearing_is_compared_with_what_clearing_does(shelf: Shelf) -> None:
    rows = {
        "accounts": [{"account_number": "A", "currency": "USD"}],
        "order_line_items": [
            {"order_number": "O", "item_number": str(n), "account_number": "A", "amount_per_unit": "1",
             "item_state": "SentToBilling", "bill_target_date": "2024-01-01", "item_name": f"name {n}"}
            for n in range(3)
        ],
        "default_grouping": {
            "name": "D",
            "meta": {"orderLineItemGroup": [{"objectType": "OrderLineItem", "field": "ItemName"}]},
        },
    }  # fmt: skip
    with shelf.holding(rows) as book:
        found = compare(book, asked(TARGETS[-1]), clear=True)
        clear(book)
        after = preview(book, asked(TARGETS[-1]))
    assert found.why.rows(named=True) == [
        {"change": "merged", "joined_by": "invoice_group_value", "separated_by": "", "is_parked": False,
         "documents_before": 3, "documents_after": 1, "accounts": 1}
    ]  # fmt: skip
    assert (
        found.documents.filter(side="after")["document_id"].to_list()
        == after.documents.invoices["invoice_id"].to_list()
    )
