"""How documents look: templates by name, `sender.toml`, words and formats, fonts, and templates that are wrong."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from inputs import write
from render_book import make, pages, text

from billfold import Book
from billfold.errors import BillfoldError
from billfold.render import Wanted, data_of, render
from billfold.render.engine import Engine
from billfold.render.style import Style, style_of
from billfold.render.texts import amount, day, money, number, period

if TYPE_CHECKING:
    from conftest import Command

PLAIN = "#let data = json(bytes(sys.inputs.data))\n"
SENDER = """
name = "Northwind *Cloud* Ltd"
address = ["22 Harbour Street", "Bristol"]
details = ["VAT GB 987"]
footer = "Registered in England"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("render"))


def one(made: Path, number: str, folder: Path) -> str:
    """The text of a document with the templates of a folder."""
    with Book(made, read_only=True) as book:
        (done,) = render(book, Wanted((number,)), folder.parent / "o", templates=folder)
    assert (done.error, done.warnings) == (None, ())
    return text(done.file)


# ------------------------------------------------------------------ which template


def test_a_template_is_chosen_by_name_then_default_then_the_built_in_one(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    assert one(made, "INV00000004", folder).startswith("Invoice INV00000004")
    write(folder / "default.typ", PLAIN + "Mine: #data.document.text.amount")
    assert one(made, "INV00000004", folder) == "Mine: EUR 5,118.75"
    write(folder / "Fancy _ 1.typ", PLAIN + "Fancy: #data.title #data.document.invoice_template")
    assert one(made, "INV00000004", folder) == "Fancy: Invoice Fancy / 1"
    assert one(made, "INV00000001", folder) == "Mine: GBP 1,288.35"


def test_a_template_name_leads_nowhere_outside_of_the_folder(made: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret.typ", "secret")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    assert "secret" not in one(made, "INV00000003", folder).split()  # its template is ../../secret
    write(folder / ".._.._secret.typ", "mapped")
    assert one(made, "INV00000003", folder) == "mapped"


def test_a_template_reads_files_of_its_folder_and_no_others(made: Path, tmp_path: Path, quick: Command) -> None:
    write(tmp_path / "outside.txt", "outside")
    write(tmp_path / "t" / "parts" / "hello.typ", "#let hello = [hello]")
    write(tmp_path / "t" / "default.typ", '#import "parts/hello.typ": hello\n#hello')
    assert one(made, "INV00000001", tmp_path / "t") == "hello"
    write(tmp_path / "t" / "default.typ", '#read("../outside.txt")')
    outcome = quick("--book", made, "render", "INV00000001", "--templates", "t")
    assert outcome.code == 1
    assert "would escape the project root" in outcome.err


def test_the_books_own_folder_of_templates_is_used(made: Path, quick: Command, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "book")
    write(tmp_path / "book" / "templates" / "default.typ", "of the book")
    assert quick("render", "INV00000001").code == 0
    assert text(tmp_path / "INV00000001.pdf") == "of the book"


def test_the_clock_does_not_reach_a_template(made: Path, tmp_path: Path) -> None:
    write(tmp_path / "t" / "default.typ", "#datetime.today().display()")
    assert one(made, "INV00000001", tmp_path / "t") == "2024-01-31"


# ------------------------------------------------------------------ templates that are wrong


@pytest.mark.parametrize(
    ("template", "said"),
    [("line one\n#let a = (\n", "t/default.typ, line 2: unclosed delimiter"),
     (PLAIN + "\n#data.nothing", 't/default.typ, line 3: dictionary does not contain key "nothing"'),
     ("#panic()", "t/default.typ, line 1: panicked")],
)  # fmt: skip
def test_a_template_that_does_not_compile_says_where(
    made: Path, quick: Command, tmp_path: Path, template: str, said: str
) -> None:
    write(tmp_path / "t" / "default.typ", template)
    outcome = quick("--book", made, "render", "INV00000001", "--templates", "t")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"billfold: INV00000001 was not made: {said}")
    assert outcome.err.count("\n") == 1
    assert not list(tmp_path.glob("*.pdf"))


def test_in_bulk_a_document_that_fails_does_not_stop_the_others(made: Path, quick: Command, tmp_path: Path) -> None:
    write(tmp_path / "t" / "Fancy _ 1.typ", "#panic()")
    run = ("--book", made, "render", "--run", "BR-00000001", "--templates", "t", "--out", "o")
    outcome = quick(*run)
    assert outcome.code == 1
    assert len(outcome.out.splitlines()) == 6
    assert "not made: INV00000004: t/Fancy _ 1.typ, line 1: panicked." in outcome.err
    assert outcome.err.endswith("billfold: 1 of 7 documents were not made; the others are whole.\n")
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [
        "CM00000001.pdf", *(f"INV0000000{n}.pdf" for n in (1, 2, 3, 5, 6))
    ]  # fmt: skip
    again = quick(*run, "--json")
    assert (again.code, [f["document_number"] for f in again.json()["failed"]]) == (1, ["INV00000004"])


def test_a_package_that_is_not_there_is_never_downloaded(made: Path, tmp_path: Path) -> None:
    write(tmp_path / "t" / "default.typ", '#import "@preview/nice:1.0.0": nice\n#nice')
    with pytest.raises(BillfoldError, match=r"imports the package nice 1.0.0, and billfold downloads nothing: put it"):
        one(made, "INV00000001", tmp_path / "t")
    package = tmp_path / "t" / "packages" / "preview" / "nice" / "1.0.0"
    write(package / "typst.toml", '[package]\nname = "nice"\nversion = "1.0.0"\nentrypoint = "lib.typ"\n')
    write(package / "lib.typ", "#let nice = [nice]")
    assert one(made, "INV00000001", tmp_path / "t") == "nice"


# ------------------------------------------------------------------ who sends it, in which words


def test_the_sender_is_said_as_it_is_written_and_made_up_by_nobody(made: Path, tmp_path: Path) -> None:
    write(tmp_path / "t" / "sender.toml", SENDER)
    said = one(made, "INV00000001", tmp_path / "t")
    assert said.startswith("Northwind *Cloud* Ltd 22 Harbour Street Bristol VAT GB 987 Invoice INV00000001")
    assert said.endswith("Registered in England Page 1 of 1")


def test_a_logo_is_put_on_the_first_page(made: Path, tmp_path: Path) -> None:
    square = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><rect width="4" height="4" fill="#123456"/></svg>'
    )
    write(tmp_path / "t" / "logo.svg", square)
    write(tmp_path / "t" / "sender.toml", 'logo = "logo.svg"\n' + SENDER)
    assert "Northwind" in one(made, "INV00000001", tmp_path / "t")
    with_logo = (tmp_path / "o" / "INV00000001.pdf").stat().st_size
    write(tmp_path / "t" / "sender.toml", SENDER)
    one(made, "INV00000001", tmp_path / "t")
    assert (tmp_path / "o" / "INV00000001.pdf").stat().st_size < with_logo


