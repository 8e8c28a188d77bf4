"""`order create`: orders change the book, and are billed if they ask for it, all in one commit.

Orders of a file are done in parts (`wanted.parts`): a part is one commit, so that an order, what it changes and the
documents that bill it are there together or not at all. Whatever is wrong with one order does not stop the others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.book import Change, Commit, State, merged
from billfold.errors import ConflictError
from billfold.orders import answers
from billfold.orders.errors import OrderError, reason
from billfold.orders.frames import tables
from billfold.orders.parsing import undisturbed
from billfold.orders.place import Placed, place
from billfold.orders.register import Register
from billfold.orders.wanted import parts, wanted
from billfold.receipt import Clock, Progress, Receipt, bill_run_row, message_of, now, silent
from billfold.requests import RunRequest
from billfold.run import made

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from billfold.book import Book
    from billfold.orders.models import CreateOrder, PreviewOrder
    from billfold.orders.parsing import Parsed, Reason

    Asked = Parsed[CreateOrder]


_TRIES: Final = 5
"""How often a part is done before another process's commits win."""


@dataclass(frozen=True)
class Answer:
    """What became of one order: `body` is the API's response, an error body if it could not be done.

    `repeated` says that it was done before, and that this is the answer of then.
    """

    line: int
    body: dict[str, Any]
    repeated: bool = False

    @property
    def success(self) -> bool:
        """Whether the order is in the book."""
        return bool(self.body["success"])


@dataclass(frozen=True)
class Part:
    """Orders that were done together, on top of a state of the book: to be committed, or only looked at."""

    state: State
    placed: Sequence[Placed] = ()
    changes: Sequence[Change] = ()
    receipt: Receipt | None = None
    request: RunRequest | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    repeats: Mapping[int, str] = field(default_factory=dict)
    """Lines of orders that were done before, with the number of the order."""

    refused: Mapping[int, Reason] = field(default_factory=dict)


def create(  # noqa: PLR0913 - options of one command
    book: Book,
    orders: Sequence[Asked],
    *,
    all_or_nothing: bool = False,
    today: date | None = None,
    clock: Clock = now,
    progress: Progress = silent,
) -> list[Answer]:
    """Do orders in the order of their lines; returns an answer for each.

    With `all_or_nothing`, nothing is done if any order can't be done.

    Raises:
        ConflictError: other commits came first again and again; earlier parts of the file are in the book.
        BillfoldError: the book can't be read or written.
    """
    with undisturbed():
        return _create(book, orders, today or clock().astimezone().date(), clock, progress, whole=all_or_nothing)


def _create(  # noqa: PLR0913 - as above
    book: Book, orders: Sequence[Asked], day: date, clock: Clock, progress: Progress, *, whole: bool
) -> list[Answer]:
    found = {o.line: Answer(o.line, answers.failure(o.reasons)) for o in orders if o.request is None}
    if whole and found:
        return _undone(orders, found)
    divided = parts(State.of(book), orders)
    if whole and len(divided) > 1:
        found |= _rehearsed(book, divided, day)
        if any(not a.success for a in found.values()):
            return _undone(orders, found)
    for place_in, part in enumerate(divided):
        progress("doing orders", place_in / len(divided))
        found |= _done(book, part, day, clock, whole=whole)
        if whole and any(not a.success for a in found.values()):
            return _undone(orders, found)
    return [found[o.line] for o in orders]


def _done(book: Book, orders: Sequence[Asked], today: date, clock: Clock, *, whole: bool) -> dict[int, Answer]:
    """Do a part and commit it; if another commit comes first, do it anew on top of that, a few times.

    A `whole` part is not committed if any of its orders can't be done.
    """
    tries = _TRIES
    while True:
        tries -= 1
        part = attempt(State.of(book), orders, today)
        found = {line: Answer(line, answers.failure([why])) for line, why in part.refused.items()}
        if whole and found:
            return found
        try:
            return found | _committed(book, part, clock)
        except ConflictError:
            if not tries:
                raise


def attempt(state: State, orders: Sequence[Asked], today: date) -> Part:
    """Do orders on top of a state, without those that turn out to be impossible; nothing is written."""
    undone: dict[int, Reason] = {}
    while True:
        part, more = _attempt(state, [o for o in orders if o.line not in undone], today)
        undone |= more
        if not more:
            return replace(part, refused={**part.refused, **undone})


def _attempt(state: State, orders: Sequence[Asked], today: date) -> tuple[Part, Mapping[int, Reason]]:
    """Do orders. What comes second are those that turn out to be impossible only when all have been done.

    Without these, all others are to be done again, also those that the register refused: perhaps because of them.
    """
    register = Register(state, wanted(o.request for o in orders if o.request))
    placed, repeats, refused = _placed(register, orders, today)
    found = tables(state, register)
    if found.faults:
        return Part(state, refused=refused), {line: reason("30", said) for line, said in found.faults.items()}
    part = Part(state, placed, found.changes, counters=register.numbers.after(), repeats=repeats, refused=refused)
    if not placed:
        return part, {}
    first = next(o.request for o in orders if o.line == placed[0].line)
    done = {p.line for p in placed}
    request = run_request(placed, first, [o.raw for o in orders if o.line in done]) if first else None
    if request is None:
        return part, {}
    options = first.processingOptions.billingOptions if first and first.processingOptions else None
    receipt, counters = made(
        state.after(part.changes, part.counters), request, post=not (options and options.generateDraftInvoice)
    )
    billed = replace(part, receipt=receipt, request=request, counters=counters)
    return billed, _parked(receipt, placed)


