"""What explain says of documents, charges and order lines, and of ids that it can't make sense of."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import ROOT, Command
from inputs import write_rows
from test_examples import FOLDER, set_up

from billfold import Book, RunRequest, bill, cancel, post
from billfold.errors import BillfoldError
from billfold.explanations.api import explain
from billfold.explanations.components import LABELS
from billfold.intake import load
from billfold.settings import change

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from billfold.explanations.models import Component, DocumentWhy, Explanation

FEBRUARY: Final = date(2024, 2, 1)


def asked(day: date, **more: Any) -> RunRequest:  # noqa: ANN401 - any field of a request
    return RunRequest(target_date=day, invoice_date=day, **more)


def example(book: Book, case: str) -> list[str]:
    """The ids of the documents that an example makes, in order."""
    set_up(book, FOLDER / case)
    bill(book, asked(date.fromisoformat(json.loads((FOLDER / case / "expected.json").read_text())["target_date"])))
    query = "SELECT invoice_id FROM invoices UNION ALL SELECT credit_memo_id FROM credit_memos ORDER BY 1"
    return book.sql(query).to_series().to_list()


def sold(book: Book, folder: Path, lines: Sequence[Mapping[str, str]], *accounts: Mapping[str, str]) -> None:
    """Load order lines of the account A, each of 10 unless it is said."""
    made = [{"account_number": "A", "currency": "EUR"}] if not accounts else list(accounts)
    given = {"account_number": "A", "order_number": "O", "amount_per_unit": "10", "item_state": "SentToBilling",
             "bill_target_date": "2024-01-15"}  # fmt: skip
    rows = [{"item_number": str(n), **given, **line} for n, line in enumerate(lines, 1)]
    columns = dict.fromkeys(c for row in rows for c in row)
    filled = [{c: row.get(c, "") for c in columns} for row in rows]
    folder.mkdir(exist_ok=True)
    load(
        book,
        [f"accounts={write_rows(folder / 'a.csv', made)}", f"order_line_items={write_rows(folder / 'o.csv', filled)}"],
    )


def document(book: Book, name: str) -> DocumentWhy:
    why = explain(book, name).document
    assert why is not None
    return why


def component(why: DocumentWhy, name: str) -> Component:
    return next(c for c in why.components if c.name == name)


# --- which lines share a document -------------------------------------------------------------------------------


def test_configured_fields_are_what_sets_documents_apart(book: Book) -> None:
    """The fields have other names on the side of order lines."""
    one, both = (document(book, i) for i in example(book, "cig-uc4-s2-different-field-names"))
    assert both.rule == (
        "Apart from TMP-INV-00000001, because CostCenter__c is HR there and IT here "
        "and ProjectID__c is H11 there and X99 here."
    )
    assert [s.field for s in component(one, "invoice_group_value").sources] == [
        "OrderLineItem.CC_Code__c", "OrderLineItem.Proj_Code__c",
    ]  # fmt: skip
    fields = component(both, "invoice_group_value")
    assert [(s.kind, s.of, s.field, s.value) for s in fields.sources] == [
        ("subscription", "Subscription 1", "Subscription.CostCenter__c", "IT"),
        ("subscription", "Subscription 1", "Subscription.ProjectID__c", "X99"),
        ("order line", "O-1/1", "OrderLineItem.CC_Code__c", "IT"),
        ("order line", "O-1/1", "OrderLineItem.Proj_Code__c", "X99"),
    ]
    assert "the configuration IG-00000001 'cig-uc4-s2-different-field-names', the default one" in fields.said


def test_charges_and_order_lines_of_one_region_share_a_document(book: Book) -> None:
    (why,) = (document(book, i) for i in example(book, "cig-uc4-s1-region"))
    assert component(why, "invoice_group_value").value == "Americas"
    assert component(why, "ungrouped").said.endswith("since a grouping configuration applies")


def test_a_group_number_is_the_reason_and_keeps_its_spelling(book: Book, tmp_path: Path) -> None:
    sold(book, tmp_path / "in", [{"invoice_group_number": " PO #1"}, {"invoice_group_number": "PO #2"}])
    bill(book, asked(FEBRUARY))
    why = document(book, "BR-00000001-000001")
    assert why.rule == ("Apart from TMP-INV-00000002, because the invoice group number is PO #2 there and PO #1 here.")
    number = component(why, "invoice_group_number")
    assert (number.value, number.sources[0].of) == ("PO #1", "O/1")


def test_a_line_without_a_number_stays_alone_because_others_have_one(book: Book, tmp_path: Path) -> None:
    sold(book, tmp_path / "in", [{}, {"invoice_group_number": "PO"}, {}])
    bill(book, asked(FEBRUARY))
    alone = next(
        why for n in (1, 2, 3) if component(why := document(book, f"BR-00000001-00000{n}"), "ungrouped").value == "O/1"
    )
    said = component(alone, "ungrouped")
    assert "order line O/2 of the account has one, PO" in said.said
    assert [s.kind for s in said.sources] == ["setting", "order line"]
    assert "lines without a group number stay alone (O/1 here, O/3 there)" in alone.rule


def test_values_come_from_the_line_the_account_or_the_default(book: Book, tmp_path: Path) -> None:
    account = {"account_number": "A", "currency": "EUR", "bill_to_contact": "Ray", "payment_term": "Net 30"}
    sold(book, tmp_path / "in", [{"bill_to_contact": "Ray"}, {"bill_to_contact": ""}], account)
    bill(book, asked(FEBRUARY))
    why = document(book, "TMP-INV-00000001")
    bill_to = component(why, "bill_to_contact")
    assert [(s.kind, s.of, s.value) for s in bill_to.sources] == [("order line", "O/1", "Ray"), ("account", "A", "Ray")]
    assert [s.kind for s in component(why, "payment_term").sources] == ["account"]
    assert [(s.kind, s.value) for s in component(why, "sequence_set").sources] == [("default", "DEFAULT")]
    assert component(why, "invoice_template").value is None
    assert why.rule == "It is the only document of account A in BR-00000001: everything that was owed shares it."


def test_a_separate_subscription_beats_everything(book: Book) -> None:
    documents = [document(book, i) for i in example(book, "iss-rule-linked-oli-stays-apart")]
    apart = next(d for d in documents if component(d, "invoice_separately").value)
    assert "is invoiced separately" in apart.rule
    assert component(apart, "ungrouped").said.startswith("not asked")


def test_subscriptions_and_orders_are_apart_when_the_setting_says_so(book: Book) -> None:
    documents = [document(book, i) for i in example(book, "fba-chg-consolidate-no")]
    assert all("orders and subscriptions are not consolidated" in d.rule for d in documents)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("docrule-all-negative", "negative charges are credited (setting document_type_rule is negative_charges)"),
        ("docrule-net-negative-by-charge-number", "the charges here net negative by themselves"),
        (
            "docrule-net-no-grouping-exclusive",
            "its group nets USD -1.00, below zero: it is credited with the signs turned",
        ),
    ],
)
def test_a_credit_memo_says_by_which_rule_it_is_one(case: str, said: str, book: Book) -> None:
    memos = [d for d in (document(book, i) for i in example(book, case)) if d.kind == "credit_memo"]
    assert memos
    assert [said in m.kind_reason for m in memos] == [True] * len(memos), [m.kind_reason for m in memos]


def test_an_invoice_and_a_memo_of_one_group_say_so(book: Book, tmp_path: Path) -> None:
    sold(book, tmp_path / "in", [{}, {"item_category": "Return"}])
    bill(book, asked(FEBRUARY))
    invoice, memo = document(book, "BR-00000001-000001"), document(book, "BR-00000001-000002")
    assert invoice.rule == (
        "Apart from TMP-CM-00000001, which has the lines of the same group that go to the credit memo."
    )
    assert memo.kind_reason == "A credit memo, since its item is returned, and returns are always credited."
    assert "nets EUR 10.00, which is not below zero" in invoice.kind_reason


def test_every_component_is_told_and_items_add_up(book: Book) -> None:
    for name in example(book, "fba-attr-scenario-template-sequence"):
        why = document(book, name)
        assert tuple(c.name for c in why.components) == tuple(LABELS)
        assert all(c.said for c in why.components)
        assert why.adds_up
        assert why.sum_of_items == why.amount == sum(i.amount for i in why.items)


def test_the_answer_is_that_of_the_day_of_the_run(book: Book, tmp_path: Path) -> None:
    """What is loaded afterwards changes neither the reason nor the rows."""
    sold(book, tmp_path / "in", [{"invoice_group_number": "1"}, {"invoice_group_number": "2"}])
    bill(book, asked(FEBRUARY), post=True)
    before = explain(book, "INV00000001")
    sold(book, tmp_path / "later", [{"invoice_group_number": "2"}, {"bill_to_contact": "Zoe"}])
    change(book, {"ungrouped": "separate"})
    assert explain(book, "INV00000001") == before
    rows = [r.values for r in before.rows if r.table == "order_line_items"]
    assert [(r["item_number"], r["invoice_group_number"]) for r in rows] == [("1", "1")]


# --- charges and order lines ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of a small business; the second run is a draft, after one that was canceled."""
    with Book(shutil.copytree(empty_book, tmp_path_factory.mktemp("filled") / "book")) as book:
        load(book, [str(ROOT / "data" / "saas" / "start")])
        bill(book, asked(date(2024, 2, 15)), post=True)
        load(book, [str(ROOT / "data" / "saas" / "february")])
        cancel(book, str(bill(book, asked(date(2024, 3, 1))).bill_run_number))
        bill(book, asked(date(2024, 3, 1)))
        return book.folder


