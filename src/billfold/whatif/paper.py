"""What `grouping diff` prints: a screenful for people, one JSON document for programs, rows for files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
from rich.markup import escape

from billfold.console import console, money, print_json, table_of, table_or_blocks
from billfold.whatif.comparison import as_dict

if TYPE_CHECKING:
    from rich.console import Console

    from billfold.whatif.comparison import Comparison

_REASONS: Final = 6
_SHOWN: Final = 3
"""How many reasons, parked accounts and schedules fit on a screen with the rest."""

_WORDS: Final = {
    "unchanged": "unchanged",
    "merged": "merged",
    "split": "split",
    "regrouped": "regrouped",
    "other_type": "of the other type",
    "other_items": "with other items or amounts",
    "other_due_date": "due on another day",
    "appeared": "only after",
    "disappeared": "only before",
}
_COMPONENTS: Final = {
    "ungrouped": "having no group number (ungrouped)",
    "origin": "coming from a subscription or an order (origin)",
    "document_type": "being an invoice or a credit memo (document_type)",
}
FORMATS: Final = ("csv", "parquet", "json")
"""Endings of files that rows can be saved in."""


def show_comparison(comparison: Comparison, *, top: int, as_json: bool) -> None:
    """Everything that differs, and the accounts that change most: the first `top`."""
    if as_json:
        print_json(as_dict(comparison, top))
        return
    out = console()
    _show_rules(out, comparison)
    if comparison.documents.is_empty():
        said = f"Nothing is due up to {comparison.request.target_date} that was not billed before; "
        out.print(f"{said}--run RUN compares a run that was made.\n", soft_wrap=True)
    else:
        _show_counts(out, comparison)
        _show_amounts(out, comparison)
        _show_items(out, comparison)
        _show_why(out, comparison)
        _show_accounts(out, comparison, top)
    _show_parked(out, comparison.parked)
    _show_schedules(out, comparison.schedules)
    if comparison.drafts:
        runs = ", ".join(comparison.drafts)
        out.print(f"Drafts of {runs} are on neither side: what they hold counts as billed until they are canceled.")


def _show_rules(out: Console, comparison: Comparison) -> None:
    """What is compared."""
    request = comparison.request
    dates = f"target date {request.target_date}  ·  invoice date {request.invoice_date}  ·  nothing was written"
    out.print(f"[bold]{comparison.bill_run_number or 'A run now'}[/bold]  ·  {dates}", soft_wrap=True)
    for rule, before, after in comparison.rules.iter_rows():
        out.print(f"  {escape(rule)}: {escape(before or 'none')} → {escape(after or 'none')}", soft_wrap=True)
    if comparison.rules.is_empty():
        out.print("  these are the rules that the book has")
    out.print()


def _show_counts(out: Console, comparison: Comparison) -> None:
    """Documents before and after, then what becomes of them."""
    before, after = comparison.counts["before"], comparison.counts["after"]
    table = table_of("", "before", "after", "change", "accounts", right=["before", "after", "change", "accounts"])
    for label, name in (
        ("invoices", "invoices"), ("  items", "invoice_items"), ("credit memos", "credit_memos"),
        ("  items", "credit_memo_items"), ("accounts parked", "parked_accounts"),
    ):  # fmt: skip
        table.add_row(label, f"{before[name]:,}", f"{after[name]:,}", _signed(after[name] - before[name]), "")
    table.add_section()
    for row in comparison.changes.filter(pl.col("matches") > 0).iter_rows(named=True):
        first, then = row["documents_before"], row["documents_after"]
        label = f"documents {_WORDS[row['change']]}"
        table.add_row(label, f"{first:,}", f"{then:,}", _signed(then - first), f"{row['accounts']:,}")
    out.print(table, "", sep="\n")


def _show_amounts(out: Console, comparison: Comparison) -> None:
    """Totals per currency and type, with what they change by."""
    table = table_of("currency", "", "before", "after", "change", right=["before", "after", "change"])
    for (currency,), rows in comparison.totals.group_by("currency", maintain_order=True):
        both = rows.select("amount_before", "amount_after")
        told = [*zip(("invoiced", "credited"), both.iter_rows(), strict=True)]
        net = tuple(first - second for first, second in zip(told[0][1], told[1][1], strict=True))
        for place, (label, (before, after)) in enumerate([*told, ("net", net)]):
            name = "" if place else str(currency)
            table.add_row(name, label, money(before), money(after), _more(after - before))
    out.print(table, "", sep="\n")


def _show_items(out: Console, comparison: Comparison) -> None:
    """Why totals change, currency by currency; nothing where every item stays as it is."""
    for row in comparison.items.iter_rows(named=True):
        told = [
            f"{row['repriced']:,} items with another amount ({_more(row['repriced_amount'])}, at most "
            f"{money(row['largest_repricing'])} each)" if row["repriced"] else "",
            *(f"{row[f'only_{side}']:,} items only {side} ({money(row[f'only_{side}_amount'])})"
              if row[f"only_{side}"] else "" for side in ("before", "after")),
            *(f"{row[f'to_{name}']:,} items move to {name.replace('_', ' ')}"
              if row[f"to_{name}"] else "" for name in ("invoices", "credit_memos")),
        ]  # fmt: skip
        said = ", ".join(t for t in told if t) or "every item keeps its amount and the type of its document"
        out.print(f"{row['currency']}: {said}.", soft_wrap=True)
    out.print()


def _show_why(out: Console, comparison: Comparison) -> None:
    """A sentence a reason, the most documents first."""
    reasons = comparison.why
    if reasons.is_empty():
        return
    out.print("[bold]Why[/bold]")
    for row in reasons.head(_REASONS).iter_rows(named=True):
        out.print(f"  {_sentence(row)}", soft_wrap=True)
    _show_more(out, reasons.height - _REASONS, " reasons")
    out.print()


def _sentence(row: dict[str, Any]) -> str:
    before, after = row["documents_before"], row["documents_after"]
    joined, separated = (_named(row[c]) for c in ("joined_by", "separated_by"))
    one = (before or after) == 1
    become, appear, disappear, stay = (
        f"{verb}s" if one else verb for verb in ("become", "appear", "disappear", "stay")
    )
    match row["change"]:
        case "merged":
            said = f"{become} {after:,}, since {joined} no longer {_sets(joined)} them apart"
        case "split":
            said = f"{become} {after:,}, since {separated} {_sets(separated)} their items apart"
        case "regrouped":
            said = f"{become} {after:,}: set apart by {separated}, and before by {joined}"
        case "appeared":
            said = f"{appear}: {'no longer parked' if row['is_parked'] else 'their items are on no document before'}"
        case "disappeared":
            said = f"{disappear}: {'newly parked' if row['is_parked'] else 'their items are on no document after'}"
        case other:
            said = f"{stay}, but {_WORDS[other]}"
    return f"{_count(before or after, 'document')} of {_count(row['accounts'], 'account')} {said}."


def _named(components: str) -> str:
    """Components in words, where their names alone would puzzle."""
    return ", ".join(_COMPONENTS.get(name, name) for name in components.split(", "))


def _sets(names: str) -> str:
    return "set" if "," in names else "sets"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _show_accounts(out: Console, comparison: Comparison, top: int) -> None:
    """The accounts that change most."""
    changed = comparison.accounts.filter(pl.col("changed") > 0)
    if changed.is_empty() or not top:
        return
    numbers = ["documents before", "after", "changed", "net before", "net after"]
    table = table_of("account", *numbers, "of which", title="Accounts that change most", right=numbers)
    blocks = []
    for row in changed.head(top).iter_rows(named=True):
        parts = ", ".join(f"{row[c]:,} {w}" for c, w in _WORDS.items() if row[c] and c != "unchanged")
        net = [f"{row['currency']} {money(row[f'amount_{side}'])}" for side in ("before", "after")]
        counts = [f"{row[c]:,}" for c in ("documents_before", "documents_after", "changed")]
        cells = [row["account_number"], *counts, *net, parts]
        table.add_row(*map(escape, cells))
        blocks.append(dict(zip((str(c.header) for c in table.columns), cells, strict=True)))
    table_or_blocks(out, table, blocks)
    _show_more(out, changed.height - top, " accounts; --top N shows more, --rows accounts --out FILE saves all")
    out.print()


def _show_parked(out: Console, parked: pl.DataFrame) -> None:
    """Accounts that are parked differently, those that would be newly parked first."""
    if parked.is_empty():
        return
    counts = dict(parked["change"].value_counts().iter_rows())
    told = ", ".join(f"{counts[c]:,} {_PARKED[c]}" for c in _PARKED if c in counts)
    out.print(f"[bold]Parked accounts[/bold]: {told}")
    first = parked.filter(pl.col("change") != "other reason")
    for row in first.head(_SHOWN).iter_rows(named=True):
        reason = row["reason_after"] or row["reason_before"]
        out.print(f"  {escape(row['account_number'])} ({row['change']}): {escape(reason)}", soft_wrap=True)
    _show_more(out, parked.height - min(first.height, _SHOWN), "; --json has all")
    out.print()


_PARKED: Final = {
    "newly parked": "newly parked",
    "no longer parked": "no longer parked",
    "other reason": "parked for another reason",
}


def _show_schedules(out: Console, schedules: pl.DataFrame) -> None:
    """Schedules that a run could no longer bill, or could again."""
    if schedules.is_empty():
        return
    counts = {c: n["invoice_schedule_number"].n_unique() for (c,), n in schedules.group_by("change")}
    words = {"breaks": "break", "mended": "no longer broken"}
    told = ", ".join(f"{counts[c]:,} {w}" for c, w in words.items() if c in counts)
    out.print(f"[bold]Invoice schedules[/bold]: {told}")
    for row in schedules.head(_SHOWN).iter_rows(named=True):
        where = f"{row['invoice_schedule_number']} of {row['account_number']} ({row['change']})"
        out.print(f"  {escape(where)}: its charges differ in {row['field']}: {escape(row['said'])}", soft_wrap=True)
    _show_more(out, schedules.height - _SHOWN, "; --json has all")
    out.print()


def _show_more(out: Console, more: int, what: str) -> None:
    if more > 0:
        out.print(f"… and {more:,} more{what}")


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def _more(amount: Any) -> str:  # noqa: ANN401 - a decimal, as Polars hands it over
    """A difference with its sign."""
    return f"+{money(amount)}" if amount > 0 else money(amount)
