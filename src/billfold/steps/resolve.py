"""Step 2, first half: what each charge and order line brings to its document, looked up once per carrier.

A carrier is a charge segment or an order line item; lines inherit what is resolved here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.grouping import column_of
from billfold.lines import ATTRIBUTES, Carriers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.lines import Inputs

_OPEN = ("Executing", "Booked", "SentToBilling")


def resolve(inputs: Inputs) -> Carriers:
    """Charges and order lines with owner, currency, billing attributes, grouping fields and what was billed before."""
    lines = _open_order_lines(inputs)
    owners = _owners(inputs, lines)
    groups = _groups(inputs.invoice_groups)
    charges = (
        inputs.rate_plan_charges.join(_of_subscriptions(inputs), on="subscription_number")
        .join(inputs.billed_charges, on=["charge_number", "segment"], how="left")
        .join(owners, on="owner")
    )
    order_lines = lines if inputs.request.order_line_items else lines.clear()
    order_lines = (lines if inputs.request.order_line_items else lines.clear()).join(owners, on="owner")
    return Carriers(
        charges=_with_attributes(_with_group_values(charges, groups, "subscriptionGroup")),
        order_lines=_with_attributes(_with_group_values(order_lines, groups, "orderLineItemGroup")),
    )


def _owners(inputs: Inputs, lines: pl.LazyFrame) -> pl.LazyFrame:
    """The run's accounts, as defaults of their lines, and whether anything of theirs carries a group number."""
    numbered = (
        pl.concat(
            [
                _subscriptions(inputs).filter(status="Active").select("owner", "invoice_group_number"),
                lines.select("owner", "invoice_group_number"),
            ]
        )
        .filter(~_blank("invoice_group_number"))
        .select("owner", account_has_numbers=pl.lit(value=True))
        .unique()
    )
    accounts = inputs.accounts.select(
        "invoice_group",
        owner="account_number",
        account_currency="currency",
        account_bill_cycle_day="bill_cycle_day",
        **{f"account_{a}": a for a in ATTRIBUTES},
    )
    marked = accounts.join(numbered, on="owner", how="left")
    return marked.with_columns(pl.col("account_has_numbers").fill_null(value=False))


def _subscriptions(inputs: Inputs) -> pl.LazyFrame:
    """Subscriptions that can be billed, with their invoice owner (spec/bill_run.md B23)."""
    owner = pl.coalesce("invoice_owner_account_number", "account_number")
    return inputs.subscriptions.filter(~pl.col("status").is_in(["Draft", "Expired"])).with_columns(owner=owner)


def _of_subscriptions(inputs: Inputs) -> pl.LazyFrame:
    """What charges take from their subscription. Names that charges have too get the prefix `subscription `."""
    sold_to = inputs.all_accounts.select("account_number", account_sold_to_contact="sold_to_contact")
    subscriptions = _subscriptions(inputs).join(sold_to, on="account_number", how="left")
    clashes = set(inputs.rate_plan_charges.collect_schema()) - {"subscription_number"}
    return subscriptions.rename({c: f"subscription {c}" for c in subscriptions.collect_schema() if c in clashes})


def _open_order_lines(inputs: Inputs) -> pl.LazyFrame:
    """Order lines that may still be billed, with their invoice owner."""
    sold_to = inputs.all_accounts.select("account_number", account_sold_to_contact="sold_to_contact")
    return (
        inputs.order_line_items.filter(pl.col("item_state").is_in(_OPEN))
        .join(inputs.billed_order_lines, on=["order_number", "item_number"], how="anti")
        .join(sold_to, on="account_number", how="left")
        .with_columns(owner=pl.coalesce("invoice_owner_account_number", "account_number"))
    )


