"""Laws that any bill run of any book must keep, on random small books, and agreement with a slow oracle.

`LAWS=20 pytest tests/test_laws.py` looks at twenty times as many books.
"""

from __future__ import annotations

import copy
import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import oracle
import polars as pl
import pytest
from books import ACCOUNTS, CHARGE_FIELDS, ORDER_FIELDS, TABLES, TARGETS, Shelf, asked, books
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from billfold.lifecycle import cancel
from billfold.run import bill, preview

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable
    from datetime import date

    from billfold.book import Book
    from billfold.lines import Documents

    Law = Callable[..., None]
    Places = dict[str, tuple[str, int, date]]

Rows: TypeAlias = dict[str, Any]

OUTPUTS: Final = {
    "invoices": "invoice_id",
    "invoice_items": "invoice_item_id",
    "credit_memos": "credit_memo_id",
    "credit_memo_items": "credit_memo_item_id",
    "parked_accounts": "account_number",
}
KINDS: Final = (
    (oracle.INVOICE, "invoices", "invoice_items", "invoice_id"),
    (oracle.MEMO, "credit_memos", "credit_memo_items", "credit_memo_id"),
)

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
"""A book as it failed is long to print, and worth it."""

targets = st.sampled_from(TARGETS)


def laws(examples: int) -> Callable[[Law], Law]:
    """Settings of a law: how many books it looks at. Making a real book takes most of a second."""
    return settings(
        max_examples=examples * int(os.environ.get("LAWS", "1")),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        phases=[p for p in Phase if p is not Phase.explain],
    )


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


# --- agreement with the oracle ----------------------------------------------------------------------------------


@laws(12)
@given(rows=books(), target=targets)
def test_documents_and_parked_accounts_are_the_oracles(shelf: Shelf, rows: Rows, target: date) -> None:
    expected = oracle.run(rows, target)
    with shelf.holding(rows) as book:
        found = preview(book, asked(target)).documents
    event(f"parked {len(expected.parked) > 0}, documents {min(len(expected.documents) // 4 * 4, 12)}+")
    assert set(parked_of(found)) == expected.parked
    assert documents_of(found) == expected.documents


@laws(3)
@given(rows=books(), target=targets)
def test_documents_add_up_and_hold_every_due_order_line_once(shelf: Shelf, rows: Rows, target: date) -> None:
    with shelf.holding(rows) as book:
        receipt = preview(book, asked(target))
    lines = Counter(line[:2] for line in items_of(receipt.documents))
    sources = {source for source, _ in lines}
    parked = set(parked_of(receipt.documents))
    active = {a["account_number"] for a in rows["accounts"] if a.get("status", "Active") == "Active"}
    assert max(lines.values(), default=1) == 1
    assert receipt.accounts_billed + receipt.accounts_nothing_due + len(parked) == len(active)
    for source, owner in due_order_lines(rows, target):
        assert (source in sources) == (owner in active - parked) or owner in parked
    for _, headers, items, key in KINDS:
        documents, held = getattr(receipt.documents, headers), getattr(receipt.documents, items)
        added = held.group_by(key).agg(amount=pl.col("amount").sum(), item_count=pl.len()).sort(key)
        assert added.rows() == documents.select(key, "amount", "item_count").sort(key).rows()


# --- what must not matter ---------------------------------------------------------------------------------------


@laws(3)
@given(rows=books(), target=targets, random=st.randoms(use_true_random=False))
def test_order_of_rows_and_loads_does_not_matter(shelf: Shelf, rows: Rows, target: date, random: Any) -> None:  # noqa: ANN401 - Hypothesis' random generator
    shuffled = copy.deepcopy(rows)
    for table in TABLES:
        random.shuffle(shuffled[table])
    with shelf.holding(rows) as book:
        in_order = preview(book, asked(target)).documents
    with shelf.holding(shuffled, ("sequence_sets", "accounts", "order_line_items"), TABLES[1:4]) as book:
        out_of_order = preview(book, asked(target)).documents
    for table in OUTPUTS:
        assert getattr(in_order, table).equals(getattr(out_of_order, table)), table


