"""The charges of subscriptions as a run would see them: attributes resolved, whoever pays, whatever is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from billfold.lines import Schedules
from billfold.rating.amounts import Money
from billfold.rating.spans import with_spans
from billfold.requests import RunRequest
from billfold.rows import Only, collected
from billfold.settings import current
from billfold.steps.load import load, of_schedules
from billfold.steps.resolve import resolve

if TYPE_CHECKING:
    from billfold.book import State


@dataclass(frozen=True)
class View:
    """Charge segments with spans and what decides about their document, discounts, and how amounts are rounded."""

    charges: pl.DataFrame
    discounts: pl.DataFrame
    money: Money


def view(state: State, subscriptions: pl.Series) -> View:
    """All charges of some subscriptions (series of numbers) that an active account pays for."""
    settings = current(collected(state.read("settings")))
    nothing = RunRequest(
        target_date=date.min, invoice_date=date.min, subscriptions=False, order_line_items=False, ceilings=False
    )
    inputs = load(state.read, settings, nothing)
    theirs = Only(among=subscriptions.unique().alias("subscription_number"))
    numbers = collected(state.read("rate_plan_charges", theirs).select("charge_number", "subscription_number"))
    links = numbers.unique().with_columns(invoice_schedule_number=pl.lit(""))
    stand_in = replace(Schedules.none(), charges=links)
    seen = resolve(replace(inputs, schedules=stand_in, scheduled_charges=of_schedules(state.read, stand_in)))
    own = seen.discounts.filter(pl.col("subscription_number").is_in(subscriptions.implode()))
    return View(with_spans(seen.scheduled), own, Money(settings, inputs.currencies))
