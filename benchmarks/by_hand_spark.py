"""The same bill run with PySpark, for a price to compare with: the steps of `by_hand.sql`, in Spark's SQL.

What Spark needs to be told is how to number rows in an order without bringing them all into one partition.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyspark import StorageLevel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - so it is called everywhere

if TYPE_CHECKING:
    from collections.abc import Sequence

_INPUTS: Final = ("accounts", "subscriptions", "rate_plan_charges", "usage", "order_line_items")
_ATTRIBUTES: Final = (
    "currency", "bill_to_contact", "payment_term", "invoice_template", "sequence_set", "communication_profile",
)  # fmt: skip
_KEY: Final = ("account_number", *_ATTRIBUTES, "separate_subscription", "group_number", "ungrouped")
_PARTITION_BITS: Final = 33
"""Spark's growing ids have the number of their partition above so many bits."""

_SUBSCRIPTIONS: Final = """
    SELECT s.subscription_number, s.status, invoice_separately, s.currency, s.bill_to_contact, s.payment_term,
        s.invoice_template, coalesce(invoice_owner_account_number, s.account_number) AS owner,
        coalesce(s.sold_to_contact, a.sold_to_contact) AS sold_to_contact, trim(invoice_group_number) AS group_name
    FROM subscriptions AS s JOIN accounts AS a ON a.account_number = s.account_number
    WHERE s.status NOT IN ('Draft', 'Expired')
"""
_ORDER_LINES: Final = """
    SELECT *, account_number AS owner, trim(invoice_group_number) AS group_name
    FROM order_line_items WHERE item_state IN ('Executing', 'Booked', 'SentToBilling')
"""
_OWNERS: Final = """
    SELECT a.*, coalesce(Grouping__c = 'cost center', false) AS by_center, n.owner IS NOT NULL AS has_numbers
    FROM accounts AS a LEFT JOIN (
        SELECT owner FROM billable WHERE status = 'Active' AND group_name IS NOT NULL
        UNION SELECT owner FROM order_lines WHERE group_name IS NOT NULL
    ) AS n ON n.owner = a.account_number
    WHERE a.status = 'Active'
"""
_CARRIERS: Final = """
    SELECT subscription_number, order_number, item_number, owner AS account_number,
        coalesce(c.currency, o.currency) AS currency,
        coalesce(c.bill_to_contact, o.bill_to_contact) AS bill_to_contact,
        coalesce(c.payment_term, o.payment_term) AS payment_term,
        coalesce(c.invoice_template, o.invoice_template) AS invoice_template,
        coalesce(o.sequence_set, 'DEFAULT') AS sequence_set, o.communication_profile,
        if(subscription_number IS NULL, o.sold_to_contact, c.sold_to_contact) AS sold_to_contact, group_name,
        if(invoice_separately, subscription_number, NULL) AS separate_subscription,
        if(invoice_separately, NULL, lower(group_name)) AS group_number,
        if(NOT invoice_separately AND group_name IS NULL AND has_numbers AND NOT by_center,
            coalesce(subscription_number, order_number || ' ' || item_number), NULL) AS ungrouped,
        bill_cycle_day, by_center,
        {month_of_target} - int(on_day({month_of_target}, bill_cycle_day) > {target}) AS last_month
    FROM (
        SELECT subscription_number, NULL AS order_number, NULL AS item_number, owner, currency, bill_to_contact,
            payment_term, invoice_template, sold_to_contact, group_name, invoice_separately FROM billable
        UNION ALL
        SELECT NULL, order_number, item_number, owner, NULL, NULL, payment_term, NULL, NULL, group_name, false
        FROM order_lines
    ) AS c JOIN owners AS o ON o.account_number = owner
"""
_WITH_KEYS: Final = "SELECT r.*, k.key FROM resolved AS r JOIN keys AS k ON {same}"
_BEGUN: Final = """
    SELECT charge_number, charge_name, charge_type, charge_model, price, quantity, uom, tiers,
        c.subscription_number, sold_to_contact, key, bill_cycle_day, if(by_center, CostCenter__c, NULL) AS group_value,
        charge_type = 'OneTime' AS is_once, coalesce(charged_through_date, effective_start_date) AS since,
        CASE billing_period WHEN 'Month' THEN 1 WHEN 'Quarter' THEN 3 WHEN 'Semi_Annual' THEN 6 WHEN 'Annual' THEN 12
        ELSE 1 END AS length, list_price_base = 'Per_Month' AS is_monthly, month_of(effective_start_date) AS anchor,
        last_month, int(billing_timing != 'IN_ARREARS') AS in_advance, month_of(effective_end_date) AS end_month
    FROM rate_plan_charges AS c JOIN carriers AS s ON s.subscription_number = c.subscription_number
    WHERE effective_start_date <= {target} AND NOT (charge_type = 'OneTime' AND charged_through_date IS NOT NULL)
"""
_PERIODS: Final = """
    SELECT *, if(is_once, 0, (month_of(since) - anchor) div length) AS first,
        if(is_once, 0, least((last_month - anchor) div length + in_advance,
            coalesce((end_month - anchor) div length, 9999)) - 1) AS last
    FROM begun
"""
_DUE: Final = """
    SELECT *, if(is_once, since, on_day(anchor + n * length, bill_cycle_day)) AS service_start_date,
        if(is_once, since + 1, on_day(anchor + (n + 1) * length, bill_cycle_day)) AS next_start,
        decimal(if(is_monthly, length, 1)) AS multiplier
    FROM (SELECT *, explode(sequence(first, last)) AS n FROM periods WHERE first <= last)
"""
_USED: Final = """
    SELECT d.charge_number, d.service_start_date, sum(u.quantity) AS used
    FROM due AS d JOIN usage AS u ON u.charge_number = d.charge_number
    WHERE charge_type = 'Usage' AND u.start_date >= d.service_start_date AND u.start_date < d.next_start
    GROUP BY d.charge_number, d.service_start_date
"""
_TIERS: Final = """
    SELECT tiers, lower, coalesce(upper, 99999999999) AS upper, price, is_flat,
        cast(coalesce(sum(cast(if(is_flat, price, price * (upper - lower)) AS DECIMAL(24, 8))) OVER (
            PARTITION BY tiers ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS DECIMAL(24, 8))
            AS below
    FROM (
        SELECT tiers, place, cast(tier.price AS DECIMAL(14, 4)) AS price, tier.priceFormat = 'FlatFee' AS is_flat,
            cast(tier.endingUnit AS DECIMAL(14, 4)) AS upper,
            coalesce(cast(lag(tier.endingUnit) OVER (PARTITION BY tiers ORDER BY place) AS DECIMAL(14, 4)), 0) AS lower
        FROM (
            SELECT tiers, posexplode(from_json(tiers,
                'array<struct<endingUnit: decimal(14, 4), price: decimal(14, 4), priceFormat: string>>'
            )) AS (place, tier)
            FROM (SELECT DISTINCT tiers FROM rate_plan_charges WHERE tiers IS NOT NULL)
        )
    )
"""
_LINES: Final = """
    SELECT key, group_value, false AS is_order, false AS is_return, subscription_number, sold_to_contact, charge_number,
        string(NULL) AS order_number, string(NULL) AS item_number, charge_name, charge_type, service_start_date,
        date_sub(next_start, 1) AS service_end_date, units AS quantity, uom,
        cast(CASE WHEN t.tiers IS NULL THEN d.price WHEN charge_model = 'Volume' AND NOT is_flat THEN t.price
        END * multiplier AS DECIMAL(18, 4)) AS unit_price,
        cast(round(cast(CASE
            WHEN t.tiers IS NULL THEN cast(d.price AS DECIMAL(14, 4)) * units
            WHEN charge_model = 'Volume' THEN if(is_flat, t.price, t.price * units)
            ELSE below + if(is_flat, t.price, t.price * cast(units - lower AS DECIMAL(14, 4)))
        END AS DECIMAL(26, 8)) * multiplier, 2) AS DECIMAL(18, 4)) AS amount
    FROM (
        SELECT due.*, cast(CASE WHEN charge_type = 'Usage' THEN coalesce(used, 0) WHEN charge_model = 'FlatFee' THEN 1
            ELSE quantity END AS DECIMAL(14, 4)) AS units
        FROM due LEFT JOIN used
            ON used.charge_number = due.charge_number AND used.service_start_date = due.service_start_date
    ) AS d
    LEFT JOIN tiers AS t ON t.tiers = d.tiers AND units > lower AND units <= upper
    UNION ALL
    SELECT key, if(by_center, CostCenter__c, NULL), true, item_category = 'Return', NULL, c.sold_to_contact,
        NULL, l.order_number, l.item_number, item_name, NULL, transaction_date, transaction_date, quantity, NULL,
        amount_per_unit,
        cast(round(cast(quantity AS DECIMAL(14, 4)) * cast(amount_per_unit AS DECIMAL(14, 4)), 2)
            * if(item_category = 'Return', -1, 1) AS DECIMAL(18, 4))
    FROM order_lines AS l JOIN carriers AS c ON c.order_number = l.order_number AND c.item_number = l.item_number
    WHERE item_state = 'SentToBilling' AND bill_target_date <= {target}
"""
_HALVES: Final = """
    SELECT *, is_return OR (owed < 0 AND NOT ordered) AS is_credit
    FROM (
        SELECT key, group_value, is_return, sum(amount) AS owed, bool_or(is_order) AS ordered,
            NOT bool_and(is_order) AS charged, count(*) AS item_count
        FROM lines GROUP BY key, group_value, is_return
    )
"""
_DOCUMENTS: Final = """
    SELECT d.*, {told}, group_name AS invoice_group_number
    FROM (
        SELECT key, group_value, is_credit, abs(sum(owed)) AS amount, sum(item_count) AS item_count,
            CASE WHEN NOT bool_or(charged) THEN 'Order' WHEN bool_or(ordered) THEN 'Consolidation'
            ELSE 'Subscription' END AS source_type
        FROM halves GROUP BY key, group_value, is_credit
    ) AS d JOIN keys AS k ON k.key = d.key
    LEFT ANTI JOIN (
        SELECT account_number FROM halves JOIN keys ON keys.key = halves.key
        WHERE ordered AND owed < 0 AND NOT is_return
    ) AS n ON n.account_number = k.account_number
"""
_HEADERS: Final = """
    SELECT printf('BR-00000001-%06d', document) AS {name}_id, printf('{prefix}%08d', number) AS {name}_number,
        'Draft' AS status, {target} AS {name}_date, {target} AS target_date, account_number, {attributes}, source_type,
        invoice_group_number, group_value AS invoice_group_value, amount, item_count,
        to_json(struct({key}, group_value), map('ignoreNullFields', 'false')) AS group_key
    FROM numbered
"""
_PLACES: Final = """
    SELECT h.key, h.group_value, is_return, h.is_credit, document, account_number, currency
    FROM halves AS h
    JOIN documents AS d ON d.key = h.key AND d.group_value <=> h.group_value AND d.is_credit = h.is_credit
"""
_ITEMS: Final = """
    SELECT printf('BR-00000001-%06d', document) AS id,
        printf('BR-00000001-%06d-%06d', document, row_number() OVER (
            PARTITION BY document
            ORDER BY is_order, subscription_number, charge_number, service_start_date, order_number, item_number
        )) AS item_id, is_credit, account_number, currency,
        if(is_order, 'OrderLineItem', 'SubscriptionComponent') AS source_type, subscription_number, charge_number,
        order_number, item_number, charge_name, charge_type, service_start_date, service_end_date, quantity,
        unit_price, uom, if(is_credit, -amount, amount) AS amount, sold_to_contact
    FROM lines AS l
    JOIN places AS p ON p.key = l.key AND p.group_value <=> l.group_value AND p.is_return = l.is_return
"""


