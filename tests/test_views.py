"""The views of a book: what they say is what the tables say, from billfold, from any DuckDB client and from Python."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter, defaultdict
from contextlib import closing
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import duckdb
import pytest
from books import Shelf, asked, load_more
from histories import Step, histories
from hypothesis import given
from hypothesis import strategies as st
from inputs import row, write_rows
from test_laws import laws

from billfold import Book
from billfold import verify as verification
from billfold.book import lake, migrate
from billfold.book.views import View, views
from billfold.errors import BillfoldError
from billfold.intake import load
from billfold.lifecycle import cancel, post
from billfold.money import CURRENCIES
from billfold.requests import RunRequest
from billfold.run import bill
from billfold.settings import change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from conftest import Command

Rows: TypeAlias = list[dict[str, Any]]

VIEWS: Final = [pytest.param(view, id=view.name) for view in views()]
ONE_DAY: Final = timedelta(days=1)
JANUARY: Final = date(2024, 1, 31)

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def billed_folder(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """The folder of a billed book."""
    folder = tmp_path_factory.mktemp("billed") / "book"
    with Book.create(folder) as book:
        load(book, [str(examples.parent / "saas" / "start")])
        run = bill(book, asked(date(2024, 2, 15))).bill_run_number
        post(book, str(run))
    return folder


@pytest.fixture(scope="module")
def billed(billed_folder: Path) -> Iterator[Book]:
    """That book, open."""
    with Book(billed_folder, read_only=True) as book:
        yield book


def rows_of(book: Book, query: str) -> Rows:
    return book.sql(query).to_dicts()


def table_of(book: Book, table: str) -> Rows:
    return book.read(table).collect().to_dicts()


def sold(number: int, amount: object, first: str = "2024-01-01", last: str | None = None, **more: object) -> Any:  # noqa: ANN401 - a row
    """An order line of one unit that serves from a day to another, both inclusive."""
    days = {"transaction_start_date": first, "transaction_end_date": last or first}
    state = {"item_state": "SentToBilling", "bill_target_date": "2024-01-01", "quantity": "1"}
    return row("order_line_items", str(number), amount_per_unit=str(amount), **state, **days, **more)


def bought(book: Book, folder: Path, lines: Sequence[Any], day: date = JANUARY, *, final: bool = True) -> str:
    """Load order lines and bill them on a day; the run's number."""
    number = 1 + len(list(folder.glob("sold-*")))
    load(book, [f"order_line_items={write_rows(folder / f'sold-{number}.jsonl', lines)}"])
    receipt = bill(book, RunRequest(target_date=date(2024, 12, 31), invoice_date=day), post=final)
    return str(receipt.bill_run_number)


def stocked(book: Book, folder: Path) -> Book:
    """A book with three customers who order things."""
    accounts = [
        row("accounts", "A-1", name="Ray Ltd", payment_term="Net 30"),
        row("accounts", "A-2", currency="JPY", payment_term="By handshake"),
        row("accounts", "A-3", currency="KWD"),
    ]
    files = {"accounts": accounts, "orders": [row("orders", "O-1")]}
    load(book, [f"{t}={write_rows(folder / f'{t}.csv', rows)}" for t, rows in files.items()])
    return book


@pytest.fixture
def shop(book: Book, tmp_path: Path) -> Book:
    return stocked(book, tmp_path)


# --- what is said about them is true --------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_a_view_is_described_in_its_order(view: View, billed: Book) -> None:
    assert list(billed.columns(view.name)) == list(view.columns)
    assert set(view.key) <= set(view.columns)


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_money_in_floating_point(view: View, billed: Book) -> None:
    assert {t for t in billed.columns(view.name).values() if t.startswith(("DOUBLE", "FLOAT"))} == set()


@pytest.mark.parametrize("view", VIEWS)
def test_the_catalog_tells_what_a_view_holds(view: View, billed: Book) -> None:
    told = [r for r in rows_of(billed, "FROM duckdb_views()") if r["view_name"] == view.name]
    assert [t["comment"] for t in told] == [view.meaning]
    assert "book." not in told[0]["sql"]


# --- examples -------------------------------------------------------------------------------------------------------


