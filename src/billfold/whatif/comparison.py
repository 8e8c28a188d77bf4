"""What a comparison says: frames for programs and people, summed up from documents and items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.whatif.match import CHANGES
from billfold.whatif.sides import KINDS
from billfold.whatif.why import summed_up, with_reasons

if TYPE_CHECKING:
    from billfold.requests import RunRequest
    from billfold.whatif.match import Matched

SIDES: Final = ("before", "after")
_SUM: Final = pl.Decimal(38, 4)
_PAIR: Final = ["account_number", "currency"]


@dataclass(frozen=True)
class Comparison:
    """Two runs of one request: under the book's rules (before), and under others (after).

    Amounts are decimals, those `as owed` have credit memos with a minus. Frames, and what a row is:

    - `rules`, a rule that differs: rule, before, after (texts; null for none)
    - `documents`, a document of either side: match, change, side (before, after), document_id, document_type (invoice,
      credit_memo), account_number, currency, invoice_group_number, invoice_group_value, item_count, amount, due_date.
      Documents of one `match` share items, however remotely; they come in order of accounts
    - `matches`, a match: match, account_number, currency, change; documents_, items_ and amount_ (as owed) before and
      after; joined_by and separated_by (the components in which the documents before differ, and those after);
      is_parked (the account is parked on the side where its documents are not)
    - `changes`, a value of change, in this order: unchanged, merged (several documents, then one), split (one, then
      several), regrouped (several, then several), other_type (invoice, then credit memo, or the other way round),
      other_items (other items or amounts), other_due_date, appeared, disappeared; with documents_before,
      documents_after, matches, accounts
    - `why`, a reason: change, joined_by, separated_by, is_parked, documents_before, documents_after, accounts
    - `totals`, a currency and document_type: documents_, items_ and amount_ before and after
    - `items`, a currency: same (on both sides, with the same amount), repriced (with another one), repriced_amount (by
      how much, as owed), largest_repricing (of one item, without sign), only_before, only_before_amount, only_after,
      only_after_amount (items of one side, as owed), to_invoices, to_credit_memos (items that change the type)
    - `accounts`, an account and currency with documents, those that change most first: documents_ and amount_ (as owed)
      before and after; for every change a number of documents (those before; of `appeared`, those after); changed (how
      many documents change, before or after, whichever are more) and concerned (their amounts, all with a plus)
    - `parked`, an account that is parked differently: account_number, change (newly parked, no longer parked, other
      reason), step_ and reason_ before and after
    - `schedules`, an invoice schedule and field: change (breaks, mended), invoice_schedule_number, account_number,
      next_run_date, field, said

    - `parked_before` and `parked_after`, a parked account of a side: account_number, step, reason

    `drafts` are runs with drafts: what they hold is billed, and on neither side. `bill_run_number` is the run that was
    compared, if it was made before.
    """

    request: RunRequest
    bill_run_number: str | None
    snapshot_id: int
    drafts: tuple[str, ...]
    rules: pl.DataFrame
    documents: pl.DataFrame
    matches: pl.DataFrame
    changes: pl.DataFrame
    why: pl.DataFrame
    totals: pl.DataFrame
    items: pl.DataFrame
    accounts: pl.DataFrame
    parked: pl.DataFrame
    schedules: pl.DataFrame
    parked_before: pl.DataFrame
    parked_after: pl.DataFrame

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Documents, items and parked accounts by side."""
        return {side: self._counts(side) for side in SIDES}

    def _counts(self, side: str) -> dict[str, int]:
        parked: pl.DataFrame = getattr(self, f"parked_{side}")
        told: dict[str, int] = {}
        for kind, _ in KINDS:
            rows = self.totals.filter(document_type=kind)
            told[f"{kind}s"] = int(rows[f"documents_{side}"].sum())
            told[f"{kind}_items"] = int(rows[f"items_{side}"].sum())
        return {**told, "parked_accounts": parked.height}