def started(scratch: str, memory: str) -> SparkSession:
    """Spark in this process on two cores, without a page to look at."""
    options = {
        "spark.driver.memory": memory,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": scratch,
        "spark.sql.shuffle.partitions": "16",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.session.timeZone": "UTC",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[2]").appName("by hand")
    return builder.config(map=options).getOrCreate()


def ranked(spark: SparkSession, rows: Any, order: Sequence[str], name: str) -> Any:  # noqa: ANN401 - frames of Spark
    """Rows with their rank in an order: their place in their partition, behind all of the partitions before it."""
    placed = (
        rows.orderBy(*order).withColumn("grown", F.monotonically_increasing_id()).persist(StorageLevel.MEMORY_AND_DISK)
    )
    partition = F.shiftright("grown", _PARTITION_BITS)
    sizes = placed.groupBy(partition.alias("partition")).count().orderBy("partition").collect()
    before, starts = 0, []
    for size in sizes:
        starts.append((size["partition"], before - (size["partition"] << _PARTITION_BITS) + 1))
        before += size["count"]
    offsets = spark.createDataFrame(starts or [(0, 1)], "partition bigint, offset bigint")
    joined = placed.withColumn("partition", partition).join(F.broadcast(offsets), "partition")
    return joined.withColumn(name, F.col("grown") + F.col("offset")).drop("grown", "offset", "partition")


