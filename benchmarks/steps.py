"""What is measured of billfold, step by step, on one new book; and what the programs by hand do beside it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from benchmarks.engines import ENGINES, environment
from benchmarks.product import Measured, measured, told

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

# `generate.TARGET`, written again because importing it would bring Polars into the measuring process.
TARGET: Final = date(2025, 7, 1)
NIGHT: Final = TARGET + timedelta(days=1)

LOAD, DIFF, RUN, AGAIN, POST, ONE_NIGHT, VERIFY, CANCEL = (
    "load", "diff", "run", "again", "post", "night", "verify", "cancel",
)  # fmt: skip
STEPS: Final = {
    LOAD: (), DIFF: (LOAD,), RUN: (LOAD,), AGAIN: (RUN,), POST: (RUN,), ONE_NIGHT: (POST,), VERIFY: (RUN,),
    CANCEL: (ONE_NIGHT,),
}  # fmt: skip
"""The steps in order, each with those that must come before it."""

COPY: Final = "copy"
"""The input files read and written again, beside `load`."""

_FIRST_RUN: Final = "BR-00000001"
_BY_REGION: Final = {
    "name": "by region",
    "meta": {
        "subscriptionGroup": [{"objectType": "Subscription", "field": "Region__c"}],
        "orderLineItemGroup": [{"objectType": "OrderLineItem", "field": "Region__c"}],
    },
}


def with_needed(steps: Collection[str]) -> list[str]:
    """These steps and those that they rest on, in order."""
    wanted = set(steps)
    for step in reversed(STEPS):
        wanted |= set(STEPS[step]) if step in wanted else set()
    return [step for step in STEPS if step in wanted]


@dataclass(frozen=True)
class Subject:
    """A book that steps are measured on; `run_options` are for every `billfold run`."""

    folder: Path
    source: Path
    run_options: Sequence[str] = ()

    @property
    def book(self) -> Path:
        """Where the book is."""
        return self.folder / "book"

    def measure(self, steps: Collection[str]) -> Iterator[Measured]:
        """The steps and those that they rest on, on a new book.

        Raises:
            RuntimeError: a step failed, or made what it should not.
        """
        shutil.rmtree(self.book, ignore_errors=True)
        measured("init", self._billfold("init"))
        doing = {
            LOAD: self._load, DIFF: self._diff, RUN: self._run, AGAIN: self._again, POST: self._post,
            ONE_NIGHT: self._night, VERIFY: self._verify, CANCEL: self._cancel,
        }  # fmt: skip
        for step in with_needed(steps):
            yield doing[step]()

    def _billfold(self, *arguments: str) -> list[str]:
        return ["billfold", "--book", str(self.book), *arguments]

    def _told(self, step: str, *arguments: str) -> tuple[Measured, Any]:
        return told(step, [*self._billfold(*arguments), "--json"])

    def _load(self) -> Measured:
        """Load all files; a part of the accounts then gets a configuration of its own, which is not measured."""
        done, said = self._told(LOAD, "load", str(self.source))
        measured("configure", ["benchmarks.configure", str(self.book)])
        return replace(done, rows=sum(table["rows"] for table in said.values()), unit="rows")

    def _diff(self) -> Measured:
        file = self.folder / "region.json"
        file.write_text(json.dumps(_BY_REGION), encoding="utf-8")
        done, said = self._told(DIFF, "grouping", "diff", str(file), *_dates(TARGET))
        made = sum(side["invoices"] + side["credit_memos"] for side in said["documents"].values())
        return replace(done, rows=made, unit="documents")

    def _billed(self, step: str, target: date, *, due: bool) -> Measured:
        done, receipt = self._told(step, "run", *_dates(target), *self.run_options)
        if (receipt["bill_run_number"] is not None) != due:
            msg = f"The step {step!r} made {receipt['items']:,} items."
            raise RuntimeError(msg)
        return replace(done, rows=receipt["items"], unit="items" if due else "")

    def _run(self) -> Measured:
        return self._billed(RUN, TARGET, due=True)

    def _again(self) -> Measured:
        return self._billed(AGAIN, TARGET, due=False)

    def _night(self) -> Measured:
        return self._billed(ONE_NIGHT, NIGHT, due=True)

    def _post(self) -> Measured:
        done, said = self._told(POST, "post", _FIRST_RUN)
        return replace(done, rows=said["invoices"] + said["credit_memos"], unit="documents")

    def _verify(self) -> Measured:
        return self._told(VERIFY, "verify")[0]

    def _cancel(self) -> Measured:
        return self._told(CANCEL, "cancel", "BR-00000002")[0]


def _dates(target: date) -> list[str]:
    return ["--target-date", f"{target}", "--invoice-date", f"{target}"]


def copied(folder: Path, source: Path) -> Measured:
    """What reading and writing the input files takes."""
    return measured(COPY, ["benchmarks.copy_files", str(source), str(folder / "copy")])[0]


def by_hand(engine: str, folder: Path, source: Path, spark_memory: str = "12g") -> Measured:
    """The same bill run with another engine."""
    options = ["--memory", spark_memory] if engine == "spark" else []
    arguments = [ENGINES[engine], str(source), str(folder / engine), f"{TARGET}", *options]
    return measured(engine, arguments, None if engine == "sql" else environment(), quiet=True)[0]


def compare(engine: str, folder: Path) -> None:
    """Check that an engine made the documents of the book's first run.

    Raises:
        RuntimeError: it made others.
    """
    measured(f"comparing {engine}", ["benchmarks.compare", str(folder / "book"), str(folder / engine), _FIRST_RUN])


def generate(source: Path, accounts: int, seed: int, *, only_one: bool = False) -> None:
    """Make the input files, unless they are there."""
    made = {"accounts": accounts, "seed": seed, "only_one": only_one}
    done = source.with_suffix(".json")
    if done.is_file() and json.loads(done.read_text(encoding="utf-8")) == made:
        return
    shutil.rmtree(source, ignore_errors=True)
    size = ["--accounts", f"{accounts}", "--seed", f"{seed}", *(["--only-one"] if only_one else [])]
    measured("generate", ["benchmarks.generate", str(source), *size])
    done.write_text(json.dumps(made), encoding="utf-8")