def test_words_and_formats_are_those_of_the_house(made: Path, tmp_path: Path) -> None:
    german = """
    [format]
    thousands = "."
    decimal = ","
    currency = "symbol"
    date = "DD.MM.YYYY"
    language = "de"
    paper = "us-letter"
    [words]
    invoice = "Rechnung"
    total = "Gesamt"
    page = "Seite {page} von {pages}"
    """
    write(tmp_path / "t" / "sender.toml", german)
    said = one(made, "INV00000001", tmp_path / "t")
    assert said.startswith("Rechnung INV00000001 Bill to")
    assert "Platform fee 01.01.2024 - 31.01.2024 1 1.234,50 1.234,50" in said
    assert said.endswith("Gesamt £1.288,35 Seite 1 von 1")


def test_a_template_gets_what_is_custom(made: Path, tmp_path: Path) -> None:
    write(tmp_path / "t" / "sender.toml", "[custom]\nbrand = 7\n")
    write(tmp_path / "t" / "default.typ", PLAIN + "#data.custom.brand")
    assert one(made, "INV00000001", tmp_path / "t") == "7"


@pytest.mark.parametrize(
    ("said", "rule"),
    [("adress = []", "has no 'adress' (did you mean address?)"),
     ("name = 1", "name can't be 1: it is a text."),
     ('name = "N"\naddress = "a"', "address can't be 'a': it is a list of texts."),
     ('address = ["a"]', "says who sends the documents but not the name"),
     ('name = "N"\nlogo = "../x.svg"', "there is no logo '../x.svg' in that folder."),
     ("[words]\ninvoise = 'x'", "[words] has no 'invoise' (did you mean invoice"),
     ("[words]\nmonths = ['x']", "months can't be ['x']: it is a list of twelve texts."),
     ("[format]\npaper = 'a3'", "paper can't be 'a3': it is one of a4, us-letter."),
     ("[format]\nthousands = '.'", "so they must differ"),
     ("format = 1", "format can't be 1: it is a table."),
     ("name = ", "can't be read as TOML")],
)  # fmt: skip
def test_a_mistake_in_sender_toml_is_said(tmp_path: Path, said: str, rule: str) -> None:
    write(tmp_path / "sender.toml", said)
    write(tmp_path.parent / "x.svg", "")
    with pytest.raises(BillfoldError) as caught:
        style_of(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'sender.toml'}")
    assert rule in str(caught.value)


# ------------------------------------------------------------------ letters


