"""`order preview`: the documents that creating an order would give, exactly; nothing is written.

The order is done on top of the book and billed by the ordinary line, as `create` does; then all of it is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from billfold.book import State
from billfold.orders import answers
from billfold.orders.create import run_request, scope
from billfold.orders.errors import OrderError, reason
from billfold.orders.frames import tables
from billfold.orders.place import Placed, place
from billfold.orders.plans import whole_periods
from billfold.orders.register import Register
from billfold.orders.wanted import wanted
from billfold.requests import RunRequest
from billfold.run import made

if TYPE_CHECKING:
    from datetime import date

    import polars as pl

    from billfold.book import Book
    from billfold.lines import Documents
    from billfold.orders.models import PreviewOptions, PreviewOrder
    from billfold.orders.parsing import Parsed

_KINDS: Final = (("invoices", "invoice", "invoiceItems"), ("creditMemos", "credit_memo", "creditMemoItems"))


@dataclass(frozen=True)
class Previewed:
    """A response, and the documents behind it."""

    body: dict[str, Any]
    documents: Documents | None = None


def preview(book: Book, asked: Parsed[PreviewOrder], *, today: date) -> Previewed:
    """What an order would be billed, as the API answers it; numbers that it would only get are null."""
    if asked.request is None:
        return Previewed(answers.failure(asked.reasons))
    state = State.of(book)
    register = Register(state, wanted([asked.request]))
    try:
        placed = place(register, asked.line, asked.request, today)
        request = _request(register, placed, asked)
    except OrderError as e:
        return Previewed(answers.failure([reason(e.category, str(e))]))
    known = {(t, key) for t in ("subscriptions", "rate_plan_charges") for key in register[t].known()}
    register.keep(asked.line)
    found = tables(state, register)
    if found.faults:
        return Previewed(answers.failure([reason("30", said) for said in found.faults.values()]))
    receipt, _ = made(state.after(found.changes, register.numbers.after()), request, post=False)
    parked = receipt.documents.parked_accounts
    if parked.height:
        said = [
            f"The order can't be billed: account {a}: {why}."
            for a, why in parked.select("account_number", "reason").iter_rows()
        ]
        return Previewed(answers.failure([reason("30", each) for each in said]))
    body = {"success": True, "previewResult": _result(register, receipt.documents, known)}
    return Previewed(body, receipt.documents)


def _request(register: Register, placed: Placed, asked: Parsed[PreviewOrder]) -> RunRequest:
    """The bill run that shows the documents: as far as the preview is asked for, or as creating would bill."""
    request = asked.request
    if request is None or request.previewOptions is None:
        run = run_request([placed], request, [asked.raw]) if request else None
        if run is None:
            said = "must be true, or previewOptions be there: nothing would be billed."
            raise OrderError("processingOptions.runBilling", said)
        return run
    options = request.previewOptions
    through = _through(register, placed, options)
    excluded = tuple(options.chargeTypeToExclude or ())
    return RunRequest(
        target_date=through, invoice_date=options.documentDate or through, excluded_charge_types=excluded,
        **scope([placed], [asked.raw]),
    )  # fmt: skip


def _through(register: Register, placed: Placed, options: PreviewOptions) -> date:
    """The target date of a preview."""
    path = "previewOptions.previewThruType"
    rows = [row for n in placed.subscriptions if (row := register["subscriptions"].get(n))]
    match options.previewThruType:
        case "TermEnd":
            terms: list[date] = [row["term_end_date"] for row in rows if row["term_type"] == "TERMED"]
            if not terms or None in terms or len(terms) < len(rows):
                raise OrderError(path, "can't be TermEnd: not all that the order sells has a term that ends.")
            return max(terms)
        case "NumberOfPeriods":
            charges = [c for n in placed.subscriptions for c in register.charges_of(n)]
            ends = whole_periods(charges, options.previewNumberOfPeriods or 1)
            if len(ends) != 1:
                said = "can't be NumberOfPeriods: the recurring charges have no common period, start and timing"
                raise OrderError(path, f"{said}; use SpecificDate.")
            return ends.pop()
        case _:
            if options.specificPreviewThruDate is None:
                raise OrderError("previewOptions.specificPreviewThruDate", "is required.")
            return options.specificPreviewThruDate


def _result(register: Register, documents: Documents, known: set[Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, kind, items_name in _KINDS:
        headers, items = getattr(documents, f"{kind}s"), getattr(documents, f"{kind}_items")
        by = items.partition_by(f"{kind}_id", as_dict=True, maintain_order=True)
        shown = [
            {
                "amount": header["amount"],
                "amountWithoutTax": header["amount"],
                "taxAmount": 0,
                "targetDate": header["target_date"],
                items_name: [_item(register, i, known) for i in _rows(by.get((header[f"{kind}_id"],)))],
            }
            for header in headers.iter_rows(named=True)
        ]
        if shown or name == "invoices":
            result[name] = shown
    return result


def _rows(items: pl.DataFrame | None) -> list[dict[str, Any]]:
    return [] if items is None else items.to_dicts()


def _item(register: Register, item: dict[str, Any], known: set[Any]) -> dict[str, Any]:
    """An item as the API previews it. What the order makes has no number yet, unless it was asked for."""
    charge = register["rate_plan_charges"].get((item["charge_number"], item["segment"])) or {}
    sold = register.catalog.get(charge.get("product_rate_plan_charge_id") or "", {})
    there = ("subscriptions", item["subscription_number"]) in known
    charged = any(
        ("rate_plan_charges", (item["charge_number"], s)) in known for s in range(1, (item["segment"] or 0) + 1)
    )
    return {
        "serviceStartDate": item["service_start_date"],
        "serviceEndDate": item["service_end_date"],
        "amountWithoutTax": item["amount"],
        "taxAmount": 0,
        "chargeDescription": "",
        "chargeName": item["charge_name"],
        "chargeNumber": item["charge_number"] if charged else None,
        "processingType": item["processing_type"],
        "productName": sold.get("product_name"),
        "productRatePlanChargeId": charge.get("product_rate_plan_charge_id"),
        "unitPrice": item["unit_price"],
        "subscriptionNumber": item["subscription_number"] if there else None,
        "orderLineItemNumber": item["item_number"],
        "additionalInfo": {"quantity": item["quantity"], "unitOfMeasure": item["uom"] or "", "numberOfDeliveries": 0},
    }
