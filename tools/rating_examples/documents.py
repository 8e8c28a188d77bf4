"""Documents, order lines, numbers and days."""

from __future__ import annotations

import re
from decimal import Decimal

from rating_examples.case import START, Book, Step, Tables, Told, insist
from rating_examples.columns import RULES, rounding
from rating_examples.tables import (
    account,
    charge,
    day,
    line,
    months,
    months_later,
    once,
    outcome,
    period,
    subscription,
    tables,
)


def negative(told: Told) -> list[Book]:
    """Negative charges and the rule that decides about documents."""
    rule, rows = told.inputs.take("rule"), told.inputs.take("charges")
    result, charges, items = told.expected, [], []
    for row in rows:
        # Of a text such as `200 tax-inclusive, 20 tax`, the first number is what billfold, which has no taxes, bills.
        price, count = row.get("monthly", row.get("amount", "").split(" ")[0]), row.get("months")
        spans = months(START, day(months_later(START, count), -1)) if count else [period(START, START)]
        end = months_later(START, count) if count else None
        own = {"charge_number": row["charge"], "price": price}
        charges.append(charge(START, end, **own) if count else once(**own))
        items += [{"charge_number": row["charge"], **span, "amount": price} for span in spans]
    net = sum((Decimal(i["amount"]) for i in items), Decimal(0))
    insist(Decimal(result.take("total", net)) == net, "the items to add up")
    documents = []
    for kind, document in result.of("invoice", "credit_memo").items():
        # A memo's items have the other sign (I16); here, amounts are what is owed.
        owed = {p["charge"]: -Decimal(p["amount"]) for p in document.get("items", [])}
        insist(
            all(Decimal(i["amount"]) == owed[i["charge_number"]] for i in items if owed),
            "items of a memo to be the charges negated",
        )
        numbers = document.get("charges") or list(owed)
        documents.append({"document": kind, "charges": numbers, "amount": document["amount"]})
    step = Step(tables(charges), months_later(START, 2), outcome(items, documents))
    return [Book("book", [step], {"document_type_rule": RULES[rule]})]


def negative_sales(told: Told) -> list[Book]:
    """Sales order lines that net negative are rejected: their account is parked."""
    given = told.inputs
    insist(given.take("invoice_settlement"), "credit memos")
    ours, theirs = given.take("sales_oli_total"), given.take("subscription_total")
    sold = tables([once(price=theirs)] if theirs else [], order_line_items=[line(quantity="1", amount_per_unit=ours)])
    rows = [{"order_number": "O-1", "item_number": "1", "amount": ours}]
    rows += [{"charge_number": "CHARGE", "amount": theirs}] if theirs else []
    books = []
    for answer in ("yes", "no"):
        text = told.expected.take(f"consolidate_{answer}")
        items = [] if text == "rejected" else rows[1:] if "OLI rejected" in text else rows
        documents = [
            {"document": kind.replace(" ", "_"), "amount": amount}
            for amount, kind in re.findall(r"(\d+) (invoice|credit memo)", text)
        ]
        done = outcome(items, documents, parked=["ACC"] if "rejected" in text else [])
        books.append(Book(f"consolidate_{answer}", [Step(sold, START, done)], {"consolidate_invoices": answer}))
    return books


def returned(told: Told) -> list[Book]:
    """A return is credited when it was sent to billing; what is available goes down in every later state."""
    given, result = told.inputs, told.expected
    sold, back, states = (
        given.take("sales_quantity"),
        given.take("return_quantity"),
        given.take("return_state").split("|"),
    )
    query = (
        "SELECT sum(CASE item_category WHEN 'Sales' THEN quantity ELSE -quantity END) AS quantity_available_for_return "
        "FROM order_line_items WHERE item_state IN ('Booked', 'SentToBilling', 'Complete')"
    )
    free = {"sql": query, "rows": [{"quantity_available_for_return": result.take("quantity_available_for_return")}]}
    # Without fulfillments, all of a return is fulfilled at once, and nothing of it is pending.
    insist(result.take("return_quantity_fulfilled") == back, "all of the return to be fulfilled")
    insist(result.take("return_quantity_pending") == 0, "nothing to be pending")
    sale = tables([], order_line_items=[line(quantity=sold, amount_per_unit="1")])
    bought = outcome([{"order_number": "O-1", "item_number": "1", "quantity": sold, "amount": sold}])
    books = []
    for state in states:
        row = {"item_category": "Return", "quantity": back, "amount_per_unit": "1", "item_state": state}
        of = {"original_order_number": "O-1", "original_item_number": "1"}
        items = [{"order_number": "O-1", "item_number": "2", "amount": -back}] if state == "SentToBilling" else []
        steps = [
            Step(sale, START, bought),
            Step({"order_line_items": [line("2", **row, **of)]}, START, outcome(items, query=free)),
        ]
        books.append(Book(state, steps))
    return books


