"""A night: it bills everything once, whatever happened to the nights before; what it is given is loaded once."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from inputs import row, write_rows

from billfold import Book, RunRequest, bill, cancel, verify
from billfold.errors import BillfoldError, ConflictError, InputError, PromiseError
from billfold.intake import load
from billfold.night import Night, night, steps
from billfold.night.care import alone
from billfold.night.inbox import NOTES, deliveries, load_deliveries
from billfold.settings import change

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Command

FIRST: Final = date(2024, 2, 1)
LATER: Final = date(2024, 2, 20)
OPTIONS: Final = ("--target-date", "2024-02-01", "--no-verify")

tonight = partial(night, verify=False, pauses=())
"""A night without proofs, which tests of proofs ask for."""


def deliver(inbox: Path, name: str, *lines: str, amount: str = "10", due: str = "2024-01-15") -> Path:
    """A delivery with an account and one order line for each name of `lines`."""
    folder = inbox / name
    write_rows(folder / "accounts.csv", [row("accounts", "A-1"), row("accounts", "A-2")])
    write_rows(folder / "orders.csv", [row("orders", "O-1")])
    write_rows(folder / "order_line_items.csv", [line(n, amount, due) for n in lines])
    return folder


def line(number: str, amount: str, due: str) -> dict[str, Any]:
    return row("order_line_items", number, amount_per_unit=amount, item_state="SentToBilling", bill_target_date=due)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox with one delivery."""
    deliver(tmp_path / "inbox", "2024-02-01", "1", "2")
    return tmp_path / "inbox"