def run(folder: Path, out: Path, target: date, memory: str) -> None:
    """Make the documents of the input files in `folder` as Parquet files in `out`."""
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        spark = started(scratch, memory)
        try:
            _run(spark, folder, out, target)
        finally:
            _stop(spark)


def _stop(spark: SparkSession) -> None:
    """Wait for Java's end, so that its time and memory count as this process's."""
    gateway = spark.sparkContext._gateway  # noqa: SLF001 - Spark has no other way to its process
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


def _run(spark: SparkSession, folder: Path, out: Path, target: date) -> None:
    for table in _INPUTS:
        spark.read.parquet(str(folder / f"{table}.parquet")).createOrReplaceTempView(table)
    for function in (
        "month_of(day DATE) RETURNS INT RETURN year(day) * 12 + month(day) - 1",
        "first_of(month INT) RETURNS DATE RETURN make_date(month div 12, month % 12 + 1, 1)",
        "last_of(month INT) RETURNS DATE RETURN last_day(first_of(month))",
        "on_day(month INT, day INT) RETURNS DATE RETURN least(date_add(first_of(month), day - 1), last_of(month))",
    ):
        spark.sql(f"CREATE TEMPORARY FUNCTION {function}")
    day, month = f"DATE '{target}'", target.year * 12 + target.month - 1
    words: dict[str, object] = {
        "target": day,
        "month_of_target": month,
        "attributes": ", ".join(_ATTRIBUTES),
        "key": ", ".join(_KEY),
    }
    words |= {"told": ", ".join(f"k.{c}" for c in _KEY), "same": " AND ".join(f"k.{c} <=> r.{c}" for c in _KEY)}

    def view(name: str, query: str, *, kept: bool = False) -> Any:  # noqa: ANN401 - frames of Spark
        rows = spark.sql(query.format(**words))
        if kept:
            rows = rows.persist(StorageLevel.MEMORY_AND_DISK)
        rows.createOrReplaceTempView(name)
        return rows

    view("billable", _SUBSCRIPTIONS, kept=True)
    view("order_lines", _ORDER_LINES, kept=True)
    view("owners", _OWNERS)
    keys = view("resolved", _CARRIERS, kept=True).groupBy(*_KEY).agg(F.any_value("group_name").alias("group_name"))
    ranked(spark, keys, _KEY, "key").createOrReplaceTempView("keys")
    view("carriers", _WITH_KEYS, kept=True)
    view("begun", _BEGUN)
    view("periods", _PERIODS)
    view("due", _DUE)
    view("used", _USED)
    F.broadcast(view("tiers", _TIERS)).createOrReplaceTempView("tiers")
    view("lines", _LINES, kept=True)
    view("halves", _HALVES, kept=True)
    documents = ranked(spark, view("documents", _DOCUMENTS), ("key", "group_value", "is_credit"), "document")
    documents.persist(StorageLevel.MEMORY_AND_DISK).createOrReplaceTempView("documents")
    view("places", _PLACES)
    items = view("items", _ITEMS, kept=True)
    for name, prefix, wanted in (("invoice", "TMP-INV-", "NOT is_credit"), ("credit_memo", "TMP-CM-", "is_credit")):
        ranked(spark, documents.filter(wanted), ("document",), "number").createOrReplaceTempView("numbered")
        headers = spark.sql(_HEADERS.format(**words, name=name, prefix=prefix))
        headers.write.parquet(str(out / f"{name}s.parquet"))
        named = {"id": f"{name}_id", "item_id": f"{name}_item_id"}
        items.filter(wanted).drop("is_credit").withColumnsRenamed(named).write.parquet(
            str(out / f"{name}_items.parquet")
        )


def main() -> None:
    """Run the program by hand."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("target", type=date.fromisoformat)
    parser.add_argument("--memory", default="12g", help="what Spark may use")
    arguments = parser.parse_args()
    run(arguments.folder, arguments.out, arguments.target, arguments.memory)


if __name__ == "__main__":
    main()
