"""Make data/examples, the vendor's documented grouping examples as small tables that can be billed.

    python tools/make_examples.py SPEC_CASES_FOLDER [OUT_FOLDER]

SPEC_CASES_FOLDER holds grouping.json. data/examples/extra_cases.json, in the same format, adds to it.
The same cases give the same bytes.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXAMPLES: Final = Path(__file__).parents[1] / "data" / "examples"

START: Final = date(2024, 1, 1)
"""When everything begins, unless the case names a date."""

PRICE: Final = Decimal(100)
"""What an item costs when the case gives no amount, because it is only about who shares a document."""

CURRENCY: Final = "USD"
"""The currency of accounts for which the case names none."""

CONSOLIDATE: Final = {None: None, "Yes": None, "No": "no"}
DOCUMENT_TYPE: Final = {
    None: None,
    "Create credit memos for net negative invoice totals without grouping charges": None,
    "Create credit memos for net negative invoice totals": "net_by_charge",
    "Put all negative charges on a credit memo": "negative_charges",
    "Put all negative charges and zero-amount credit charges on a credit memo": "negative_and_zero_credits",
}
"""The documented values of two billing rules, as settings; None is the default, which needs no setting."""

WIDTH: Final = 100
"""Where a line of JSON is broken."""

CHARGE_TYPES: Final = {"Onetime": "OneTime"}

STANDARD_FIELDS: Final = {
    *("AccountId", "Name", "SoldToContactId", "TermType"),
    *("ProductRatePlanChargeId", "BillCycleDay", "BillingPeriod", "ChargeModel", "ChargeType"),
    *("ItemName", "ItemNumber", "ItemType", "OrderId", "SoldTo"),
}

WAITS_FOR: Final = {
    "billing_schedule": "invoice schedules",
    "owner_transfer": "examples of two runs (tests/test_rating.py bills it)",
}
"""What has to exist before the cases of a kind can be billed."""

OUT_OF_SCOPE: Final = {
    "draft_merge": "billfold has no standalone invoices, and a run never touches another run's documents",
    "num-dm": "billfold makes no debit memos",
}
"""Why the cases of a kind, or a single one, will never be billed."""

Row: TypeAlias = dict[str, Any]
Json: TypeAlias = dict[str, Any]


class Stated(BaseModel):
    """Part of a case. A key that is not declared here is an error, so nothing stated is lost unnoticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupField(Stated):
    """A field of a configurable grouping."""

    object_type: str = Field(alias="objectType")
    field: str


class InvoiceGroup(Stated):
    """A configurable grouping: the fields of both sides, in order."""

    subscription_group: list[GroupField] = Field(alias="subscriptionGroup")
    order_line_item_group: list[GroupField] = Field(alias="orderLineItemGroup")


class BillingRules(Stated):
    """The billing rules that a case states."""

    consolidate: str | None = Field(None, alias="consolidateInvoices")
    document_type: str | None = Field(None, alias="legalDocumentGeneratingRule")
    copy_attributes: Literal["Yes"] | None = Field(None, alias="copyBillingAttributesFromAccount")


class NextNumber(Stated):
    """The state of a sequence set in a numbering case."""

    document: Literal["Invoice", "Credit memo", "Debit memo"]
    prefix: str
    next_number: int


class Config(Stated):
    """How the vendor's tenant is configured. billfold has every feature switched on."""

    features: dict[str, bool] = {}
    invoice_group: InvoiceGroup | None = None
    billing_rules: BillingRules = BillingRules()
    invoice_settlement: bool = True
    sequence_set: NextNumber = NextNumber(document="Invoice", prefix="INV", next_number=4)
    sequential_number: bool = Field(default=True, alias="sequentialInvoiceNumber")
    number_timing: str | None = Field(None, alias="numberAssignmentTiming")


class Account(Stated):
    """A customer account."""

    id: str
    currency: str | None = None
    bill_to: str | None = None
    sold_to: str | None = None
    payment_term: str | None = None
    invoice_template: str | None = None
    sequence_set: str | None = None
    sequence_prefix: str | None = None


