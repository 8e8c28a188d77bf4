"""Documents that people can send: what is on them, that they are the same bytes again, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pypdf import PdfReader
from render_book import LONG, MANY, MARKUP, UNBROKEN, make, pages, text

from billfold import Book
from billfold.errors import BillfoldError
from billfold.lifecycle import cancel
from billfold.render import Wanted, data_of, render
from billfold.render.model import model
from billfold.render.papers import papers
from billfold.render.render import _names
from billfold.render.style import Style

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("render"))


@pytest.fixture(scope="module")
def files(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every document of both runs, as files."""
    out = tmp_path_factory.mktemp("pdf")
    with Book(made, read_only=True) as book:
        for run in ("BR-00000001", "BR-00000002"):
            assert all(r.error is None for r in render(book, Wanted(run=run), out))
    return out


# ------------------------------------------------------------------ what is on a document


def test_an_invoice_says_who_when_what_and_how_much(files: Path) -> None:
    (said,) = pages(files / "INV00000001.pdf")
    assert said.startswith("Invoice INV00000001")
    assert (
        "Bill to Hooli Ltd Gavin Belson 1 Hooli Way London SW1A 1AA United Kingdom Tax id GB 123 ap@hooli.example "
        "Sold to Hooli XYZ 2 Lab Road Palo Alto, CA 94301 United States"
    ) in said
    assert "Date 31 Jan 2024 Due date 1 Mar 2024 Payment term Net 30 Account A-1 Currency GBP" in said
    assert "Platform fee 1 Jan 2024 - 31 Jan 2024 1 1,234.50 1,234.50" in said
    assert "Seats 1 Jan 2024 - 31 Jan 2024 12 Seat 7.25 87.00" in said
    assert said.endswith("Charges 1,420.50 Discounts -132.15 Total GBP 1,288.35 Page 1 of 1")


def test_items_of_several_subscriptions_have_sections_with_subtotals(files: Path) -> None:
    said = text(files / "INV00000001.pdf")
    assert said.index("Subscription S-1 Platform fee") < said.index("Subtotal Subscription S-1 1,189.35")
    assert "Subtotal Subscription S-1 1,189.35 Subscription S-2 Add-on" in said
    assert "Subtotal Subscription S-2" not in said  # of one item


def test_discounts_stand_indented_below_what_they_reduce(made: Path) -> None:
    with Book(made, read_only=True) as book:
        first = data_of(book, "INV00000001")["sections"][0]["items"]
    assert [(i["charge_name"], i["level"], i["amount"]) for i in first] == [
        ("Platform fee", 0, "1234.50"), ("Loyalty discount", 1, "-123.45"),
        ("Seats", 0, "87.00"), ("Loyalty discount", 1, "-8.70"),
    ]  # fmt: skip


def test_a_credit_memo_names_the_invoice_that_it_is_for(files: Path) -> None:
    said = text(files / "BR-00000002-000001.pdf")
    assert "Credit memo TMP-CM-00000002" in said
    assert "Currency GBP Credit for INV00000001" in said
    assert "Platform fee Proration Credit 16 Jan 2024 - 31 Jan 2024 1 1,234.50 637.16" in said
    assert "Credits 682.06 Discounts -68.21 Charges -99.00 Total credit GBP 514.85" in said


def test_a_return_is_a_credit_memo_with_positive_amounts(files: Path) -> None:
    said = text(files / "CM00000001.pdf")
    assert said.startswith("Credit memo CM00000001 Bill to A-5 ")
    assert "Order O-2" in said
    assert "Router 10 Jan 2024 2 80.00 160.00 Total credit USD 160.00" in said


@pytest.mark.parametrize(
    ("file", "total"),
    [("INV00000002", "JPY 123,456"), ("INV00000003", "KWD 1,234.568"), ("INV00000004", "EUR 5,118.75")],
)
def test_money_has_the_decimals_of_its_currency(files: Path, file: str, total: str) -> None:
    assert f"Total {total} Page" in text(files / f"{file}.pdf")


def test_names_are_text_and_never_markup(files: Path) -> None:
    said = text(files / "INV00000003.pdf")
    assert said.count(MARKUP) == 2  # the account's and the charge's
    assert "*Ray*" in said
    assert "Group number PO #12 *b*" in said


def test_many_items_go_over_pages_that_repeat_the_headings(files: Path) -> None:
    found = pages(files / "INV00000004.pdf")
    assert [p.count("Description Service period Quantity") for p in found] == [1, 1, 1]
    assert [p.rpartition(" Page ")[2] for p in found] == ["1 of 3", "2 of 3", "3 of 3"]
    assert [p.count("Invoice INV00000004") for p in found] == [1, 1, 1]
    assert all(f" {n}: " in " ".join(found) for n in range(1, MANY + 1))
    assert LONG.strip() in found[0]