def frames(found: Matched, before: pl.DataFrame, after: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The frames of a comparison that follow from documents, items and the accounts parked before and after."""
    matches = _with_parked(with_reasons(found.matches, found.documents), before, after)
    documents = found.documents.join(matches.select("match", "change"), on="match", maintain_order="left")
    return {
        "documents": documents.select(
            "match", "change", "side", "document_id", "document_type", *_PAIR, "invoice_group_number",
            "invoice_group_value", "item_count", amount=_as_shown(), due_date="due_date",
        ),
        "matches": matches,
        "changes": _changes(matches),
        "why": summed_up(matches),
        "totals": _totals(documents),
        "items": _items(found.pairs, documents),
        "accounts": _accounts(documents, matches),
        "parked": _parked(before, after),
        "parked_before": before,
        "parked_after": after,
    }  # fmt: skip


def _with_parked(matches: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Adds `is_parked`: whether the account is parked on the side where its documents are not."""
    where = {"appeared": before, "disappeared": after}
    there = (
        pl.col("account_number").is_in(p["account_number"].implode()) & (pl.col("change") == c)
        for c, p in where.items()
    )
    return matches.with_columns(is_parked=pl.any_horizontal(there))


def _as_shown() -> pl.Expr:
    """An amount as it stands on its document."""
    return pl.when(document_type="credit_memo").then(-pl.col("amount")).otherwise("amount")


def _changes(matches: pl.DataFrame) -> pl.DataFrame:
    every = pl.DataFrame({"change": list(CHANGES)})
    found = matches.group_by("change").agg(
        pl.col("documents_before", "documents_after").sum(),
        matches=pl.len(),
        accounts=pl.col("account_number").n_unique(),
    )
    return every.join(found, on="change", how="left", maintain_order="left").fill_null(0)


def _totals(documents: pl.DataFrame) -> pl.DataFrame:
    """Every currency with both types, so that nobody has to wonder about those that are not there."""
    currencies = documents.select("currency").unique().sort("currency")
    every = currencies.join(pl.DataFrame({"document_type": [kind for kind, _ in KINDS]}), how="cross")
    of_side = [
        expression
        for side in SIDES
        for expression in (
            (pl.col("side") == side).sum().alias(f"documents_{side}"),
            pl.col("item_count").filter(side=side).sum().alias(f"items_{side}"),
            _as_shown().filter(pl.col("side") == side).sum().alias(f"amount_{side}"),
        )
    ]
    by = ["currency", "document_type"]
    sums = every.join(documents.group_by(by).agg(of_side), on=by, how="left", maintain_order="left")
    return sums.fill_null(0).select(*by, *(f"{n}_{s}" for n in ("documents", "items", "amount") for s in SIDES))


def _items(pairs: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """What becomes of items: net after = net before + repriced_amount + only_after_amount - only_before_amount."""
    placed = pairs.lazy()
    for side, suffix in (("before", ""), ("after", "_after")):
        told = (
            documents.lazy()
            .filter(side=side)
            .select(
                pl.col("document").alias(f"document{suffix}"),
                **{f"currency{suffix}": "currency", f"kind{suffix}": "document_type"},
            )
        )
        placed = placed.join(told, on=f"document{suffix}", how="left")
    here, there = pl.col("amount").is_not_null(), pl.col("amount_after").is_not_null()
    more = (pl.col("amount_after") - pl.col("amount")).cast(_SUM)
    moved = pl.col("kind") != pl.col("kind_after")
    summed = placed.group_by(currency=pl.coalesce("currency", "currency_after")).agg(
        same=(more == 0).sum(),
        repriced=(more != 0).sum(),
        repriced_amount=more.sum(),
        largest_repricing=more.abs().max().fill_null(0),
        only_before=(~there).sum(),
        only_before_amount=pl.col("amount").filter(~there).sum(),
        only_after=(~here).sum(),
        only_after_amount=pl.col("amount_after").filter(~here).sum(),
        to_invoices=(moved & (pl.col("kind_after") == "invoice")).sum(),
        to_credit_memos=(moved & (pl.col("kind_after") == "credit_memo")).sum(),
    )
    return summed.sort("currency").collect()


def _accounts(documents: pl.DataFrame, matches: pl.DataFrame) -> pl.DataFrame:
    """Accounts that change most first: by documents, then by the amounts on these."""
    most = pl.max_horizontal("documents_before", "documents_after")
    counted = pl.when(change="appeared").then("documents_after").otherwise("documents_before")
    sides = [f"{what}_{side}" for what in ("documents", "amount") for side in SIDES]
    counts = matches.group_by(_PAIR).agg(
        pl.col(sides).sum(),
        *(counted.filter(change=change).sum().cast(pl.Int64).alias(change) for change in CHANGES),
        changed=most.filter(pl.col("change") != "unchanged").sum().cast(pl.Int64),
    )
    gross = documents.filter(pl.col("change") != "unchanged").group_by(*_PAIR, "side").agg(pl.col("amount").abs().sum())
    concerned = gross.group_by(_PAIR).agg(concerned=pl.col("amount").max())
    joined = counts.join(concerned, on=_PAIR, how="left").with_columns(pl.col("concerned").fill_null(0))
    return joined.sort("changed", "concerned", *_PAIR, descending=[True, True, False, False])


def _parked(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Accounts that are parked on one side only, or for another reason."""
    joined = before.join(after, on="account_number", how="full", coalesce=True, suffix="_after")
    change = (
        pl.when(pl.col("reason").is_null()).then(pl.lit("newly parked"))
        .when(pl.col("reason_after").is_null()).then(pl.lit("no longer parked"))
        .when(pl.col("reason") != pl.col("reason_after")).then(pl.lit("other reason"))
    )  # fmt: skip
    told = joined.select(
        "account_number", change=change, step_before="step", step_after="step_after", reason_before="reason",
        reason_after="reason_after",
    )  # fmt: skip
    return told.filter(pl.col("change").is_not_null()).sort("change", "account_number")


def schedules(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Schedules whose charges would drift apart in a field, or no longer do; both frames are as `schedule check`'s."""
    on = ["invoice_schedule_number", "field"]
    found = ((after, before, "breaks"), (before, after, "mended"))
    rows = pl.concat(a.join(b, on=on, how="anti").select(pl.lit(c).alias("change"), pl.all()) for a, b, c in found)
    return rows.sort("change", *on)


def as_dict(comparison: Comparison, top: int) -> dict[str, Any]:
    """One JSON document: everything but the rows of single documents and matches, and of accounts the first `top`."""
    names = ("rules", "changes", "why", "totals", "items", "parked", "schedules")
    changed = comparison.accounts.filter(pl.col("changed") > 0)
    return {
        "target_date": comparison.request.target_date,
        "invoice_date": comparison.request.invoice_date,
        "bill_run_number": comparison.bill_run_number,
        "snapshot_id": comparison.snapshot_id,
        "drafts": list(comparison.drafts),
        "documents": comparison.counts,
        **{name: getattr(comparison, name).to_dicts() for name in names},
        "accounts_changed": changed["account_number"].n_unique(),
        "accounts": changed.head(top).to_dicts(),
    }
