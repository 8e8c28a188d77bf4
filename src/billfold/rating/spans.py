"""From when to when a charge segment serves, and how far it was billed (docs/rating.md, "When")."""

from __future__ import annotations

import polars as pl


def with_spans(charges: pl.DataFrame) -> pl.DataFrame:
    """Charge segments with [start, end), `through` (billed up to it, exclusive), `excess` and `first_start`.

    `here` says whether billfold billed the segment before. `excess` is the day beyond which what was billed has to be
    given back: of what was billed elsewhere only a cancellation or the segment's own end says so. `first_start` is the
    start of the charge's first segment, whose grid all of them keep. A `start` that is not known yet is null.
    """
    activation = pl.coalesce("service_activation_date", "contract_effective_date")
    event = (
        pl.when(trigger_event="CustomerAcceptance").then(pl.coalesce("customer_acceptance_date", activation))
        .when(trigger_event="ServiceActivation").then(activation)
        .when(trigger_event="ContractEffective").then("contract_effective_date")
    )  # fmt: skip
    term_end = pl.when(term_type="TERMED").then("term_end_date")
    stopped = pl.min_horizontal("effective_end_date", "cancelled_date")
    end = pl.min_horizontal(stopped, term_end)
    here = pl.col("billed_through").is_not_null()
    spans = charges.with_columns(
        start=pl.coalesce("effective_start_date", event),
        end=end,
        here=here,
        through=pl.coalesce("billed_through", "charged_through_date"),
        excess=pl.when(here).then(end).otherwise(stopped),
    )
    known = _with_first_start(spans)
    return _beside_schedules(known) if "scheduled_before" in known.columns else known


def _beside_schedules(spans: pl.DataFrame) -> pl.DataFrame:
    """Charges that a schedule bills for some days (a span), as runs see them: their days before it, or those after it.

    The days before the span come first, as long as something of them is to be billed or credited; then those after it,
    which are `later` than the first ones are settled. `kept_through` is how far the segment was billed, whichever days
    are looked at.
    """
    first, through = pl.col("scheduled_from"), pl.col("scheduled_through")
    begin = pl.max_horizontal("start", "scheduled_before")
    ended = (pl.col("end") <= first).fill_null(value=False)
    beyond = (pl.col("through") > through).fill_null(value=False)
    unbilled = (begin < first) & ~(pl.col("through") >= first).fill_null(value=False)
    terms = [c for c in ("price", "quantity", "tiers") if f"billed_{c}" in spans.columns]
    repriced = pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"billed_{c}")) for c in terms) & pl.col("here")
    before = (ended | (~beyond & (unbilled | ((begin < first) & repriced)))).fill_null(value=False)
    scheduled = through.is_not_null()
    until_span = scheduled & before & ~ended
    after = scheduled & ~before
    end = pl.when(until_span).then(first).otherwise("end")
    return spans.with_columns(
        start=pl.when(scheduled & (pl.col("charge_type") == "OneTime")).then(None)
        .when(after).then(pl.max_horizontal("start", through))
        .when(scheduled).then(begin)
        .otherwise("start"),
        end=end,
        excess=pl.when(until_span).then(first).otherwise("excess"),
        through=pl.when(after & ~beyond).then(None)
        .when(until_span & (pl.col("through") > first)).then(first)
        .otherwise("through"),
        here=pl.col("here") & (~after | beyond),
        kept_through="billed_through",
        later=pl.when(until_span & (pl.col("end").is_null() | (pl.col("end") > through))).then(through),
    )  # fmt: skip


def _with_first_start(spans: pl.DataFrame) -> pl.DataFrame:
    """Most charges have one segment, so few rows are grouped."""
    later = spans.filter(pl.col("segment") > 1).select("charge_number").unique()
    if later.is_empty():
        return spans.with_columns(first_start="start")
    first = (
        spans.join(later, on="charge_number", how="semi")
        .group_by("charge_number")
        .agg(pl.col("start").min().alias("first_start"))
    )
    joined = spans.join(first, on="charge_number", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("first_start", "start"))


def serves() -> pl.Expr:
    """Whether a segment has any days at all."""
    return pl.col("start").is_not_null() & (pl.col("end").is_null() | (pl.col("start") < pl.col("end")))


def since() -> pl.Expr:
    """The first day that is not billed yet."""
    return pl.max_horizontal("start", "through")


def is_overbilled() -> pl.Expr:
    """Whether a segment was billed beyond the day that it ended on."""
    return (pl.col("through") > pl.col("excess")).fill_null(value=False)