def test_letters_that_no_font_has_are_said(made: Path, quick: Command, tmp_path: Path) -> None:
    outcome = quick("--book", made, "render", "INV00000006")
    assert (outcome.code, outcome.out) == (0, "INV00000006.pdf\n")
    note = "no font has 日 本, which will show as boxes: give a folder of fonts that have, with --font-path"
    assert outcome.err == f"note on INV00000006: {note}.\n"
    assert "Total USD 5.00" in text(tmp_path / "INV00000006.pdf")
    assert quick("--book", made, "render", "INV00000006", "--json").json()["files"][0]["warnings"] == [note]


def test_a_font_that_is_not_there_is_said(made: Path, quick: Command, tmp_path: Path) -> None:
    write(tmp_path / "t" / "sender.toml", '[format]\nfont = "No Such Font"\n')
    outcome = quick("--book", made, "render", "INV00000001", "--templates", "t")
    assert "unknown font family: no such font" in outcome.err
    assert "Hooli Ltd" in text(tmp_path / "INV00000001.pdf")


DEJAVU = Path("/usr/share/fonts/truetype/dejavu")


@pytest.mark.skipif(not DEJAVU.is_dir(), reason="the machine has no such fonts")
def test_a_folder_of_fonts_can_be_given(made: Path, quick: Command, tmp_path: Path) -> None:
    write(tmp_path / "t" / "sender.toml", '[format]\nfont = "DejaVu Sans"\n')
    arguments = ("--book", made, "render", "INV00000001", "--templates", "t")
    assert "unknown font family" in quick(*arguments).err  # the machine's own fonts are never used
    assert quick(*arguments, "--font-path", DEJAVU).err == ""
    assert b"DejaVuSans" in (tmp_path / "INV00000001.pdf").read_bytes()


def test_hebrew_greek_and_cyrillic_need_no_font(made: Path, tmp_path: Path) -> None:
    write(tmp_path / "t" / "sender.toml", 'name = "שלום Ωμέγα Привет Zażółć العربية ₹ € ₪"\n')
    assert "Привет" in one(made, "INV00000001", tmp_path / "t")


# ------------------------------------------------------------------ values as texts


@pytest.mark.parametrize(
    ("value", "currency", "code", "symbol"),
    [("1234.5", "GBP", "GBP 1,234.50", "£1,234.50"), ("1235", "JPY", "JPY 1,235", "¥1,235"),
     ("1234.5", "KWD", "KWD 1,234.500", "KWD 1,234.500"), ("-0.5", "USD", "USD -0.50", "-$0.50"),
     ("0", "EUR", "EUR 0.00", "€0.00"), ("0.1234", "EUR", "EUR 0.1234", "€0.1234"),
     ("99999999999999.9999", "CLF", "CLF 99,999,999,999,999.9999", "CLF 99,999,999,999,999.9999")],
)  # fmt: skip
def test_money_reads_as_its_currency_is_written(value: str, currency: str, code: str, symbol: str) -> None:
    stored = Decimal(value).quantize(Decimal("0.0001"))
    assert money(stored, currency, Style()) == code
    formats = {**Style().formats, "currency": "symbol"}
    assert money(stored, currency, Style(formats=formats)) == symbol
    assert amount(stored, currency, Style()) == code.removeprefix(f"{currency} ")


@pytest.mark.parametrize(
    ("value", "said"), [("1200.000000000", "1,200"), ("0.125", "0.125"), ("10", "10"), ("-1.50", "-1.5"), ("0E-9", "0")]
)
def test_quantities_have_no_idle_zeros(value: str, said: str) -> None:
    assert number(Decimal(value), Style()) == said


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("D MMM YYYY", "5 Mar 2024"), ("YYYY-MM-DD", "2024-03-05"), ("DD.MM.YYYY", "05.03.2024"), ("M/D/YYYY", "3/5/2024"),
     ("MMMM D, YYYY", "March 5, 2024")],
)  # fmt: skip
def test_dates_follow_their_pattern(pattern: str, said: str) -> None:
    style = Style(formats={**Style().formats, "date": pattern})
    assert day(date(2024, 3, 5), style) == said
    assert period(date(2024, 3, 5), date(2024, 3, 5), style) == said


def test_a_section_that_goes_on_says_so_on_the_next_page(made: Path, tmp_path: Path) -> None:
    with Book(made, read_only=True) as book:
        data = data_of(book, "INV00000004")
    section = data["sections"][0]
    data["sections"] = [section | {"title": "Order A"}, section | {"title": "Order B", "text": {"subtotal": "7.00"}}]
    file = write(tmp_path / "o.pdf", Engine(None).typeset(None, data, date(2024, 1, 31)).content)
    found = pages(file)
    assert [(p.count("Order A"), p.count("Order B") > 0) for p in found[:2]] == [(1, False), (1, False)]
    assert "Order B" in found[-1]
    assert "Subtotal Order B 7.00" in found[-1]
