"""What a run had before it, added up from the input rows themselves, beside what is on its documents.

Nothing here uses the code that makes documents: these are queries of the book at the snapshot that the run read. Prices
and quantities are multiplied as whole numbers, of 10^-9, so that sums are exact and only the documents are rounded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from showing import ask, counted, words

from billfold.money import increment
from billfold.settings import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold import Book

BILLED: Final = "billed by this run"
MISSED: Final = "due, but not billed"
_EXACT: Final = pl.Decimal(38, 18)

_ASKED: Final = """
asked AS (  -- what was asked of the run; an empty list means all
    SELECT target_date, CAST(request->>'subscriptions' AS BOOLEAN) AS charges,
           CAST(request->>'order_line_items' AS BOOLEAN) AS order_lines,
           from_json(request->'accounts', '["VARCHAR"]') AS accounts,
           from_json(request->'batches', '["VARCHAR"]') AS batches,
           from_json(request->'bill_cycle_days', '["BIGINT"]') AS bill_cycle_days,
           from_json(request->'excluded_charge_types', '["VARCHAR"]') AS excluded_charge_types,
           coalesce(from_json(request->'orders', '["VARCHAR"]'), []) AS orders,
           coalesce(from_json(request->'schedules', '["VARCHAR"]'), []) AS schedules
    FROM bill_runs WHERE bill_run_number = $run),
payers AS (  -- the accounts as the run saw them
    SELECT account_number AS payer, currency AS payer_currency,
           CASE WHEN status <> 'Active' THEN 'account is not active'
                WHEN len(accounts) > 0 AND NOT list_contains(accounts, account_number)
                  OR len(batches) > 0 AND NOT list_contains(batches, batch)
                  OR len(bill_cycle_days) > 0 AND NOT list_contains(bill_cycle_days, bill_cycle_day)
                THEN 'account was not asked for' END AS why_not,
           account_number IN (SELECT account_number FROM parked_accounts WHERE bill_run_number = $run) AS is_parked
    FROM (FROM accounts AT (VERSION => $inputs)) CROSS JOIN asked),
made AS (  -- the run's own items, amounts as owed: credit memos with a minus
    FROM billed_items WHERE bill_run_number = $run)"""

ORDER_LINES: Final = f"""
WITH {_ASKED},
billed AS (SELECT order_number, item_number, amount FROM made WHERE order_number IS NOT NULL),
before AS (  -- order lines on documents that counted when the run began
    SELECT order_number, item_number, TRUE AS is_billed
    FROM (FROM invoice_items AT (VERSION => $snapshot))
    JOIN (FROM invoices AT (VERSION => $snapshot)) d USING (invoice_id)
    WHERE order_number IS NOT NULL AND d.status <> 'Canceled'
    UNION
    SELECT order_number, item_number, TRUE
    FROM (FROM credit_memo_items AT (VERSION => $snapshot))
    JOIN (FROM credit_memos AT (VERSION => $snapshot)) d USING (credit_memo_id)
    WHERE order_number IS NOT NULL AND d.status <> 'Canceled'),
lines AS (
    SELECT *, coalesce(invoice_owner_account_number, account_number) AS payer,
           CAST(coalesce(quantity, 1) * 1000000000 AS HUGEINT) AS units,
           CAST(list_price_per_unit * 1000000000 AS HUGEINT) AS listed,
           CAST(coalesce(discount, 0) * 1000000000 AS HUGEINT) AS taken_off
    FROM (FROM order_line_items AT (VERSION => $inputs))),
