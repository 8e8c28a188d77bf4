"""What an id means: a document, an item, a charge, or an order line. Numbers are looked up where they are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.errors import BillfoldError
from billfold.explanations.texts import listed
from billfold.names import nearest
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[..., pl.LazyFrame]

KINDS: Final = ("invoice", "credit_memo", "item", "charge", "order_line")
_ITEM: Final = re.compile(r".+-\d{6,}-\d{6,}")
_DOCUMENTS: Final = ("invoice", "credit_memo")


@dataclass(frozen=True)
class Found:
    """What an id means. `key` names it in its table; `of` is the kind of document that holds an item."""

    kind: str
    key: tuple[str, ...]
    of: str = ""

    def __str__(self) -> str:
        """What it is, for people."""
        return f"the {self.kind.replace('_', ' ')} {'/'.join(self.key)}"


def find(read: Read, name: str, item: str | None = None, kind: str | None = None) -> Found:
    """The one thing of that name; `item` is an order line's number, with `name` its order. `kind` is one of `KINDS`.

    Raises:
        BillfoldError: there is no such thing, or there are several.
    """
    found = [f for f in _everything(read, name, item) if kind in {None, f.kind}]
    if len(found) == 1:
        return found[0]
    said = name if item is None else f"{name} {item}"
    if not found:
        raise BillfoldError(_unknown(read, said, name, kind))
    if len({f.kind for f in found}) > 1:
        kinds = " or ".join(f"--as {f.kind.replace('_', '-')}" for f in found)
        msg = f"{said} is ambiguous: it is {listed([str(f) for f in found])}; say which with {kinds}."
    else:
        others = " or ".join(" ".join(f.key) for f in found)
        msg = f"{said} is ambiguous: it is {listed([str(f) for f in found])}; name one as {others}."
    raise BillfoldError(msg)


def _everything(read: Read, name: str, item: str | None) -> Iterator[Found]:
    if item is not None:
        yield from _order_lines(read, [(name, item)])
        return
    for kind in _DOCUMENTS:
        yield from _documents(read, kind, name)
        if _ITEM.fullmatch(name):
            yield from _items(read, kind, name)
    if _there(read, "rate_plan_charges", "charge_number", name):
        yield Found("charge", (name,))
    yield from _order_lines(read, [(name[:n], name[n + 1 :]) for n, sign in enumerate(name) if sign == "/"])


def _documents(read: Read, kind: str, name: str) -> Iterator[Found]:
    ids: set[str] = set()
    for column in (f"{kind}_id", f"{kind}_number"):
        called = read(f"{kind}s", only=Only(among=pl.Series(column, [name])))
        ids |= set(collected(called.select(f"{kind}_id")).to_series())
    return (Found(kind, (i,)) for i in sorted(ids))


def _items(read: Read, kind: str, name: str) -> Iterator[Found]:
    if _there(read, f"{kind}_items", f"{kind}_item_id", name):
        yield Found("item", (name,), kind)


def _there(read: Read, table: str, column: str, value: str) -> bool:
    only = Only(among=pl.Series(column, [value]))
    return collected(read(table, only=only).select(column).head(1)).height > 0


def _order_lines(read: Read, keys: list[tuple[str, str]]) -> Iterator[Found]:
    if not keys:
        return
    wanted = pl.DataFrame(keys, schema={"order_number": pl.String, "item_number": pl.String}, orient="row")
    only = Only(among=wanted["order_number"].unique())
    lines = read("order_line_items", only=only).select(wanted.columns).join(wanted.lazy(), on=wanted.columns)
    yield from (Found("order_line", key) for key in sorted(collected(lines).iter_rows()))


def _unknown(read: Read, said: str, name: str, kind: str | None) -> str:
    what = f"{'an' if kind in {'invoice', 'item', 'order_line'} else 'a'} {kind.replace('_', ' ')}" if kind else None
    wanted = what or "an invoice, credit memo, item, charge or order line"
    lines = read("order_line_items", only=Only(among=pl.Series("order_number", [name])))
    if items := collected(lines.select("item_number").head(1)).to_series().to_list():
        count = int(collected(lines.select(pl.len())).item())
        several = f"{name} is an order of {count:,} line{'s' if count > 1 else ''}"
        return f"{several}: name one of them, such as {name}/{items[0]}."
    near = nearest(said, _neighbours(read, said))
    hint = " Drafts have TMP numbers until they are posted, and final ones from then on." if "TMP-" in name else ""
    return f"The book has no {wanted.removeprefix('an ').removeprefix('a ')} {said}{near}.{hint}"


def _neighbours(read: Read, name: str) -> list[str]:
    """The names that come right before and right after this one, of every kind that is quickly looked through."""
    columns = [*((f"{k}s", f"{k}_{c}") for k in _DOCUMENTS for c in ("number", "id")),
               ("rate_plan_charges", "charge_number")]  # fmt: skip
    found: list[str] = []
    for table, column in columns:
        value = pl.col(column)
        ends = read(table).select(before=value.filter(value < name).max(), after=value.filter(value > name).min())
        found += [v for v in collected(ends).row(0) if v is not None]
    if "/" in name:
        order = name.rpartition("/")[0]
        lines = read("order_line_items", only=Only(among=pl.Series("order_number", [order])))
        found += [f"{order}/{i}" for i in collected(lines.select("item_number")).to_series()]
    return found
