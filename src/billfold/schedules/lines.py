"""Lines of invoice schedules that are due: a further source of lines of the run (docs/schedules.md, "In the run")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import LINE, TROUBLE, Executed, Rated, Schedules
from billfold.money import WIDE
from billfold.rating.spans import with_spans
from billfold.rows import collected
from billfold.schedules.agree import differing
from billfold.schedules.consumption import SCHEDULE, Consumed, consumed
from billfold.schedules.credits import credited, worded
from billfold.schedules.discounts import discounts_on_parts, gross
from billfold.schedules.service import served
from billfold.schedules.standing import first_pending, stand, with_next_dates
from billfold.schedules.units import CHARGE, UNIT, Units, amounts, negative, ten_thousandths, units_of

if TYPE_CHECKING:
    from datetime import date

    from billfold.lines import Carriers
    from billfold.rating.amounts import Money

_ITEM: Final = [SCHEDULE, "item_id"]


def scheduled(carriers: Carriers, target: date | None, money: Money) -> Rated:
    """What due schedules owe up to the target date; without one, the next item of each, whenever it is due."""
    working = sharing(carriers, target, money)
    if working is None:
        return Rated.none()
    due, charges, chosen, taken = working.due, working.charges, working.chosen, working.taken
    troubles = [*_absent(due, charges), *_unpriced(working.units, charges), *_split(working.lines)]
    after = _after(due, working.now, chosen, taken, money)
    attached = due.charges.filter(~pl.col("is_detached"))
    return replace(
        Rated.none(),
        lines=working.lines,
        troubles=pl.concat([TROUBLE.to_frame(), *troubles]),
        schedules=Executed(after, _payers(attached, charges), chosen["item_id"]),
    )


@dataclass(frozen=True)
class Sharing:
    """How lines of schedules come about: schedules as they were `due` and stand `now`, and their charges and units.

    `chosen` are the items that bill, with amounts; `taken` and `parts` what they take of the units, and on which days.
    """

    due: Schedules
    now: Schedules
    charges: pl.DataFrame
    units: Units
    chosen: pl.DataFrame
    taken: Consumed
    parts: pl.DataFrame
    lines: pl.DataFrame


def sharing(carriers: Carriers, target: date | None, money: Money) -> Sharing | None:
    """What due schedules owe, and how it comes about; None if none of them has charges among these carriers."""
    due, charges = _present(carriers)
    if due.headers.is_empty():
        return None
    attached = due.charges.filter(~pl.col("is_detached"))
    units = units_of(attached, charges, carriers.discounts, money)
    links = with_actual(due.charges, units.units)
    headers, items = stand(due.headers, due.items, links, money)
    chosen = _chosen(headers, items, target)
    taken = consumed(units.units, _billed(attached, units.units, headers), chosen, money)
    lines = _Lines(headers, charges, units, money)
    parts = _parts(taken, units, chosen, items, money)
    together = _numbered([*lines.of_parts(parts), *lines.of_credits(taken, links, carriers)])
    return Sharing(due, Schedules(headers, items, links), charges, units, chosen, taken, parts, together)


def with_actual(links: pl.DataFrame, units: pl.DataFrame) -> pl.DataFrame:
    """Links with what their schedule bills of the charge now: its units' total; if detached, what was billed."""
    totals = units.group_by(CHARGE).agg(total=pl.col("net").sum())
    joined = links.join(totals, on=CHARGE, how="left", maintain_order="left")
    actual = pl.when("is_detached").then("billed_amount").otherwise(amounts(pl.col("total").fill_null(0)))
    return joined.with_columns(actual_amount=actual).select(links.columns)


def _present(carriers: Carriers) -> tuple[Schedules, pl.DataFrame]:
    """The due schedules of which these carriers have charges, and these charges."""
    due = carriers.schedules
    if due.headers.is_empty() or carriers.scheduled.is_empty():
        return due.none(), carriers.scheduled
    charges = with_spans(carriers.scheduled)
    attached = due.charges.filter(~pl.col("is_detached"))
    numbers = attached.join(charges, on="charge_number", how="semi")[SCHEDULE].unique()
    return due.among(numbers), charges