class Subscription(Stated):
    """A subscription and its billing attributes."""

    id: str
    account: str
    invoice_owner: str | None = None
    currency: str | None = None
    bill_to: str | None = None
    sold_to: str | None = None
    payment_term: str | None = None
    invoice_template: str | None = None
    sequence_set: str | None = None
    invoice_group_number: str | None = None
    invoice_separately: bool = False
    fields: dict[str, str] = {}


class Charge(Stated):
    """An item that a charge gives. Several with one charge number are months of one recurring charge."""

    id: str
    subscription: str
    charge_number: str | None = None
    amount: Decimal = PRICE
    fields: dict[str, str] = {}
    invoice_schedule: str | None = None
    invoice_items: int | None = None
    service_period: str | None = None

    @property
    def number(self) -> str:
        """The charge number; an id stands in for it."""
        return self.charge_number or self.id


class OrderLineItem(Stated):
    """Something sold once."""

    id: str
    account: str
    order: str = "O-1"
    item_number: str | None = None
    name: str | None = None
    category: Literal["Sales", "Return"] = "Sales"
    amount: Decimal = PRICE
    quantity: Decimal = Decimal(1)
    currency: str | None = None
    bill_to: str | None = None
    sold_to: str | None = None
    invoice_group_number: str | None = None
    linked_subscription: str | None = None
    item_state: Literal["SentToBilling"] = "SentToBilling"
    bill_target_date: date | None = None
    fields: dict[str, str] = {}


class Document(Stated):
    """An expected invoice or credit memo, with what the case states about it."""

    document: str | None = None
    number: str | None = None
    draft_number: str | None = None
    account: str
    currency: str | None = None
    status: str | None = None
    document_date: date | None = None
    target_date: date | None = None
    run_date: date | None = None
    bill_to: str | None = None
    payment_term: str | None = None
    invoice_template: str | None = None
    sequence_set: str | None = None
    invoice_group_number: str | None = None
    group_value: str | None = None
    items: list[str]
    item_amounts: dict[str, Decimal] = {}
    tax_amounts: dict[str, Decimal] = {}
    item_sold_to: dict[str, str] = {}
    total: Decimal | None = None
    credit_from_item: str | None = None


class Rejection(Stated):
    """Items that must not be billed."""

    items: list[str]
    total: Decimal
    reason: str


class Case(Stated):
    """One documented example."""

    id: str
    source_url: str
    kind: str
    origin: str
    config: Config = Config()
    accounts: list[Account] = []
    subscriptions: list[Subscription] = []
    charges: list[Charge] = []
    order_line_items: list[OrderLineItem] = []
    sequence_prefixes: dict[str, str] = {}
    sequence_starts: dict[str, int] = {}
    expected_invoices: list[Document] = []
    expected_credit_memos: list[Document] = []
    expected_rejections: list[Rejection] = []
    expected_number: str | dict[Literal["Draft", "Posted"], str] | None = None
    expected_refusal: str | None = None
    notes: str = ""
    assumed: dict[str, str] = {}
    partition_check: bool = False
    standalone_drafts: list[str] = []
    untouched: list[str] = []
    preexisting: list[dict[str, str | int]] = []


# Which cases are billed


def waits_for(case: Case) -> str | None:
    """Why a case can't be billed, if it can't."""
    return OUT_OF_SCOPE.get(case.id) or OUT_OF_SCOPE.get(case.kind) or WAITS_FOR.get(case.kind)


def status(case: Case) -> str:
    """Tell whether a case can be billed now, later or never."""
    if waits_for(case) is None:
        return "runnable"
    return "waiting" if case.kind in WAITS_FOR else "out_of_scope"


# When it happens


def begins(case: Case) -> date:
    """The first day of everything in a case."""
    return next((line.bill_target_date for line in case.order_line_items if line.bill_target_date), START)


def months(case: Case) -> int:
    """How many months its recurring charges are billed for."""
    return max(Counter(charge.number for charge in case.charges).values(), default=1)


