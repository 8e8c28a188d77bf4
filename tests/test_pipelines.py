"""The nightly run as Dagster's assets: what a step writes, what a check says, what is tried again and what is not."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pytest
from inputs import row, write_rows

from billfold import bill, verify
from billfold.errors import BookError
from billfold.night import steps
from billfold.settings import change
from pipelines import definitions as pipeline
from pipelines.__main__ import home
from pipelines.definitions import PARKED, REPLAY, Place, check_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from billfold import Book

DAY: Final = "2024-02-01"
ASSETS: Final = ["load", "run", "post", "report"]
PROMISES: Final = verify.promises()


@pytest.fixture(autouse=True)
def few_promises(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs of three promises, but in the test of all of them: they take most of the time."""
    if request.node.name == "test_a_night_materializes_every_asset_and_checks_every_promise":
        return
    few = tuple(p for p in PROMISES if p.name in {"once: ids", "unchanged: tables", "sums: headers"})
    for module, name in ((verify, "promises"), (pipeline, "all_promises")):
        monkeypatch.setattr(module, name, lambda: few)
    monkeypatch.setattr(verify, "kept", dict)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Dagster tells everything on standard error."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def place(book: Book, tmp_path: Path) -> Place:
    """A book, an inbox with one delivery, and a folder for reports; nights post."""
    deliver(tmp_path / "inbox" / DAY, "10")
    reports, log = tmp_path / "reports", tmp_path / "log"
    return Place(book=str(book.folder), inbox=str(tmp_path / "inbox"), reports=str(reports), log=str(log), post=True)


def other(place: Place, **changed: Any) -> Place:  # noqa: ANN401 - any field of it
    """The same place, but for some things."""
    return Place(**{n: getattr(place, n) for n in ("book", "inbox", "reports", "export", "post", "log")} | changed)


def deliver(folder: Path, *amounts: str) -> None:
    """An account with order lines of these amounts."""
    sent = {"item_state": "SentToBilling", "bill_target_date": "2024-01-15"}
    lines = [row("order_line_items", f"{n}", amount_per_unit=a, **sent) for n, a in enumerate(amounts)]
    write_rows(folder / "accounts.csv", [row("accounts", "A-1")])
    write_rows(folder / "orders.csv", [row("orders", "O-1")])
    write_rows(folder / "order_line_items.csv", lines)


def materialized(place: Place, day: str = DAY) -> dg.ExecuteInProcessResult:
    """A night, as the schedule would start it."""
    job = pipeline.definitions(place).resolve_job_def("night")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(partition_key=day, instance=instance, raise_on_error=False)