@pytest.fixture(scope="module")
def saas(filled: Path) -> Iterator[Book]:
    with Book(filled, read_only=True) as book:
        yield book


def reasons(answer: Explanation) -> dict[str, str]:
    assert answer.carrier is not None
    return {r.code: r.said for r in answer.carrier.reasons}


def test_a_charge_names_its_items_and_its_next_day(saas: Book) -> None:
    why = explain(saas, "acme-seats").carrier
    assert why is not None
    assert why.billed_amounts == {"USD": Decimal("934.45")}
    assert [b.document_number[:3] for b in why.billed] == ["INV", "INV", "TMP", "TMP", "TMP"]
    assert why.canceled_items == 3
    assert [(s.segment, str(s.charged_through_date)) for s in why.segments] == [(1, "2024-02-12"), (2, "2024-04-01")]
    assert reasons(explain(saas, "acme-seats", segment=2)) == {
        "not_due": "Segment 2 is due from 2024-04-01 on; the latest run, BR-00000003, billed up to 2024-03-01."
    }


def test_a_discount_is_billed_with_what_it_reduces(saas: Book) -> None:
    assert list(reasons(explain(saas, "acme-partner"))) == ["discount"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"item_state": "Booked"}, "state"),
        ({"bill_target_date": "2024-03-01"}, "not_due"),
        ({"amount_per_unit": "-100"}, "parked"),
        ({}, "billed"),
    ],
)
def test_an_order_line_says_why_it_waits(line: Mapping[str, str], code: str, book: Book, tmp_path: Path) -> None:
    sold(book, tmp_path / "in", [line, {}])
    bill(book, asked(FEBRUARY))
    assert code in reasons(explain(book, "O/1"))


