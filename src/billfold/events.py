"""What a night does, for those who watch over it: OpenLineage run events, one JSON document a line.

Every step has a START event and a COMPLETE, FAIL or ABORT event, and so has the night around them; a process that was
killed leaves a START without an end. The facets of OpenLineage hold what it has names for (data sets, rows written,
versions, failed assertions, errors); the run facet `billfold` holds the rest flat, for programs that read logs.

The steps know nothing of this: it listens to their progress and reads their receipts.
"""

from __future__ import annotations

import json
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from billfold import __version__
from billfold.book.place import S3, Place
from billfold.contracts import INPUTS
from billfold.errors import BillfoldError
from billfold.receipt import now, seconds, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date, datetime

    from billfold.book import Book
    from billfold.night import Night
    from billfold.night.inbox import Arrival
    from billfold.night.steps import Proof
    from billfold.receipt import Clock, Progress, Receipt

_SPEC: Final = "https://openlineage.io/spec"
_PRODUCER: Final = f"urn:billfold:{__version__}"
_NAMESPACE: Final = "billfold"
_DOCUMENTS: Final = ("invoices", "invoice_items", "credit_memos", "credit_memo_items", "parked_accounts")
_HEADERS: Final = ("invoices", "credit_memos")

Facets = dict[str, Any]


def _facet(name: str, version: str, **fields: object) -> Facets:
    """A facet that OpenLineage defines."""
    return {"_producer": _PRODUCER, "_schemaURL": f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}", **fields}


def _written(rows: int) -> Facets:
    name = "OutputStatisticsOutputDatasetFacet"
    return {"outputFacets": {"outputStatistics": _facet(name, "1-0-2", rowCount=rows)}}


def _read(rows: int) -> Facets:
    return {"inputFacets": {"inputStatistics": _facet("InputStatisticsInputDatasetFacet", "1-0-0", rowCount=rows)}}


def _at(snapshot_id: int) -> Facets:
    return {"facets": {"version": _facet("DatasetVersionDatasetFacet", "1-0-1", datasetVersion=str(snapshot_id))}}


def _file(path: Path, more: Facets | None = None) -> Facets:
    """A file or folder as a data set."""
    return {"namespace": "file", "name": str(path.resolve()), **(more or {})}


def _data(place: Place, table: str, more: Facets | None = None) -> Facets:
    """A table of a book as a data set."""
    if not place.in_s3:
        return _file(Path(place.data) / "main" / table, more)
    bucket, _, prefix = place.data.removeprefix(S3).partition("/")
    return {"namespace": f"{S3}{bucket}", "name": f"{prefix}/main/{table}".lstrip("/"), **(more or {})}


@dataclass
class Step:
    """A step at work: what it reads and writes, and what there is to tell about it when it is over."""

    name: str
    book: Path
    listening: Progress = silent
    clock: Clock = now
    facts: dict[str, object] = field(default_factory=dict)
    inputs: list[Facets] = field(default_factory=list)
    outputs: list[Facets] = field(default_factory=list)
    phases: list[tuple[str, datetime]] = field(default_factory=list)
    """What progress told, and since when."""

    def progress(self, what: str, share: float) -> None:
        """Hear what is being done, and pass it on."""
        if not self.phases or self.phases[-1][0] != what:
            self.phases.append((what, self.clock()))
        self.listening(what, share)

    def loaded(self, arrivals: Iterable[Arrival]) -> None:
        """Tell of deliveries: rows read from each file, rows that went into each table."""
        files = [(a.delivery, r) for a in arrivals for r in a.loaded]
        self.inputs = [_file(r.path, _read(r.rows)) for _, r in files]
        changed: dict[str, int] = {}
        for _, r in files:
            changed[r.table] = changed.get(r.table, 0) + r.new + r.changed
        self._writes(changed)
        names = list(dict.fromkeys(d.name for d, _ in files))
        self.facts |= {"rows": sum(r.rows for _, r in files), "deliveries": names, "phases": self._phases()}

    def billed(self, receipt: Receipt) -> None:
        """Tell of a run."""
        totals = receipt.totals
        self.inputs = [self._table(t, _at(receipt.snapshot_id)) for t in INPUTS]
        if receipt.bill_run_number is not None:
            self._writes({t: totals.rows[t] for t in _DOCUMENTS})
        self.facts |= {
            "bill_run_number": receipt.bill_run_number, "amounts": receipt.amounts,
            "rows": totals.items,
            "invoices": totals.rows["invoices"], "credit_memos": totals.rows["credit_memos"],
            "accounts_billed": receipt.accounts_billed, "accounts_nothing_due": receipt.accounts_nothing_due,
            "parked_accounts": totals.rows["parked_accounts"], "phases": self._phases(),
        }  # fmt: skip

    def proved(self, proof: Proof) -> None:
        """Tell of the promises, as assertions about the book."""
        said = [{"assertion": v.promise, "success": v.holds} for v in proof.verdicts]
        said += [{"assertion": f"replay of {r.bill_run_number}", "success": r.holds} for r in proof.replays]
        about = {"dataQualityAssertions": _facet("DataQualityAssertionsDatasetFacet", "1-0-1", assertions=said)}
        self.inputs = [_file(self.book, {"inputFacets": about})]
        self.facts |= {"promises": len(said), "broken": proof.broken}

    def posted(self, receipts: Iterable[Receipt]) -> None:
        """Tell of runs that were made final."""
        runs = list(receipts)
        self._writes({t: sum(getattr(r.documents, t).height for r in runs) for t in _HEADERS} if runs else {})
        rows = sum(getattr(r.documents, t).height for r in runs for t in _HEADERS)
        self.facts |= {"bill_run_numbers": [r.bill_run_number for r in runs], "rows": rows}

    def reported(self, pages: Iterable[Path]) -> None:
        """Tell of pages."""
        self.inputs = [self._table(t) for t in _DOCUMENTS]
        self.outputs = [_file(p) for p in pages]
        self.facts |= {"pages": len(self.outputs)}

    def ended(self, night: Night) -> None:
        """Tell how a whole night ended, and why it has its exit code."""
        parked = night.parked.height
        self.facts |= {
            "bill_run_number": night.receipt.bill_run_number, "parked_accounts": parked, "drafts": list(night.drafts),
            "digest": night.digest,
            "exit_code": night.exit_code, "exit_reason": f"accounts parked: {parked}" if parked else "done",
        }  # fmt: skip

    def failed(self, error: BaseException) -> None:
        """Tell why a step ended before it was done."""
        self.facts |= {"exit_code": 1, "exit_reason": _said(error)}

    def told(self, taken: float) -> Facets:
        """Everything about the step that OpenLineage has no facet for."""
        rows = self.facts.get("rows")
        rate = {"rows_per_second": round(rows / taken)} if isinstance(rows, int) and taken else {}
        return {"seconds": round(taken, 3), **rate, **self.facts}

    def _table(self, table: str, more: Facets | None = None) -> Facets:
        return _data(Place.of(self.book), table, more)

    def _writes(self, rows: Mapping[str, int]) -> None:
        self.outputs = [self._table(table, _written(n)) for table, n in rows.items()]

    def _phases(self) -> dict[str, float]:
        """Seconds that each thing took that progress told of; what came again adds up."""
        ends = [*(since for _, since in self.phases[1:]), self.clock()]
        found: dict[str, float] = {}
        for (what, since), end in zip(self.phases, ends, strict=False):
            found[what] = round(found.get(what, 0.0) + seconds(since, end), 3)
        return found


