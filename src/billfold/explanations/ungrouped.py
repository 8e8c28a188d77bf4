"""What becomes of lines without a group number: a policy, the setting `ungrouped` (design section 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.explanations.models import Source
from billfold.rows import collected
from billfold.steps.load import load
from billfold.steps.resolve import billable, given, open_order_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.explanations.carriers import Carried
    from billfold.explanations.past import Past
    from billfold.rows import Only

_NUMBER = "invoice_group_number"


def ungrouped(past: Past, key: Mapping[str, Any], carried: Carried) -> tuple[str, tuple[Source, ...]]:
    """Why lines without a number stay alone, or don't."""
    policy = past.settings["ungrouped"]
    source = Source("setting", "ungrouped", None, policy)
    if key["invoice_separately"]:
        return "not asked, since the subscription has documents of its own", ()
    if key[_NUMBER] is not None:
        return "not asked, since there is a group number", ()
    if policy != "auto":
        alone = "each gets a document of its own" if policy == "separate" else "they share a document"
        return f"lines without a number: {alone} (setting ungrouped is {policy})", (source,)
    if carried.configuration is not None:
        return "lines without a number share a document, since a grouping configuration applies", (source,)
    account = carried.account["account_number"]
    if key["ungrouped"] is None:
        said = "lines without a number share a document, since nothing that is open in the account has one"
        return f"{said} (setting ungrouped is auto)", (source,)
    example = numbered(past, account)
    carrying = (
        f"{example.kind} {example.of} of the account has one, {example.value}" if example else "the account has some"
    )
    found = (source, example) if example else (source,)
    return f"has a document of its own, since {carrying} (setting ungrouped is auto)", found


def numbered(past: Past, account: str) -> Source | None:
    """An active subscription or an open order line of an account that carried a group number when the run read it."""
    mine = pl.coalesce("invoice_owner_account_number", "account_number") == account
    none = pl.lit(value=False)
    narrow = {
        "charge_progress": none, "charges_to_review": none, "late_usage": none,
        "subscriptions": mine, "order_line_items": mine,
        "invoice_items": pl.col("account_number") == account, "credit_memo_items": pl.col("account_number") == account,
    }  # fmt: skip

    def read(table: str, only: Only | None = None) -> pl.LazyFrame:
        rows = past.state.read(table, only)
        return rows.filter(narrow[table]) if table in narrow else rows

    # Charges are no part of the question; a request for order lines alone spares their tables.
    request = past.request.for_accounts(()).model_copy(update={"ceilings": False, "subscriptions": False})
    inputs = load(read, past.settings, request)
    active = billable(inputs.subscriptions).filter(status="Active")
    name = pl.format("{}/{}", "order_number", "item_number")
    kinds = {
        "subscription": (pl.col("subscription_number"), active),
        "order line": (name, open_order_lines(inputs)),
    }
    for kind, (called, rows) in kinds.items():
        having = rows.filter(given(_NUMBER).is_not_null()).select(of=called, value=_NUMBER).sort("of").head(1)
        for of, value in collected(having).iter_rows():
            return Source(kind, of, _NUMBER, value)
    return None
