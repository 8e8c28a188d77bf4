"""What the order commands print: tables for people, the API's JSON for programs."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape

from billfold.console import console, money, print_text, table_of
from billfold.orders import answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.orders.create import Answer
    from billfold.orders.previews import Previewed

_SHOWN: Final = 20


def show_created(given: Sequence[Answer], *, several: bool, as_json: bool) -> None:
    """What became of the orders of a file."""
    if as_json:
        print_body(_of_file(given) if several else given[0].body)
        return
    done, failed = [a for a in given if a.success], [a for a in given if not a.success]
    if done:
        _show_done(done)
    if failed:
        show_failed(failed, several=several)
    if several:
        repeated = sum(a.repeated for a in done)
        again = f" ({repeated:,} of them before)" if repeated else ""
        console().print(f"{len(done):,} orders done{again}, {len(failed):,} refused.")


def _of_file(given: Sequence[Answer]) -> dict[str, Any]:
    """One document for a file of orders."""
    return {
        "success": all(a.success for a in given),
        "created": sum(a.success and not a.repeated for a in given),
        "repeated": sum(a.repeated for a in given),
        "failed": sum(not a.success for a in given),
        "orders": [{"line": a.line, **a.body} for a in given],
    }


def _show_done(done: Sequence[Answer]) -> None:
    table = table_of("order", "account", "subscriptions", "lines", "invoices", "credit memos", right=["lines"])
    for answer in done[:_SHOWN]:
        body = answer.body
        listed = (body.get(k, ()) for k in ("subscriptionNumbers", "invoiceNumbers", "creditMemoNumbers"))
        subscriptions, invoices, memos = (escape(", ".join(names)) for names in listed)
        lines = f"{len(body.get('orderLineItems', ())):,}"
        number = body["orderNumber"] + (" (done before)" if answer.repeated else "")
        table.add_row(escape(number), escape(body["accountNumber"]), subscriptions, lines, invoices, memos)
    out = console()
    out.print(table)
    if len(done) > _SHOWN:
        out.print(f"… and {len(done) - _SHOWN:,} more; --out FILE saves all answers.")
    for warning in dict.fromkeys(w for a in done for w in a.body.get("warnings", ())):
        out.print(f"Note: {escape(warning)}", soft_wrap=True)


def show_failed(failed: Sequence[Answer], *, several: bool) -> None:
    """Why some requests of a file could not be done."""
    out = console(error=True)
    for answer in failed[:_SHOWN]:
        for reason in answer.body["reasons"]:
            where = f"line {answer.line}: " if several else ""
            out.print(f"{where}{escape(reason['message'])} ({reason['code']})", soft_wrap=True)
    if len(failed) > _SHOWN:
        out.print(f"… and {len(failed) - _SHOWN:,} more refused; --out FILE saves all answers.")


def show_preview(previewed: Previewed, *, as_json: bool) -> None:
    """The documents that an order would give."""
    if as_json:
        print_body(previewed.body)
        return
    if not previewed.body["success"]:
        show_reasons(previewed.body)
        return
    result = previewed.body["previewResult"]
    out = console()
    if not any(result.values()):
        out.print("The order would be billed nothing up to that day.")
    for name, items, title in (
        ("invoices", "invoiceItems", "Invoice"),
        ("creditMemos", "creditMemoItems", "Credit memo"),
    ):
        for document in result.get(name, ()):
            table = table_of(
                "charge", "from", "to", "quantity", "price", "amount", right=["quantity", "price", "amount"]
            )
            for item in document[items]:
                table.add_row(
                    escape(item["chargeName"] or ""), str(item["serviceStartDate"]), str(item["serviceEndDate"]),
                    plain(item["additionalInfo"]["quantity"]), plain(item["unitPrice"]),
                    money(item["amountWithoutTax"]),
                )  # fmt: skip
            out.print(
                f"[bold]{title}[/bold] {money(document['amount'])}  ·  target date {document['targetDate']}\n",
                table,
                "",
                sep="\n",
            )
    out.print("Nothing was written.")


def show_updated(body: Mapping[str, Any], *, as_json: bool) -> None:
    """Order lines after an update."""
    if as_json:
        print_body(body)
        return
    if not body["success"]:
        show_reasons(body)
        return
    out = console()
    _show_lines(body["orderLineItems"])
    for name, title in (("invoices", "Invoice"), ("creditMemos", "Credit memo")):
        for document in body.get(name, ()):
            out.print(f"{title} {escape(document['number'])}: {money(document['amount'])}")


def show_order(body: Mapping[str, Any], *, as_json: bool) -> None:
    """An order as it is now."""
    if as_json:
        print_body(body)
        return
    order, out = body["order"], console()
    facts = [order["orderNumber"], order["existingAccountNumber"], order.get("category"), order.get("status")]
    dated = [str(order["orderDate"])] if order.get("orderDate") else []
    out.print("  ·  ".join(escape(str(f)) for f in (*facts, *dated, order.get("billRunNumber")) if f), style="bold")
    if order.get("subscriptions"):
        table = table_of("subscription", "action", "from", "reason")
        for entry in order["subscriptions"]:
            for action in entry["orderActions"]:
                day = str(action.get("effectiveDate", ""))
                table.add_row(
                    escape(entry["subscriptionNumber"]), action["type"], day, escape(action.get("changeReason", ""))
                )
        out.print("", table, sep="\n")
    if order.get("orderLineItems"):
        out.print()
        _show_lines(order["orderLineItems"])


def _show_lines(lines: Sequence[Mapping[str, Any]]) -> None:
    numbers = ("quantity", "price", "amount", "to give back")
    table = table_of("line", "name", "state", "due", *numbers, "group", right=numbers)
    for line in lines:
        table.add_row(
            escape(line["id"]), escape(line.get("itemName", "")), line["itemState"],
            str(line.get("billTargetDate", "")),
            plain(line["quantity"]), plain(line["amountPerUnit"]), money(line["amount"]),
            plain(line["quantityAvailableForReturn"]), escape(line.get("invoiceGroupNumber", "")),
        )  # fmt: skip
    console().print(table)


def show_reasons(body: Mapping[str, Any]) -> None:
    """Why a request could not be done."""
    for reason in body["reasons"]:
        console(error=True).print(f"{escape(reason['message'])} ({reason['code']})", soft_wrap=True)


def plain(number: Decimal | int | None) -> str:
    """A number without idle zeros."""
    return "" if number is None else f"{Decimal(number).normalize():f}"


def print_body(body: object) -> None:
    """One JSON document in which decimals are numbers, as in the API."""
    print_text(answers.text(body, indent=2))
