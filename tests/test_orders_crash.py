"""Orders and crashes: an order, what it changes and the documents that bill it are there together or not at all."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import ROOT
from crash_book import Gate, copied, done, forking, kept, orphaned, run, start, tables

from billfold import Book
from billfold.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

SHOP: Final = ROOT / "data" / "orders"
COMMAND: Final = ("order", "create", SHOP / "hybrid.json", "--idempotency-key", "once", "--json")
BUYERS: Final = 4
STRIDE: Final = int(os.environ.get("STRIDE", "4"))
"""Of the places where an order can die, every fourth is tried, and the last."""

KILLED: Final = -signal.SIGKILL


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    book = tmp_path_factory.mktemp("shop") / "book"
    done(book, "init")
    done(book, "load", SHOP / "start")
    return book


def test_an_order_that_dies_anywhere_is_whole_or_not_there_and_can_be_asked_for_again(
    shop: Path, tmp_path: Path
) -> None:
    log = tmp_path / "reached"
    whole = copied(shop, tmp_path / "whole")
    answer = run(whole, *COMMAND, failpoint=f"log:{log}").json()
    after = kept(whole)
    reached = log.read_text(encoding="utf-8").split()
    assert {"write.before:orders", "write.after:invoices", "head.after", "commit.before", "commit.after"} <= set(
        reached
    )
    for number, point in enumerate(reached[::STRIDE] + reached[-1:]):
        book = copied(shop, tmp_path / str(number))
        assert run(book, *COMMAND, failpoint=point).code == KILLED, point
        assert kept(book) == (after if point == "commit.after" else kept(shop)), point
        assert done(book, *COMMAND).json() == answer, point
        assert kept(book) == after, point
        done(book, "clean", "--yes")
        assert (kept(book), orphaned(book)) == (after, set()), point


def test_orders_of_several_processes_are_all_done_each_once(shop: Path, tmp_path: Path) -> None:
    book = copied(shop, tmp_path / "book")
    request: dict[str, Any] = json.loads((SHOP / "hybrid.json").read_text(encoding="utf-8"))
    for buyer in range(BUYERS):
        (tmp_path / f"{buyer}.json").write_text(json.dumps(request | {"orderNumber": f"WEB-{buyer}"}), encoding="utf-8")
    gate = Gate(forking().Barrier(BUYERS))
    at_work = [start(book, "order", "create", tmp_path / f"{b}.json", "--json", gate=gate) for b in range(BUYERS)]
    answers = [one.ended().json() for one in at_work]
    assert [a["success"] for a in answers] == [True] * BUYERS
    assert sorted(n for a in answers for n in a["invoiceNumbers"]) == [f"INV{n:08d}" for n in range(1, BUYERS + 1)]
    names = tables(book, ["subscriptions"])["subscriptions"]["subscription_number"].sort().to_list()
    assert names == [f"A-S{n:08d}" for n in range(1, BUYERS + 1)]
    with Book(book, read_only=True) as opened:
        assert [v.promise for v in verify(opened) if not v.holds] == []