def _placed(
    register: Register, orders: Sequence[Asked], today: date
) -> tuple[list[Placed], dict[int, str], dict[int, Reason]]:
    """What was done, what was done before, and what can't be done."""
    placed: list[Placed] = []
    repeats: dict[int, str] = {}
    refused: dict[int, Reason] = {}
    for order in orders:
        if order.request is None:
            continue
        try:
            if (number := _done_before(register, order)) is not None:
                repeats[order.line] = number
                continue
            done = place(register, order.line, order.request, today)
            _note(register, order, done)
        except OrderError as e:
            register.drop()
            refused[order.line] = reason(e.category, str(e))
        else:
            register.keep(order.line)
            placed.append(done)
    return placed, repeats, refused


def _note(register: Register, order: Asked, done: Placed) -> None:
    """The request is kept with its order, so that asking again can be told from asking for something else."""
    key = order.request.idempotencyKey if order.request else None
    row = register["orders"].get(done.number)
    register.put("orders", (row or {}) | {"request": order.raw, "idempotency_key": key})
    if key:
        register.keys.put(key, done.number)


def _done_before(register: Register, order: Asked) -> str | None:
    """The number under which this very request was done before.

    Raises:
        OrderError: its order number or key belongs to another request.
    """
    request = order.request
    if request is None:
        return None
    for path, number in (
        ("idempotencyKey", register.keys.get(request.idempotencyKey or "")),
        ("orderNumber", request.orderNumber),
    ):
        stored = register["orders"].get(number) if number else None
        if stored is None:
            continue
        if stored["request"] == order.raw:
            return str(number)
        raise OrderError(path, f"belongs to the order {number!r}, which is in the book and asks for something else.")
    return None


def run_request(placed: Sequence[Placed], asked: CreateOrder | PreviewOrder, raws: Sequence[str]) -> RunRequest | None:
    """The bill run for some orders, if they ask for one: their own lines and subscriptions only."""
    options = asked.processingOptions
    if options is None or not options.runBilling:
        return None
    billing = options.billingOptions
    target = (billing.targetDate if billing else None) or asked.orderDate
    return RunRequest(
        target_date=target,
        invoice_date=(billing.documentDate if billing else None) or asked.orderDate,
        excluded_charge_types=tuple(billing.chargeTypeToExclude or ()) if billing else (),
        **scope(placed, raws),
    )


def scope(placed: Sequence[Placed], raws: Sequence[str]) -> dict[str, Any]:
    """What limits a bill run to some orders."""
    digest = hashlib.sha256("\n".join(raws).encode()).hexdigest()
    owners = sorted({owner for p in placed for owner in p.owners})
    return {"accounts": tuple(owners), "orders": tuple(p.number for p in placed), "orders_sha256": digest}


def _parked(receipt: Receipt, placed: Sequence[Placed]) -> dict[int, Reason]:
    """Orders that can't be billed: an order is billed as a whole, or it is not done."""
    rows = receipt.documents.parked_accounts.select("account_number", "reason").iter_rows()
    parked = dict(rows)
    return {
        p.line: reason("30", f"The order can't be billed: account {owner}: {parked[owner]}.")
        for p in placed
        for owner in sorted(p.owners)
        if owner in parked
    }


def _committed(book: Book, part: Part, clock: Clock) -> dict[int, Answer]:
    """Write a part, and answer the orders that were done."""
    bodies = answers.bodies(part)
    if part.placed:
        started = clock()
        book.commit(part.state.head, _commit(part, bodies, started, clock))
    given = {p.number: bodies[p.number] for p in part.placed}
    found = {p.line: Answer(p.line, given[p.number]) for p in part.placed}
    before = set(part.repeats.values()) - given.keys()
    given |= answers.stored(State.of(book), before) if before else {}
    found |= {line: Answer(line, given[number], repeated=True) for line, number in part.repeats.items()}
    return found


def _commit(part: Part, bodies: Mapping[str, dict[str, Any]], started: Any, clock: Clock) -> Commit:  # noqa: ANN401 - a moment
    receipt, request = part.receipt, part.request
    number = receipt.bill_run_number if receipt else None
    changes = [_answered(c, bodies, number) if c.table == "orders" else c for c in part.changes]
    if receipt is None or request is None or number is None:
        return Commit("orders", changes, part.counters)
    row = bill_run_row(receipt, request, part.state.head.digest, started, clock())
    changes = merged([*changes, *receipt.changes(), Change("bill_runs", row)])
    return Commit(message_of(number, orders=True), changes, part.counters)


def _answered(change: Change, bodies: Mapping[str, dict[str, Any]], run: str | None) -> Change:
    """Orders with the answers to them."""
    texts = [answers.text(bodies[n]) for n in change.rows["order_number"]]
    rows = change.rows.with_columns(
        response=pl.Series(texts, dtype=pl.String), bill_run_number=pl.lit(run, dtype=pl.String)
    )
    return replace(change, rows=rows)


def _rehearsed(book: Book, divided: Sequence[Sequence[Asked]], today: date) -> dict[int, Answer]:
    """Why parts that stand on each other would fail: all are done, one on top of the other, before any is written."""
    found: dict[int, Answer] = {}
    state = State.of(book)
    for part in divided:
        done = attempt(state, part, today)
        found |= {line: Answer(line, answers.failure([why])) for line, why in done.refused.items()}
        more = done.receipt.changes() if done.receipt and done.receipt.bill_run_number else []
        state = state.after([*done.changes, *more], done.counters)
    return found


def _undone(orders: Sequence[Asked], found: Mapping[int, Answer]) -> list[Answer]:
    """Answers when nothing more is done, because of some orders."""
    faulty = min(line for line, a in found.items() if not a.success)
    said = reason("30", f"Not done, since all orders were to be done or none, and the one in line {faulty} can't be.")
    other = answers.failure([said])
    return [found.get(o.line) or Answer(o.line, other) for o in orders]
