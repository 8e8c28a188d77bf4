"""What a book's life must come to, in plain Python: who owes what, which run billed it, what became of each document.

It shares nothing with billfold and has no frames, files or snapshots. Books are of one simple shape, so that amounts
are whole numbers and never shares: flat fees by the month in advance, set-up fees, usage by the month in arrears, sales
and returns of orders; every date is the first of a month. Fees change their price and end, usage may come late, and a
sale may be so negative that it parks its account.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PREFIXES: Final = {
    ("", "invoice"): "INV",
    ("", "credit_memo"): "CM",
    ("S2", "invoice"): "X-",
    ("S2", "credit_memo"): "Y",
}
"""Of a sequence set and kind; the set without a name is the built-in one."""

FIRST_NUMBERS: Final = {"INV": 1, "CM": 1, "X-": 7, "Y": 1}


def first_of(month: int) -> date:
    """The first day of a month, counted from January 2024."""
    return date(2024 + month // 12, month % 12 + 1, 1)


@dataclass
class Account:
    """Who is billed."""

    number: str
    batch: str = "Batch1"
    sequence_set: str = ""
    net_days: int | None = None
    is_active: bool = True


@dataclass
class Charge:
    """What a subscription owes: a fee by the month (Recurring), a set-up (OneTime), or usage; `end` is exclusive."""

    number: str
    account: str
    kind: str
    start: int
    price: int
    end: int | None = None

    @property
    def subscription(self) -> str:
        """Usage has a subscription of its own, which never ends."""
        return f"{'SU' if self.kind == 'Usage' else 'S'}-{self.account}"


@dataclass(frozen=True)
class Record:
    """What was used of a usage charge in a month."""

    charge: str
    month: int
    quantity: int


@dataclass
class Sale:
    """An order line; only an open one is billed."""

    account: str
    amount: int
    month: int
    is_return: bool = False
    is_open: bool = True


@dataclass(frozen=True)
class Ask:
    """What a run is asked for; without accounts or batches it is for all."""

    target: date
    accounts: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    subscriptions: bool = True
    order_lines: bool = True


class Line(NamedTuple):
    """One amount owed; `gives_back` says that it takes its month from the charge, so that it can be billed again."""

    account: str
    kind: str
    subscription: str
    source: str
    first: date
    amount: int
    gives_back: bool = False


class Paper(NamedTuple):
    """A document without its name: lines are sources, first days and amounts as they are shown."""

    kind: str
    account: str
    lines: tuple[tuple[str, date, int], ...]


@dataclass(frozen=True)
class Expected:
    """What a run must make."""

    papers: Counter[Paper]
    lines: tuple[Line, ...]
    parked: frozenset[str]
    usage: frozenset[str]
    accounts: int
    late: int

    @property
    def billed(self) -> int:
        """How many accounts get documents and have nothing parked."""
        return len({p.account for p in self.papers} - self.parked)


@dataclass
class Document:
    """A document of a run; `number` is empty until it is posted."""

    paper: Paper
    day: date
    number: str = ""
    posting: int | None = None
    due: date | None = None


Told = tuple[str, str, str, str]
"""A parked account with step, reason and detail."""


@dataclass
class Run:
    """A committed run."""

    number: str
    ask: Ask
    lines: tuple[Line, ...]
    usage: frozenset[str]
    documents: dict[str, Document]
    parked: frozenset[Told]
    accounts: int
    is_canceled: bool = False
    is_posted: bool = False
    postings: int = 0

    @property
    def status(self) -> str:
        """As `bill_runs` tells it."""
        return "Canceled" if self.is_canceled else "Posted" if self.is_posted else "Completed"

    @property
    def drafts(self) -> list[str]:
        """Ids of documents that can still be posted."""
        return [] if self.is_canceled else [i for i, d in self.documents.items() if not d.number]

    @property
    def charges(self) -> set[str]:
        """Charges that it billed or credited."""
        return {line.source for line in self.lines if line.kind in CHARGES}


CHARGES: Final = ("Recurring", "OneTime", "Usage")


@dataclass
class Model:
    """The book as it must be."""

    accounts: dict[str, Account] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    sales: dict[str, Sale] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    last_numbers: dict[str, int] = field(default_factory=dict)
    is_consolidated: bool = True
    is_split: bool = False
    """Whether documents are split by the names of subscriptions and of order lines."""

    # --- what counts --------------------------------------------------------------------------------------------

    @property
    def counting(self) -> list[Run]:
        """Runs that were not canceled, in order."""
        return [run for run in self.runs if not run.is_canceled]

    def months(self, charge: str) -> dict[date, int]:
        """Months that are billed of a charge and were not given back, with what they came to."""
        found: dict[date, int] = {}
        for line in (line for run in self.counting for line in run.lines if line.source == charge):
            found[line.first] = found.get(line.first, 0) + line.amount
            if line.gives_back:
                assert found.pop(line.first) == 0
        return found

    def told(self) -> set[Told]:
        """Parked accounts and reasons that runs have reported."""
        return {row for run in self.counting for row in run.parked}

    def has_drafts(self) -> bool:
        return any(run.drafts for run in self.runs)

    # --- what a run owes ----------------------------------------------------------------------------------------

    def expected(self, ask: Ask) -> Expected:
        """What a run must make now."""
        chosen = set(self._chosen(ask))
        lines = [line for line in self._owed(ask) if line.account in chosen]
        parked = {p.account for p in self._papers(lines) if self._is_negative(p)}
        kept = tuple(line for line in lines if not self._is_withheld(line, parked))
        papers = Counter(self._papers(kept))
        usage = {(line.source, line.first) for line in kept if line.kind == "Usage"}
        processed = frozenset(i for i, r in self.records.items() if (r.charge, first_of(r.month)) in usage)
        return Expected(papers, kept, frozenset(parked), processed, len(chosen), len(self._late(chosen)))

    def retried(self, run: Run) -> Ask:
        """What a retry asks for: the same, for the accounts that were parked."""
        return replace(run.ask, accounts=tuple(sorted(told[0] for told in run.parked)))

    def _chosen(self, ask: Ask) -> Iterator[str]:
        for account in self.accounts.values():
            is_named = not ask.accounts or account.number in ask.accounts
            if account.is_active and is_named and (not ask.batches or account.batch in ask.batches):
                yield account.number

    def _owed(self, ask: Ask) -> Iterator[Line]:
        for charge in self.charges.values() if ask.subscriptions else ():
            if charge.kind not in ask.excluded:
                for first, amount, gives_back in _OWED[charge.kind](self, charge, ask.target):
                    about = (charge.account, charge.kind, charge.subscription, charge.number)
                    yield Line(*about, first, amount, gives_back)
        for number, sale in self.sales.items() if ask.order_lines else ():
            first = first_of(sale.month)
            if sale.is_open and first <= ask.target and not self.months(number):
                kind, sign = ("Return", -1) if sale.is_return else ("Sale", 1)
                yield Line(sale.account, kind, "", number, first, sign * sale.amount)

    def _fee(self, charge: Charge, target: date) -> Iterator[tuple[date, int, bool]]:
        """Months that end are given back once the target date is there; others follow the price; then new ones."""
        end = date.max if charge.end is None else first_of(charge.end)
        billed = self.months(charge.number)
        for first, amount in billed.items():
            if end <= target and first >= end:
                yield first, -amount, True
            elif amount != charge.price:
                yield first, charge.price - amount, False
        month = charge.start
        while (first := first_of(month)) < end and first <= target:
            if first not in billed:
                yield first, charge.price, False
            month += 1

    def _set_up(self, charge: Charge, target: date) -> Iterator[tuple[date, int, bool]]:
        first = first_of(charge.start)
        billed = self.months(charge.number)
        if first in billed and billed[first] != charge.price:
            yield first, charge.price - billed[first], False
        elif first not in billed and first <= target:
            yield first, charge.price, False

    def _usage(self, charge: Charge, target: date) -> Iterator[tuple[date, int, bool]]:
        month, billed = charge.start, self.months(charge.number)
        while first_of(month + 1) <= target:
            if first_of(month) not in billed:
                used = sum(r.quantity for r in self.records.values() if (r.charge, r.month) == (charge.number, month))
                yield first_of(month), used * charge.price, False
            month += 1

    def _late(self, accounts: Iterable[str]) -> set[str]:
        """Usage of billed months that no run has billed."""
        processed = {usage for run in self.counting for usage in run.usage}
        waiting = {i: r for i, r in self.records.items() if i not in processed}
        return {
            i
            for i, r in waiting.items()
            if self.charges[r.charge].account in accounts and first_of(r.month) in self.months(r.charge)
        }

    # --- which document -----------------------------------------------------------------------------------------

    def _papers(self, lines: Iterable[Line]) -> Iterator[Paper]:
        """Returns and charges that net negative are credited; an invoice with sales stays one, even a negative."""
        groups: dict[tuple[str, ...], list[Line]] = defaultdict(list)
        for line in lines:
            origin = "" if self.is_consolidated else "order" if line.kind not in CHARGES else "charge"
            groups[line.account, origin, _value(line) if self.is_split else ""].append(line)
        for (account, *_), group in groups.items():
            regular = [line for line in group if line.kind != "Return"]
            credited = sum(line.amount for line in regular) < 0 and not any(line.kind == "Sale" for line in regular)
            for kind in ("invoice", "credit_memo"):
                mine = [x for x in group if (x.kind == "Return" or credited) == (kind == "credit_memo")]
                sign = 1 if kind == "invoice" else -1
                if mine:
                    yield Paper(kind, account, tuple(sorted((x.source, x.first, sign * x.amount) for x in mine)))

    def _is_negative(self, paper: Paper) -> bool:
        return paper.kind == "invoice" and sum(amount for *_, amount in paper.lines) < 0

    def _is_withheld(self, line: Line, parked: set[str]) -> bool:
        """A parked account waits as a whole or, where orders are apart, with its order lines."""
        return line.account in parked and (self.is_consolidated or line.kind not in CHARGES)

    # --- what becomes of a run ----------------------------------------------------------------------------------

    def post(self, run: Run, chosen: Sequence[str], day: date | None) -> None:
        """Number chosen drafts, or all, in the order of their ids."""
        run.postings += 1
        for document in (run.documents[i] for i in sorted(chosen or run.drafts)):
            account = self.accounts[document.paper.account]
            prefix = PREFIXES[account.sequence_set, document.paper.kind]
            last = self.last_numbers.get(prefix, FIRST_NUMBERS[prefix] - 1) + 1
            self.last_numbers[prefix] = last
            document.number, document.posting = f"{prefix}{last:08d}", run.postings
            document.day = day or document.day
            if document.paper.kind == "invoice" and account.net_days is not None:
                document.due = document.day + timedelta(days=account.net_days)
        run.is_posted = not run.drafts

    def why_not_cancel(self, run: Run) -> str | None:
        """Why a run can't be canceled, if it can't."""
        if run.status != "Completed" or run.postings:
            return f"it is {run.status} and was posted {run.postings} times"
        later = [other for other in self.counting if other.number > run.number]
        further = [other.number for other in later if other.charges & run.charges]
        return f"{further} billed on" if further else None


def _value(line: Line) -> str:
    """The value by which documents are split: a subscription's name, or that of an order line, which is its number."""
    return line.subscription or line.source


_OWED: Final = {"Recurring": Model._fee, "OneTime": Model._set_up, "Usage": Model._usage}