@laws(3)
@given(rows=books(), target=targets, other=st.sampled_from(ACCOUNTS[:3]))
def test_other_accounts_do_not_matter(shelf: Shelf, rows: Rows, target: date, other: str) -> None:
    without, touched = removed(rows, other)
    with shelf.holding(rows) as book:
        before = preview(book, asked(target)).documents
    with shelf.holding(without) as book:
        after = preview(book, asked(target)).documents
    assert documents_of(before, touched) == documents_of(after, touched)
    assert parked_of(before, touched) == parked_of(after, touched)


@laws(3)
@given(rows=books(), target=targets)
def test_an_explicit_default_is_a_blank(shelf: Shelf, rows: Rows, target: date) -> None:
    with shelf.holding(rows) as book:
        blank = preview(book, asked(target)).documents
    with shelf.holding(explicit(rows)) as book:
        stated = preview(book, asked(target)).documents
    assert documents_of(stated) == documents_of(blank)
    assert parked_of(stated) == parked_of(blank)


# --- configurations ---------------------------------------------------------------------------------------------


@laws(3)
@given(
    rows=books().filter(lambda b: b["default_grouping"] is not None),
    target=targets,
    charge_field=st.none() | st.sampled_from(CHARGE_FIELDS),
    order_field=st.none() | st.sampled_from(ORDER_FIELDS),
)
def test_a_further_configured_field_only_splits(
    shelf: Shelf, rows: Rows, target: date, charge_field: tuple[str, str] | None, order_field: tuple[str, str] | None
) -> None:
    """Read backwards: taking a field away only joins.

    Charges and order lines are looked at apart unless both sides had equally many fields, since a side that
    catches up with the other may rightly join it.
    """
    finer = with_fields(rows, charge_field, order_field)
    assume(finer != rows)
    with shelf.holding(rows) as book:
        coarse = preview(book, asked(target)).documents
    with shelf.holding(finer) as book:
        fine = preview(book, asked(target)).documents
    parked = {*parked_of(coarse), *parked_of(fine)}
    before, after = groups_of(coarse, parked), groups_of(fine, parked)
    joined = defaultdict(set)
    for line, group in after.items():
        joined[group, None if even(rows) else line[0][0]].add(before[line])
    assert set(before) == set(after)
    assert all(len(groups) == 1 for groups in joined.values())


# --- runs -------------------------------------------------------------------------------------------------------


@laws(3)
@given(rows=books(), target=targets)
def test_a_run_commits_what_a_dry_run_shows_and_the_same_request_again_nothing(
    shelf: Shelf, rows: Rows, target: date
) -> None:
    with shelf.holding(rows) as book:
        before = book.head()
        dry = preview(book, asked(target)).documents
        assert book.head() == before
        bill(book, asked(target))
        for table, key in OUTPUTS.items():
            assert book.read(table).sort(key).collect().equals(getattr(dry, table).sort(key)), table
        after = book.head()
        again = bill(book, asked(target))
        assert again.bill_run_number is None
        assert not items_of(again.documents)
        assert book.head() == after


@laws(3)
@given(rows=books(), first=targets, second=targets)
def test_two_runs_bill_what_one_run_bills(shelf: Shelf, rows: Rows, first: date, second: date) -> None:
    assume(first < second)
    with shelf.holding(rows) as book:
        at_once = preview(book, asked(second)).documents
        early = bill(book, asked(first)).documents
        late = bill(book, asked(second)).documents
    parked = {*parked_of(at_once), *parked_of(early), *parked_of(late)}
    assert items_of(early, parked) + items_of(late, parked) == items_of(at_once, parked)


@laws(3)
@given(rows=books(), target=targets)
def test_a_canceled_run_gives_everything_back(shelf: Shelf, rows: Rows, target: date) -> None:
    with shelf.holding(rows) as book:
        first = bill(book, asked(target))
        assume(first.bill_run_number is not None)
        cancel(book, str(first.bill_run_number))
        second = bill(book, asked(target))
    assert documents_of(second.documents) == documents_of(first.documents)
    assert parked_of(second.documents) == parked_of(first.documents)


