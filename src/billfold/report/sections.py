"""The parts of a report's page, each a heading with what belongs under it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from billfold.report import why
from billfold.report.html import Html, element, joined
from billfold.report.tables import (
    Row,
    Scale,
    amount,
    change,
    lines,
    money,
    number,
    percent,
    plural,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import polars as pl

    from billfold.report.figures import Report

SHOWN: Final = 50
"""Parked accounts that the page shows."""

_SUMS: Final = ("invoices", "credit_memos", "invoiced", "credited", "net")
_SUM_HEADINGS: Final = ("Invoices", "Credit memos", "Invoiced", "Credited", "Net")
_MEASURES: Final = {
    "invoices": "Invoices", "credit_memos": "Credit memos", "items": "Items", "accounts_billed": "Accounts billed",
    "accounts_nothing_due": "Accounts with nothing due", "parked_accounts": "Accounts parked",
    "invoiced": "Invoiced", "credited": "Credited", "net": "Net",
}  # fmt: skip
_KEY_OF_STEPS: Final = (("up", "adds"), ("down", "takes away"), ("whole", "sum"))


def currencies(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of each currency, by its code: amounts of two are never beside each other in a table."""
    for currency in sorted(rows["currency"].drop_nulls().unique()):
        yield currency, rows.filter(currency=currency)


def section(name: str, title: str, *content: str) -> Html:
    """A part of the page that can be linked to."""
    return element("section", element("h2", title, id=name), *content, aria_labelledby=name)


def note(*content: str) -> Html:
    """A paragraph that explains."""
    return element("p", *content, class_="note")


def totals(report: Report) -> Html:
    """What was invoiced, credited and what remains, by currency."""
    cards = [_card(r) for r in report.totals.iter_rows(named=True)]
    rows = [Row([r["currency"], *_sums(r), number(r["items"])]) for r in report.totals.iter_rows(named=True)]
    if not rows:
        return section("totals", "Totals", element("p", "The run made no documents."))
    headings = ["Currency", *_SUM_HEADINGS, "Items"]
    by_currency = table("Totals by currency", headings, rows, minor=["Invoices", "Credit memos", "Items"])
    return section("totals", "Totals", element("div", *cards, class_="cards"), by_currency)


def _card(row: dict[str, Any]) -> Html:
    """The sums of one currency."""
    net, invoiced, credited = (amount(row[c], row["currency"]) for c in ("net", "invoiced", "credited"))
    lesser = [element("span", said) for said in (f"{invoiced} invoiced", f"{credited} credited")]
    return element("div", element("span", f"Net in {row['currency']}"), element("b", net), *lesser, class_="card")


def _sums(row: dict[str, Any]) -> list[str]:
    """Counts and sums of documents, as cells."""
    counts, amounts = _SUMS[:2], _SUMS[2:]
    return [number(row[c]) for c in counts] + [amount(row[c], row["currency"]) for c in amounts]


def waterfall(report: Report) -> Html:
    """From what was owed to documents."""
    tables = [
        _steps(f"From lines to documents, {c}", "Lines, documents", c, rows) for c, rows in currencies(report.waterfall)
    ]
    told = (
        "What the lines of the run add up to, by kind, and the documents that they are on. Counts are lines, and "
        "documents in the last steps."
    )
    is_parked = "parked" in report.waterfall["role"]
    key = _key(*_KEY_OF_STEPS, *([("owed", "owed by parked accounts, not billed")] if is_parked else []))
    return section("waterfall", "From lines to documents", note(told), key, *tables) if tables else Html()


def _steps(caption: str, counted: str, currency: str, rows: pl.DataFrame) -> Html:
    """A waterfall: each bar begins where the one before it ended."""
    scale = Scale.over([*rows["start"], *rows["end"]])
    return table(caption, ["Step", counted, "Amount"], (_step(r, scale, currency) for r in rows.iter_rows(named=True)))


def _step(row: dict[str, Any], scale: Scale, currency: str) -> Row:
    looks = {"total": "whole", "parked": "owed"}
    look = looks.get(row["role"], "up" if row["amount"] >= 0 else "down")
    label = f"from {amount(row['start'], currency)} to {amount(row['end'], currency)}"
    return Row(
        [row["step"], number(row["count"]), amount(row["amount"], currency)],
        scale.bar(label, (row["start"], row["end"], look)),
        "total" if row["role"] == "total" else None,
    )


def _key(*looks: tuple[str, str]) -> Html:
    """What the colours of bars mean."""
    return element("p", *(joined([element("i", class_=look), said]) for look, said in looks), class_="key")