@dataclass(frozen=True)
class About:
    """One night at work on a book. `run_id` is what its steps name as their parent."""

    journal: Journal
    book: Path
    target_date: date
    run_id: str

    @contextmanager
    def step(self, name: str, progress: Progress = silent) -> Iterator[Step]:
        """Tell when a step begins and how it ends; it is to tell the rest itself, with the methods of `Step`."""
        parent = {"run": {"runId": self.run_id}, "job": {"namespace": _NAMESPACE, "name": "night"}}
        facets = {"parent": _facet("ParentRunFacet", "1-0-1", **parent)}
        with self.lived(name, f"night.{name}", str(uuid.uuid4()), facets, progress) as step:
            yield step

    @contextmanager
    def lived(self, name: str, job: str, run_id: str, facets: Facets, progress: Progress = silent) -> Iterator[Step]:
        """The events of something from its beginning to its end."""
        clock = self.journal.clock
        began, step = clock(), Step(name, self.book, progress, clock)
        self._tell("START", job, run_id, step, facets, 0.0)
        end = "COMPLETE"
        try:
            yield step
        except BaseException as e:
            end = "FAIL" if isinstance(e, Exception) else "ABORT"
            step.failed(e)
            error = {"message": _said(e), "programmingLanguage": "python"}
            facets = facets | {"errorMessage": _facet("ErrorMessageRunFacet", "1-0-0", **error)}
            raise
        finally:
            self._tell(end, job, run_id, step, facets, seconds(began, clock()))

    def _tell(self, kind: str, job: str, run_id: str, step: Step, facets: Facets, taken: float) -> None:  # noqa: PLR0913, PLR0917 - the parts of an event
        flat = {"step": step.name, "target_date": self.target_date.isoformat(), "event": kind}
        own = {"_producer": _PRODUCER, "_schemaURL": "urn:billfold:facet:1", **flat, **step.told(taken)}
        job_type = _facet("JobTypeJobFacet", "2-0-3", processingType="BATCH", integration="BILLFOLD", jobType="TASK")
        self.journal.write(json.dumps({
            "eventType": kind, "eventTime": self.journal.clock().isoformat(timespec="milliseconds"),
            "run": {"runId": run_id, "facets": {**facets, "billfold": own}},
            "job": {"namespace": _NAMESPACE, "name": job, "facets": {"jobType": job_type}},
            "inputs": step.inputs, "outputs": step.outputs,
            "producer": _PRODUCER, "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        }, ensure_ascii=False))  # fmt: skip


@dataclass(frozen=True)
class Journal:
    """Where events go, and by which clock."""

    write: Callable[[str], None]
    clock: Clock = now

    @contextmanager
    def night(self, book: Book, target_date: date) -> Iterator[tuple[About, Step]]:
        """The events of a whole night, with the steps inside it."""
        about = About(self, book.folder, target_date, str(uuid.uuid4()))
        with about.lived("night", "night", about.run_id, {}) as whole:
            yield about, whole


SILENT: Final = Journal(lambda _line: None)


def journal(log: str | None) -> Journal:
    """A journal that adds lines to a file, or to standard error where `log` is `-`; none where it is None.

    The file is opened anew for each line, so that it can be moved away at any time.
    """
    if not log:
        return SILENT
    if log == "-":
        return Journal(_say)
    return Journal(lambda line: _append(Path(log), line))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as e:
        msg = f"The log {path} can't be written: {e.strerror}."
        raise BillfoldError(msg) from e


def _said(error: BaseException) -> str:
    """What an error says, in a line."""
    return " ".join(str(error).split()) or type(error).__name__
