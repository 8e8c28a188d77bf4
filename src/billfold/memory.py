"""What a run leaves to later ones: charges that it did not look at, and usage that came too late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.rows import collected

if TYPE_CHECKING:
    from billfold.lines import Documents, Inputs

_CHARGE: Final = ["charge_number", "segment"]


def late(documents: Documents, inputs: Inputs) -> int:
    """How many usage records of the run's accounts wait because their period was billed before they came."""
    if inputs.late_usage.is_empty():
        return 0
    waiting = inputs.late_usage.filter(~pl.col("is_open")).join(documents.processed_usage, on="usage_id", how="anti")
    theirs = waiting.lazy().join(inputs.accounts, on="account_number", how="semi")
    return int(collected(theirs.select(pl.len())).item())


def rated_late(documents: Documents, inputs: Inputs) -> tuple[str, ...]:
    """Usage records that waited since they came late, and that these documents bill."""
    if inputs.late_usage.is_empty():
        return ()
    rated = inputs.late_usage.join(documents.processed_usage, on="usage_id", how="semi")["usage_id"]
    return tuple(rated.sort())


def left(documents: Documents, inputs: Inputs) -> dict[str, pl.DataFrame]:
    """Rows that the tables of charges to review and of late usage have after the run, for those that change."""
    waiting = inputs.late_usage.drop("is_open")
    before = {"charges_to_review": inputs.to_review, "late_usage": waiting}
    after = {
        "charges_to_review": left_to_review(documents, inputs),
        "late_usage": waiting.join(documents.processed_usage, on="usage_id", how="anti", maintain_order="left"),
    }
    return {table: rows for table, rows in after.items() if rows.height < before[table].height}


def left_to_review(documents: Documents, inputs: Inputs) -> pl.DataFrame:
    """Charges to review that other runs still have to look at: those of other accounts or types, and of parked ones.

    Nobody need look at charges of drafts, expired subscriptions and inactive accounts before these change, and then
    the load that changes them says so.
    """
    unseen = inputs.to_review.join(documents.charge_progress, on=_CHARGE, how="anti", maintain_order="left")
    if unseen.is_empty():
        return unseen
    owner = pl.coalesce("invoice_owner_account_number", "account_number")
    owners = inputs.all_accounts.select(owner="account_number", owner_status="status")
    subscriptions = inputs.subscriptions.select("subscription_number", "status", owner=owner)
    asleep = pl.col("status").is_in(["Draft", "Expired"]) | (pl.col("owner_status") != "Active")
    dormant = collected(
        inputs.rate_plan_charges.select(*_CHARGE, "subscription_number")
        .join(unseen.lazy(), on=_CHARGE, how="semi")
        .join(subscriptions, on="subscription_number")
        .join(owners, on="owner")
        .filter(asleep)
        .select(_CHARGE)
    )
    return unseen.join(dormant, on=_CHARGE, how="anti", maintain_order="left")