def ends(case: Case) -> date:
    """The end, exclusive, of recurring and usage charges."""
    return begins(case).replace(month=begins(case).month + months(case))


def target_date(case: Case) -> date:
    """The stated target date, else the day on which even a charge in arrears is owed."""
    return next((doc.target_date for doc in case.expected_invoices if doc.target_date), ends(case))


# The input tables


def accounts(case: Case) -> list[Row]:
    """One row an account."""
    return [_account(account) for account in case.accounts]


def _account(account: Account) -> Row:
    return {
        "account_number": account.id,
        "name": account.id,
        "currency": account.currency or CURRENCY,
        "bill_to_contact": account.bill_to,
        "sold_to_contact": account.sold_to,
        "payment_term": account.payment_term,
        "invoice_template": account.invoice_template,
        "sequence_set": account.sequence_set,
        "bill_cycle_day": 1,
        "status": "Active",
    }


def subscriptions(case: Case) -> list[Row]:
    """One row a subscription, for a term of one year."""
    return [_subscription(case, subscription) for subscription in case.subscriptions]


def _subscription(case: Case, subscription: Subscription) -> Row:
    first = begins(case)
    return {
        "subscription_number": subscription.id,
        "account_number": subscription.account,
        "invoice_owner_account_number": subscription.invoice_owner,
        "status": "Active",
        "term_type": "TERMED",
        "contract_effective_date": first,
        "subscription_start_date": first,
        "term_start_date": first,
        "term_end_date": first.replace(year=first.year + 1),
        "currency": subscription.currency,
        "bill_to_contact": subscription.bill_to,
        "sold_to_contact": subscription.sold_to,
        "payment_term": subscription.payment_term,
        "invoice_template": subscription.invoice_template,
        "sequence_set": subscription.sequence_set,
        "invoice_group_number": subscription.invoice_group_number,
        "invoice_separately": "true" if subscription.invoice_separately else None,
        **custom(subscription.fields),
    }


def rate_plan_charges(case: Case) -> list[Row]:
    """One row a charge number."""
    return [_charge(case, charge) for charge in {charge.number: charge for charge in case.charges}.values()]


def _charge(case: Case, charge: Charge) -> Row:
    kind = "Recurring" if months(case) > 1 else charge.fields.get("ChargeType", "OneTime")
    return {
        "charge_number": charge.number,
        "segment": 1,
        "subscription_number": charge.subscription,
        "charge_name": charge.number,
        "charge_type": CHARGE_TYPES.get(kind, kind),
        "charge_model": "FlatFee",
        "price": charge.amount,
        **_period(kind),
        "trigger_event": "ContractEffective",
        "effective_start_date": begins(case),
        "effective_end_date": ends(case) if kind in {"Recurring", "Usage"} else None,
        **custom(charge.fields),
    }


def _period(kind: str) -> Row:
    """A month that ends with the charge, so that each month gives one item and nothing is prorated."""
    periodic = kind in {"Recurring", "Usage"}
    timing = {"Recurring": "IN_ADVANCE", "Usage": "IN_ARREARS"}
    return {
        # A usage flat fee is owed without any usage, if it is counted in Each.
        "uom": "Each" if kind == "Usage" else None,
        "billing_period": "Month" if periodic else None,
        "billing_timing": timing.get(kind),
        "bill_cycle_type": "ChargeTriggerDay" if periodic else None,
    }


def orders(case: Case) -> list[Row]:
    """One row an order of the lines."""
    headers = {line.order: line.account for line in case.order_line_items}
    return [
        {"order_number": order, "account_number": account, "order_date": begins(case), "status": "Completed"}
        for order, account in headers.items()
    ]


def order_line_items(case: Case) -> list[Row]:
    """One row a line."""
    return [_line(case, line) for line in case.order_line_items]