@laws(3)
@given(rows=books(), first=targets, second=targets)
def test_numbers_are_without_gaps_in_the_order_of_ids(shelf: Shelf, rows: Rows, first: date, second: date) -> None:
    with shelf.holding(rows) as book:
        for target in sorted((first, second)):
            bill(book, asked(target), post=True)
        numbers = [*posted(book, "invoice"), *posted(book, "credit_memo")]
    by_prefix: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        prefix = number.rstrip("0123456789")
        by_prefix[prefix].append(int(number.removeprefix(prefix)))
    for prefix, sequence in by_prefix.items():
        start = {"INV": 1, "CM": 1, "X-": 7, "Y": 1}[prefix]
        assert sequence == list(range(start, start + len(sequence)))


# --- ways to look at documents and books ------------------------------------------------------------------------


def documents_of(
    documents: Documents, accounts: Container[str] | None = None, earlier: Places | None = None
) -> Counter[oracle.Document]:
    """Documents as the oracle describes them, of all accounts or of some; `earlier` are places of earlier runs."""
    found: Counter[oracle.Document] = Counter()
    places = {**(earlier or {}), **places_of(documents)}
    for kind, headers, items, key in KINDS:
        held: dict[str, set[oracle.Item]] = defaultdict(set)
        for row in getattr(documents, items).iter_rows(named=True):
            held[row[key]].add(item_of(row, places))
        for row in getattr(documents, headers).iter_rows(named=True):
            if accounts is None or row["account_number"] in accounts:
                found[document_of(kind, row, frozenset(held[row[key]]))] += 1
    return found


def places_of(documents: Documents) -> Places:
    """Charge, segment and first day of every charge's item, by its id."""
    return {
        row[f"{items.removesuffix('s')}_id"]: (row["charge_number"], row["segment"], row["service_start_date"])
        for _, _, items, _ in KINDS
        for row in getattr(documents, items).iter_rows(named=True)
    }


def document_of(kind: str, row: Rows, items: frozenset[oracle.Item]) -> oracle.Document:
    return oracle.Document(
        kind,
        row["account_number"],
        row["currency"],
        tuple(row[a] for a in oracle.ATTRIBUTES),
        row["invoice_group_number"],
        row["invoice_group_value"],
        row["amount"],
        items,
    )


def item_of(row: Rows, places: Places) -> oracle.Item:
    days = (row["service_start_date"], row["service_end_date"])
    amounts = (row["quantity"], row["unit_price"], row["amount"])
    applied = row["applied_to_item_id"]
    return oracle.Item(source_of(row), *days, *amounts, row["sold_to_contact"], place_of(applied, places))


def place_of(item_id: str | None, places: Places) -> Any:  # noqa: ANN401 - a place or nothing
    """Where the item is that a line names; one that was billed elsewhere is nowhere here."""
    return None if item_id in {None, "elsewhere"} else places[item_id]


def source_of(row: Rows) -> tuple[str, ...]:
    if row["source_type"] == "OrderLineItem":
        return ("order line", row["order_number"], row["item_number"])
    return ("charge", row["subscription_number"], row["charge_number"], str(row["segment"]))


def items_of(documents: Documents, without: Container[str] = ()) -> Counter[tuple[Any, ...]]:
    """Lines of all documents (what, from when and on what, how much is owed), except those of some accounts."""
    places = places_of(documents)
    return Counter(
        (source_of(row), when_of(row, places), row["amount"] * sign)
        for table, sign in (("invoice_items", 1), ("credit_memo_items", -1))
        for row in getattr(documents, table).iter_rows(named=True)
        if row["account_number"] not in without
    )


def when_of(row: Rows, places: Places) -> tuple[Any, ...]:
    """What tells the lines of one charge apart: the first day and, of a discount, the item that it reduces."""
    return row["service_start_date"], place_of(row["applied_to_item_id"], places)


def parked_of(documents: Documents, accounts: Container[str] | None = None) -> dict[str, str]:
    rows = documents.parked_accounts.select("account_number", "reason").iter_rows()
    return {account: reason for account, reason in rows if accounts is None or account in accounts}


