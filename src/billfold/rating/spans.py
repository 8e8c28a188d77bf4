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
    return _beside_schedules(known) if "scheduled_through" in known.columns else known


def _beside_schedules(spans: pl.DataFrame) -> pl.DataFrame:
    """Charges that a schedule bills for some days begin, for runs, after these days; `kept_through` stays as it was.

    A segment that ends before these days is billed, and credited, as if there was no schedule.
    """
    through = pl.col("scheduled_through")
    apart = (through.is_not_null() & ~(pl.col("end") <= pl.col("scheduled_from"))).fill_null(value=False)
    beyond = (pl.col("through") > through).fill_null(value=False)
    return spans.with_columns(
        start=pl.when(apart).then(pl.max_horizontal("start", through)).otherwise("start"),
        through=pl.when(~apart | beyond).then("through"),
        here=pl.col("here") & (~apart | beyond),
        kept_through="billed_through",
    )


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