def _chosen(headers: pl.DataFrame, items: pl.DataFrame, target: date | None) -> pl.DataFrame:
    """What each schedule bills now: number, item_id, nth and amount. The next item is due when the schedule is.

    A schedule without pending items may owe a credit, which goes with its last item.
    """
    first = first_pending(items)["item_id"].implode()
    is_next, is_pending = pl.col("item_id").is_in(first), pl.col("status") != "Processed"
    is_due = is_next if target is None else is_next | (pl.col("run_date") <= target)
    pending = items.filter(is_pending & is_due.fill_null(value=False))
    rest = headers.filter(pl.col("unbilled_amount") != 0).select("number", "unbilled_amount")
    settled = (
        items.join(items.filter(is_pending), on=SCHEDULE, how="anti")
        .filter(pl.col("sequence_number") == pl.col("sequence_number").max().over(SCHEDULE))
        .join(rest, left_on=SCHEDULE, right_on="number", maintain_order="left")
    )
    found = pl.concat([
        pending.select(*_ITEM, "sequence_number", amount="actual_amount"),
        settled.select(*_ITEM, "sequence_number", amount="unbilled_amount"),
    ])  # fmt: skip
    return found.sort(SCHEDULE, "sequence_number").select(
        *_ITEM, nth=pl.int_range(pl.len()).over(SCHEDULE), amount=ten_thousandths(pl.col("amount"))
    )


def _billed(links: pl.DataFrame, units: pl.DataFrame, headers: pl.DataFrame) -> pl.DataFrame:
    """How much of each charge is billed so far, and its totals."""
    totals = units.group_by(CHARGE).agg(total=pl.col("net").sum(), exact=pl.col("exact").sum().cast(WIDE))
    currencies = headers.select("currency", number_="number")
    return (
        links.join(totals, on=CHARGE, how="left", maintain_order="left")
        .join(currencies, left_on=SCHEDULE, right_on="number_", maintain_order="left")
        .select(
            *CHARGE, "position", "currency", billed=ten_thousandths(pl.col("billed_amount")),
            total=pl.col("total").fill_null(0), exact=pl.col("exact").fill_null(0),
        )
    )  # fmt: skip


