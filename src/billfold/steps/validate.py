"""Step 5, second half: the promises, checked on a run's own documents before anything is written (design section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandera.errors
import polars as pl

from billfold.contracts import TABLES
from billfold.errors import PromiseError
from billfold.lines import IDENTITY, KEY, custom_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from billfold.lines import Assembled, Documents

_KINDS: Final = (
    ("invoices", "invoice_items", "invoice_id", 1),
    ("credit_memos", "credit_memo_items", "credit_memo_id", -1),
)
_KIND: Final = {"invoice_items": "invoice", "credit_memo_items": "credit_memo"}


def validate(owed: pl.DataFrame, assembled: Assembled) -> Documents:
    """The documents, proved.

    Raises:
        PromiseError: a promise does not hold; nothing has been written.
    """
    for name, promise in PROMISES.items():
        _keep(name, promise(owed, assembled))
    return assembled.documents


def billed_once(documents: Documents, through: pl.DataFrame, order_lines: Callable[[], pl.DataFrame]) -> None:
    """Nothing on these documents is on those of earlier runs that count.

    `through` says up to which day, exclusive, charge segments were billed (`billed_through`, null for never);
    `order_lines` reads the order lines that were.

    Raises:
        PromiseError: something would be billed twice.
    """
    items = pl.concat(
        getattr(documents, t).filter(processing_type="Charge").select(*IDENTITY, "applied_to_item_id")
        for _, t, _, _ in _KINDS
    )
    of_charges = items.filter(pl.col("source_type") == "SubscriptionComponent", pl.col("applied_to_item_id").is_null())
    known = through.select("charge_number", "segment", "billed_through").drop_nulls()
    both = of_charges.join(known, on=["charge_number", "segment"])
    overlapping = both.filter(pl.col("service_start_date") < pl.col("billed_through"))
    sold = items.filter(source_type="OrderLineItem")
    again = sold.join(order_lines(), on=["order_number", "item_number"], how="semi").height if sold.height else 0
    twice = overlapping.height + again
    _keep("once", f"{twice} lines are on documents of an earlier run" if twice else "")


def numbered(documents: Documents, sets: pl.DataFrame) -> None:
    """Under each prefix, numbers rise with the ids, one by one. `sets` are the sequence sets.

    Raises:
        PromiseError: a number was skipped or given twice.
    """
    for (headers, _, key, _), built_in in zip(_KINDS, ("INV", "CM"), strict=True):
        kind = key.removesuffix("_id")
        of_sets = sets.select(sequence_set="name", of_set=f"{kind}_prefix")
        rows = (
            getattr(documents, headers)
            .join(of_sets, on="sequence_set", how="left")
            .select(
                key,
                number=f"{kind}_number",
                prefix=pl.when(pl.col(f"{kind}_number").str.starts_with(f"TMP-{built_in}-"))
                .then(pl.lit(f"TMP-{built_in}-"))
                .otherwise(pl.coalesce("of_set", pl.lit(built_in))),
            )
        )
        sequence = pl.col("number").str.strip_prefix(pl.col("prefix")).cast(pl.Int64, strict=False)
        following = sequence.diff().over("prefix", order_by=key)
        wrong = rows.filter(sequence.is_null() | (following != 1).fill_null(value=False))
        _keep("numbers", f"{wrong.height} {headers} do not follow the number before theirs" if wrong.height else "")


def _keep(promise: str, broken: str) -> None:
    if broken:
        msg = f"The promise {promise!r} does not hold ({broken}): a fault of billfold, nothing was written."
        raise PromiseError(msg)


def _partition(owed: pl.DataFrame, assembled: Assembled) -> str:
    """Every line that was owed is on one item, or its account is parked."""
    for _, items, _key, sign in _KINDS:
        on_items = getattr(assembled.documents, items)
        lines = owed.select(*IDENTITY, "amount")[assembled.lines.filter(kind=_KIND[items])["line"]]
        said = lines.with_columns(pl.col("amount") * sign)
        if not on_items.select(*IDENTITY, "amount").equals(said):
            return f"{items} differ from the lines that they stand for"
    without = owed.select("account_number").with_row_index("line").join(assembled.lines, on="line", how="anti")
    lost = without.join(assembled.documents.parked_accounts, on="account_number", how="anti")
    return f"{lost.height} lines are on no document" if lost.height else ""


def _once(owed: pl.DataFrame, assembled: Assembled) -> str:
    """No line twice: neither a row of the lines nor what it stands for."""
    rows = assembled.lines["line"]
    of_charge = ("segment", "service_start_date", "applied_line", "applied_to_item_id", "invoice_schedule_item_id")
    billed = owed.select("charge_number", *of_charge, "order_number", "item_number")[rows]
    doubled = rows.len() - rows.n_unique()
    for name, others in (("charge_number", of_charge), ("order_number", ("item_number",))):
        several = billed.filter(pl.col(name).is_not_null(), pl.col(name).is_duplicated()).select(name, *others)
        doubled += several.height - several.unique().height
    return f"{doubled} lines occur more than once" if doubled else ""


def _sums(owed: pl.DataFrame, assembled: Assembled) -> str:
    """Items add up to their header, and lines to documents per account and currency."""
    for headers, items, _key, _sign in _KINDS:
        of_items = getattr(assembled.documents, items).group_by("document")
        added = of_items.agg(added=pl.col("amount").sum(), count=pl.len())
        both = getattr(assembled.documents, headers).join(added, on="document", how="full")
        wrong = both.filter(
            (pl.col("added").ne_missing(pl.col("amount"))) | (pl.col("count").ne_missing(pl.col("item_count")))
        )
        if wrong.height:
            return f"{wrong.height} {headers} differ from the sum of their items"
    by = ("account_number", "currency")
    billed = pl.concat(
        getattr(assembled.documents, headers).select(*by, amount=pl.col("amount") * sign)
        for headers, _, _, sign in _KINDS
    )
    totals = billed.group_by(by).agg(billed=pl.col("amount").sum())
    lines = _owed_by_document(owed.select(*by, "amount"), assembled).group_by(by).agg(pl.col("owed").sum())
    wrong = totals.join(lines, on=by, how="full").filter(pl.col("billed").ne_missing(pl.col("owed")))
    return f"{wrong.height} accounts' documents differ from their lines" if wrong.height else ""


def _owed_by_document(owed: pl.DataFrame, assembled: Assembled) -> pl.DataFrame:
    """What lines add up to, by document, whose lines agree in all else (`_one_value`)."""
    lines = owed[assembled.lines["line"]].with_columns(assembled.lines["document"])
    others = pl.exclude("document", "amount").first()
    return lines.group_by("document").agg(others, owed=pl.col("amount").sum().cast(pl.Decimal(38, 4)))


def _one_value(owed: pl.DataFrame, assembled: Assembled) -> str:
    """A document has one value for every group component: neighbours agree, and a document is one run of lines."""
    lines = _with_components(owed, assembled)
    components = [c for c in lines.columns if c != "document"]
    inside = pl.col("document") == pl.col("document").shift()
    differs = pl.any_horizontal(pl.col(c).ne_missing(pl.col(c).shift()) for c in components)
    spread = lines.select((inside & differs).sum()).item()
    torn = _first_lines(lines).height - lines["document"].n_unique()
    return f"{spread} lines differ from their document, {torn} documents are torn" if spread or torn else ""


def _no_needless_split(owed: pl.DataFrame, assembled: Assembled) -> str:
    """Two documents of one kind differ in some component."""
    documents = _first_lines(_with_components(owed, assembled))
    needless = documents.height - documents.drop("document").unique().height
    return f"{needless} documents agree with another in every component" if needless else ""


def _with_components(owed: pl.DataFrame, assembled: Assembled) -> pl.DataFrame:
    """Each line's document and kind, with the components of its group that anyone has."""
    told = [k for k in KEY if owed[k].null_count() < owed.height]
    lines = assembled.lines
    return owed.select(told)[lines["line"]].with_columns(lines["document"], lines["kind"])


def _first_lines(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.filter((pl.col("document") != pl.col("document").shift()).fill_null(value=True))


def conforming(documents: Documents) -> Documents:
    """The documents of a run, checked against the contracts of their tables.

    Raises:
        PromiseError: a row breaks its contract.
    """
    for table, rows in vars(documents).items():
        conform(table, rows)
    return documents


def conform(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of a table, checked against its contract.

    Raises:
        PromiseError: a row breaks it.
    """
    try:
        TABLES[table].validate(rows.drop(custom_fields(rows)), lazy=True)
    except pandera.errors.SchemaErrors as e:
        case = pl.DataFrame(e.failure_cases).row(0, named=True)
        said = f"A row of {table} breaks its contract ({case['column']}: {case['check']})"
        msg = f"{said}: a fault of billfold, nothing was written."
        raise PromiseError(msg) from e
    return rows


PROMISES: Final[Mapping[str, Callable[[pl.DataFrame, Assembled], str]]] = {
    "partition": _partition,
    "once": _once,
    "sums": _sums,
    "one value": _one_value,
    "no needless split": _no_needless_split,
}