def metadata(done: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """What each asset says about itself."""
    made = {e.step_key: e.materialization.metadata for e in done.get_asset_materialization_events()}
    return {str(step): {k: v.value for k, v in said.items()} for step, said in made.items()}


def failure(done: dg.ExecuteInProcessResult, step: str) -> Any:  # noqa: ANN401 - of Dagster's
    """How a step failed."""
    data = done.failure_data_for_node(step)
    assert data is not None
    return data.user_failure_data


def failed_checks(done: dg.ExecuteInProcessResult) -> dict[str, str]:
    return {c.check_name: c.severity.value for c in done.get_asset_check_evaluations() if not c.passed}


def statuses(book: Book) -> list[str]:
    return book.read("bill_runs").sort("bill_run_number").collect()["status"].to_list()


# ------------------------------------------------------------------ a night


def test_a_night_materializes_every_asset_and_checks_every_promise(book: Book, place: Place, tmp_path: Path) -> None:
    done = materialized(place)
    assert done.success
    checked = {c.check_name for c in done.get_asset_check_evaluations() if c.passed}
    assert checked == {PARKED, REPLAY, *(check_name(p.name) for p in PROMISES)}
    said = metadata(done)
    assert list(said) == ASSETS
    assert (said["load"]["deliveries"], said["load"]["dagster/row_count"]) == (1, 3)
    assert "| BR-00000001 | Completed | USD | 10.00 | 0.00 |" in said["run"]["runs"]
    counts = ("invoices", "dagster/row_count", "accounts_billed", "parked_accounts")
    assert [said["run"][count] for count in counts] == [1, 1, 1, 0]
    assert said["post"]["posted"] == "BR-00000001"
    assert said["report"]["BR-00000001.html"] == str(tmp_path / "reports" / "BR-00000001.html")
    assert statuses(book) == ["Posted"]


def test_a_repeated_night_changes_nothing_and_shows_the_same_figures(book: Book, place: Place) -> None:
    first = metadata(materialized(place))
    before = book.head()
    again = metadata(materialized(place))
    assert book.head() == before
    assert {k: first["run"][k] for k in ("invoices", "accounts_billed")}.items() <= again["run"].items()
    assert again["run"]["made by this try"] == "nothing: nothing was due that was not billed before"
    assert (again["load"]["deliveries"], again["post"]["posted"], again["report"]["pages"]) == (0, "", 0)


def test_a_later_night_catches_up_and_an_earlier_one_then_finds_nothing(book: Book, place: Place) -> None:
    assert materialized(place, "2024-02-05").success
    assert materialized(place, DAY).success
    assert statuses(book) == ["Posted"]


def test_without_post_documents_stay_drafts(book: Book, place: Place) -> None:
    done = materialized(other(place, post=False))
    assert metadata(done)["post"]["left as drafts"] == "BR-00000001"
    assert statuses(book) == ["Completed"]
    assert (book.folder.parent / "reports" / "BR-00000001-drafts.html").exists()


def test_parked_accounts_are_a_warning_with_a_table(place: Place, tmp_path: Path) -> None:
    deliver(tmp_path / "inbox" / DAY, "-10")
    done = materialized(place)
    assert done.success
    assert failed_checks(done) == {PARKED: "WARN"}
    (check,) = [c for c in done.get_asset_check_evaluations() if c.check_name == PARKED]
    table = str(check.metadata["accounts"].value).splitlines()
    assert table[:2] == ["| account_number | step | reason |", "| --- | --- | --- |"]
    assert table[2].startswith("| A-1 | assemble | a document with sales that net negative can't be invoiced")


def test_an_export_follows_where_a_folder_is_named(place: Place, tmp_path: Path) -> None:
    exporting = other(place, export=str(tmp_path / "plain"))
    assert [materialized(exporting).success for _ in range(2)] == [True, True]
    assert list((tmp_path / "plain").rglob("*.parquet"))


# ------------------------------------------------------------------ what goes wrong


def test_bad_input_fails_at_once_with_its_faults_and_writes_nothing(book: Book, place: Place, tmp_path: Path) -> None:
    deliver(tmp_path / "inbox" / DAY, "much")
    before = book.head()
    done = materialized(place)
    assert not done.success
    assert "1 of 3 rows refused, so nothing was loaded" in failure(done, "load").description
    assert "amount_per_unit | much |" in failure(done, "load").metadata["refused"].value
    assert not [e for e in done.all_events if e.is_step_up_for_retry]
    assert book.head() == before
    deliver(tmp_path / "inbox" / DAY, "10")
    assert materialized(place).success


def test_a_missing_inbox_fails_at_once(place: Place) -> None:
    done = materialized(other(place, inbox="nowhere"))
    assert failure(done, "load").description.startswith("The inbox nowhere can't be read")


def test_a_conflict_is_tried_again_after_a_pause(book: Book, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    zones = ["Etc/GMT+2", "Etc/GMT+1"]

    def disturbed(opened: Book, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - as the real one
        commit = opened.commit

        def second(*committing: Any) -> Any:  # noqa: ANN401 - as the real one
            if zones:
                change(book, {"time_zone": zones.pop()})
            return commit(*committing)

        monkeypatch.setattr(opened, "commit", second)
        return bill(opened, *given, **named)

    monkeypatch.setattr(steps, "bill", disturbed)
    monkeypatch.setattr(pipeline, "PAUSES", (0.0, 0.0, 0.0))
    done = materialized(place)
    assert done.success
    assert [e.step_key for e in done.all_events if e.is_step_up_for_retry] == ["run", "run"]
    assert statuses(book) == ["Posted"]


def test_a_broken_promise_keeps_everything_after_it_from_happening(book: Book, place: Place) -> None:
    book._connection.execute("CREATE VIEW stranger AS SELECT 1 AS one")
    done = materialized(place)
    assert not done.success
    assert failed_checks(done) == {"unchanged_tables": "ERROR"}
    assert list(metadata(done)) == ["load", "run"]
    assert statuses(book) == ["Completed"]


def test_steps_tell_openlineage_that_dagster_s_run_is_their_parent(place: Place, tmp_path: Path) -> None:
    done = materialized(place)
    events = [json.loads(line) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]
    names = [e["job"]["name"] for e in events if e["eventType"] == "COMPLETE"]
    assert names == ["night.load", "night.run", "night.verify", "night.post", "night.report"]
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in events} == {done.run_id}


# ------------------------------------------------------------------ when, and where


def test_the_schedule_bills_the_day_that_begins_in_the_book_s_time_zone(book: Book, place: Place) -> None:
    change(book, {"time_zone": "Pacific/Auckland"})
    defs = pipeline.definitions(place, hour=3)
    schedule = defs.resolve_schedule_def("nightly")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * *", "Pacific/Auckland")
    at = datetime(2024, 1, 31, 14, 0, tzinfo=UTC)
    with dg.build_schedule_context(scheduled_execution_time=at, repository_def=defs.get_repository_def()) as context:
        ticked = schedule.evaluate_tick(context).run_requests
    assert ticked is not None
    assert [(r.partition_key, r.run_key) for r in ticked] == [("2024-02-01", "2024-02-01")]


def test_today_is_a_partition_and_tomorrow_is_not(place: Place) -> None:
    (days,) = {a.partitions_def for a in pipeline.definitions(place, first_day="2024-01-30").resolve_all_asset_specs()}
    assert days is not None
    keys = days.get_partition_keys(datetime(2024, 2, 1, 0, 5, tzinfo=UTC))
    assert list(keys) == ["2024-01-30", "2024-01-31", "2024-02-01"]


def test_the_environment_says_where_things_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BOOK": "b", "INBOX": "i", "EXPORT": "e", "POST": "Yes"}.items():
        monkeypatch.setenv(f"BILLFOLD_{name}", value)
    monkeypatch.delenv("BILLFOLD_LOG", raising=False)
    found = Place.of_environment()
    assert (found.book, found.inbox, found.export, found.post) == ("b", "i", "e", True)
    assert (found.reports, found.log) == ("reports", "")


def test_a_book_that_is_not_there_is_said_before_dagster_starts(tmp_path: Path) -> None:
    with pytest.raises(BookError, match="There is no book in"):
        pipeline.definitions(Place(book=str(tmp_path / "nowhere")))


def test_dagster_s_folder_is_made_without_telemetry_and_then_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    settings = home() / "dagster.yaml"
    assert settings.read_text(encoding="utf-8").splitlines()[1:3] == ["telemetry:", "  enabled: false"]
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_retries_enabled
    settings.write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    assert home().joinpath("dagster.yaml").read_text(encoding="utf-8") == "telemetry: {enabled: true}\n"