def _line(case: Case, line: OrderLineItem) -> Row:
    return {
        "order_number": line.order,
        "item_number": line_number(case, line),
        "account_number": line.account,
        "item_name": line.name or line.id,
        "item_type": "Product",
        "item_category": line.category,
        "item_state": line.item_state,
        "quantity": line.quantity,
        "amount_per_unit": line.amount,
        "currency": line.currency,
        "bill_target_date": line.bill_target_date or begins(case),
        "transaction_date": line.bill_target_date or begins(case),
        "bill_to_contact": line.bill_to,
        "sold_to_contact": line.sold_to,
        "invoice_group_number": line.invoice_group_number,
        "related_subscription_number": line.linked_subscription,
        **custom(line.fields),
    }


def line_number(case: Case, line: OrderLineItem) -> str:
    """The stated item number, else the line's position within its order."""
    together = [other.id for other in case.order_line_items if other.order == line.order]
    return line.item_number or str(1 + together.index(line.id))


def sequence_sets(case: Case) -> list[Row]:
    """One row a named set. Its memos are numbered under a prefix that no invoice uses."""
    if case.expected_number is not None:
        return [_next_number(case.config.sequence_set)]
    return [
        _sequence_set(name, prefix, case.sequence_starts.get(name, 1), memo_prefix(prefix), 1)
        for name, prefix in case.sequence_prefixes.items()
    ]


def memo_prefix(prefix: str) -> str:
    """A credit memo prefix to go with an invoice prefix; the default set has INV and CM."""
    return "CM" if prefix == "INV" else f"CM-{prefix}"


def _next_number(state: NextNumber) -> Row:
    if state.document == "Credit memo":
        return _sequence_set("SET-1", f"INV-{state.prefix}", 1, state.prefix, state.next_number)
    return _sequence_set(set_name(state), state.prefix, state.next_number, memo_prefix(state.prefix), 1)


def _sequence_set(name: str, invoice: str, invoice_start: int, memo: str, memo_start: int) -> Row:
    return {
        "name": name,
        "invoice_prefix": invoice,
        "invoice_start": invoice_start,
        "credit_memo_prefix": memo,
        "credit_memo_start": memo_start,
    }


def set_name(state: NextNumber) -> str:
    """The set that a numbering case is about. Only the default set may go on counting INV."""
    return "DEFAULT" if state.prefix == "INV" else "SET-1"


def custom(fields: Mapping[str, str]) -> Row:
    """The custom fields, under the names of their columns."""
    return {custom_name(name): value for name, value in fields.items() if name not in STANDARD_FIELDS}


def custom_name(name: str) -> str:
    """A field's name with the suffix that use cases 2 and 3 leave out."""
    return name if name in STANDARD_FIELDS or name.endswith("__c") else f"{name}__c"


TABLES: Final = {
    "accounts": accounts,
    "subscriptions": subscriptions,
    "rate_plan_charges": rate_plan_charges,
    "orders": orders,
    "order_line_items": order_line_items,
    "sequence_sets": sequence_sets,
}


# What the run is told


def settings(case: Case) -> dict[str, str]:
    """The settings that differ from the default."""
    rules = case.config.billing_rules
    stated = {
        "consolidate_invoices": CONSOLIDATE[rules.consolidate],
        "document_type_rule": DOCUMENT_TYPE[rules.document_type],
    }
    return {name: value for name, value in stated.items() if value is not None}


def invoice_group(case: Case) -> Json | None:
    """The settings API's request; a side without fields is left out, as the documentation does it."""
    group = case.config.invoice_group
    if group is None:
        return None
    sides = {"subscriptionGroup": group.subscription_group, "orderLineItemGroup": group.order_line_item_group}
    meta = {name: [_group_field(f) for f in fields] for name, fields in sides.items() if fields}
    return {"name": case.id, "meta": meta}


def _group_field(field: GroupField) -> Json:
    return {"objectType": field.object_type, "field": custom_name(field.field)}


# What the run must give