def test_long_words_are_broken_and_can_be_copied(files: Path) -> None:
    said = text(files / "INV00000004.pdf")
    assert UNBROKEN not in said
    assert UNBROKEN in said.replace(" ", "")
    assert "\N{ZERO WIDTH SPACE}" not in said


def test_credits_for_several_invoices_are_noted_at_their_items(made: Path) -> None:
    with Book(made, read_only=True) as book:
        paper = papers(book, Wanted(("BR-00000002-000001",))).paper(0)
    items = [{**i, "applied_to_item_id": f"D-{n}-000001"} for n, i in enumerate([*paper.items, *paper.items])]
    data = model(replace(paper, items=items, numbers={f"D-{n}": f"INV{n}" for n in range(8)}), Style())
    assert {f["label"]: f["text"] for f in data["facts"]}["Credit for"] == (
        "INV0, INV1, INV2, INV3, INV4, INV5 and 2 more"
    )
    assert [i["notes"] for i in data["sections"][0]["items"]][:2] == [["Credit for INV0"], ["Credit for INV1"]]


def test_several_places_of_use_are_noted_at_their_items(files: Path) -> None:
    said = text(files / "INV00000005.pdf")
    assert "Cable Sold to: Gavin Belson, 1 Hooli Way, London, SW1A 1AA, United Kingdom 10 Jan 2024" in said
    assert "Sold to: Berlin" in said


def test_drafts_and_canceled_documents_say_so_across_the_page(made: Path, files: Path, tmp_path: Path) -> None:
    assert "DRAFT" in text(files / "BR-00000002-000002.pdf")
    assert "DRAFT" not in text(files / "INV00000002.pdf")
    shutil.copytree(made, tmp_path / "book")
    with Book(tmp_path / "book") as book:
        cancel(book, "BR-00000002")
        (one,) = render(book, Wanted(("BR-00000002-000002",)), tmp_path / "o")
    assert "CANCELED" in text(one.file)


def test_a_custom_field_of_a_contact_reaches_templates(made: Path) -> None:
    with Book(made, read_only=True) as book:
        data = data_of(book, "INV00000001")
    assert data["bill_to"]["contact"]["Floor__c"] == "7"
    assert data["document"]["amount"] == "1288.35"
    assert data["document"]["text"]["amount"] == "GBP 1,288.35"


def test_the_data_are_plain_json(made: Path) -> None:
    with Book(made, read_only=True) as book:
        data = data_of(book, "BR-00000002-000001")
    assert json.loads(json.dumps(data))["sections"][0]["items"][0]["service_start_date"] == "2024-01-16"


def test_a_book_without_a_table_of_contacts_prints_plain_names(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "book")
    with Book(tmp_path / "book") as book:
        book.cursor().execute("DROP TABLE contacts")
        data = data_of(book, "INV00000001")
    assert data["bill_to"]["lines"] == ["Hooli Ltd", "Gavin"]
    assert [p["lines"] for p in data["sold_to"]] == [["Site"]]


# ------------------------------------------------------------------ the same bytes


def test_the_same_document_is_the_same_bytes_whoever_makes_it(made: Path, files: Path, tmp_path: Path) -> None:
    digests = set()
    with Book(made, read_only=True) as book:
        for workers in (1, 3):
            done = render(book, Wanted(run="BR-00000001"), tmp_path / f"{workers}", workers=workers)
            digests.add(tuple(r.sha256 for r in done))
            assert all(hashlib.sha256(r.file.read_bytes()).hexdigest() == r.sha256 for r in done)
            assert all(r.file.read_bytes() == (files / r.file.name).read_bytes() for r in done)
    assert len(digests) == 1


def test_a_process_of_its_own_makes_the_same_bytes(made: Path, files: Path, cli: Command, tmp_path: Path) -> None:
    outcome = cli("--book", made, "render", "INV00000001", "--pdf")
    assert (outcome.code, outcome.out, outcome.err) == (0, "INV00000001.pdf\n", "")
    assert (tmp_path / "INV00000001.pdf").read_bytes() == (files / "INV00000001.pdf").read_bytes()


def test_the_date_inside_the_file_is_that_of_the_document(files: Path) -> None:
    about = PdfReader(files / "INV00000001.pdf").metadata
    assert about is not None
    assert str(about["/CreationDate"]).startswith("D:20240131000000")
    assert about.title == "Invoice INV00000001"