def changes(report: Report) -> Html:
    """This run beside the one before it."""
    if report.previous is None or report.changes is None:
        return section("changes", "Changes", element("p", "There is no earlier run of this kind to compare with."))
    before, found = report.previous, report.changes
    told = (
        f"Compared with {before['bill_run_number']} ({before['status']}, target date {before['target_date']}), the run "
        "before this one that was asked for the same things."
    )
    count_rows = [_counted(r) for r in found.counts.iter_rows(named=True)]
    amount_rows = [_amounts(r) for r in found.amounts.iter_rows(named=True)]
    headings = ["Before", "Now", "Difference", "Change"]
    parts = [note(told), table("Counts", ["Count", *headings], count_rows)]
    if amount_rows:
        parts.append(table("Amounts by currency", ["Amount", *headings], amount_rows, minor=["Change"]))
    if found.bridge.height:
        parts.append(_key(*_KEY_OF_STEPS))
    for currency, rows in currencies(found.bridge):
        parts.append(_steps(f"From the last net to this one, {currency}", "Accounts", currency, rows))
        parts += _movers(currency, found.movers.filter(currency=currency))
    return section("changes", "Changes against the run before", *parts)


def _counted(row: dict[str, Any]) -> Row:
    before, now = row["before"], row["now"]
    difference = now - before
    cells = [number(before), number(now), change(difference, number(difference)), percent(difference, before)]
    return Row([_MEASURES[row["measure"]], *cells])


def _amounts(row: dict[str, Any]) -> Row:
    before, now, currency = row["before"], row["now"], row["currency"]
    difference = now - before
    cells = [amount(before, currency), amount(now, currency), change(difference, amount(difference, currency)),
             percent(difference, before)]  # fmt: skip
    return Row([lines(_MEASURES[row["measure"]], currency), *cells], look="total" if row["measure"] == "net" else None)


def _movers(currency: str, rows: pl.DataFrame) -> Iterator[Html]:
    """The accounts that account for the difference."""
    titles = {
        "changed": "Accounts that changed most", "new": "Accounts not billed last time",
        "gone": "Accounts billed last time and not now",
    }  # fmt: skip
    for became, title in titles.items():
        some = rows.filter(change=became)
        if some.height:
            scale = Scale.over(some.filter(others=0)["difference"])
            moved = (_moved(r, scale, currency) for r in some.iter_rows(named=True))
            headings = ["Account", "Net before", "Net now", "Difference"]
            yield table(f"{title}, {currency}", headings, moved, minor=["Net before"])


def _moved(row: dict[str, Any], scale: Scale, currency: str) -> Row:
    difference = row["difference"]
    signed = change(difference, amount(difference, currency))
    look = "up" if difference >= 0 else "down"
    cells = [amount(row[c], currency) for c in ("before", "now")]
    bar = None if row["others"] else scale.bar(signed, (0, difference, look))
    return Row([_account(row), *cells, signed], bar, "others" if row["others"] else None)


def _account(row: dict[str, Any]) -> str:
    """An account's number and name, or how many others a row stands for."""
    return f"and {number(row['others'])} more" if row.get("others") else lines(row["account_number"], row["name"])


def unusual(report: Report) -> Html:
    """Bills to look at, with reasons."""
    found = report.unusual
    if found.is_empty():
        none = "No bill stands out against the account's own earlier bills or against the run."
        return section("unusual", "Unusual bills", element("p", none), note(why.RULES))
    tables = [_unusual(title, found.filter(kind=k)) for k, title in why.TITLES.items() if k in found["kind"]]
    told = "Nothing is wrong with these by itself: they are what a person would look at first."
    return section("unusual", "Unusual bills", note(told), *tables, note(why.RULES))


def _unusual(title: str, rows: pl.DataFrame) -> Html:
    """The unusual bills of one kind."""
    count = int(rows.unique("currency")["count"].sum())
    more = f" (the first {rows.height} are shown)" if count > rows.height else ""
    has_documents = rows["number"].null_count() < rows.height
    headings = ["Account", *(["Document"] if has_documents else []), "Amount", "Why"]
    told = [
        Row([lines(r["account_number"], r["name"]), *([r["number"] or ""] if has_documents else []),
             money(r["amount"], r["currency"]), why.reason(r)])
        for r in rows.iter_rows(named=True)
    ]  # fmt: skip
    return table(f"{title}: {number(count)}{more}", headings, told, texts=["Document", "Why"])


def parked(report: Report) -> Html:
    """Accounts that were set aside, with reasons."""
    rows = report.parked
    if rows.is_empty():
        return section("parked", "Parked accounts", element("p", "No account is parked."))
    accounts = rows["account_number"].n_unique()
    told = [
        f"{plural(accounts, 'account')} could not be billed, wholly or in part. Once the data are mended, ",
        element("code", f"billfold retry {report.run['bill_run_number']}"),
        " bills them. What they owe is worked out again from what the run read.",
    ]
    shown = [_parked(r) for r in rows.head(SHOWN).iter_rows(named=True)]
    headings = ["Account", "Reason", "Owed, not billed"]
    parts = [note(*told), table("Parked accounts", headings, shown, texts=["Reason"])]
    if rows.height > SHOWN:
        parts.append(note(f"and {number(rows.height - SHOWN)} more, in the table parked_accounts"))
    return section("parked", "Parked accounts", *parts)


