"""What a night tells those who watch over it: OpenLineage run events, one a line."""

from __future__ import annotations

import contextlib
import itertools
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from inputs import row, write_rows

from billfold.errors import BillfoldError, InputError
from billfold.events import Journal, journal
from billfold.night import night
from billfold.report import figures

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command

    from billfold import Book

DAY: Final = date(2024, 2, 1)
OPTIONS: Final = ("--target-date", "2024-02-01", "--no-verify", "--post")
STEPS: Final = ["night.load", "night.run", "night.post"]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return deliver(tmp_path / "inbox", "12.5", "-3")


def deliver(inbox: Path, *amounts: str) -> Path:
    """A delivery with an account for each order line, sent to billing."""
    sent = {"item_state": "SentToBilling", "bill_target_date": "2024-01-15"}
    tables = {
        "accounts": [row("accounts", f"A-{n}") for n, _ in enumerate(amounts)],
        "orders": [row("orders", f"O-{n}", account_number=f"A-{n}") for n, _ in enumerate(amounts)],
        "order_line_items": [
            row("order_line_items", "1", order_number=f"O-{n}", account_number=f"A-{n}", amount_per_unit=a, **sent)
            for n, a in enumerate(amounts)
        ],
    }
    for table, rows in tables.items():
        write_rows(inbox / "monday" / f"{table}.csv", rows)
    return inbox