def test_documents_are_archival_and_tagged(files: Path) -> None:
    content = (files / "INV00000001.pdf").read_bytes()
    assert b"<pdfaid:part>2</pdfaid:part><pdfaid:conformance>U</pdfaid:conformance>" in content
    assert b"/StructTreeRoot" in content


# ------------------------------------------------------------------ which documents, and where to


def test_documents_are_found_by_number_and_by_id(made: Path, quick: Command) -> None:
    both = quick("--book", made, "render", "CM00000001", "BR-00000001-000002", "--out", "o", "--json").json()
    assert [(f["document_id"], f["document_number"], f["kind"], f["file"]) for f in both["files"]] == [
        ("BR-00000001-000002", "INV00000002", "invoice", "o/INV00000002.pdf"),
        ("BR-00000001-000006", "CM00000001", "credit_memo", "o/CM00000001.pdf"),
    ]
    assert both["failed"] == []


def test_a_run_can_be_narrowed_to_accounts_and_statuses(made: Path, quick: Command) -> None:
    of_account = quick("--book", made, "render", "--run", "BR-00000001", "--account", "A-5", "--out", "o")
    assert of_account.out == "o/INV00000005.pdf\no/CM00000001.pdf\n"
    none = quick("--book", made, "render", "--run", "BR-00000001", "--status", "draft", "--out", "o")
    assert (none.code, none.err) == (1, "billfold: No document matches, so there is nothing to render.\n")


def test_numbers_that_differ_in_capitals_only_are_files_of_their_own() -> None:
    rows = [("R-1", "INV1", "Posted"), ("R-2", "inv1", "Posted"), ("R-3", "INV2", "Posted"), ("R-4", "TMP-3", "Draft")]
    headers = [{"document_id": i, "document_number": n, "status": s} for i, n, s in rows]
    assert _names(iter(headers)) == ["R-1", "R-2", "INV2", "R-4"]


def test_one_document_can_go_to_a_file_of_any_name(made: Path, quick: Command, tmp_path: Path) -> None:
    assert quick("--book", made, "render", "INV00000002", "--out", "sub/yen.pdf").out == "sub/yen.pdf\n"
    assert "Total JPY 123,456" in text(tmp_path / "sub" / "yen.pdf")


def test_the_data_of_a_template_can_be_read(made: Path, quick: Command) -> None:
    data = quick("--book", made, "render", "INV00000002", "--data").json()
    assert (data["title"], data["totals"][0]["text"]) == ("Invoice", "JPY 123,456")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("INV9",), "There is no invoice or credit memo INV9"),
     (("--run", "BR-9", "--out", "o"), "There is no bill run BR-9"),
     (("INV00000001", "INV00000002", "--out", "both.pdf"), "2 documents don't go into the one file both.pdf"),
     (("INV00000001", "--templates", "none"), "There is no folder of templates none."),
     (("INV00000001", "--font-path", "none"), "There is no folder of fonts none."),
     (("INV00000001", "--out", "taken/x"), "The folder taken/x can't be made: Not a directory.")],
)  # fmt: skip
def test_what_can_not_be_done_is_one_sentence(
    made: Path, quick: Command, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "taken").write_text("a file")
    outcome = quick("--book", made, "render", *arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"billfold: {said}")
    assert outcome.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.pdf"))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("INV1", "--run", "BR-1"),
        ("--run", "BR-1"),
        ("A", "B", "--data"),
        ("A", "--status", "Draft"),
        ("--run", "BR-1", "--out", "o", "--data"),
        ("A", "--data", "--out", "o"),
        ("A", "--data", "--workers", "2"),
        ("--run", "BR-1", "--out", "o", "--status", "Paid"),
        ("A", "--workers", "0"),
    ],
)
def test_a_command_line_that_is_not_clear_is_refused(made: Path, quick: Command, arguments: tuple[str, ...]) -> None:
    assert quick("--book", made, "render", *arguments).code == 2


def test_a_number_of_several_documents_is_refused_with_their_ids(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "book")
    with Book(tmp_path / "book") as book:
        book.cursor().execute(
            "UPDATE invoices SET invoice_number = 'TMP-INV-00000007' WHERE invoice_number LIKE 'TMP%'"
        )
        with pytest.raises(BillfoldError, match=r"of 3 documents: give an id, one of BR-00000002-000002, BR-0"):
            render(book, Wanted(("TMP-INV-00000007",)), tmp_path)


def test_without_the_extra_the_command_says_what_to_install(
    made: Path, quick: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    outcome = quick("--book", made, "render", "INV00000001")
    assert outcome.code == 1
    assert (
        outcome.err == "billfold: Documents are set by typst, which is not installed: pip install 'billfold[render]'.\n"
    )