def due(told: Told) -> list[Book]:
    """The invoice date plus the days of the term."""
    term = f"Net {told.inputs.take('net_days')}"
    asked = told.inputs.of("invoice_date")
    documents = [{"document": "invoice", **asked, **told.expected.of("due_date")}]
    items = [{"charge_number": "CHARGE", "amount": "100"}]
    return [
        Book("book", [Step(tables([once()], by=account(payment_term=term)), START, outcome(items, documents), asked)])
    ]


def rounded_values(told: Told) -> list[Book]:
    """Prices that have more decimals than the currency's increment allows."""
    both = enumerate(zip(told.inputs.take("values"), told.expected.take("values"), strict=True), 1)
    sold = [
        (once(charge_number=f"CHARGE-{n}", price=p), {"charge_number": f"CHARGE-{n}", "amount": a})
        for n, (p, a) in both
    ]
    step = Step(tables([s for s, _ in sold]), START, outcome([i for _, i in sold]))
    return [Book("book", [step], rounding(told.inputs))]


def numbers(told: Told) -> list[Book]:
    """The next number of the default sequence set; a book for each."""
    prefix = told.inputs.take("prefix")
    pairs = zip(told.inputs.take("sequence"), told.expected.take("numbers"), strict=True)
    sets = [({"name": "DEFAULT", "invoice_prefix": prefix, "invoice_start": n}, number) for n, number in pairs]
    return [
        Book(number, [Step(
            tables([once()], sequence_sets=[row]), START,
            outcome([{"charge_number": "CHARGE"}], [{"document": "invoice", "number": number}]),
        )])
        for row, number in sets
    ]  # fmt: skip


def run_day(told: Told) -> list[Book]:
    """Accounts whose bill cycle day is that of the run; the test sets the clock, which the command reads."""
    today = told.inputs.take("executed_on")
    days = list(map(int, told.expected.take("as_run_day").split(",")))
    names = {n: f"ACC-{n:02}" for n in range(1, 32)}
    sold: Tables = {
        "accounts": [account(account_number=name, bill_cycle_day=n) for n, name in names.items()],
        "subscriptions": [subscription(account_number=a, subscription_number=f"SUB-{n}") for n, a in names.items()],
        "rate_plan_charges": [once(charge_number=f"CHARGE-{n}", subscription_number=f"SUB-{n}") for n in names],
    }
    sold["rate_plan_charges"] = [{**row, "effective_start_date": today} for row in sold["rate_plan_charges"]]
    items = [{"charge_number": f"CHARGE-{n}"} for n in days]
    documents = [{"document": "invoice", "account_number": names[n]} for n in days]
    return [
        Book("book", [Step(sold, today, outcome(items, documents), {"bill_cycle_day": "AsRunDay", "today": today})])
    ]


def groups(told: Told) -> list[Book]:
    """Subscriptions with group numbers and billing attributes."""
    stated, subs = told.inputs.take("account"), told.inputs.take("subscriptions")
    by = account(bill_to_contact=stated["bill_to"], payment_term=stated["payment_term"])
    terms = {"bill_to": "bill_to_contact", "term": "payment_term", "group": "invoice_group_number"}
    rows = [subscription(subscription_number=s["no"], **{terms[k]: s[k] for k in terms}) for s in subs]
    sold = [once(charge_number=s["no"], subscription_number=s["no"]) for s in subs]
    last = told.expected.take("s006")
    documents = [
        {"document": "invoice", "charges": names, **(
            {"bill_to_contact": last["bill_to"], "payment_term": last["payment_term"]} if names == ["S006"] else {}
        )}
        for names in told.expected.take("invoices")
    ]  # fmt: skip
    first: Tables = {"accounts": [by], "subscriptions": rows, "rate_plan_charges": sold}
    done = outcome([{"charge_number": s["no"]} for s in subs], documents)
    return [Book("book", [Step(first, START, done)])]
