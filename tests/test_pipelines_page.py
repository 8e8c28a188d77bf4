"""Dagster's page, as an operator uses it: a night is asked for, and the page shows what came of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest
from browser import needs_browser, visiting
from conftest import ROOT, bare_environment
from playwright.sync_api import expect

from billfold import Book
from pipelines.definitions import PARKED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

PATIENCE: Final = 300
"""Seconds after which a page that does not come is a failure; a quiet machine needs a tenth of that."""

SAMPLE: Final = ROOT / "data" / "saas" / "start"
NIGHT: Final = "2024-02-15"


@contextmanager
def dagster(folder: Path, book: Path) -> Iterator[str]:
    """`python -m pipelines` at work on a book, and the address of its page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **bare_environment(folder), "PYTHONPATH": str(ROOT), "BILLFOLD_BOOK": str(book), "BILLFOLD_INBOX": str(SAMPLE),
        "BILLFOLD_REPORTS": str(folder / "reports"), "BILLFOLD_POST": "yes",
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        served = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "--port", str(port)],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/server_info", served)
        yield address
    finally:
        served.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            served.wait(60)
        with suppress(ProcessLookupError):  # nothing is left, as it should be
            os.killpg(served.pid, signal.SIGKILL)
        served.wait()


def _wait(url: str, served: subprocess.Popen[bytes]) -> None:
    """Until an address answers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert served.poll() is None, "Dagster has ended"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the page of this test
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    pytest.fail("Dagster's page does not come")


def ask_for(page: Page, night: str) -> None:
    """Materialize the partition of a night, by the buttons that are there for it."""
    page.get_by_role("button", name="Materialize all").click()
    asking = page.get_by_role("dialog")
    asking.get_by_text("Show all partitions").click()
    asking.get_by_role("textbox").first.fill(night)
    page.keyboard.press("Enter")
    asking.get_by_role("button", name="Launch 1 run").click()
    expect(asking).to_be_hidden()


@pytest.mark.slow
@needs_browser
def test_a_night_is_asked_for_on_the_page_and_seen_to_succeed(tmp_path: Path, empty_book: Path) -> None:
    book = tmp_path / "book"
    shutil.copytree(empty_book, book)
    with dagster(tmp_path, book) as address, visiting(f"{address}/asset-groups") as visit:
        page = visit.page
        page.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        for asset in ("load", "run", "post", "report"):
            expect(page.get_by_text(asset, exact=True).first).to_be_visible()
        ask_for(page, NIGHT)
        page.goto(f"{address}/runs")
        expect(page.get_by_text("Success", exact=True)).to_be_visible()
        page.goto(f"{address}/assets/run")
        expect(page.get_by_text("BR-00000001").first).to_be_visible()
        page.goto(f"{address}/assets/run?view=checks&checkDetail={PARKED}")
        expect(page.get_by_text("Everybody who owes something was billed.")).to_be_visible()
        expect(page.get_by_text("Succeeded", exact=True).first).to_be_visible()
        assert visit.elsewhere == []
    with Book(book, read_only=True) as opened:
        assert opened.sql("SELECT status, invoices FROM bill_runs").rows() == [("Posted", 2)]
    assert (tmp_path / "reports" / "BR-00000001.html").exists()
