"""The notebooks as apps, in a browser: someone changes a control, and the page follows; nothing is asked of others."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Final

import pytest
from browser import needs_browser, visiting
from notebook_runs import make_saas, served

from billfold import Book, RunRequest, bill
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from browser import Visit
    from playwright.sync_api import Locator

pytestmark = [needs_browser, pytest.mark.slow]

HOSTILE: Final = "<img src=x onerror=console.error('owned')> **Ltd**"
PATIENCE: Final = 120_000
"""Milliseconds that something may take to appear on a machine with much else to do."""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs; the last is for a customer with a name that would be markup."""
    folder = tmp_path_factory.mktemp("pages")
    make_saas(folder / "book")
    (folder / "accounts.jsonl").write_text(json.dumps({"account_number": "h", "name": HOSTILE, "currency": "USD"}))
    line = {"order_number": "O-1", "item_number": "1", "account_number": "h", "item_name": HOSTILE, "quantity": "2"}
    sold = {"item_state": "SentToBilling", "bill_target_date": "2024-03-02", "transaction_date": "2024-03-02"}
    lines = [{**line, **sold, "amount_per_unit": "0.335"}, {**line, **sold, "item_number": "2", "amount_per_unit": "7"}]
    (folder / "order_line_items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with Book(folder / "book") as opened:
        load(opened, [f"{t}={folder / t}.jsonl" for t in ("accounts", "order_line_items")])
        bill(opened, RunRequest(target_date=date(2024, 3, 2), invoice_date=date(2024, 3, 2)), post=True)
    return folder / "book"


@contextmanager
def visiting_notebook(name: str, book: Path, folder: Path) -> Iterator[Visit]:
    """A notebook about a book, served and open."""
    with served(name, folder / "log", "--book", book) as url, visiting(url) as visit:
        visit.page.set_default_timeout(PATIENCE)
        yield visit


def seen(visit: Visit, text: str) -> Locator:
    """Wait until a text is on the page."""
    found = visit.page.get_by_text(text).first
    found.wait_for()
    return found


def is_clean(visit: Visit) -> bool:
    """No complaint, no request elsewhere, nothing wider than the window, no code on the page."""
    assert visit.errors == []
    assert visit.elsewhere == []
    assert visit.overflow == 0
    return visit.page.get_by_text("import marimo").count() == 0


def test_reconcile_follows_the_run_that_is_chosen(book: Path, tmp_path: Path) -> None:
    with visiting_notebook("reconcile", book, tmp_path) as visit:
        seen(visit, "BR-00000003 reconciles: USD 14.67 net")
        seen(visit, "Not made again yet.")
        visit.page.get_by_role("button", name="Bill run").click()
        visit.page.get_by_role("option", name="BR-00000001").click()
        seen(visit, "BR-00000001 reconciles: CHF 1,239.38 net, USD 1,397.48 net")
        visit.page.get_by_role("button", name="Make the run again").click()
        seen(visit, "BR-00000001, made again from snapshot 2, gives the same bytes in every table.")
        assert is_clean(visit)


def test_why_finds_a_document_and_explains_the_item_that_is_chosen(book: Path, tmp_path: Path) -> None:
    with visiting_notebook("why_this_invoice", book, tmp_path) as visit:
        seen(visit, "How this amount came about")
        search = visit.page.get_by_placeholder("account, name, document or group")
        search.fill("INV00000001")
        seen(visit, "Invoice INV00000001 bills account acme USD 1,397.48 in 10 items.")
        seen(visit, "11,500 call by tiers")
        visit.page.get_by_role("row", name="Set-up").get_by_role("checkbox").click()
        seen(visit, "segment 1 of subscription acme-1 is USD 500.00")
        search.fill("onerror")
        seen(visit, "bills account h USD 14.67 in 2 items")
        assert visit.page.get_by_text(HOSTILE).count()
        assert is_clean(visit)


def test_what_if_compares_when_it_is_asked_to(book: Path, tmp_path: Path) -> None:
    with visiting_notebook("what_if_we_grouped_differently", book, tmp_path) as visit:
        seen(visit, "Choose other fields or another setting, then compare.")
        visit.page.get_by_label("document_type_rule").select_option("negative_charges")
        seen(visit, "Not compared yet.")
        visit.page.get_by_role("button", name="Compare").click()
        seen(visit, "1 document would become 1. Unchanged are 1; 0 accounts would see a change.")
        assert is_clean(visit)