priced AS (  -- a percentage is rounded half away from zero to 9 decimals, as docs/tables.md says
    SELECT *, CASE WHEN amount_per_unit IS NOT NULL THEN CAST(amount_per_unit * 1000000000 AS HUGEINT)
                   WHEN discount_type = 'Percentage'
                   THEN sign(listed * (100000000000 - taken_off))
                        * ((2 * abs(listed * (100000000000 - taken_off)) + 100000000000) // 200000000000)
                   WHEN discount_type = 'FixedAmount' THEN listed - taken_off
                   ELSE listed END AS price
    FROM lines),
owed AS (  -- in 10^-18; what is too large for a document is on none, and not added up here either
    SELECT *, CASE WHEN abs(CAST(units AS DOUBLE) * CAST(price AS DOUBLE)) < 1e33
                   THEN CASE item_category WHEN 'Return' THEN -1 ELSE 1 END * units * price END AS exact
    FROM priced),
placed AS (
    SELECT coalesce(currency, payer_currency) AS currency, item_category, exact, amount,
           exact - CAST(amount * 10000 AS HUGEINT) * 100000000000000 AS lost,
           CASE WHEN amount IS NOT NULL THEN '{BILLED}'
                WHEN is_billed THEN 'billed before'
                WHEN NOT order_lines OR len(schedules) > 0 THEN 'order lines were not asked for'
                WHEN len(orders) > 0 AND NOT list_contains(orders, order_number) THEN 'order was not asked for'
                WHEN why_not IS NOT NULL THEN why_not
                WHEN item_state <> 'SentToBilling' THEN 'not sent to billing: ' || item_state
                WHEN bill_target_date > target_date THEN 'due after the target date'
                WHEN is_parked THEN 'account is parked'
                ELSE '{MISSED}' END AS outcome
    FROM owed LEFT JOIN payers USING (payer) LEFT JOIN billed USING (order_number, item_number)
    LEFT JOIN before USING (order_number, item_number) CROSS JOIN asked)
SELECT currency, item_category AS kind, outcome, count(*) AS lines, CAST(coalesce(sum(exact), 0) AS VARCHAR) AS exact,
       coalesce(sum(amount), 0) AS billed, count(*) FILTER (lost <> 0) AS rounded,
       CAST(coalesce(max(abs(lost)), 0) AS VARCHAR) AS largest
FROM placed GROUP BY currency, item_category, outcome
ORDER BY currency, kind DESC, outcome = '{BILLED}' DESC, outcome"""  # noqa: S608 - constants

CHARGES: Final = f"""
WITH {_ASKED},
billed AS (
    SELECT charge_number, segment, count(*) AS items, sum(amount) AS amount
    FROM made WHERE charge_number IS NOT NULL GROUP BY ALL),
subscribed AS (
    SELECT subscription_number, coalesce(invoice_owner_account_number, account_number) AS payer, status, currency
    FROM (FROM subscriptions AT (VERSION => $inputs))),
scheduled AS (
    SELECT DISTINCT charge_number, TRUE AS is_scheduled
    FROM (FROM invoice_schedule_charges AT (VERSION => $after)) WHERE NOT is_detached),
placed AS (
    SELECT coalesce(currency, payer_currency) AS currency, charge_type, items, amount,
           CASE WHEN items > 0 THEN '{BILLED}'
                WHEN NOT charges OR len(orders) > 0 OR len(schedules) > 0 THEN 'charge was not asked for'
                WHEN list_contains(excluded_charge_types, charge_type) THEN 'charge type was left for another run'
                WHEN status IN ('Draft', 'Expired') THEN 'subscription is ' || status
                WHEN why_not IS NOT NULL THEN why_not
                WHEN charge_model = 'DiscountPercentage' THEN 'discount that nothing was billed to reduce'
                WHEN is_scheduled THEN 'billed by an invoice schedule'
                WHEN is_parked THEN 'account is parked'
                WHEN next_due_date > target_date OR next_due_date IS NULL THEN 'nothing due up to the target date'
                WHEN charge_type = 'Usage' THEN 'waits for usage'
                ELSE '{MISSED}' END AS outcome
    FROM (FROM rate_plan_charges AT (VERSION => $inputs))
    LEFT JOIN subscribed USING (subscription_number) LEFT JOIN payers USING (payer)
    LEFT JOIN (SELECT charge_number, segment, next_due_date FROM (FROM charge_progress AT (VERSION => $after)))
         USING (charge_number, segment)
    LEFT JOIN billed USING (charge_number, segment) LEFT JOIN scheduled USING (charge_number) CROSS JOIN asked)
SELECT currency, charge_type AS type, outcome, count(*) AS charges, coalesce(sum(items), 0)::BIGINT AS items,
       coalesce(sum(amount), 0) AS billed
FROM placed GROUP BY currency, charge_type, outcome ORDER BY currency, type, outcome = '{BILLED}' DESC, outcome"""  # noqa: S608 - constants

USAGE: Final = f"""
WITH {_ASKED},
here AS (SELECT usage_id, TRUE AS is_here FROM processed_usage WHERE bill_run_number = $run),
before AS (
    SELECT DISTINCT usage_id, TRUE AS is_before
    FROM (FROM processed_usage AT (VERSION => $snapshot)) JOIN (FROM bill_runs AT (VERSION => $snapshot)) r
         USING (bill_run_number)
    WHERE r.status <> 'Canceled'),
late AS (SELECT usage_id, TRUE AS is_late FROM (FROM late_usage AT (VERSION => $after)))
SELECT u.uom, CASE WHEN is_here THEN '{BILLED}'
                   WHEN is_before THEN 'billed before'
                   WHEN is_late THEN 'came after its period was billed'
                   WHEN start_date > target_date THEN 'used after the target date'
                   ELSE 'its period is not billed yet' END AS outcome,
       count(*) AS records, sum(u.quantity) AS units
FROM (FROM usage AT (VERSION => $inputs)) u LEFT JOIN here USING (usage_id) LEFT JOIN before USING (usage_id)
LEFT JOIN late USING (usage_id) CROSS JOIN asked
GROUP BY uom, outcome ORDER BY uom, outcome = '{BILLED}' DESC, outcome"""  # noqa: S608 - constants

UNITS: Final = """
SELECT uom, sum(quantity) AS units FROM billed_items
WHERE bill_run_number = $run AND charge_type = 'Usage' AND processing_type = 'Charge' GROUP BY uom"""

DOCUMENTS: Final = """
WITH items AS (
    SELECT document_type, currency, count(*) AS items, sum(amount) AS amount
    FROM billed_items WHERE bill_run_number = $run GROUP BY ALL)
SELECT currency, document_type AS type, count(*) AS documents, sum(item_count)::BIGINT AS "items they say",
       any_value(items.items) AS items, sum(r.amount) AS "sum of documents", any_value(items.amount) AS "sum of items"
FROM invoice_register r LEFT JOIN items USING (document_type, currency)
WHERE bill_run_number = $run GROUP BY ALL ORDER BY currency, type DESC"""

CONTENTS: Final = """
SELECT currency, source_type AS source, coalesce(charge_type, '') AS type, count(*) AS items,
       coalesce(sum(amount) FILTER (document_type = 'Invoice'), 0) AS invoiced,
       coalesce(-sum(amount) FILTER (document_type = 'CreditMemo'), 0) AS credited, sum(amount) AS net
FROM billed_items WHERE bill_run_number = $run GROUP BY ALL ORDER BY ALL"""

MONTHS: Final = """
SELECT service_month AS month, currency, bill_run_number = $run AS is_this_run, sum(amount) AS amount
FROM revenue_by_month GROUP BY ALL ORDER BY ALL"""

REGISTER: Final = """
SELECT currency, strftime(document_date, '%Y-%m') AS month,
       count(*) FILTER (document_type = 'Invoice') AS invoices,
       coalesce(sum(amount) FILTER (document_type = 'Invoice'), 0) AS invoiced,
       count(*) FILTER (document_type = 'CreditMemo') AS "credit memos",
       coalesce(-sum(amount) FILTER (document_type = 'CreditMemo'), 0) AS credited, sum(amount) AS net
FROM invoice_register WHERE status <> 'Canceled' GROUP BY ALL ORDER BY currency, month"""

COMPARED: Final = """
SELECT measure, currency, previous_value, value, difference, percent
FROM bill_run_comparison WHERE bill_run_number = $run
ORDER BY currency NULLS LAST, list_position(['invoiced', 'credited', 'net', 'invoices', 'credit memos', 'items',
                                             'accounts billed', 'accounts with nothing due'], measure), measure"""


def places(run: Mapping[str, Any]) -> dict[str, str | int]:
    """What fills the places of queries about a run: its number, and the snapshots that it read and left.

    A run that was committed together with its orders read what these sold, too: its inputs are in what it left.
    """
    before = int(run["snapshot_id"])
    with_orders = bool(json.loads(run["request"]).get("orders_sha256"))
    inputs = before + 1 if with_orders else before
    return {"run": run["bill_run_number"], "snapshot": before, "inputs": inputs, "after": before + 1}


def order_lines(book: Book, run: Mapping[str, Any]) -> pl.DataFrame:
    """Order lines by currency, kind (Sales, Return) and what became of them.

    Columns: lines, exact (quantity times price as owed, nothing rounded), billed (on the run's documents), difference,
    rounded (how many lines), largest (rounding of a line), step (the currency's smallest; no rounding is as large).
    """
    found = ask(book, ORDER_LINES, **places(run))
    settings = current(book.read("settings", int(run["snapshot_id"])).collect())
    steps = [increment(c, settings) if c else Decimal(0) for c in found["currency"]]
    rows = found.with_columns(
        *(pl.Series(c, [Decimal(f"{v}E-18") for v in found[c]], _EXACT) for c in ("exact", "largest")),
        step=pl.Series(steps, dtype=_EXACT),
    )
    difference = pl.when(outcome=BILLED).then(pl.col("billed") - pl.col("exact")).otherwise(0).cast(_EXACT)
    return rows.with_columns(difference=difference).select(
        "currency", "kind", "outcome", "lines", "exact", "billed", "difference", "rounded", "largest", "step"
    )


def charges(book: Book, run: Mapping[str, Any]) -> pl.DataFrame:
    """Charge segments by currency, type and what became of them, with the items and amounts that this run made."""
    return ask(book, CHARGES, **places(run))


def documents(book: Book, run: Mapping[str, Any]) -> pl.DataFrame:
    """The run's documents by currency and type: what headers say, what items add up to, what the run reported."""
    found = ask(book, DOCUMENTS, run=run["bill_run_number"])
    told = json.loads(run["amounts"])
    reported = [_reported(told, currency, kind) for currency, kind in found.select("currency", "type").iter_rows()]
    return found.with_columns(pl.Series("the run's report", reported, pl.Decimal(38, 4)))


def _reported(told: Mapping[str, Mapping[str, str]], currency: str, kind: str) -> Decimal:
    amounts = told.get(currency, {})
    return Decimal(amounts.get("invoices", "0")) if kind == "Invoice" else -Decimal(amounts.get("credit_memos", "0"))


def usage(book: Book, run: Mapping[str, Any]) -> pl.DataFrame:
    """Usage records by unit and what became of them; beside those that were billed, the units that items say."""
    items = ask(book, UNITS, run=run["bill_run_number"]).select("uom", outcome=pl.lit(BILLED), on_items="units")
    found = ask(book, USAGE, **places(run)).join(items, on=["uom", "outcome"], how="left", nulls_equal=True)
    return found.rename({"uom": "unit", "on_items": "on items"})


def contents(book: Book, run: Mapping[str, Any]) -> pl.DataFrame:
    """What the run's items come from: items, invoiced, credited and net by currency, source and type of charge."""
    return ask(book, CONTENTS, run=run["bill_run_number"])


def compared(book: Book, bill_run_number: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A run beside the one before it: amounts, and counts."""
    found = ask(book, COMPARED, run=bill_run_number).rename({"previous_value": "run before", "value": "this run"})
    amounts, counts = (found.filter(pl.col("currency").is_null() == is_count) for is_count in (False, True))
    whole = pl.col("run before", "this run", "difference").cast(pl.Int64)
    return amounts.select("currency", pl.exclude("currency")), counts.drop("currency").with_columns(whole)


def by_month(months: pl.DataFrame) -> pl.DataFrame:
    """`MONTHS` by currency and month: this run's part, that of the others, and the difference to the month before."""
    this, amount = pl.col("is_this_run"), pl.col("amount")
    found = months.group_by("currency", "month").agg(
        **{"this run": amount.filter(this).sum(), "other runs": amount.filter(~this).sum(), "all": amount.sum()}
    )
    more = (pl.col("all") - pl.col("all").shift().over("currency")).alias("more than the month before")
    return found.sort("currency", "month").with_columns(more, pl.col("month").dt.strftime("%Y-%m"))


@dataclass(frozen=True)
class Agreement:
    """Whether amounts agree, and a sentence on it."""

    holds: bool
    said: str


def agreement(
    number: str, lines: pl.DataFrame, charges: pl.DataFrame, headers: pl.DataFrame, contents: pl.DataFrame
) -> Agreement:
    """What the frames of this module say together about a run."""
    faults = [*_left(lines, "lines", "order line"), *_left(charges, "charges", "charge")]
    faults += _unexplained(lines, contents)
    sums = ("sum of documents", "sum of items", "the run's report")
    unequal = headers.filter(pl.any_horizontal(pl.col(sums[0]) != pl.col(c) for c in sums[1:]))
    faults += [f"{r['type']} in {r['currency']}: the sums differ" for r in unequal.iter_rows(named=True)]
    if faults:
        return Agreement(holds=False, said=f"{number} does not reconcile: {'; '.join(faults)}.")
    return Agreement(holds=True, said=f"{number} reconciles: {_explained(lines, headers)}.")


def _left(rows: pl.DataFrame, count: str, what: str) -> list[str]:
    """What was due and is on no document, though its account is not parked."""
    missed = int(rows.filter(outcome=MISSED)[count].sum())
    return [f"{counted(missed, what)} due and not billed"] if missed else []


def _unexplained(lines: pl.DataFrame, contents: pl.DataFrame) -> list[str]:
    """Differences that rounding does not explain: a line is never rounded by its currency's smallest step."""
    billed = lines.filter(outcome=BILLED)
    too_much = billed.filter(pl.col("largest") >= pl.col("step"))
    faults = [
        f"an order line in {c} is off by {words(x)}" for c, x in too_much.select("currency", "largest").iter_rows()
    ]
    on_items, found = int(contents.filter(source="OrderLineItem")["items"].sum()), int(billed["lines"].sum())
    if on_items != found:
        faults.append(f"{counted(on_items, 'item')} for {counted(found, 'order line')}")
    return faults


def _explained(lines: pl.DataFrame, headers: pl.DataFrame) -> str:
    """Amounts by currency, and how much of them is rounding."""
    net = headers.group_by("currency").agg(pl.col("sum of documents").sum()).sort("currency")
    said = [f"{c} {words(amount)} net" for c, amount in net.iter_rows()]
    told = f"{', '.join(said) or 'no document'}; nothing that was due is missing"
    off = lines.group_by("currency").agg(pl.col("difference", "rounded").sum()).sort("currency")
    rounding = [f"{c} {words(d)} on {counted(n, 'order line')}" for c, d, n in off.iter_rows() if n]
    if rounding:
        return f"{told}; rounding explains {' and '.join(rounding)}"
    return f"{told}; no order line had to be rounded" if lines.height else told