def test_the_register_has_invoices_and_credit_memos_together(shop: Book, tmp_path: Path) -> None:
    run = bought(shop, tmp_path, [sold(1, "100.50")])
    bought(shop, tmp_path, [sold(2, "20", item_category="Return")], final=False)
    found = rows_of(shop, "FROM invoice_register ORDER BY document_id")
    told = ("document_type", "document_number", "account_name", "status", "amount", "due_date", "bill_run_number")
    assert [tuple(r[c] for c in told) for r in found] == [
        ("Invoice", "INV00000001", "Ray Ltd", "Posted", Decimal("100.5"), date(2024, 3, 1), run),
        ("CreditMemo", "TMP-CM-00000001", "Ray Ltd", "Draft", Decimal(-20), None, "BR-00000002"),
    ]


@pytest.mark.parametrize(
    ("past_due", "bucket"),
    [(-1, "current"), (0, "current"), (1, "1-30"), (30, "1-30"), (31, "31-60"), (60, "31-60"), (61, "61-90"),
     (90, "61-90"), (91, "90+"), (400, "90+")],
)  # fmt: skip
def test_a_document_is_in_the_bucket_of_its_days_past_due(billed: Book, past_due: int, bucket: str) -> None:
    day = date(2024, 3, 16) + past_due * ONE_DAY
    found = [r for r in rows_of(billed, f"FROM ageing(DATE '{day}')") if r["account_number"] == "acme"]
    told = ("due_date", "days_past_due", "bucket", "amount", "as_of")
    assert [tuple(r[c] for c in told) for r in found] == [
        (date(2024, 3, 16), past_due, bucket, Decimal("1397.48"), day)
    ]


def test_the_view_of_ages_is_as_of_the_newest_posted_document(shop: Book, tmp_path: Path) -> None:
    bought(shop, tmp_path, [sold(1, 7)])
    bought(shop, tmp_path, [sold(2, 5)], date(2024, 4, 15))
    bought(shop, tmp_path, [sold(3, 3)], date(2024, 12, 1), final=False)
    found = rows_of(shop, "FROM ageing ORDER BY document_id")
    assert [(r["as_of"], r["days_past_due"], r["bucket"]) for r in found] == [
        (date(2024, 4, 15), 45, "31-60"), (date(2024, 4, 15), -30, "current"),
    ]  # fmt: skip
    assert rows_of(shop, "FROM ageing(DATE '2024-04-15') ORDER BY document_id") == found


def test_documents_of_later_days_have_no_age_yet(billed: Book) -> None:
    assert rows_of(billed, "FROM ageing(DATE '2024-02-14')") == []
    assert len(rows_of(billed, "FROM ageing('2024-02-15')")) == 2


def test_what_has_no_due_date_ages_from_its_own_date(shop: Book, tmp_path: Path) -> None:
    bought(shop, tmp_path, [sold(1, 7, item_category="Return"), sold(2, 5, account_number="A-2")])
    found = rows_of(shop, "FROM ageing(DATE '2024-02-01') ORDER BY account_number")
    assert [(r["due_date"], r["days_past_due"], r["amount"]) for r in found] == [(JANUARY, 1, -7), (JANUARY, 1, 5)]


