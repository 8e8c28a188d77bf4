"""A report as a browser shows it: alone, whole, on wide and narrow screens, dark, and on paper."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest
import report_world
from browser import needs_browser, visiting
from pypdf import PdfReader

from billfold import Book, bill
from billfold.intake import load
from billfold.report import figures, page, report
from billfold.requests import RunRequest

if TYPE_CHECKING:
    from pathlib import Path

PARTS: Final = ("totals", "promises", "waterfall", "changes", "unusual", "parked", "sizes", "rankings", "history")
_CUT_OFF: Final = """
    [...document.querySelectorAll('h1, h2, p, dd, caption, .card, li')]
        .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)
"""
_COVERED: Final = """
    [...document.querySelectorAll('tbody tr')].flatMap(row => {
        const cells = [...row.children].filter(c => c.offsetParent).map(c => {
            const range = document.createRange(); range.selectNodeContents(c); return range.getBoundingClientRect(); });
        return cells.flatMap((a, n) => cells.slice(n + 1).filter(b => a.width && b.width && a.left < b.right - 1
            && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1).map(() => row.textContent));
    })
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the last run of a small book."""
    folder = tmp_path_factory.mktemp("page")
    report_world.make(folder / "book")
    with Book(folder / "book", read_only=True) as book:
        (folder / "report.html").write_text(page(report(book, report_world.LAST)), encoding="utf-8")
    return folder / "report.html"


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_the_page_stands_alone_and_nothing_is_cut_off(file: Path, tmp_path: Path, width: int, *, dark: bool) -> None:
    with visiting(file.as_uri(), width=width, dark=dark) as visit:
        assert visit.requests == [file.as_uri()]
        assert visit.errors == []
        assert visit.overflow == 0
        shown = visit.page
        assert shown.title() == f"{report_world.LAST}: report"
        assert [p for p in PARTS if not shown.locator(f"h2#{p}").is_visible()] == []
        for what, count in (("table", 25), ("svg", 40)):
            found = shown.locator(f"{what}:visible").count()
            assert found > count, what
            assert found == shown.locator(what).count() - shown.locator(f"details {what}").count()
        assert shown.evaluate(_CUT_OFF) == []
        assert shown.evaluate(_COVERED) == []
        paper = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (not dark)
        assert len(shown.screenshot(path=tmp_path / "page.png", full_page=True)) > 50_000


@needs_browser
def test_tables_can_be_read_without_seeing_them(file: Path) -> None:
    with visiting(file.as_uri()) as visit:
        shown = visit.page
        tables = shown.locator("table").count()
        assert shown.locator("table > caption").count() == tables
        assert shown.locator("thead th:not([scope=col])").count() == 0
        assert shown.locator("tbody tr > :first-child:not(th[scope=row])").count() == 0
        assert shown.locator("svg:not([role=img][aria-label])").count() == 0
        assert shown.get_by_role("table", name="From lines to documents, EUR").is_visible()
        assert shown.get_by_role("img", name="from 0.00 to 3,370.00").is_visible()
        assert shown.locator("a[href^='#']").count() == len(PARTS)


@needs_browser
def test_promises_unfold(file: Path) -> None:
    with visiting(file.as_uri()) as visit:
        says = visit.page.get_by_role("table", name="Promises")
        assert not says.is_visible()
        visit.page.get_by_text("What each promise says").click()
        assert says.is_visible()
        assert says.locator("tbody tr").count() == visit.page.locator(".promises li").count()


@needs_browser
def test_on_paper_it_is_a4_and_whole(file: Path, tmp_path: Path) -> None:
    with visiting(file.as_uri(), dark=True) as visit:
        visit.page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    pages = PdfReader(tmp_path / "page.pdf").pages
    assert {(round(float(p.mediabox.width)), round(float(p.mediabox.height))) for p in pages} == {(595, 842)}
    text = "".join(p.extract_text() for p in pages)
    for told in ("Totals by currency", "partition: items", "Net of the last runs, KWD", "12.345"):
        assert told in text


def _more(folder: Path) -> None:
    """Further orders of the shop: of a customer that it knows, and a return."""
    folder.mkdir()
    common = {"item_state": "SentToBilling", "bill_target_date": "2011-01-31", "invoice_group_number": "N1"}
    orders = [{"order_number": f"N{account}", "account_number": account} for account in ("14156", "14646")]
    sold = {"item_number": "1", "quantity": "3", "amount_per_unit": "10.01"}
    returned = {"item_number": "1", "quantity": "1", "amount_per_unit": "5", "item_category": "Return"}
    lines = [{**order, **line} for order, line in zip(orders, (sold, returned), strict=True)]
    pl.DataFrame(orders).write_ndjson(folder / "orders.jsonl")
    pl.DataFrame([{**line, **common} for line in lines]).write_ndjson(folder / "order_line_items.jsonl")


@pytest.mark.slow
def test_a_shops_year_reconciles_to_the_penny_and_stays_small(
    billed_retail: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "verify", lambda _book, _progress: [])  # its promises have tests of their own
    shutil.copytree(billed_retail, tmp_path / "book")
    _more(tmp_path / "more")
    with Book(tmp_path / "book") as book:
        load(book, [str(tmp_path / "more")])
        day = date(2011, 1, 31)
        bill(book, RunRequest(target_date=day, invoice_date=day))
        year, next_month = (report(book, f"BR-0000000{n}") for n in (1, 2))
        sums = "SELECT sum(amount), count(*) FROM {} WHERE bill_run_number = 'BR-00000001'"
        (invoiced, invoices), (credited, memos) = (
            book.sql(sums.format(table)).row(0) for table in ("invoices", "credit_memos")
        )
    told = year.totals.row(0, named=True)
    assert (told["invoiced"], told["credited"], told["net"]) == (invoiced, credited, invoiced - credited)
    assert (told["invoices"], told["credit_memos"], told["items"]) == (invoices, memos, 525_458)
    for parts in (year.accounts, year.groups, year.sources, year.sizes):
        assert (parts["net"].sum(), parts["invoices"].sum()) == (told["net"], invoices)
    assert year.waterfall.filter(role="parked")["amount"].to_list() == [Decimal("-136552.02")]
    assert len(page(year).encode()) < 100_000
    assert next_month.changes is not None
    assert next_month.changes.bridge["end"].to_list()[-1] == next_month.totals["net"].item() == Decimal("25.03")
    gone = next_month.changes.movers.filter(change="gone")
    assert gone.height - 1 + gone["others"].sum() == 4_382