@pytest.fixture(autouse=True)
def few_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs of three promises: all of them take most of the time, and have tests of their own."""
    few = tuple(p for p in verify.promises() if p.name in {"once: ids", "unchanged: tables", "sums: headers"})
    words = {w: q for w, q in verify.kept().items() if any(w in verify.words_of(p.query) for p in few)}
    monkeypatch.setattr(verify, "promises", lambda: few)
    monkeypatch.setattr(verify, "kept", lambda: words)


def invoiced(book: Book) -> list[tuple[str, str, int]]:
    """Run, status and items of every invoice."""
    found = book.read("invoices").sort("invoice_id").select("bill_run_number", "status", "item_count").collect()
    return list(found.iter_rows())


def names(done: Night) -> list[str]:
    return [a.delivery.name for a in done.arrivals]


# ------------------------------------------------------------------ a whole night


def test_a_night_loads_bills_proves_posts_and_reports(book: Book, inbox: Path, tmp_path: Path) -> None:
    done = night(book, FIRST, inbox=inbox, post=True, reports=tmp_path / "reports")
    assert names(done) == ["2024-02-01"]
    assert done.receipt.amounts == {"USD": {"invoices": "20.00", "credit_memos": "0.00"}}
    assert done.proof is not None
    assert (done.proof.broken, [r.bill_run_number for r in done.proof.replays]) == ([], ["BR-00000001"])
    assert done.runs.select("bill_run_number", "status").rows() == [("BR-00000001", "Posted")]
    assert (done.drafts, done.parked.height, done.exit_code) == ((), 0, 0)
    assert [p.relative_to(tmp_path).as_posix() for p in done.pages] == ["reports/BR-00000001.html"]
    assert "BR-00000001" in done.pages[0].read_text(encoding="utf-8")


def test_documents_bear_the_target_date_whenever_the_night_runs(book: Book, inbox: Path) -> None:
    tonight(book, FIRST, inbox=inbox)
    assert book.read("invoices").collect()["invoice_date"].to_list() == [FIRST]


def test_the_same_night_again_writes_nothing(book: Book, inbox: Path, tmp_path: Path) -> None:
    again = partial(tonight, book, FIRST, inbox=inbox, post=True, reports=tmp_path / "reports")
    again()
    before = book.head()
    done = again()
    assert (done.arrivals, done.receipt.bill_run_number, done.posted, done.pages) == ((), None, (), ())
    assert book.head() == before


def test_what_a_night_left_as_drafts_is_posted_by_the_next(book: Book, inbox: Path) -> None:
    load_deliveries(book, inbox)
    steps.make_drafts(book, FIRST)  # and here it died
    done = tonight(book, FIRST, post=True)
    assert (done.receipt.bill_run_number, [r.bill_run_number for r in done.posted]) == (None, ["BR-00000001"])
    assert invoiced(book) == [("BR-00000001", "Posted", 2)]


def test_a_later_night_posts_the_drafts_of_all_before_it_in_order(book: Book, inbox: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    tonight(book, FIRST, inbox=inbox, reports=reports)
    deliver(inbox, "2024-02-02", "3", due="2024-02-02")
    tonight(book, date(2024, 2, 2), inbox=inbox, reports=reports)
    deliver(inbox, "2024-02-20", "4", due="2024-02-20")
    done = tonight(book, LATER, inbox=inbox, post=True, reports=reports)
    assert [r.bill_run_number for r in done.posted] == ["BR-00000001", "BR-00000002", "BR-00000003"]
    numbers = book.read("invoices").sort("bill_run_number").collect()["invoice_number"].to_list()
    assert numbers == ["INV00000001", "INV00000002", "INV00000003"]
    pages = ["BR-00000001-drafts", "BR-00000001", "BR-00000002-drafts", "BR-00000002", "BR-00000003"]
    assert {p.stem for p in reports.iterdir()} == set(pages)


def test_missed_nights_are_caught_up_by_the_next(book: Book, inbox: Path) -> None:
    deliver(inbox, "2024-02-10", "3", due="2024-02-10")
    deliver(inbox, "2024-02-20", "4", due="2024-02-20")
    done = tonight(book, LATER, inbox=inbox, post=True)
    assert names(done) == ["2024-02-01", "2024-02-10", "2024-02-20"]
    assert invoiced(book) == [("BR-00000001", "Posted", 4)]


def test_an_earlier_night_after_a_later_one_finds_nothing(book: Book, inbox: Path) -> None:
    tonight(book, LATER, inbox=inbox, post=True)
    assert tonight(book, FIRST, inbox=inbox, post=True).receipt.bill_run_number is None


def test_a_canceled_night_is_billed_anew(book: Book, inbox: Path) -> None:
    tonight(book, FIRST, inbox=inbox)
    cancel(book, "BR-00000001")
    assert tonight(book, FIRST, inbox=inbox, post=True).receipt.bill_run_number == "BR-00000002"
    assert invoiced(book) == [("BR-00000001", "Canceled", 2), ("BR-00000002", "Posted", 2)]


def test_drafts_of_other_runs_stay_drafts(book: Book, inbox: Path) -> None:
    load_deliveries(book, inbox)
    bill(book, RunRequest(target_date=FIRST, invoice_date=FIRST, accounts=("A-1",)))
    done = tonight(book, FIRST, post=True)
    assert (done.posted, done.drafts) == ((), ())
    assert invoiced(book) == [("BR-00000001", "Draft", 2)]


def test_an_account_that_is_parked_shows_every_night_until_it_is_mended(book: Book, inbox: Path) -> None:
    deliver(inbox, "2024-02-01", "1", amount="-5")
    parked = [tonight(book, day, inbox=inbox, post=True) for day in (FIRST, FIRST, LATER)]
    assert [(n.parked["account_number"].to_list(), n.exit_code) for n in parked] == [(["A-1"], 3)] * 3
    assert [n.receipt.bill_run_number for n in parked] == ["BR-00000001", None, None]
    deliver(inbox, "2024-02-21", "1", amount="5")
    assert tonight(book, date(2024, 2, 21), inbox=inbox).exit_code == 0


def test_reports_that_a_night_did_not_come_to_are_written_by_the_next(book: Book, inbox: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    tonight(book, FIRST, inbox=inbox, post=True, reports=reports)
    for day in (2, 3):
        deliver(inbox, f"2024-02-0{day}", f"{day}0", due=f"2024-02-0{day}")
        tonight(book, date(2024, 2, day), inbox=inbox, post=True)
    assert [p.name for p in tonight(book, LATER, reports=reports).pages] == ["BR-00000002.html", "BR-00000003.html"]


def test_a_folder_without_reports_gets_only_the_newest(book: Book, inbox: Path, tmp_path: Path) -> None:
    tonight(book, FIRST, inbox=inbox, post=True)
    deliver(inbox, "2024-02-02", "20", due="2024-02-02")
    done = tonight(book, LATER, inbox=inbox, post=True, reports=tmp_path / "new" / "reports")
    assert [p.name for p in done.pages] == ["BR-00000002.html"]


def test_nothing_is_posted_when_a_promise_is_broken(book: Book, inbox: Path, tmp_path: Path) -> None:
    load_deliveries(book, inbox)
    book._connection.execute("CREATE VIEW stranger AS SELECT 1 AS one")
    with pytest.raises(PromiseError, match=r"^Broken: unchanged: tables; so nothing was posted or reported: `billfold"):
        night(book, FIRST, post=True, reports=tmp_path / "reports")
    assert invoiced(book) == [("BR-00000001", "Draft", 2)]
    assert not (tmp_path / "reports").exists()


# ------------------------------------------------------------------ others at work


def commits_of_others(book: Book, count: int) -> Callable[..., Any]:
    """`bill`, but the first times somebody else commits while it works."""
    left = [count]

    def disturbed(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as the real one
        if left[0]:
            left[0] -= 1
            work, patch = book.commit, pytest.MonkeyPatch()

            def second(*commit: Any) -> Any:  # noqa: ANN401 - as the real one
                patch.undo()
                change(book, {"time_zone": f"Etc/GMT+{left[0]}"})
                return work(*commit)

            patch.setattr(book, "commit", second)
        return bill(*given, **named)

    return disturbed


def test_a_conflict_is_tried_again(book: Book, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "bill", commits_of_others(book, 2))
    tonight(book, FIRST, inbox=inbox, pauses=(0, 0))
    assert invoiced(book) == [("BR-00000001", "Draft", 2)]


def test_a_conflict_at_every_try_ends_the_night(book: Book, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "bill", commits_of_others(book, 9))
    with pytest.raises(ConflictError, match="came first"):
        tonight(book, FIRST, inbox=inbox, pauses=(0, 0))
    assert invoiced(book) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_night_does_nothing_while_another_is_at_work(book: Book, inbox: Path, quick: Command) -> None:
    with alone(book):
        refused = quick("night", "--inbox", inbox, *OPTIONS)
        said = f"billfold: Another night is at work on the book in {book.folder} (process {os.getpid()}), so this one"
        assert (refused.code, refused.err) == (1, f"{said} did nothing.\n")
    assert quick("night", "--inbox", inbox, *OPTIONS).code == 0


# ------------------------------------------------------------------ the inbox


def test_deliveries_come_in_the_order_of_their_names(book: Book, tmp_path: Path) -> None:
    for name, amount in (("b", "2"), ("a", "1"), ("c", "3")):
        deliver(tmp_path / "inbox", name, "1", amount=amount)
    assert [a.delivery.name for a in load_deliveries(book, tmp_path / "inbox")] == ["a", "b", "c"]
    assert book.read("order_line_items").collect()["amount_per_unit"].to_list() == [3]


def test_what_is_still_being_brought_is_not_looked_at(inbox: Path) -> None:
    for name in (".2024-02-02", "2024-02-02.part", "2024-02-02.tmp"):
        deliver(inbox, name, "3")
    (inbox / "2024-02-01" / "usage.csv.part").write_text("half a", encoding="utf-8")
    (inbox / "notes.txt").write_text("not a table", encoding="utf-8")
    (inbox / "2024-02-03").mkdir()
    assert [(d.name, len(d.files)) for d in deliveries(inbox)] == [("2024-02-01", 3)]


def test_a_loaded_delivery_does_not_undo_what_came_after_it(book: Book, inbox: Path) -> None:
    load_deliveries(book, inbox)
    changed = write_rows(inbox.parent / "by_hand.csv", [line("1", "77", "2024-01-15")])
    load(book, [f"order_line_items={changed}"])
    assert load_deliveries(book, inbox) == []
    assert book.read("order_line_items").filter(item_number="1").collect()["amount_per_unit"].to_list() == [77]


def test_a_delivery_that_changes_nothing_is_known_too(book: Book, inbox: Path) -> None:
    load_deliveries(book, inbox)
    shutil.copytree(inbox / "2024-02-01", inbox / "2024-02-02")
    assert [[r.changed for r in a.loaded] for a in load_deliveries(book, inbox)] == [[0, 0, 0]]
    assert load_deliveries(book, inbox) == []


def test_a_delivery_with_other_files_is_loaded_again(book: Book, inbox: Path) -> None:
    load_deliveries(book, inbox)
    deliver(inbox, "2024-02-01", "1", "2", amount="12")
    assert len(load_deliveries(book, inbox)) == 1


@pytest.mark.parametrize("keeps_notes", [True, False])
def test_files_in_the_inbox_itself_may_come_back_as_they_were(book: Book, tmp_path: Path, *, keeps_notes: bool) -> None:
    found = []
    for amount in ("1", "2", "2", "1"):
        deliver(tmp_path, "inbox", "1", amount=amount)
        found.append([a.delivery.name for a in load_deliveries(book, tmp_path / "inbox")])
        if not keeps_notes:  # as when the process dies after the commit
            (book.folder / NOTES).unlink(missing_ok=True)
    assert found == [["."], ["."], [], ["."]]
    assert book.read("order_line_items").collect()["amount_per_unit"].to_list() == [1]


def test_the_record_of_commits_names_the_delivery(book: Book, inbox: Path) -> None:
    load_deliveries(book, inbox)
    messages = set(book.contents()["message"])
    assert len(messages) == 1
    assert messages.pop().startswith("load accounts, orders, order_line_items from 2024-02-01 (")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_what_a_night_adds_to_a_book_is_its_owner_s_alone(book: Book, inbox: Path) -> None:
    tonight(book, FIRST, inbox=inbox, post=True)
    assert [p.name for p in book.folder.iterdir() if p.is_file() and p.stat().st_mode & 0o077] == []


def test_a_copy_of_a_book_knows_what_was_loaded(book: Book, inbox: Path, tmp_path: Path) -> None:
    tonight(book, FIRST, inbox=inbox)
    shutil.copytree(book.folder, tmp_path / "copy")
    deliver(inbox, "2024-02-02", "3")
    with Book(tmp_path / "copy") as copy:
        assert names(tonight(copy, LATER, inbox=inbox)) == ["2024-02-02"]


def test_a_restored_book_comes_to_the_same_end(book: Book, inbox: Path, tmp_path: Path) -> None:
    tonight(book, FIRST, inbox=inbox, post=True)
    shutil.copytree(book.folder, tmp_path / "backup")
    deliver(inbox, "2024-02-20", "3", due="2024-02-20")
    lost = tonight(book, LATER, inbox=inbox, post=True)
    with Book(tmp_path / "backup") as restored:
        assert tonight(restored, LATER, inbox=inbox, post=True).digest == lost.digest


def test_a_bad_delivery_stops_the_night_and_those_before_it_stay(book: Book, inbox: Path) -> None:
    bad = deliver(inbox, "2024-02-02", "3", amount="much")
    deliver(inbox, "2024-02-03", "4")
    with pytest.raises(InputError, match="1 of 4 rows refused"):
        tonight(book, FIRST, inbox=inbox, post=True)
    assert sorted(book.read("order_line_items").collect()["item_number"]) == ["1", "2"]
    assert invoiced(book) == []
    deliver(inbox, bad.name, "3")
    assert names(tonight(book, FIRST, inbox=inbox, post=True)) == ["2024-02-02", "2024-02-03"]
    assert invoiced(book) == [("BR-00000001", "Posted", 4)]


def test_an_empty_inbox_brings_nothing(book: Book, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    assert tonight(book, FIRST, inbox=tmp_path / "inbox").arrivals == ()


def test_a_missing_inbox_is_refused(book: Book, tmp_path: Path) -> None:
    with pytest.raises(
        BillfoldError, match=r"can't be read \(No such file or directory\): make the folder, or see that"
    ):
        tonight(book, FIRST, inbox=tmp_path / "nowhere")


def test_files_beside_folders_are_refused(book: Book, inbox: Path) -> None:
    write_rows(inbox / "accounts.csv", [row("accounts", "A-3")])
    with pytest.raises(BillfoldError, match="has both files and folders"):
        tonight(book, FIRST, inbox=inbox)


def test_a_report_folder_that_can_not_be_made_is_refused(book: Book, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BillfoldError, match=r"reports can't be made: Not a directory"):
        tonight(book, FIRST, inbox=inbox, reports=tmp_path / "file" / "reports")


# ------------------------------------------------------------------ days


@pytest.mark.parametrize(
    ("zone", "day"), [("UTC", 31), ("Europe/Berlin", 1), ("America/New_York", 31), ("Pacific/Auckland", 1)]
)
def test_today_is_what_the_book_s_time_zone_says(book: Book, zone: str, day: int) -> None:
    change(book, {"time_zone": zone})
    assert steps.today(book, lambda: datetime(2024, 1, 31, 23, 30, tzinfo=UTC)).day == day


@pytest.mark.parametrize("zone", ["Berlin", "europe/berlin", "../etc/passwd", "", "UTC+1"])
def test_other_names_of_zones_are_refused(book: Book, zone: str) -> None:
    with pytest.raises(BillfoldError, match=r"The setting time_zone can't be .*IANA name such as Europe/Berlin"):
        change(book, {"time_zone": zone})


# ------------------------------------------------------------------ the command


def night_of(quick: Command, inbox: Path, *more: str | Path) -> Any:  # noqa: ANN401 - an outcome
    return quick("night", "--inbox", inbox, *OPTIONS, *more)


def test_the_command_says_what_was_done(book: Book, inbox: Path, quick: Command) -> None:
    said = night_of(quick, inbox, "--post", "--report", "reports").out.splitlines()
    assert said[0] == "Night of 2024-02-01"
    assert "2024-02-01   order_line_items      2     2         0           0" in said
    assert any(s.startswith("BR-00000001   Posted") for s in said)
    assert said[-1] == "Report: reports/BR-00000001.html"
    assert "Nothing is due up to 2024-02-01 that was not billed before." in night_of(quick, inbox).out
    assert book.folder.name == "book"


def test_the_command_says_which_drafts_wait(book: Book, inbox: Path, quick: Command) -> None:
    assert "Drafts that wait to be posted: BR-00000001.\n" in night_of(quick, inbox).out
    assert invoiced(book) == [("BR-00000001", "Draft", 2)]


@pytest.mark.usefixtures("book")
def test_the_command_answers_in_json(inbox: Path, quick: Command) -> None:
    document = night_of(quick, inbox, "--post", "--json", "--report", "reports").json()
    assert document["deliveries"]["2024-02-01"]["accounts"] == {"rows": 2, "new": 2, "changed": 0}
    told = {
        k: document[k] for k in ("target_date", "bill_run_number", "runs", "posted", "drafts", "reports", "exit_code")
    }
    assert told == {
        "target_date": "2024-02-01", "bill_run_number": "BR-00000001", "runs": {"BR-00000001": "Posted"},
        "posted": ["BR-00000001"], "drafts": [], "reports": ["reports/BR-00000001.html"], "exit_code": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("book")
def test_parked_accounts_end_the_command_with_3_also_when_it_is_repeated(inbox: Path, quick: Command) -> None:
    deliver(inbox, "2024-02-01", "1", amount="-5")
    outcomes = [night_of(quick, inbox, "--post") for _ in range(2)]
    assert [o.code for o in outcomes] == [3, 3]
    assert all("Parked accounts" in o.out for o in outcomes)


@pytest.mark.usefixtures("book")
def test_refused_data_end_the_command_with_1_and_a_table(inbox: Path, quick: Command) -> None:
    deliver(inbox, "2024-02-01", "1", amount="much")
    refused = night_of(quick, inbox, "--post")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.splitlines()[-1].startswith("billfold: 1 of 4 rows refused, so nothing was loaded;")
    assert "amount_per_unit" in refused.err.splitlines()[2]


@pytest.mark.usefixtures("book")
@pytest.mark.parametrize("word", ["tomorrow", "2024-02-30", "1 Feb"])
def test_a_target_date_that_is_none_ends_the_command_with_2(word: str, quick: Command) -> None:
    refused = quick("night", "--target-date", word)
    assert refused.code == 2
    assert "a day such as 2024-02-29, or today" in " ".join(refused.err.replace("│", " ").split())


def test_today_is_a_target_date(book: Book, quick: Command) -> None:
    change(book, {"time_zone": "Pacific/Kiritimati"})
    said = quick("night", "--target-date", "today", "--no-verify", "--json").json()
    assert date.fromisoformat(said["target_date"]) in {steps.today(book), steps.today(book, lambda: datetime.now(UTC))}


def test_the_command_proves_before_it_posts(book: Book, inbox: Path, quick: Command) -> None:
    done = quick("night", "--inbox", inbox, "--target-date", "2024-02-01", "--post")
    assert "All 3 promises hold; BR-00000001 made again, byte by byte.\n" in done.out
    book._connection.execute("CREATE VIEW stranger AS SELECT 1 AS one")
    broken = quick("night", "--inbox", inbox, "--target-date", "2024-02-01", "--post")
    assert (broken.code, broken.err[:40]) == (1, "billfold: Broken: unchanged: tables; so ")