def expected(case: Case) -> Json:
    """The expected outcome, with where it comes from and what was added to make it run."""
    facts = {"id": case.id, "kind": case.kind, "origin": case.origin, "source_url": case.source_url}
    asked = {
        "target_date": target_date(case),
        "invoice_date": next((d.document_date for d in case.expected_invoices if d.document_date), None),
        "post": is_posted(case),
    }
    result = {
        "invoices": [_document(case, document, "invoice") for document in case.expected_invoices],
        "credit_memos": [_document(case, document, "credit memo") for document in case.expected_credit_memos],
        "rejections": [_rejection(case, rejection) for rejection in case.expected_rejections],
        "refused": case.expected_refusal,
    }
    about = {"note": case.notes or None, "assumed": case.assumed or None, "encoded": encoded(case) or None}
    return facts | said(asked) | said(result) | said(about)


def is_posted(case: Case) -> bool:
    """Tell whether the case goes on to posting: it is about numbers, or its invoice is posted."""
    return case.kind == "numbering" or any(document.status == "Posted" for document in case.expected_invoices)


def _document(case: Case, document: Document, kind: str) -> Json:
    simple = document.model_dump(include=STATED_AS_IS)
    for name in _unstated(case, document, kind):
        simple.pop(name)
    return said(
        {"label": document.document, **simple}
        | {
            "total": money(net(document)),
            "total_with_tax": money(document.total if document.tax_amounts else None),
        }
        | {"items": items(case, document)}
    )


STATED_AS_IS: Final = {
    *("number", "draft_number", "account", "currency", "bill_to", "payment_term", "invoice_template"),
    *("sequence_set", "invoice_group_number", "group_value"),
}


def _unstated(case: Case, document: Document, kind: str) -> list[str]:
    """Fields that the case fills although, as it says itself, its source doesn't."""
    if kind != "invoice":
        return []
    place = f"expected_invoices[{case.expected_invoices.index(document)}]."
    return [
        name.removeprefix(place)
        for name, why in case.assumed.items()
        if name.startswith(place) and why.startswith("source does not say")
    ]


def net(document: Document) -> Decimal | None:
    """The total without tax, which is all that billfold computes."""
    return sum(document.item_amounts.values(), Decimal(0)) if document.tax_amounts else document.total


def items(case: Case, document: Document) -> list[Json]:
    """The items by what identifies them on documents; months of one charge are counted."""
    named = [
        said(
            _reference(case, item)
            | {"amount": money(document.item_amounts.get(item)), "sold_to": document.item_sold_to.get(item)}
        )
        for item in document.items
    ]
    return counted(named)


def counted(named: Iterable[Json]) -> list[Json]:
    """The same items once, with a count if there is more than one of them."""
    counts = Counter(tuple(item.items()) for item in named)
    return [dict(item) | ({"count": count} if count > 1 else {}) for item, count in counts.items()]


def _reference(case: Case, item: str) -> Json:
    for line in case.order_line_items:
        if line.id == item:
            return {"order": line.order, "item": line_number(case, line)}
    return {"charge": next(charge.number for charge in case.charges if charge.id == item)}


def _rejection(case: Case, rejection: Rejection) -> Json:
    return {
        # Rejections are documented for one account only.
        "account": case.accounts[0].id,
        "reason": rejection.reason,
        "total": money(rejection.total),
        "items": counted(_reference(case, item) for item in rejection.items),
    }


def encoded(case: Case) -> list[str]:
    """What the tables say that the case doesn't."""
    items: list[Charge | OrderLineItem] = [*case.charges, *case.order_line_items]
    custom_fields = {name for item in items for name in custom(item.fields) if name not in item.fields}
    notes = {
        f"Accounts without a stated currency have {CURRENCY}.": not all(a.currency for a in case.accounts),
        f"Items without a stated amount cost {PRICE}.": any("amount" not in i.model_fields_set for i in items),
        _charge_note(case): case.charges,
        f"Custom fields printed without their suffix: {', '.join(custom_fields)}.": custom_fields,
        "The case states prefix and number; account and order line item were added.": case.expected_number,
        "Taxes are left out: amounts and total are those without tax.": any(
            document.tax_amounts for document in case.expected_credit_memos
        ),
    }
    return [note for note, applies in notes.items() if applies]


def _charge_note(case: Case) -> str:
    span = "one month" if months(case) == 1 else f"{months(case)} months"
    return f"Charges start on {begins(case)} and are OneTime unless stated; others are billed for {span}."