def test_before_the_first_run_it_is_said(book: Book, tmp_path: Path) -> None:
    sold(book, tmp_path / "in", [{}], {"account_number": "A", "currency": "EUR", "status": "Draft"})
    assert set(reasons(explain(book, "O", "1"))) == {"no_run", "account"}


@pytest.mark.parametrize(
    ("subscription", "charge", "code"),
    [
        ({"status": "Draft"}, {}, "subscription"),
        ({}, {"trigger_event": "SpecificDate"}, "not_begun"),
        ({}, {"effective_end_date": "2024-01-01"}, "no_days"),
        ({}, {"billing_period": "Subscription_Term"}, "not_ratable"),
        ({}, {"effective_end_date": "2024-01-20"}, "ended"),
    ],
)
def test_a_charge_says_why_it_waits(
    subscription: Mapping[str, str], charge: Mapping[str, str], code: str, book: Book, tmp_path: Path
) -> None:
    tables = {
        "accounts": {"account_number": "A", "currency": "EUR"},
        "subscriptions": {"subscription_number": "S", "account_number": "A", "contract_effective_date": "2024-01-01",
                          **subscription},
        "rate_plan_charges": {"charge_number": "C", "subscription_number": "S", "charge_type": "Recurring",
                              "charge_model": "FlatFee", "price": "10", "billing_period": "Month", **charge},
    }  # fmt: skip
    load(book, [f"{t}={write_rows(tmp_path / f'{t}.csv', [row])}" for t, row in tables.items()])
    bill(book, asked(FEBRUARY))
    assert code in reasons(explain(book, "C"))


# --- ids --------------------------------------------------------------------------------------------------------


def test_a_document_answers_to_its_id_its_number_and_its_draft_number(book: Book, tmp_path: Path) -> None:
    sold(book, tmp_path / "in", [{}])
    run = str(bill(book, asked(FEBRUARY)).bill_run_number)
    draft = explain(book, "TMP-INV-00000001")
    assert draft.id == "BR-00000001-000001" == explain(book, "BR-00000001-000001").id
    post(book, run)
    assert explain(book, "INV00000001").id == draft.id
    with pytest.raises(BillfoldError, match="Drafts have TMP numbers until they are posted"):
        explain(book, "TMP-INV-00000001")