def _with_attributes(carriers: pl.LazyFrame) -> pl.LazyFrame:
    """Blank attributes take the owner's, so that a blank equals an explicit value equal to the default."""
    sequence_set = pl.coalesce(_given("sequence_set"), _given("account_sequence_set"), pl.lit("DEFAULT"))
    return carriers.with_columns(
        *(pl.coalesce(_given(a), _given(f"account_{a}")).alias(a) for a in ATTRIBUTES if a != "sequence_set"),
        sequence_set=sequence_set,
        currency=pl.coalesce("currency", "account_currency"),
        sold_to_contact=pl.coalesce(_given("sold_to_contact"), _given("account_sold_to_contact")),
        invoice_group_number=_given("invoice_group_number"),
    )


def _blank(column: str) -> pl.Expr:
    return pl.col(column).is_null() | (pl.col(column).str.strip_chars() == "")


def _given(column: str) -> pl.Expr:
    return pl.when(~_blank(column)).then(pl.col(column).str.strip_chars())


def _groups(stored: pl.DataFrame) -> dict[str | None, Mapping[str, Any]]:
    """The configurations by number; the default one is under None."""
    rows = stored.sort("number").iter_rows(named=True)
    return {None if row["is_default"] else row["number"]: json.loads(row["meta"]) for row in rows}


def _with_group_values(
    carriers: pl.LazyFrame, groups: Mapping[str | None, Mapping[str, Any]], side: str
) -> pl.LazyFrame:
    """The values of the configured fields as they are on the carrier: by position, and joined by `_` for people."""
    schema = carriers.collect_schema()
    encoded = shown = pl.lit(None, dtype=pl.String)
    configured = pl.lit(value=False)
    for number, condition in _applies(list(groups)).items():
        texts = [_value_text(entry, schema) for entry in groups[number].get(side, ())]
        configured = configured | condition
        if texts:
            encoded = pl.when(condition).then(_encoded(texts)).otherwise(encoded)
            shown = pl.when(condition).then(_shown(texts)).otherwise(shown)
    return carriers.with_columns(group_values=encoded, invoice_group_value=shown, has_configuration=configured)


def _applies(numbers: Sequence[str | None]) -> dict[str | None, pl.Expr]:
    """When a configuration applies: to the accounts that name it, the default one to all others."""
    own = sorted(n for n in numbers if n)
    named = {n: (pl.col("invoice_group") == n).fill_null(value=False) for n in own}
    return named | ({None: ~pl.col("invoice_group").is_in(own).fill_null(value=False)} if None in numbers else {})


def _value_text(entry: Mapping[str, str], schema: pl.Schema) -> pl.Expr:
    """A field's value as text, one spelling for equal values of different types: 1.50 and 1.5, 2024-01-31."""
    column = _carrier_column(entry, schema)
    value = pl.col(column)
    dtype = schema[column]
    if isinstance(dtype, pl.Decimal) or dtype.is_float():
        return value.cast(pl.String).str.replace(r"(\.\d*?)0+$", "$1").str.replace(r"\.$", "")
    if isinstance(dtype, pl.Struct):
        return value.struct.json_encode()
    if isinstance(dtype, pl.List | pl.Array):
        return pl.struct(value).struct.json_encode()
    if isinstance(dtype, pl.Binary):
        return value.bin.encode("hex")
    return value.cast(pl.String)


def _carrier_column(entry: Mapping[str, str], schema: pl.Schema) -> str:
    """Where a carrier keeps a configured field: subscriptions' names may be prefixed on charges."""
    object_type, field = entry["objectType"], entry["field"]
    if object_type != "Subscription":
        return column_of(object_type, field, list(schema))
    plain_names = [c.removeprefix("subscription ") for c in schema]
    column = column_of(object_type, field, plain_names)
    return f"subscription {column}" if f"subscription {column}" in schema else column


def _encoded(texts: Sequence[pl.Expr]) -> pl.Expr:
    """A JSON array of texts and nulls: unlike a joined text, it tells A_B, C from A, B_C."""
    named = pl.struct(v=pl.concat_list(texts)).struct.json_encode()
    return named.str.strip_prefix('{"v":').str.strip_suffix("}")


def _shown(texts: Sequence[pl.Expr]) -> pl.Expr:
    joined = pl.concat_str([t.fill_null("") for t in texts], separator="_")
    return pl.when(pl.any_horizontal(t.is_not_null() for t in texts)).then(joined)