def _parts(taken: Consumed, units: Units, chosen: pl.DataFrame, items: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Parts of units with their days, and those of charges without a price: UNIT, item_id, taken, before, net, days."""
    priced = served(taken.parts, units.units, money.settings)
    zero = _zero(priced, units.units, chosen, items)
    return pl.concat([priced, zero.select(pl.col(c).cast(t) for c, t in priced.schema.items())])


def _zero(priced: pl.DataFrame, units: pl.DataFrame, chosen: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Units of 0 serve the days of the item's other lines, within their own; once only if they are for one day."""
    free = units.filter(pl.col("net") == 0)
    days = priced.group_by(_ITEM, maintain_order=True).agg(
        start=pl.col("service_start_date").min(), end=pl.col("service_end_date").max()
    )
    begun = items.filter(status="Processed").select(SCHEDULE).unique()
    opening = chosen.filter(nth=0).join(begun, on=SCHEDULE, how="anti").select(*_ITEM, opens=pl.lit(value=True))
    met = free.join(days, on=SCHEDULE, maintain_order="left").join(opening, on=_ITEM, how="left", maintain_order="left")
    once = pl.col("is_once")
    return met.with_columns(
        service_start_date=pl.when(once).then("first").otherwise(pl.max_horizontal("start", "first")),
        service_end_date=pl.when(once)
        .then("first")
        .otherwise(pl.min_horizontal("end", pl.col("until").dt.offset_by("-1d"))),
        taken=pl.lit(0), before=pl.lit(0),
    ).filter(
        pl.col("service_start_date") <= pl.col("service_end_date"), ~once | pl.col("opens").fill_null(value=False)
    )  # fmt: skip


class _Lines:
    """Makes lines of what items take and give back, with the attributes of their charges."""

    def __init__(self, headers: pl.DataFrame, charges: pl.DataFrame, units: Units, money: Money) -> None:
        self.apart = headers.select("invoice_separately", number_="number")
        self.charges = charges
        self.units = units
        self.money = money

    def of_parts(self, parts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Lines of what items bill, and those of the discounts on them (`of` is the row that they reduce)."""
        totals = self.units.units.select(*UNIT, "gross", "currency")
        known = parts.join(totals, on=UNIT, maintain_order="left").sort(*_ITEM, "charge_number", "unit")
        valued = self._segments(known.with_columns(line=gross(self.money)).with_row_index("of"))
        named = pl.coalesce("charge_name", "charge_number")
        lines = self._lines(valued, amount=amounts(pl.col("line")), charge_name=named)
        shares = discounts_on_parts(valued, self.units.discounts, self.money)
        discounts = self._lines(
            shares.with_columns(segment="discount_segment", charge_number="discount_charge"),
            amount=amounts(negative(pl.col("off"))), charge_name=pl.col("discount_name"),
            processing_type=pl.lit("Discount"), applied_line=pl.col("of"),
        )  # fmt: skip
        return lines, discounts.filter(pl.col("amount") != 0)

    def of_credits(self, taken: Consumed, links: pl.DataFrame, carriers: Carriers) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Lines of what items take back, and of the discounts on that."""
        none = self._lines(self._segments(self.units.pieces.head(0).with_columns(**_NO_PART)))
        if taken.credits.is_empty():
            return none, none
        numbers = taken.credits[SCHEDULE].unique().implode()
        items = collected(carriers.items.filter(pl.col(SCHEDULE).is_in(numbers))).rename({"item_id": "invoice_item_id"})
        ends = self.units.units.group_by(CHARGE).agg(until=pl.col("until").max())
        totals = links.filter(~pl.col("is_detached")).join(ends, on=CHARGE, how="left", maintain_order="left")
        currency = taken.billed.select(*CHARGE, "currency")
        known = totals.select(*CHARGE, "until", total=ten_thousandths(pl.col("actual_amount")))
        lines, discounts = credited(taken.credits, known.join(currency, on=CHARGE), items, self.money)
        numbered = lines.with_row_index("of")
        name = worded(pl.coalesce("charge_name", "charge_number"), pl.col("is_whole"), self.money.settings)
        back = self._lines(
            self._with_attributes(numbered), amount=amounts(pl.col("amount")), charge_name=name,
            is_credit=pl.lit(value=True),
        )  # fmt: skip
        given = discounts.join(
            numbered.select("of", "item_id", of_item="applied_to_item_id"), left_on=["of", "item_id"],
            right_on=["of_item", "item_id"], maintain_order="left",
        ).rename({"of_right": "at"})  # fmt: skip
        of_charges = given.with_columns(discount_charge="charge_number", charge_number="charge_of_line")
        attributed = self._with_attributes(of_charges.drop("segment", "charge_name"), any_segment=True)
        told = attributed.join(given.select("at", "discount", "segment", "charge_name"), on=["at", "discount"],
                               suffix="_", maintain_order="left")  # fmt: skip
        off = self._lines(
            told.with_columns(charge_number="discount_charge", segment="segment_"),
            amount=amounts(pl.col("amount")), applied_line=pl.col("at"), is_credit=pl.lit(value=True),
            charge_name=worded(pl.coalesce("charge_name_", "discount_charge"), pl.col("is_whole"), self.money.settings),
            processing_type=pl.lit("Discount"),
        )  # fmt: skip
        return back, off

    def _segments(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Parts with the segment in force on their first day, and its attributes."""
        order = parts.with_row_index("row").sort("service_start_date")
        pieces = self.units.pieces.select(*UNIT, "segment", "first").sort("first")
        found = order.join_asof(
            pieces, left_on="service_start_date", right_on="first", by=UNIT, strategy="backward", check_sortedness=False
        )
        return self._with_attributes(found.sort("row").drop("row", "first"))

    def _with_attributes(self, rows: pl.DataFrame, *, any_segment: bool = False) -> pl.DataFrame:
        """Rows with what their charge's segment says; one that is gone is stood for by the charge's last."""
        told = self.charges.select(
            "charge_number", "segment", "owner", "charge_name", "charge_type", "subscription_number", "currency",
            *_OF_ATTRIBUTES,
        )  # fmt: skip
        last = told.sort("charge_number", "segment").unique("charge_number", keep="last", maintain_order=True)
        if any_segment:
            return rows.drop("currency", strict=False).join(last, on="charge_number", how="left", maintain_order="left")
        return rows.drop("currency", strict=False).join(
            told, on=["charge_number", "segment"], how="left", maintain_order="left"
        )

    def _lines(self, rows: pl.DataFrame, **said: pl.Expr) -> pl.DataFrame:
        """Rows in the shape of lines."""
        given = {
            "source_type": pl.lit("InvoiceSchedule"), "processing_type": pl.lit("Charge"),
            "is_credit": pl.lit(value=False), "is_return": pl.lit(value=False),
        } | said  # fmt: skip
        told = (
            rows.drop("invoice_separately", strict=False)
            .join(self.apart, left_on=SCHEDULE, right_on="number_", how="left", maintain_order="left")
            .with_columns(account_number="owner", invoice_schedule_item_id="item_id")
        )
        blank = {"quantity", "unit_price", "uom"}
        lacking = {c: pl.lit(None) for c in LINE if c in blank or (c not in told.columns and c not in given)}
        return told.with_columns(**lacking, **given).select(pl.col(c).cast(t) for c, t in LINE.items())


_OF_ATTRIBUTES: Final = (
    "bill_to_contact", "payment_term", "invoice_template", "sequence_set", "communication_profile", "sold_to_contact",
    "invoice_group_number", "invoice_group_value", "group_values", "has_configuration", "account_has_numbers",
)  # fmt: skip
_NO_PART: Final = {
    "item_id": pl.lit(None, dtype=pl.String),
    "service_start_date": pl.lit(None, dtype=pl.Date),
    "service_end_date": pl.lit(None, dtype=pl.Date),
    "amount": pl.lit(None, dtype=pl.Decimal(18, 4)),
}


def _numbered(found: list[pl.DataFrame]) -> pl.DataFrame:
    """All lines, discounts behind those that they reduce; `applied_line` counts from the first of all."""
    lines, discounts, back, off = found
    before = lines.height
    moved = off.with_columns(pl.col("applied_line") + before)
    return pl.concat([lines, back, discounts, moved])


def _after(due: Schedules, now: Schedules, chosen: pl.DataFrame, taken: Consumed, money: Money) -> Schedules:
    """The schedules when their items are billed: only rows that are not as they were."""
    billed = taken.billed.select(*CHARGE, billed=amounts(pl.col("billed")))
    links = (
        now.charges.join(billed, on=CHARGE, how="left", maintain_order="left")
        .with_columns(billed_amount=pl.coalesce("billed", "billed_amount"))
        .select(now.charges.columns)
    )
    bills = chosen.select("item_id", bills=amounts(pl.col("amount")))
    credited_too = pl.col("actual_amount") + pl.col("bills")
    processed = (
        now.items.join(bills, on="item_id", how="left", maintain_order="left")
        .with_columns(
            actual_amount=pl.when(pl.col("bills").is_null()).then("actual_amount")
            .when(status="Processed").then(credited_too)
            .otherwise("bills").cast(now.items.schema["actual_amount"]),
            status=pl.when(pl.col("bills").is_not_null()).then(pl.lit("Processed")).otherwise("status"),
        )
        .select(now.items.columns)
    )  # fmt: skip
    headers, items = stand(now.headers, processed, links, money)
    changed = items.join(due.items, on=["item_id", "status", "amount", "actual_amount"], how="anti", nulls_equal=True)
    moved = links.join(due.charges, on=[*CHARGE, "billed_amount", "actual_amount"], how="anti", nulls_equal=True)
    now_billed = items.filter(pl.col("item_id").is_in(chosen["item_id"].implode()))
    return Schedules(
        with_next_dates(headers, items),
        pl.concat([changed, now_billed]).unique("item_id").sort(SCHEDULE, "sequence_number"),
        moved.sort(CHARGE),
    )


def _payers(links: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """The accounts that pay for schedules."""
    owners = charges.select("charge_number", account_number="owner").unique()
    return links.join(owners, on="charge_number").select(SCHEDULE, "account_number").unique().sort(SCHEDULE)


def _absent(due: Schedules, charges: pl.DataFrame) -> list[pl.DataFrame]:
    """Schedules of which not all charges are there: another account pays for some, or one that is not billed."""
    attached = due.charges.filter(~pl.col("is_detached"))
    owners = charges.select("charge_number", "owner").unique()
    known = attached.join(owners, on="charge_number", how="left", maintain_order="left")
    lacking = known.group_by(SCHEDULE, maintain_order=True).agg(
        missing=pl.col("charge_number").filter(pl.col("owner").is_null()).sort().first(),
        owner=pl.col("owner").drop_nulls().unique().sort(),
    )
    found = lacking.filter(pl.col("missing").is_not_null()).explode("owner")
    said = pl.format(
        "invoice schedule {} can't be billed: its charge {} has another payer, or one that is not billed",
        SCHEDULE, "missing",
    )  # fmt: skip
    return [_troubles(found, said)]


def _unpriced(units: Units, charges: pl.DataFrame) -> list[pl.DataFrame]:
    """Charges whose total nobody can tell."""
    owners = charges.select("charge_number", "owner").unique()
    found = units.units.filter(pl.col("trouble").is_not_null()).join(owners, on="charge_number", maintain_order="left")
    said = pl.format(
        "invoice schedule {} can't be billed: charge {}: {}", SCHEDULE, "charge_number", "trouble"
    )  # fmt: skip
    return [_troubles(found, said)]


def _split(lines: pl.DataFrame) -> list[pl.DataFrame]:
    """Items whose lines would not share a document."""
    by = [SCHEDULE, "invoice_schedule_item_id"]
    apart = differing(lines.rename({"account_number": "owner"}), by)
    owners = lines.select(*by, owner="account_number").unique()
    said = pl.format(
        "invoice schedule {} can't be billed: its charges differ in {} ({})", SCHEDULE, "field", "values"
    )  # fmt: skip
    return [_troubles(apart.join(owners, on=by, maintain_order="left").sort(*by, "owner", "field"), said)]


def _troubles(rows: pl.DataFrame, said: pl.Expr) -> pl.DataFrame:
    return rows.select(
        account_number="owner",
        origin=pl.lit(None, dtype=pl.String),
        step=pl.lit("rate"),
        reason=said,
        detail=pl.struct(SCHEDULE).struct.json_encode(),
    ).select(pl.col(c).cast(t) for c, t in TROUBLE.items())
