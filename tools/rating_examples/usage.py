"""Charge models and usage."""

from __future__ import annotations

from rating_examples.case import START, Book, Row, Stated, Step, Told, insist
from rating_examples.columns import FOR_USAGE, common
from rating_examples.tables import account, charge, day, item, months_later, once, outcome, subscription, tables


def model(told: Told) -> list[Book]:
    """A quantity at a price: bought once or for a month, or used within one."""
    given, result = told.inputs, told.expected
    unit, used, quantity = given.take("unit"), given.take("usage"), given.left.get("quantity")
    insist(not told.settings.take("rate_records_individually"), "records rated together")
    given.take("rating_group")  # a single day: all its records are one group
    columns = common(given)
    if columns["charge_model"] in FOR_USAGE or columns.get("charge_type") == "Usage":
        return [Book("book", [used_in_january(columns, used or [{"quantity": quantity}], result)])]
    month = "billing_period" in columns or unit == "user/month"
    sold = charge(START, "2024-02-01", **columns, uom=unit) if month else once(**columns)
    # An overage price is not part of the model as such; the same charge for usage has it.
    beyond = sold.pop("overage_price", None)
    amount, flat = result.take("amount"), sold["charge_model"] == "FlatFee"
    dates = {"service_start": START, "service_end": "2024-01-31" if month else START}
    item_ = item({**dates, "amount": amount, "quantity": sold.get("quantity")})
    steps = [Step(tables([sold]), START, outcome([item_]))]
    if beyond or flat:
        again = {**columns, "charge_model": "FlatFee" if flat else "TieredWithOverage", "charge_number": "USED"}
        steps.append(used_in_january(again, [] if flat else [{"quantity": quantity}], Stated("", {"amount": amount})))
    return [Book("book", steps)]


def used_in_january(columns: Row, records: list[Row], result: Stated) -> Step:
    """A monthly usage charge with records, billed when the month of the first of them has ended."""
    number = columns.get("charge_number", "CHARGE")
    start = min((r["start"] for r in records if "start" in r), default=START)
    sold = charge(
        start, **{**columns, "charge_type": "Usage", "quantity": None, "billing_period": "Month", "uom": "Each"}
    )
    rows = [usage(n, {"start": start, **r}, number) for n, r in enumerate(records, 1)]
    whole = {"amount": result.take("amount"), "quantity": result.take("quantity")}
    end = months_later(start, 1)
    done = item({"service_start": start, "service_end": day(end, -1), **whole}, number, charge_type="Usage")
    tabled = tables([sold], subscription(start), usage=rows)
    return Step(tabled if rows else {"rate_plan_charges": [sold]}, end, outcome([done]))


def usage(n: int, record: Row, number: str | None = "CHARGE") -> Row:
    """A usage record; file, group and day of upload are custom fields."""
    known = {"start": "start_date", "quantity": "quantity", "uom": "uom", "unit_rate": "unit_rate", "total": "total"}
    others = {"file": "file__c", "group_id": "group_id__c", "uploaded": "uploaded__c"}
    row = {(known | others)[name]: value for name, value in record.items()}
    return {
        "usage_id": f"U-{n}",
        "account_number": "ACC",
        "charge_number": number,
        "uom": "Each",
        "quantity": "1",
        **row,
    }


def usage_by_period(told: Told) -> list[Book]:
    """Records of several files, summed per month; each is found by its unit of measure."""
    given = told.inputs
    insist(given.take("rating_group") == "ByBillingPeriod", "records grouped by period")
    start, records = given.take("subscription_start"), given.take("usage")
    sold = charge(start, uom=records[0]["uom"], **common(given))
    rows = [usage(n, r, None) for n, r in enumerate(records, 1)]
    items = [item(p) for p in told.expected.take("items")]
    tabled = tables([sold], subscription(start), usage=rows)
    return [Book("book", [Step(tabled, day(items[-1]["service_end_date"], 1), outcome(items))])]


def late_usage(told: Told) -> list[Book]:
    """A record of a period that is already billed is late: it waits, and is billed by no later run either."""
    given, result = told.inputs, told.expected
    target, records, ran = given.take("target_date"), given.take("usage"), given.take("bill_run_date")
    start = months_later(target, -1)
    insist(result.of("rated", "usage_status") == {"rated": False, "usage_status": "Pending"}, "the record to wait")
    columns = {**common(given), "charge_model": "PerUnit", "uom": "Each"}
    tabled = tables(
        [charge(start, **columns)], subscription(start), account(bill_cycle_day=given.take("bill_cycle_day"))
    )
    none = [
        item({"service_start": s, "service_end": day(months_later(s, 1), -1), "amount": "0", "quantity": "0"})
        for s in (start, target)
    ]
    rows, asked = [usage(n, r) for n, r in enumerate(records, 1)], {"invoice_date": ran}
    ids, end = [r["usage_id"] for r in rows], months_later(target, 1)
    return [Book("book", [
        Step(tabled, target, outcome(none[:1], late=[]), asked),
        Step({"usage": rows}, day(end, -1), outcome([], late=ids)),
        Step({}, end, outcome(none[1:], late=ids)),
    ])]  # fmt: skip


def usage_on_target(told: Told) -> list[Book]:
    """Usage dated on the target date is not billed by that run, but a month later."""
    given = told.inputs
    records, target = given.take("usage"), given.take("target_date")
    start, end = records[0]["start"], months_later(records[0]["start"], 1)
    tabled = tables(
        [charge(start, **common(given), charge_model="PerUnit", uom="Each")], subscription(start),
        usage=[usage(n, r) for n, r in enumerate(records, 1)],
    )  # fmt: skip
    done = item({"service_start": start, "service_end": day(end, -1), "amount": "100", "quantity": "1"})
    return [Book("book", [Step(tabled, target, outcome(told.expected.take("items"))), Step({}, end, outcome([done]))])]