def money(amount: Decimal | None) -> str | None:
    """An amount as text, with two decimals."""
    return None if amount is None else f"{amount:.2f}"


def said(facts: Json) -> Json:
    """The facts that are not null."""
    return {name: fact for name, fact in facts.items() if fact is not None}


# Cases that need a word more


def read(folder: Path) -> list[Case]:
    """All cases, those encoded by hand after the others."""
    files = (folder / "grouping.json", EXAMPLES / "extra_cases.json")
    adapter = TypeAdapter(list[Case])
    return [billable(case) for file in files for case in adapter.validate_json(file.read_bytes())]


def billable(case: Case) -> Case:
    """The case, with one account and one line that asks for a number if it is about numbers."""
    if case.expected_number is None:
        return case
    memo = case.config.sequence_set.document == "Credit memo"
    name = set_name(case.config.sequence_set) if not memo else "SET-1"
    line = OrderLineItem(id="LINE", account="ACC", category="Return" if memo else "Sales")
    return case.model_copy(
        update={
            "accounts": [Account(id="ACC", sequence_set=None if name == "DEFAULT" else name)],
            "order_line_items": [line],
            "expected_credit_memos" if memo else "expected_invoices": [_numbered(case)],
        }
    )


def _numbered(case: Case) -> Document:
    numbers = case.expected_number
    if isinstance(numbers, dict):
        return Document(account="ACC", items=["LINE"], number=numbers["Posted"], draft_number=numbers["Draft"])
    return Document(account="ACC", items=["LINE"], number=numbers)


# The files


def write_case(case: Case, folder: Path) -> None:
    """Write what is loaded, set, run and expected."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in TABLES.items():
        write_csv(table(case), folder / f"{name}.csv")
    if changed := settings(case):
        lines = [f'{name} = "{value}"\n' for name, value in changed.items()]
        (folder / "settings.toml").write_text("".join(lines), encoding="utf-8")
    if group := invoice_group(case):
        write_json(group, folder / "invoice_group.json")
    write_json(expected(case), folder / "expected.json")


def write_waiting(case: Case, folder: Path) -> None:
    """Write what a case states and expects, in its own terms, for whoever makes it billable."""
    folder.mkdir(parents=True, exist_ok=True)
    stated = case.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    write_json(stated | {"waits_for": waits_for(case)}, folder / "case.json")


def write_csv(rows: list[Row], file: Path) -> None:
    """Write a table, without the columns that are blank in every row; an empty table has no file."""
    if not rows:
        return
    columns = dict.fromkeys(name for row in rows for name in row)
    names = [name for name in columns if any(row.get(name) is not None for row in rows)]
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(document: object, file: Path) -> None:
    """Write JSON for people to read."""
    file.write_text(pretty(document) + "\n", encoding="utf-8")


def pretty(value: Any, indent: int = 0) -> str:  # noqa: ANN401 - JSON is anything
    """JSON with each part on one line if it fits, so that an item is a line."""
    flat = json.dumps(value, ensure_ascii=False, default=str)
    if indent + len(flat) <= WIDTH or not value or not isinstance(value, (dict, list)):
        return flat
    deeper = indent + 2
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {pretty(part, deeper)}" for name, part in value.items()]
    else:
        parts = [pretty(part, deeper) for part in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n" + ",\n".join(" " * deeper + part for part in parts) + f"\n{' ' * indent}{end}"


def index_entry(case: Case) -> Json:
    """A case in the list of all of them."""
    return {
        "id": case.id,
        "kind": case.kind,
        "origin": case.origin,
        "status": status(case),
        "waits_for": waits_for(case),
        "source_url": case.source_url,
    }


def main(source: Path, out: Path = EXAMPLES) -> None:
    """Write a folder for every case that is or will be billed, and the list of all."""
    writers = {"runnable": write_case, "waiting": write_waiting}
    cases = read(source)
    for case in cases:
        if status(case) in writers:
            writers[status(case)](case, out / case.id)
    write_json([index_entry(case) for case in cases], out / "index.json")


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