SPREAD: Final[dict[str, tuple[str, str, str, str, Sequence[str]]]] = {
    "within a month": ("A-1", "100", "2024-01-10", "2024-01-31", ["100"]),
    "as many units as days": ("A-1", "91", "2024-01-01", "2024-03-31", ["31", "29", "31"]),
    "a cent is not split": ("A-1", "0.01", "2024-01-31", "2024-02-28", ["0", "0.01"]),
    "half a cent goes up": ("A-1", "10.01", "2024-01-31", "2024-02-01", ["5.01", "5"]),
    "a credit is its mirror image": ("A-1", "-10.01", "2024-01-31", "2024-02-01", ["-5.01", "-5"]),
    "across a year": ("A-1", "100", "2023-12-31", "2024-01-01", ["50", "50"]),
    "yen are whole": ("A-2", "100", "2024-01-01", "2024-03-31", ["34", "32", "34"]),
    "dinars have three decimals": ("A-3", "0.1", "2024-01-01", "2024-03-31", ["0.034", "0.032", "0.034"]),
    "nothing is spread too": ("A-1", "0", "2024-01-01", "2024-02-29", ["0", "0"]),
    "the largest amount": (
        "A-1", "99999999999999.99", "2024-01-01", "2024-02-29", ["51666666666666.66", "48333333333333.33"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """The months of every case: all of them are lines of one book."""
    folder = tmp_path_factory.mktemp("months")
    lines = []
    for number, (account, amount, first, last, _) in enumerate(SPREAD.values()):
        back = {"item_category": "Return"} if amount.startswith("-") else {}
        lines.append(sold(number, amount.removeprefix("-"), first, last, account_number=account, **back))
    with Book.create(folder / "book") as book:
        bought(stocked(book, folder), folder, lines)
        query = "FROM revenue_by_month JOIN (SELECT item_id, item_number FROM billed_items) USING (item_id)"
        found = rows_of(book, f"{query} ORDER BY service_month")
    return {case: [r for r in found if r["item_number"] == str(n)] for n, case in enumerate(SPREAD)}


@pytest.mark.parametrize("case", SPREAD)
def test_an_amount_is_spread_over_its_months_by_days(months: dict[str, Rows], case: str) -> None:
    _, amount, first, last, expected = SPREAD[case]
    found = months[case]
    assert [r["amount"] for r in found] == [Decimal(e) for e in expected]
    assert sum(r["amount"] for r in found) == Decimal(amount)
    assert sum(r["days"] for r in found) == (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    assert found[0]["service_month"] == date.fromisoformat(first).replace(day=1)


def test_an_item_that_ends_before_it_begins_is_of_its_first_month(shop: Book, tmp_path: Path) -> None:
    line = {**sold(1, 9), "transaction_start_date": None, "transaction_end_date": "2023-06-30"}
    bought(shop, tmp_path, [line])
    found = rows_of(shop, "SELECT service_month, days, amount FROM revenue_by_month")
    assert [tuple(r.values()) for r in found] == [(date(2024, 1, 1), 1, Decimal(9))]


def test_amounts_finer_than_the_minor_unit_are_spread_in_their_own_steps(shop: Book, tmp_path: Path) -> None:
    change(shop, {"rounding_increment.USD": "0.0001"})
    bought(shop, tmp_path, [sold(1, "1.0001", "2024-01-31", "2024-02-01")])
    found = rows_of(shop, "SELECT amount FROM revenue_by_month ORDER BY service_month")
    assert [r["amount"] for r in found] == [Decimal("0.5001"), Decimal("0.5")]


def test_drafts_bring_revenue_and_canceled_documents_none(shop: Book, tmp_path: Path) -> None:
    run = bought(shop, tmp_path, [sold(1, 7)], final=False)
    assert [r["status"] for r in rows_of(shop, "FROM revenue_by_month")] == ["Draft"]
    cancel(shop, run)
    assert rows_of(shop, "FROM revenue_by_month") == []
    assert [r["status"] for r in rows_of(shop, "FROM billed_items")] == ["Canceled"]


def test_charges_are_billed_through_a_day_and_due_on_another(shop: Book, tmp_path: Path) -> None:
    charge = row("rate_plan_charges", "C-1", effective_start_date="2024-01-01", bill_cycle_type="ChargeTriggerDay")
    elsewhere = {**charge, "charge_number": "C-2", "charged_through_date": "2024-06-01"}
    files = {"subscriptions": [row("subscriptions", "S-1", invoice_owner_account_number="A-4")],
             "accounts": [row("accounts", "A-4")], "rate_plan_charges": [charge, elsewhere]}  # fmt: skip
    load(shop, [f"{t}={write_rows(tmp_path / f'more-{t}.csv', rows)}" for t, rows in files.items()])
    asked_for = (
        "SELECT charge_number, invoice_owner_account_number, charged_through_date, next_due_date, is_to_review, "
        "last_bill_run_number FROM charges_billed_through ORDER BY charge_number"
    )
    assert shop.sql(asked_for).rows() == [
        ("C-1", "A-4", None, None, True, None), ("C-2", "A-4", date(2024, 6, 1), None, True, None),
    ]  # fmt: skip
    run = bill(shop, asked(JANUARY)).bill_run_number
    assert shop.sql(asked_for).rows() == [
        ("C-1", "A-4", date(2024, 2, 1), date(2024, 2, 1), False, run),
        ("C-2", "A-4", date(2024, 6, 1), date(2024, 6, 1), False, None),
    ]


def parked(book: Book) -> list[tuple[str, str]]:
    found = rows_of(book, "FROM accounts_still_parked ORDER BY ALL")
    return [(r["account_number"], r["bill_run_number"]) for r in found]


def test_a_parked_account_is_still_parked_until_a_run_looks_at_it_again(shop: Book, tmp_path: Path) -> None:
    bad, good = sold(1, -7), sold(2, 5, account_number="A-2")
    first = bought(shop, tmp_path, [bad, good])
    [found] = rows_of(shop, "FROM accounts_still_parked")
    assert found == {
        "account_number": "A-1", "account_name": "Ray Ltd", "account_status": "Active", "bill_run_number": first,
        "target_date": date(2024, 12, 31), "step": "assemble", "reason": found["reason"], "detail": found["detail"],
    }  # fmt: skip
    assert "net negative" in found["reason"]
    load(shop, [f"order_line_items={write_rows(tmp_path / 'm.jsonl', [sold(3, 5, account_number='A-2')])}"])
    bill(shop, RunRequest(target_date=date(2024, 12, 31), invoice_date=JANUARY, accounts=("A-2",)))
    assert parked(shop) == [("A-1", first)], "that run was not for the account"
    load(shop, [f"order_line_items={write_rows(tmp_path / 'n.jsonl', [sold(4, 6, account_number='A-2')])}"])
    narrower = bill(shop, RunRequest(target_date=date(2024, 12, 30), invoice_date=JANUARY))
    assert parked(shop) == [("A-1", first), ("A-1", narrower.bill_run_number)], "that run looked at fewer days"
    last = bought(shop, tmp_path, [sold(1, 8)])
    assert parked(shop) == []
    assert rows_of(shop, f"FROM parked_accounts WHERE bill_run_number = '{last}'") == []


def test_parking_of_a_canceled_run_does_not_stand(shop: Book, tmp_path: Path) -> None:
    run = bought(shop, tmp_path, [sold(1, -7), sold(2, 5, account_number="A-2")], final=False)
    assert parked(shop) == [("A-1", run)]
    cancel(shop, run)
    assert parked(shop) == []


def test_a_run_is_compared_with_the_one_before_of_its_kind(shop: Book, tmp_path: Path) -> None:
    first = bought(shop, tmp_path, [sold(1, 100), sold(2, 3, account_number="A-2")])
    other = [sold(3, 1, account_number="A-3")]
    load(shop, [f"order_line_items={write_rows(tmp_path / 'o.jsonl', other)}"])
    bill(shop, RunRequest(target_date=JANUARY, invoice_date=JANUARY, accounts=("A-3",)))
    second = bought(shop, tmp_path, [sold(4, 150), sold(5, 10)])
    told = ("measure", "currency", "value", "previous_value", "difference", "percent")
    found = [r for r in rows_of(shop, "FROM bill_run_comparison") if r["bill_run_number"] == second]
    assert {(r["previous_bill_run_number"], r["previous_target_date"]) for r in found} == {(first, date(2024, 12, 31))}
    d = Decimal
    assert {tuple(r[c] for c in told) for r in found} == {
        ("accounts billed", None, d(1), d(2), d(-1), d(-50)),
        ("accounts parked", None, d(0), d(0), d(0), None),
        ("accounts with nothing due", None, d(2), d(1), d(1), d(100)),
        ("invoices", None, d(1), d(2), d(-1), d(-50)),
        ("credit memos", None, d(0), d(0), d(0), None),
        ("items", None, d(2), d(2), d(0), d(0)),
        ("invoiced", "USD", d(160), d(100), d(60), d(60)),
        ("credited", "USD", d(0), d(0), d(0), None),
        ("net", "USD", d(160), d(100), d(60), d(60)),
        ("invoiced", "JPY", d(0), d(3), d(-3), d(-100)),
        ("credited", "JPY", d(0), d(0), d(0), None),
        ("net", "JPY", d(0), d(3), d(-3), d(-100)),
    }


def test_a_first_run_has_nothing_to_be_compared_with(shop: Book, tmp_path: Path) -> None:
    bought(shop, tmp_path, [sold(1, 100)])
    told = ("previous_bill_run_number", "previous_value", "difference", "percent")
    assert {r[c] for r in rows_of(shop, "FROM bill_run_comparison") for c in told} == {None}


# --- laws: what views say is what the tables say --------------------------------------------------------------------

REQUESTS: Final[Sequence[dict[str, Any]]] = (
    {}, {}, {}, {"subscriptions": False}, {"order_line_items": False}, {"excluded_charge_types": ("Usage",)},
    {"accounts": ("A", "a")}, {"batches": ("Batch1",)}, {"bill_cycle_days": (1, 15, 31)},
)  # fmt: skip


@laws(2)
@given(steps=histories(runs=(3,)), draw=st.data())
def test_views_say_what_the_tables_say(shelf: Shelf, steps: Sequence[Step], draw: st.DataObject) -> None:
    with shelf.holding(steps[0].rows) as book:
        for step in steps:
            load_more(book, step.changed)
            request = asked(step.target, **draw.draw(st.sampled_from(REQUESTS)))
            run = bill(book, request, post=draw.draw(st.booleans())).bill_run_number
            if run and draw.draw(st.integers(0, 3)) == 0:
                _undone(book, run)
        for agrees in (register_agrees, revenue_agrees, charges_agree, parked_agrees, comparison_agrees, ages_agree):
            agrees(book)
        for view in views():
            found = [tuple(r[k] for k in view.key) for r in rows_of(book, f"FROM {view.name}")]
            assert len(found) == len(set(found))


def _undone(book: Book, run: str) -> None:
    try:
        cancel(book, run)
    except BillfoldError:  # it is posted
        return


def documents(book: Book) -> Rows:
    """Headers of both kinds, with what the kinds call differently under one name."""
    found = []
    for kind, sign in (("invoice", 1), ("credit_memo", -1)):
        for header in table_of(book, f"{kind}s"):
            named = {"id": header[f"{kind}_id"], "number": header[f"{kind}_number"], "date": header[f"{kind}_date"]}
            found.append({**header, **named, "owed": sign * header["amount"]})
    return found


def items(book: Book) -> Rows:
    found = []
    for kind, sign in (("invoice", 1), ("credit_memo", -1)):
        for item in table_of(book, f"{kind}_items"):
            named = {"id": item[f"{kind}_item_id"], "document": item[f"{kind}_id"]}
            found.append({**item, **named, "owed": sign * item["amount"]})
    return found


def register_agrees(book: Book) -> None:
    names = {a["account_number"]: a["name"] for a in table_of(book, "accounts")}
    same = ("due_date", "account_number", "currency", "status", "item_count", "bill_run_number", "source_type",
            "invoice_group_number", "invoice_group_value")  # fmt: skip
    expected = {
        d["id"]: (d["number"], d["date"], d["owed"], names[d["account_number"]], *(d[c] for c in same))
        for d in documents(book)
    }
    told = ("document_number", "document_date", "amount", "account_name", *same)
    found = rows_of(book, "FROM invoice_register")
    assert {r["document_id"]: tuple(r[c] for c in told) for r in found} == expected
    assert len(found) == len(expected)


def ages_agree(book: Book) -> None:
    posted = [d for d in documents(book) if d["status"] == "Posted"]
    expected = {d["id"]: (d["due_date"] or d["date"], d["owed"]) for d in posted}
    found = rows_of(book, "FROM ageing")
    assert {r["document_id"]: (r["due_date"], r["amount"]) for r in found} == expected
    newest = max((d["date"] for d in posted), default=None)
    assert {r["as_of"] for r in found} == ({newest} if posted else set())
    assert all(r["days_past_due"] == (r["as_of"] - r["due_date"]).days for r in found)


def spread(item: dict[str, Any]) -> dict[date, Decimal]:
    """An item's months and amounts, day by day: what is earned up to a month's end, less what was before."""
    first, last = item["service_start_date"], max(item["service_start_date"], item["service_end_date"])
    days = [first + n * ONE_DAY for n in range((last - first).days + 1)]
    unit = Decimal(1).scaleb(-CURRENCIES[item["currency"]])
    months: dict[date, Decimal] = {}
    gone, earned = 0, Decimal(0)
    for month, count in sorted(Counter(d.replace(day=1) for d in days).items()):
        gone += count
        upto = (item["owed"] * gone / len(days)).quantize(unit, ROUND_HALF_UP)
        months[month], earned = upto - earned, upto
    return months


def revenue_agrees(book: Book) -> None:
    status = {d["id"]: d["status"] for d in documents(book)}
    counting = {i["id"]: i for i in items(book) if status[i["document"]] != "Canceled"}
    expected = {(i["id"], m): a for i in counting.values() for m, a in spread(i).items()}
    found = rows_of(book, "FROM revenue_by_month")
    assert {(r["item_id"], r["service_month"]): r["amount"] for r in found} == expected
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for r in found:
        sums[r["item_id"]] += r["amount"]
        item = counting[r["item_id"]]
        all_days = max(1, (item["service_end_date"] - item["service_start_date"]).days + 1)
        exact = Fraction(item["owed"]) * r["days"] / all_days
        assert abs(Fraction(r["amount"]) - exact) <= Fraction(1, 10 ** CURRENCIES[r["currency"]])
        assert r["status"] == status[r["document_id"]]
    assert sums == {i["id"]: i["owed"] for i in counting.values()}


def charges_agree(book: Book) -> None:
    segment = ("charge_number", "segment")
    progress = {tuple(p[k] for k in segment): p for p in table_of(book, "charge_progress")}
    review = {tuple(c[k] for k in segment) for c in table_of(book, "charges_to_review")}
    owners = {s["subscription_number"]: s["account_number"] for s in table_of(book, "subscriptions")}
    expected = {}
    for charge in table_of(book, "rate_plan_charges"):
        key = tuple(charge[k] for k in segment)
        own = progress.get(key, {})
        through = own.get("charged_through_date") or charge["charged_through_date"]
        known = (through, own.get("next_due_date"), own.get("bill_run_number"), key in review)
        expected[key] = (owners[charge["subscription_number"]], *known)
    told = ("account_number", "charged_through_date", "next_due_date", "last_bill_run_number", "is_to_review")
    found = rows_of(book, "FROM charges_billed_through")
    assert {tuple(r[k] for k in segment): tuple(r[c] for c in told) for r in found} == expected
    assert len(found) == len(expected)


def runs_that_count(book: Book) -> dict[str, dict[str, Any]]:
    runs = sorted(table_of(book, "bill_runs"), key=lambda r: str(r["bill_run_number"]))
    counting = [r for r in runs if r["status"] != "Canceled"]
    return {r["bill_run_number"]: {**r, "request": json.loads(r["request"])} for r in counting}


def looked_at(later: dict[str, Any], earlier: dict[str, Any], account: dict[str, Any]) -> bool:
    """Whether a later run was asked for all that an earlier one was, and for the account."""
    new, old = later["request"], earlier["request"]
    kinds = all(new[kind] or not old[kind] for kind in ("subscriptions", "order_line_items"))
    types = set(new["excluded_charge_types"]) <= set(old["excluded_charge_types"])
    fields = (("accounts", "account_number"), ("batches", "batch"), ("bill_cycle_days", "bill_cycle_day"))
    chosen = all(not new[wanted] or account[column] in new[wanted] for wanted, column in fields)
    return kinds and types and chosen and later["target_date"] >= earlier["target_date"]


def parked_agrees(book: Book) -> None:
    accounts = {a["account_number"]: a for a in table_of(book, "accounts")}
    runs = runs_that_count(book)
    expected = set()
    for found in table_of(book, "parked_accounts"):
        run, account = found["bill_run_number"], accounts[found["account_number"]]
        later = [r for number, r in runs.items() if number > run]
        if run in runs and not any(looked_at(r, runs[run], account) for r in later):
            expected.add((account["account_number"], run, found["reason"]))
    told = rows_of(book, "FROM accounts_still_parked")
    assert {(r["account_number"], r["bill_run_number"], r["reason"]) for r in told} == expected


def comparison_agrees(book: Book) -> None:
    runs = runs_that_count(book)
    amounts: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for d in documents(book):
        kind = "credited" if "credit_memo_id" in d else "invoiced"
        amounts[d["bill_run_number"], kind, d["currency"]] += d["amount"]
        amounts[d["bill_run_number"], "net", d["currency"]] += d["owed"]
    found = rows_of(book, "FROM bill_run_comparison")
    assert {r["bill_run_number"] for r in found} == runs.keys()
    last: dict[str, str] = {}
    before = {}
    for number, run in runs.items():
        kind = json.dumps({k: v for k, v in run["request"].items() if not k.endswith("_date")}, sort_keys=True)
        before[number], last[kind] = last.get(kind), number
    counts = {
        "invoices": "invoices", "credit memos": "credit_memos", "items": "items", "accounts billed": "accounts_billed",
        "accounts parked": "parked_accounts", "accounts with nothing due": "accounts_nothing_due",
    }  # fmt: skip
    for r in found:
        number, previous = r["bill_run_number"], r["previous_bill_run_number"]
        assert previous == before[number]
        values = [
            None if run is None else amounts[run, r["measure"], r["currency"]] if r["currency"]
            else Decimal(runs[run][counts[r["measure"]]])
            for run in (number, previous)
        ]  # fmt: skip
        assert [r["value"], r["previous_value"]] == values
        assert r["difference"] == (None if previous is None else values[0] - values[1])  # type: ignore[operator]
        if r["previous_value"]:
            exact = 100 * r["difference"] / abs(r["previous_value"])
            assert r["percent"] == exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
        else:
            assert r["percent"] is None


# --- from any client ------------------------------------------------------------------------------------------------


@pytest.fixture
def client() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB without anything of billfold's but the two extensions."""
    with closing(duckdb.connect()) as connection:
        for extension in lake._EXTENSIONS:
            lake._load(connection, extension)
        yield connection


@pytest.mark.parametrize("alias", ["book", "lake"])
@pytest.mark.parametrize("view", VIEWS)
def test_views_can_be_read_under_any_alias(
    view: View, alias: str, billed_folder: Path, billed: Book, client: duckdb.DuckDBPyConnection
) -> None:
    client.execute(f"ATTACH 'ducklake:sqlite:{billed_folder}/catalog.sqlite' AS {alias} (READ_ONLY)")
    expected = billed.sql(f"FROM {view.name} ORDER BY ALL")
    assert client.sql(f"FROM {alias}.{view.name} ORDER BY ALL").pl().equals(expected)


def test_ages_of_any_day_can_be_asked_once_the_book_is_in_use(
    billed_folder: Path, client: duckdb.DuckDBPyConnection
) -> None:
    client.execute(f"ATTACH 'ducklake:sqlite:{billed_folder}/catalog.sqlite' AS lake (READ_ONLY); USE lake")
    found = client.sql("SELECT DISTINCT as_of FROM ageing(DATE '2024-06-30')").fetchall()
    assert found == [(date(2024, 6, 30),)]


def test_views_move_with_the_book(billed_folder: Path, tmp_path: Path, client: duckdb.DuckDBPyConnection) -> None:
    old, new = shutil.copytree(billed_folder, tmp_path / "old"), tmp_path / "elsewhere" / "new"
    with Book(old) as book:
        expected = book.sql("FROM revenue_by_month ORDER BY ALL")
    new.parent.mkdir()
    old.rename(new)
    path = f"DATA_PATH '{new}/data', OVERRIDE_DATA_PATH true, "
    client.execute(f"ATTACH 'ducklake:sqlite:{new}/catalog.sqlite' AS told ({path}READ_ONLY)")
    assert client.sql("FROM told.revenue_by_month ORDER BY ALL").pl().equals(expected)
    client.execute("DETACH told")
    Book(new).close()
    client.execute(f"ATTACH 'ducklake:sqlite:{new}/catalog.sqlite' AS settled (READ_ONLY)")
    assert client.sql("FROM settled.revenue_by_month ORDER BY ALL").pl().equals(expected)


def test_views_can_be_read_as_of_an_earlier_snapshot(billed: Book) -> None:
    before = billed.read("bill_runs").select("snapshot_id").collect().item()
    counted = "SELECT count(*) FROM {} AT (VERSION => {})"
    for view in ("invoice_register", "ageing", "revenue_by_month", "bill_run_comparison"):
        assert billed.sql(counted.format(view, before)).item() == 0
        assert billed.sql(counted.format(view, billed.head().snapshot_id)).item() > 0


def test_the_command_line_queries_views(quick: Command, billed_folder: Path) -> None:
    query = "SELECT bucket, sum(amount) AS amount FROM ageing(DATE '2024-03-31') GROUP BY ALL ORDER BY bucket"
    outcome = quick("--book", billed_folder, "sql", query, "--format", "json")
    assert outcome.json() == [{"bucket": "1-30", "amount": "1397.4800"}, {"bucket": "31-60", "amount": "1239.3800"}]


# --- the book stays what it is --------------------------------------------------------------------------------------


def test_a_book_with_views_has_no_orphans_and_can_be_replayed(billed_folder: Path, quick: Command) -> None:
    assert quick("--book", billed_folder, "clean", "--json").json()["files"] == []
    assert quick("--book", billed_folder, "replay", "BR-00000001").code == 0


@pytest.fixture
def broken_layout(monkeypatch: pytest.MonkeyPatch) -> Callable[[Book], list[str]]:
    """What `verify` finds wrong with the layout of a book; the other promises would take longer."""
    [layout] = [p for p in verification.promises() if p.name == "unchanged: tables"]
    monkeypatch.setattr(verification, "promises", lambda: (layout,))
    return lambda book: [text for v in verification.verify(book) for text in v.broken["broken"]]


def _without_views(folder: Path, *names: str) -> None:
    with closing(lake.attach(folder)) as connection:
        for name in names:
            connection.execute(f"DROP VIEW {name}")


def test_migration_brings_the_views_to_a_book_without_them(
    billed_folder: Path, tmp_path: Path, broken_layout: Callable[[Book], list[str]]
) -> None:
    folder = shutil.copytree(billed_folder, tmp_path / "book")
    with Book(folder) as book:
        expected = book.sql("FROM ageing ORDER BY ALL")
    _without_views(folder, "ageing", "invoice_register")
    assert migrate(folder) == ["added the view invoice_register", "added the view ageing"]
    with Book(folder) as book:
        assert book.sql("FROM ageing ORDER BY ALL").equals(expected)
        assert broken_layout(book) == []
    assert migrate(folder) == []


def test_a_view_that_was_made_otherwise_is_told_by_verify_and_made_anew_by_migration(
    billed_folder: Path, tmp_path: Path, broken_layout: Callable[[Book], list[str]]
) -> None:
    folder = shutil.copytree(billed_folder, tmp_path / "book")
    with closing(lake.attach(folder)) as connection:
        connection.execute("CREATE OR REPLACE VIEW accounts_still_parked AS SELECT 1 AS one")
    with Book(folder, read_only=True) as book:
        assert broken_layout(book) == ["the view accounts_still_parked is none of billfold's, or not as it makes it"]
    assert migrate(folder) == []
    with Book(folder) as book:
        assert "reason" in book.columns("accounts_still_parked")
        assert broken_layout(book) == []


def test_new_custom_fields_do_not_disturb_views(shop: Book, tmp_path: Path) -> None:
    bought(shop, tmp_path, [sold(1, 7)])
    more = [row("accounts", "A-1", name="Ray & Co", Region__c="North")]
    load(shop, [f"accounts={write_rows(tmp_path / 'more.csv', more)}"])
    assert [r["account_name"] for r in rows_of(shop, "FROM invoice_register")] == ["Ray & Co"]


# --- the command that lists them ------------------------------------------------------------------------------------


def test_views_are_listed_with_their_meaning(quick: Command) -> None:
    outcome = quick("views")
    assert outcome.code == 0
    assert [v.name for v in views() if v.name not in outcome.out] == []
    assert [v["view"] for v in quick("views", "--json").json()] == [v.name for v in views()]


def test_a_view_is_shown_with_its_columns(quick: Command) -> None:
    outcome = quick("views", "ageing")
    assert re.search(r"days_past_due\s+Days from the due date", outcome.out)
    assert list(quick("views", "ageing", "--json").json()["columns"]) == list(views()[2].columns)


def test_a_view_that_there_is_not_is_refused(quick: Command) -> None:
    outcome = quick("views", "aging")
    assert outcome.code == 1
    assert "did you mean ageing?" in outcome.err
