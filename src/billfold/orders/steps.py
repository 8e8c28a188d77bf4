"""What every order action knows: its order, its subscription, its dates; and calendar steps in terms and periods."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from billfold.orders.errors import MISSING, NOT_FOUND, OrderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.orders.action_models import TriggerDate
    from billfold.orders.register import Register, Row

_IN_MONTHS: Final = {"Month": 1, "Months": 1, "Year": 12, "Years": 12}
_IN_DAYS: Final = {"Day": 1, "Days": 1, "Week": 7, "Weeks": 7}


@dataclass(frozen=True)
class Dates:
    """The three trigger dates of an action; unused ones default to the earlier one (spec/bill_run.md C5)."""

    contract: date | None
    activation: date | None
    acceptance: date | None

    @classmethod
    def of(cls, triggers: Sequence[TriggerDate] | None) -> Dates:
        """The dates that an action names."""
        given = {t.name: t.triggerDate for t in triggers or ()}
        contract = given.get("ContractEffective")
        activation = given.get("ServiceActivation") or contract
        return cls(contract, activation, given.get("CustomerAcceptance") or activation)

    def at(self, event: str) -> date | None:
        """When an event happens."""
        return {
            "ContractEffective": self.contract,
            "ServiceActivation": self.activation,
            "CustomerAcceptance": self.acceptance,
        }.get(event)


@dataclass(frozen=True)
class Step:
    """One action of one order on one subscription."""

    register: Register
    order: Row
    path: str
    subscription: str
    dates: Dates
    today: date
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    """Names that an order gives to what it makes, by kind (rate plan, charge, subscription), until it has a number."""

    def at(self, *names: str) -> str:
        """The path of a field below the action."""
        return ".".join((self.path, *names))

    def below(self, name: str) -> Step:
        """The same action, at a field below it."""
        return replace(self, path=self.at(name))

    def row(self) -> Row:
        """The subscription as it stands."""
        if (row := self.register["subscriptions"].get(self.subscription)) is None:
            path = self.path.partition(".orderActions")[0]
            said = f"names the subscription {self.subscription!r}, which is not in the book."
            raise OrderError(f"{path}.subscriptionNumber", said, NOT_FOUND)
        return row

    def change(self, **values: Any) -> Row:  # noqa: ANN401 - columns of any type
        """Write some columns of the subscription."""
        row = self.row() | values
        self.register.put("subscriptions", row)
        return row

    def billed_through(self, charge: Row) -> date | None:
        """The day, exclusive, up to which a charge segment was billed, here or elsewhere."""
        here = self.register.billed_through.get((charge["charge_number"], charge["segment"]))
        return here or charge["charged_through_date"]  # type: ignore[no-any-return]

    def effective(self) -> date:
        """The action's contract effective date.

        Raises:
            OrderError: it has none, and nothing else tells when it takes effect.
        """
        if self.dates.contract is None:
            raise OrderError(self.at("triggerDates"), "needs the date of ContractEffective.", MISSING)
        return self.dates.contract

    def within(self, day: date, path: str) -> date:
        """A day on which the subscription runs.

        Raises:
            OrderError: it is before the subscription begins, or not before it ends.
        """
        row = self.row()
        first = row["subscription_start_date"] or row["contract_effective_date"]
        if first and day < first:
            raise OrderError(path, f"is {day}, before the subscription {self.subscription} begins on {first}.")
        last = row["term_end_date"] if row["term_type"] == "TERMED" else None
        if last and day >= last:
            raise OrderError(path, f"is {day}, but the term of {self.subscription} ends on {last}: renew it first.")
        return day


def later(day: date, count: int, kind: str) -> date:
    """A day some months, years, weeks or days after another; the month's last day where it is shorter.

    Raises:
        OrderError: no calendar has that day.
    """
    try:
        if kind in _IN_DAYS:
            return day + timedelta(days=count * _IN_DAYS[kind])
        month = day.year * 12 + day.month - 1 + count * _IN_MONTHS[kind]
        year, month = divmod(month, 12)
        return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
    except (ValueError, OverflowError) as e:
        raise OrderError("", f"The day {count} {kind.lower().rstrip('s')}s after {day} is in no calendar.") from e


def start_of(charge: Row, subscription: Row) -> date | None:
    """The first day of a charge segment, as rating has it (docs/rating.md, "When")."""
    if charge["effective_start_date"]:
        return charge["effective_start_date"]  # type: ignore[no-any-return]
    dates = Dates(
        subscription["contract_effective_date"],
        subscription["service_activation_date"] or subscription["contract_effective_date"],
        subscription["customer_acceptance_date"]
        or subscription["service_activation_date"]
        or subscription["contract_effective_date"],
    )
    return dates.at(charge["trigger_event"])