def _parked(row: dict[str, Any]) -> Row:
    account = lines(row["account_number"], row["name"])
    return Row([account, lines(row["reason"], f"found by the step {row['step']}"), _owed(row)])


def _owed(row: dict[str, Any]) -> str:
    """What a parked account owes, as far as that is known."""
    if row["amount"] is None:
        return "not known"
    said = money(row["amount"], row["currency"])
    return said if row["is_whole"] else lines(said, "and what could not be rated")


def sizes(report: Report) -> Html:
    """How many documents there are of each size."""
    key = _key(("up", "invoices"), ("down", "credit memos"))
    tables = [_sizes(c, rows) for c, rows in currencies(report.sizes)]
    return section("sizes", "Documents by size", key, *tables) if tables else Html()


def _sizes(currency: str, rows: pl.DataFrame) -> Html:
    scale = Scale.over(rows["invoices"] + rows["credit_memos"])
    headings = ["Amount", *_SUM_HEADINGS]
    classes = (_size(r, scale) for r in rows.iter_rows(named=True))
    return table(f"Documents by size, {currency}", headings, classes, minor=_SUM_HEADINGS[2:4])


def _size(row: dict[str, Any], scale: Scale) -> Row:
    currency, invoices, both = row["currency"], row["invoices"], row["invoices"] + row["credit_memos"]
    zero = row["at_least"] == 0
    edges = [_edge(row[c], currency) for c in ("at_least", "below") if row[c] is not None]
    bar = scale.bar(plural(both, "document"), (0, invoices, "up"), (invoices, both, "down"))
    return Row(["nothing" if zero else f"{edges[0]} to below {edges[1]}", *_sums(row)], bar)


def _edge(value: Decimal, currency: str) -> str:
    return number(int(value)) if value == int(value) else amount(value, currency)


def rankings(report: Report) -> Html:
    """Who and what was billed most."""
    parts: list[str] = [_key(("up", "net owed"), ("down", "net credited"))]
    for currency, rows in currencies(report.accounts):
        parts.append(_ranking(f"Top accounts, {currency}", "Account", rows, _account, report))
    for currency, rows in currencies(report.groups):
        if set(rows["by"].drop_nulls()) != {"none"}:
            parts.append(_ranking(f"Top group values and numbers, {currency}", "Group", rows, _group, report))
    for currency, rows in currencies(report.sources):
        parts.append(_ranking(f"By source, {currency}", "Documents of", rows, _source, report))
    return section("rankings", "Accounts, groups, sources", *parts) if len(parts) > 1 else Html()


def _ranking(caption: str, first: str, rows: pl.DataFrame, name: Any, report: Report) -> Html:  # noqa: ANN401
    currency = rows["currency"][0]
    net = Decimal(str(report.totals.filter(currency=currency)["net"].item()))
    scale = Scale.over(r["net"] for r in rows.iter_rows(named=True) if not r.get("others"))
    ranked = (_ranked(name(r), r, scale, net) for r in rows.iter_rows(named=True))
    return table(caption, [first, *_SUM_HEADINGS, "Of net"], ranked, minor=[*_SUM_HEADINGS[:2], "Credited", "Of net"])


def _ranked(name: str, row: dict[str, Any], scale: Scale, whole: Decimal) -> Row:
    share = percent(row["net"], whole) if whole > 0 else ""
    if row.get("others"):
        return Row([name, *_sums(row), share], look="others")
    look = "up" if row["net"] >= 0 else "down"
    return Row(
        [name, *_sums(row), share], scale.bar(f"net {amount(row['net'], row['currency'])}", (0, row["net"], look))
    )


def _group(row: dict[str, Any]) -> str:
    if row["others"]:
        return f"and {number(row['others'])} more"
    if row["by"] == "none":
        return lines("no group", plural(row["accounts"], "account"))
    return lines(row["group"], plural(row["accounts"], "account"))


def _source(row: dict[str, Any]) -> str:
    told = {"Subscription": "subscriptions", "Order": "orders", "Consolidation": "both on one document"}
    return str(told.get(row["source_type"], row["source_type"]))


def history(report: Report) -> Html:
    """The last runs that were asked for the same things."""
    if report.previous is None:
        return Html()
    return section("history", "The last runs of this kind", *_histories(report.history))


def _histories(rows: pl.DataFrame) -> Iterable[Html]:
    for currency, some in currencies(rows):
        scale = Scale.over(some["net"])
        told = (_past(r, scale) for r in some.iter_rows(named=True))
        yield table(
            f"Net of the last runs, {currency}", ["Run", *_SUM_HEADINGS], told, minor=[*_SUM_HEADINGS[:2], "Credited"]
        )


def _past(row: dict[str, Any], scale: Scale) -> Row:
    look = "up" if row["net"] >= 0 else "down"
    bar = scale.bar(f"net {amount(row['net'], row['currency'])}", (0, row["net"], look))
    return Row([lines(row["bill_run_number"], f"to {row['target_date']}, {row['status']}"), *_sums(row)], bar)