def events_of(book: Book, inbox: Path | None, **more: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - options of a night
    """What a night tells; a second goes by whenever someone looks at the clock."""
    lines: list[str] = []
    clock = (datetime(2024, 2, 1, 2, tzinfo=UTC) + timedelta(seconds=n) for n in itertools.count())
    telling = Journal(lines.append, partial(next, clock))
    with contextlib.suppress(BillfoldError):
        night(book, DAY, inbox=inbox, journal=telling, pauses=(), **{"verify": False, "post": True, **more})
    return [json.loads(line) for line in lines]


def flat(event: dict[str, Any]) -> dict[str, Any]:
    """The facet with everything for programs that read logs."""
    return dict(event["run"]["facets"]["billfold"])


def ends(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last event of each job."""
    return {e["job"]["name"]: e for e in events if e["eventType"] != "START"}


def test_every_step_starts_and_completes_inside_the_night(book: Book, inbox: Path) -> None:
    told = [(e["eventType"], e["job"]["name"]) for e in events_of(book, inbox)]
    inside = [(kind, name) for name in STEPS for kind in ("START", "COMPLETE")]
    assert told == [("START", "night"), *inside, ("COMPLETE", "night")]


def test_events_have_all_that_openlineage_requires(
    book: Book, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "verify", lambda *_: [])
    for event in events_of(book, inbox, verify=True, reports=tmp_path / "reports"):
        assert {"eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"} <= event.keys()
        assert datetime.fromisoformat(event["eventTime"]).tzinfo == UTC
        assert str(uuid.UUID(event["run"]["runId"])) == event["run"]["runId"]
        for data in (*event["inputs"], *event["outputs"]):
            assert data["namespace"] == "file"
            assert data["name"].startswith(str(tmp_path))
        assert all({"_producer", "_schemaURL"} <= facet.keys() for facet in facets(event))


def facets(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Every facet of an event."""
    places = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    kinds = ("facets", "inputFacets", "outputFacets")
    return [facet for place in places for kind in kinds for facet in place.get(kind, {}).values()]


def test_steps_name_the_night_as_their_parent(book: Book, inbox: Path) -> None:
    events = events_of(book, inbox)
    runs = {e["job"]["name"]: {e["run"]["runId"]} for e in events}
    assert len(set.union(*runs.values())) == 4
    parents = {e["run"]["facets"]["parent"]["run"]["runId"] for e in events if e["job"]["name"] != "night"}
    assert parents == runs["night"]


def test_a_step_tells_rows_read_and_written(book: Book, inbox: Path) -> None:
    told = ends(events_of(book, inbox))
    read = {
        d["name"].rpartition("/")[2]: d["inputFacets"]["inputStatistics"]["rowCount"]
        for d in told["night.load"]["inputs"]
    }
    assert read == {"accounts.csv": 2, "orders.csv": 2, "order_line_items.csv": 2}
    assert written(told["night.load"]) == {"accounts": 2, "orders": 2, "order_line_items": 2}
    made = {"invoices": 1, "invoice_items": 1, "credit_memos": 0, "credit_memo_items": 0, "parked_accounts": 1}
    assert written(told["night.run"]) == made
    assert written(told["night.post"]) == {"invoices": 1, "credit_memos": 0}


def written(event: dict[str, Any]) -> dict[str, int]:
    rows = {d["name"]: d["outputFacets"]["outputStatistics"]["rowCount"] for d in event["outputs"]}
    return {name.rpartition("/data/main/")[2]: count for name, count in rows.items()}


def test_the_flat_facet_has_seconds_rate_amounts_and_parked_accounts(book: Book, inbox: Path) -> None:
    told = flat(ends(events_of(book, inbox))["night.run"])
    assert told["seconds"] > 0
    assert told["rows_per_second"] == round(1 / told["seconds"])
    assert told["phases"].keys() == {"reading", "rating and grouping", "committing"}
    named = {k: told[k] for k in ("step", "target_date", "bill_run_number", "rows", "amounts", "parked_accounts")}
    assert named == {
        "step": "run", "target_date": "2024-02-01", "bill_run_number": "BR-00000001", "rows": 1, "parked_accounts": 1,
        "amounts": {"USD": {"invoices": "12.50", "credit_memos": "0.00"}},
    }  # fmt: skip


def test_the_night_tells_its_exit_code_and_the_reason(book: Book, inbox: Path) -> None:
    told = flat(ends(events_of(book, inbox))["night"])
    assert (told["exit_code"], told["exit_reason"]) == (3, "accounts parked: 1")
    deliver(inbox, "12.5", "3")
    told = flat(ends(events_of(book, inbox))["night"])
    assert (told["exit_code"], told["exit_reason"]) == (0, "done")


def test_a_repeated_night_tells_that_it_wrote_nothing(book: Book, inbox: Path) -> None:
    events_of(book, inbox)
    told = ends(events_of(book, inbox))
    assert [e["outputs"] for e in told.values()] == [[], [], [], []]
    assert flat(told["night.run"])["bill_run_number"] is None


def test_a_refusal_fails_its_step_and_the_night(book: Book, inbox: Path) -> None:
    deliver(inbox, "much")
    events = events_of(book, inbox)
    assert [(e["eventType"], e["job"]["name"]) for e in events[2:]] == [("FAIL", "night.load"), ("FAIL", "night")]
    for event in events[2:]:
        assert "1 of 3 rows refused" in event["run"]["facets"]["errorMessage"]["message"]
        assert flat(event)["exit_code"] == 1


def test_an_interruption_aborts(book: Book) -> None:
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt), Journal(lines.append).night(book, DAY):
        raise KeyboardInterrupt
    assert [json.loads(line)["eventType"] for line in lines] == ["START", "ABORT"]


def test_promises_are_told_as_assertions(book: Book, inbox: Path) -> None:
    (data,) = ends(events_of(book, inbox, verify=True, post=False))["night.verify"]["inputs"]
    assertions = data["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {"assertion": "once: order lines", "success": True} in assertions
    assert {"assertion": "replay of BR-00000001", "success": True} in assertions


# ------------------------------------------------------------------ where they go


@pytest.mark.usefixtures("book")
def test_log_adds_lines_to_a_file(inbox: Path, quick: Command, tmp_path: Path) -> None:
    log = tmp_path / "night.log"
    for _ in range(2):
        quick("night", *OPTIONS, "--inbox", inbox, "--log", log)
    lines = log.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["eventType"] for line in lines].count("START") == 8


@pytest.mark.usefixtures("book")
def test_a_log_may_be_moved_away_at_any_time(tmp_path: Path) -> None:
    telling = journal(str(tmp_path / "log"))
    telling.write("one")
    (tmp_path / "log").rename(tmp_path / "log.1")
    telling.write("two")
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in ("log.1", "log")] == ["one\n", "two\n"]


@pytest.mark.usefixtures("book")
def test_log_may_be_named_by_the_environment(quick: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLFOLD_LOG", str(tmp_path / "log"))
    quick("night", *OPTIONS)
    assert (tmp_path / "log").exists()


@pytest.mark.usefixtures("book")
def test_a_dash_is_standard_error(quick: Command) -> None:
    said = quick("night", *OPTIONS, "--log", "-", "--json")
    assert said.json()["exit_code"] == 0
    assert [json.loads(line)["eventType"] for line in said.err.splitlines()].count("COMPLETE") == 3


def test_a_log_that_can_not_be_written_is_refused_before_anything_is_done(
    book: Book, inbox: Path, quick: Command
) -> None:
    before = book.head()
    refused = quick("night", *OPTIONS, "--inbox", inbox, "--log", "missing/log")
    assert (refused.code, refused.err) == (
        1,
        "billfold: The log missing/log can't be written: No such file or directory.\n",
    )
    assert book.head() == before


def test_without_a_log_a_night_does_the_same(book: Book, inbox: Path) -> None:
    deliver(inbox, "much")
    with pytest.raises(InputError):
        night(book, DAY, inbox=inbox, journal=journal(None))