def test_an_ambiguous_id_says_what_it_could_be(book: Book, tmp_path: Path) -> None:
    sold(
        book,
        tmp_path / "in",
        [{"order_number": "A", "item_number": "B/C"}, {"order_number": "A/B", "item_number": "C"}],
    )
    with pytest.raises(BillfoldError, match=r"A/B/C is ambiguous.*name one as A B/C or A/B C"):
        explain(book, "A/B/C")
    assert explain(book, "A/B", "C").id == "A/B/C"


def test_an_id_of_two_kinds_asks_for_the_kind(book: Book, tmp_path: Path) -> None:
    sold(book, tmp_path / "in", [{"order_number": "x", "item_number": "y"}])
    tables = {
        "subscriptions": {"subscription_number": "S", "account_number": "A"},
        "rate_plan_charges": {"charge_number": "x/y", "subscription_number": "S", "charge_type": "OneTime",
                              "charge_model": "FlatFee", "price": "1"},
    }  # fmt: skip
    load(book, [f"{t}={write_rows(tmp_path / f'{t}.csv', [row])}" for t, row in tables.items()])
    with pytest.raises(BillfoldError, match="say which with --as charge or --as order-line"):
        explain(book, "x/y")
    assert explain(book, "x/y", kind="charge").kind == "charge"
    assert explain(book, "x/y", kind="order_line").kind == "order_line"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("INV00000009", "did you mean INV0000000"),
        ("acme-seat", "did you mean acme-seats"),
        ("nothing like it", "The book has no invoice, credit memo, item, charge or order line nothing like it."),
    ],
)
def test_an_unknown_id_is_one_sentence(name: str, said: str, saas: Book) -> None:
    with pytest.raises(BillfoldError, match=said):
        explain(saas, name)


def test_an_order_is_no_line(book: Book, tmp_path: Path) -> None:
    sold(book, tmp_path / "in", [{}, {}])
    with pytest.raises(BillfoldError, match="O is an order of 2 lines: name one of them, such as O/1"):
        explain(book, "O")


def test_a_charge_has_no_other_segments(saas: Book) -> None:
    with pytest.raises(BillfoldError, match="acme-seats has no segment 7: it has 1 and 2"):
        explain(saas, "acme-seats", segment=7)


def test_only_charges_have_segments(saas: Book) -> None:
    with pytest.raises(BillfoldError, match="Only charges have segments, and INV00000001 is the invoice BR-00000001"):
        explain(saas, "INV00000001", segment=1)


# --- the command ------------------------------------------------------------------------------------------------


def test_the_command_prints_for_people_and_for_programs(filled: Path, quick: Command) -> None:
    page = quick("--book", filled, "explain", "INV00000001")
    assert page.code == 0
    assert "Invoice INV00000001  ·  account acme  ·  USD 1,397.48" in page.out
    assert "payment term            Net 30    the account's (acme)" in page.out
    assert "Input rows" not in page.out
    told = quick("--book", filled, "explain", "INV00000001", "--json").json()
    assert told["document"]["amount"] == "1397.48"
    assert "item" not in told
    assert {r["table"] for r in told["rows"]} == {"accounts", "subscriptions", "rate_plan_charges"}
    assert "subscription_number      acme-1" in quick("--book", filled, "explain", "INV00000001", "--rows").out


def test_a_refusal_is_one_sentence_and_exit_code_1(filled: Path, quick: Command) -> None:
    refused = quick("--book", filled, "explain", "INV00000099")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert refused.err.startswith("billfold: The book has no invoice, credit memo")


def test_a_big_document_shows_its_largest_items(book: Book, tmp_path: Path, quick: Command) -> None:
    sold(book, tmp_path / "in", [{"amount_per_unit": str(n)} for n in range(1, 601)])
    bill(book, asked(FEBRUARY))
    page = quick("--book", book.folder, "explain", "TMP-INV-00000001").out
    assert "600 items: EUR 180,300.00, as the document says; the 10 largest" in page
    assert "O/600" in page
    assert "O/590 " not in page
    assert len(page.splitlines()) < 45


def test_the_documented_program_runs(
    filled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"^```py\n(.*?)^```$", (ROOT / "docs" / "explain.md").read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(filled.parent)
    exec(compile(code, "docs/explain.md", "exec"), {})  # noqa: S102 - our own documentation
    printed = capsys.readouterr().out
    assert "payment_term Net 30 [('account', 'acme')]" in printed
    assert "212.9000 212.9000 ['12 seat at 25.00 = 300.00" in printed