def groups_of(documents: Documents, without: Container[str]) -> dict[tuple[Any, ...], str]:
    """The group of each line; an invoice and a credit memo can be of one group."""
    groups = {}
    places = places_of(documents)
    for _, headers, items, key in KINDS:
        keys = dict(getattr(documents, headers).select(key, "group_key").iter_rows())
        for row in getattr(documents, items).iter_rows(named=True):
            if row["account_number"] not in without:
                groups[source_of(row), when_of(row, places)] = keys[row[key]]
    return groups


def posted(book: Book, kind: str) -> list[str]:
    rows = book.read(f"{kind}s").sort(f"{kind}_id").collect()
    assert set(rows["status"]) <= {"Posted"}
    return rows[f"{kind}_number"].to_list()


def owner_of(row: Rows) -> str:
    return str(row.get("invoice_owner_account_number") or row["account_number"])


def due_order_lines(rows: Rows, target: date) -> Iterable[tuple[tuple[str, ...], str]]:
    for row in rows["order_line_items"]:
        if row["item_state"] == "SentToBilling" and row["bill_target_date"] <= target.isoformat():
            yield ("order line", row["order_number"], row["item_number"]), owner_of(row)


def removed(rows: Rows, account: str) -> tuple[Rows, set[str]]:
    """The book with nothing to bill for an account, which has other values now; and who shares nothing with it.

    Subscriptions of one account share its discounts and its usage, whoever pays.
    """
    kept = copy.deepcopy(rows)
    carriers = [*rows["subscriptions"], *rows["order_line_items"]]
    gone = [c for c in carriers if account in {c["account_number"], owner_of(c)}]
    owning = {account, *(c["account_number"] for c in gone)}
    touched = {
        *owning,
        *(owner_of(c) for c in [*gone, *(s for s in rows["subscriptions"] if s["account_number"] in owning)]),
    }
    for table in ("subscriptions", "order_line_items"):
        kept[table] = [c for c in rows[table] if c not in gone]
    there = {s["subscription_number"] for s in kept["subscriptions"]}
    kept["rate_plan_charges"] = [c for c in rows["rate_plan_charges"] if c["subscription_number"] in there]
    numbers = {c["charge_number"] for c in kept["rate_plan_charges"]}
    kept["usage"] = [
        u
        for u in rows["usage"]
        if u.get("charge_number") in {None, *numbers} and u.get("subscription_number") in {None, *there}
    ]
    for row in kept["accounts"]:
        if row["account_number"] == account:
            row |= {"currency": "GBP", "bill_cycle_day": 9, "bill_to_contact": "Somebody else"}
    return kept, {a["account_number"] for a in rows["accounts"]} - touched


def explicit(rows: Rows) -> Rows:
    """The book with the invoice owner's values written into every blank."""
    stated = copy.deepcopy(rows)
    accounts = {a["account_number"]: a for a in rows["accounts"]}
    for row in [*stated["subscriptions"], *stated["order_line_items"]]:
        owner = accounts[owner_of(row)]
        row["invoice_owner_account_number"] = owner["account_number"]
        row["currency"] = row.get("currency") or owner["currency"]
        for attribute in oracle.ATTRIBUTES:
            blank = not (row.get(attribute) or "").strip()
            default = "DEFAULT" if attribute == "sequence_set" else None
            row[attribute] = (owner.get(attribute) or "").strip() or default if blank else row[attribute]
    return stated


def with_fields(rows: Rows, charge_field: tuple[str, str] | None, order_field: tuple[str, str] | None) -> Rows:
    """The book with a further field at the end of a side, or of both, of every configuration."""
    finer = copy.deepcopy(rows)
    for configuration in (finer["default_grouping"], *finer["own_groupings"]):
        for side, field in (("subscriptionGroup", charge_field), ("orderLineItemGroup", order_field)):
            if field is not None:
                entry = {"objectType": field[0], "field": field[1]}
                configuration["meta"][side] = [*configuration["meta"].get(side, ()), entry]
    return finer


def even(rows: Rows) -> bool:
    """Whether both sides of every configuration have equally many fields."""
    metas = [c["meta"] for c in (rows["default_grouping"], *rows["own_groupings"])]
    return all(len(m.get("subscriptionGroup", ())) == len(m.get("orderLineItemGroup", ())) for m in metas)
