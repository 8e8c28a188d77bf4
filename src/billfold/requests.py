"""What a person or program asks for: a bill run."""

import json
from datetime import date, timedelta
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from billfold.errors import BillfoldError

ChargeType = Literal["OneTime", "Recurring", "Usage"]


ID_DIGITS: Final = 6
"""Digits of a document's number in its id, unless the run has more documents."""


class RunRequest(BaseModel):
    """A bill run: up to when, for whom, and which kinds of lines (spec/bill_run.md 1.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_date: date
    """Everything owed up to this day, inclusive, is billed."""

    invoice_date: date
    """The date printed on the documents; payment terms count from it."""

    accounts: tuple[str, ...] = ()
    """Only these accounts; none means all."""

    batches: tuple[str, ...] = ()
    """Only accounts of these batches; none means all."""

    bill_cycle_days: tuple[Annotated[int, Field(ge=1, le=31)], ...] = ()
    """Only accounts with one of these bill cycle days; none means all."""

    excluded_charge_types: tuple[ChargeType, ...] = ()
    """Charges of these types wait for another run."""

    subscriptions: bool = True
    """Whether charges of subscriptions are billed."""

    order_line_items: bool = True
    """Whether order line items are billed."""

    orders: tuple[str, ...] = ()
    """Only order lines of these orders, and charges of subscriptions that they made or changed; none means all."""

    orders_sha256: str = ""
    """Hash of what these orders ask for, if they are committed together with the run that bills them."""

    schedules: tuple[str, ...] = ()
    """Only the next item of each of these invoice schedules, whenever it is due; none means all that are due."""

    ceilings: bool = True
    """Whether accounts above the ceilings of the settings are parked."""

    def canonical(self) -> str:
        """The request as JSON, equal for equal requests."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def for_accounts(self, accounts: tuple[str, ...]) -> "RunRequest":
        """The same kinds of lines up to the same day, for these accounts only."""
        return self.model_copy(update={"accounts": accounts, "batches": (), "bill_cycle_days": ()})


class RunIdentity(BaseModel):
    """What a run is called and where it reads: everything about it that is not asked for."""

    model_config = ConfigDict(frozen=True)

    bill_run_number: str
    snapshot_id: int
    documents: int = 0
    """How many documents the run has made so far: it is made in parts, account by account."""

    digits: int = ID_DIGITS
    """Digits of a document's number in its id; the same for all documents of the run, since ids sort as text."""

    def after(self, documents: int) -> "RunIdentity":
        """The run when it has made further documents."""
        return self.model_copy(update={"documents": self.documents + documents})


def cycle_days(wanted: str | None, run_day: date) -> tuple[int, ...]:
    """The bill cycle days that a run is limited to: one, or those that fall due on the run's day.

    On the last day of a month, `AsRunDay` also means every later day (spec/bill_run.md B5).

    Raises:
        BillfoldError: it is neither a day nor AsRunDay.
    """
    if wanted is None:
        return ()
    if wanted.lower() == "asrunday":
        is_last = (run_day + timedelta(days=1)).day == 1
        return tuple(range(run_day.day, 32)) if is_last else (run_day.day,)
    if wanted.isdecimal() and 1 <= int(wanted) <= 31:  # noqa: PLR2004 - days of a month
        return (int(wanted),)
    msg = f"--bill-cycle-day can't be {wanted!r}: it is 1 to 31, or AsRunDay."
    raise BillfoldError(msg)
