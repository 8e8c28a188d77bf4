"""Requests about invoice schedules: what is read, how exactly, what is said of everything else, and the answers."""

from __future__ import annotations

import importlib
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_order_models import ABSENT, changed, one
from test_orders_documented import Vendor
from test_orders_documented import vendor as orders_vendor  # noqa: F401 - a fixture

from billfold.lines import Documents
from billfold.orders.parsing import Reason, parsed
from billfold.receipt import Receipt
from billfold.requests import RunRequest
from billfold.schedules import answers, models
from billfold.schedules.models import (
    AttachDetach,
    CreateSchedule,
    ExecuteSchedule,
    UpdateSchedule,
    day_faults,
    size_faults,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

Json = dict[str, Any]

DATA: Final = Path(__file__).parents[1] / "data" / "schedules"
ITEM: Final = "scheduleItems.1"
NAMED: Final = "specificSubscriptions.0"

ONE_EACH: Final[list[Json]] = [json.loads((DATA / f"schedule_{n}.json").read_text(encoding="utf-8")) for n in (1, 2, 3)]
"""The documented requests for one charge each (SEED004-INDIVIDUAL-CHARGES)."""

CREATE: Final[Json] = {
    "accountKey": "A00000007",
    "additionalSubscriptionsToBill": ["S-00000001", "S-00000002"],
    "invoiceSeparately": False,
    "notes": "2022 Billing Schedule",
    "orders": ["O-00000007", "O-00000008"],
    "scheduleItems": [
        {"amount": 50000, "runDate": "2022-02-24", "targetDateForAdditionalSubscriptions": "2022-02-24"},
        {"amount": 14000, "runDate": "2022-10-17", "targetDateForAdditionalSubscriptions": "2022-10-17"},
        {"amount": 6200, "runDate": "2022-11-14", "targetDateForAdditionalSubscriptions": "2022-11-14"},
    ],
    "specificSubscriptions": [{"orderKey": "O-00000008", "subscriptionKey": "S-00000008"}],
}
"""The sample of the API reference (API-CREATE)."""

MILESTONES: Final[Json] = {
    "accountKey": "A00000861",
    "orders": ["O-00000001"],
    "specificSubscriptions": [
        {"orderKey": "O-00000001", "subscriptionKey": "S-00000001", "chargeNumbers": ["C-00000003"]}
    ],
    "scheduleItems": [{"name": "HTD", "percentage": 50}, {"name": "GLD", "percentage": 50}],
    "notes": "Milestone Billing for Software A Integration - Professional Service",
}
"""Two halves without dates (UC-PCT-C3)."""

YEARS: Final[list[Json]] = [
    {
        "accountKey": "A00000966",
        "orders": ["O-00000001"],
        "specificSubscriptions": [
            {"orderKey": "O-00000001", "subscriptionKey": f"S-0000000{n}"} for n in subscriptions
        ],
        "scheduleItems": [{"runDate": day, "amount": amount} for day, amount in items],
        "notes": notes,
    }
    for subscriptions, items, notes in (
        ((1, 2), (("2023-01-01", 1000), ("2023-11-01", 1400)), "2023 Billing Schedule"),
        ((3, 4), (("2024-01-01", 500), ("2024-10-01", 1300)), "2024 Billing Schedules"),
    )
]
"""Two schedules of one order (UC-MULTIYEAR-CONTRACT)."""

EDITED: Final[Json] = {
    "orders": ["O-00001339"],
    "scheduleItems": [
        {"id": "8a90f508837f092c0183824e3aad3797", "runDate": "2022-10-03", "amount": 500},
        {"id": "8a90f508837f092c0183824e3aad3798", "runDate": "2022-10-08", "amount": 180},
        {"id": "8a90f508837f092c0183824e3aae3799", "runDate": "2022-11-03", "amount": 120},
    ],
    "notes": "2020 Billing Schedules - Updated",
}
"""Other items of a schedule that is billed in part (EDIT-REST-1)."""

REPLACED: Final[Json] = {
    "orders": ["O-00001446", "O-00001447"],
    "scheduleItems": [
        {"runDate": "2022-12-03", "amount": 1000},
        {"runDate": "2022-12-08", "amount": 300},
        {"runDate": "2022-12-23", "amount": 300},
    ],
    "notes": "2022 Billing Schedules - Update Orders",
}
"""A second order, and items without ids (EDIT-REST-2)."""

UPDATED: Final[Json] = {
    **{name: CREATE[name] for name in ("additionalSubscriptionsToBill", "invoiceSeparately", "orders")},
    "nextRunDate": "2022-02-01",
    "notes": "2022 Billing Schedule - V2",
    "scheduleItems": [
        {**item, "amount": amount, "id": f"8a8881aa82118bec018211daf9f0168{n}"}
        for n, (item, amount) in enumerate(zip(CREATE["scheduleItems"], (54000, 10000, 6200), strict=True))
    ],
    "specificSubscriptions": CREATE["specificSubscriptions"],
}
"""The sample of the API reference (API-UPDATE)."""

DETACHED: Final[Json] = {
    "specificSubscriptions": [
        {"orderKey": "O-00017019", "subscriptionKey": "A-S00008953", "chargeNumbers": ["C-00065317"]}
    ]
}
"""API-DETACH-ATTACH."""

EXECUTED: Final[Json] = {"scheduleItemId": "8a90f5088459f34f01845a62a33b1787"}
"""EXEC-REST-1; EXEC-REST-2 is an empty object."""

DOCUMENTED: Final[list[tuple[Json, type[BaseModel], str]]] = [
    *((said, CreateSchedule, "CreateInvoiceScheduleRequest") for said in (*ONE_EACH, CREATE, MILESTONES, *YEARS)),
    *((said, UpdateSchedule, "UpdateInvoiceScheduleRequest") for said in (EDITED, REPLACED, UPDATED)),
    (DETACHED, AttachDetach, "DetachInvoiceScheduleRequest"),
    (DETACHED, AttachDetach, "AttachInvoiceScheduleRequest"),
    (EXECUTED, ExecuteSchedule, "ExecuteInvoiceScheduleRequest"),
    ({}, ExecuteSchedule, "ExecuteInvoiceScheduleRequest"),
]


def ok(said: object, model: type[BaseModel] = CreateSchedule) -> Any:  # noqa: ANN401 - a request of any model
    found = one(said, model)
    assert found.reasons == ()
    return found.request


def refused(said: object, model: type[BaseModel] = CreateSchedule) -> list[tuple[str, str]]:
    """The last two digits of the code and the sentence, for each fault."""
    found = one(said, model)
    assert found.request is None
    return [(r.code[-2:], r.message) for r in found.reasons]


def items(*of: Json) -> Json:
    """The first documented request with other items."""
    return changed(ONE_EACH[0], ("scheduleItems", list(of)))


def dated(*days: str | None) -> Json:
    return items(*({"amount": 1, "runDate": day} for day in days))


def shares(*percentages: object) -> Json:
    return items(*({"percentage": share} for share in percentages))


def subscriptions(*named: tuple[str, str, list[str]]) -> list[Json]:
    return [{"orderKey": o, "subscriptionKey": s, "chargeNumbers": c} for o, s, c in named]


# ------------------------------------------------------------------ what is documented


@pytest.mark.parametrize(("said", "model", "_name"), DOCUMENTED)
def test_documented_requests_are_understood(said: Json, model: type[BaseModel], _name: str) -> None:
    assert ok(said, model)


@pytest.mark.usefixtures("orders_vendor")
@pytest.mark.parametrize(("said", "_model", "name"), DOCUMENTED)
def test_the_vendors_models_understand_them_too(said: Json, _model: type[BaseModel], name: str) -> None:
    """All but percentages: its models ask for 100 or more, where its pages say more than 0."""
    plain = json.loads(json.dumps(said))
    for item in plain.get("scheduleItems", ()):
        if "percentage" in item:
            item["percentage"] = 100
    assert Vendor()(name, plain)


@pytest.mark.usefixtures("orders_vendor")
@pytest.mark.filterwarnings("ignore")  # The vendor's models lean on parts of pydantic that are on their way out.
def test_every_field_of_the_vendors_requests_is_known() -> None:
    pairs: dict[str, type[BaseModel]] = {
        "create_invoice_schedule_request": models.CreateSchedule,
        "create_invoice_schedule_item": models.ScheduleItem,
        "invoice_schedule_subscription": models.ScheduledSubscription,
        "update_invoice_schedule_request": models.UpdateSchedule,
        "update_invoice_schedule_item": models.UpdateScheduleItem,
        "execute_invoice_schedule_request": models.ExecuteSchedule,
        "attach_invoice_schedule_request": models.AttachDetach,
        "detach_invoice_schedule_request": models.AttachDetach,
    }
    for module, ours in pairs.items():
        name = "".join(part.capitalize() for part in module.split("_"))
        model = getattr(importlib.import_module(f"zuora_sdk.models.{module}"), name)
        theirs = {f.alias or n for n, f in model.model_fields.items()} - {"additional_properties"}
        assert theirs - set(ours.model_fields) == set(), name


# ------------------------------------------------------------------ values


def test_values_have_their_types() -> None:
    request = ok(CREATE)
    assert (request.accountKey, request.invoiceSeparately) == ("A00000007", False)
    first = request.scheduleItems[0]
    assert (first.amount, first.percentage, first.runDate) == (Decimal(50000), None, date(2022, 2, 24))
    assert request.specificSubscriptions[0].chargeNumbers == ()
    bare = ok({"accountKey": "A", "orders": ["O"], "scheduleItems": [{"percentage": 100}]})
    assert bare.invoiceSeparately is bare.notes is bare.idempotencyKey is bare.scheduleItems[0].runDate is None
    assert bare.specificSubscriptions == bare.additionalSubscriptionsToBill == ()
    assert bare.custom == bare.scheduleItems[0].custom == {}


@pytest.mark.parametrize("text", ["99999999999999.9999", "0.0001", '"1.50000"', "1e13"])
def test_amounts_are_exact(text: str) -> None:
    said = json.dumps(items({"amount": 0.125})).replace("0.125", text)
    [found], _ = parsed(said.encode(), CreateSchedule)
    assert found.request is not None
    assert found.request.scheduleItems[0].amount == Decimal(text.strip('"'))


@pytest.mark.parametrize("text", ["100000000000000", "0.00001", '"1.50001"', "1e14"])
def test_amounts_that_no_column_holds_are_refused(text: str) -> None:
    said = json.dumps(items({"amount": 0.125})).replace("0.125", text)
    [found], _ = parsed(said.encode(), CreateSchedule)
    [reason] = found.reasons
    given_ = str(Decimal(text.strip('"')))
    assert reason.code == "53100020"
    assert reason.message in {
        f"'scheduleItems[0].amount' has at most 14 digits before the point and 4 behind, not {shown}."
        for shown in (given_, text.replace('"', "'"))
    }


def test_percentages_have_up_to_nine_decimals() -> None:
    said = json.dumps(shares(0.25, 0.75)).replace("0.25", "33.333333333").replace("0.75", "66.666666667")
    [found], _ = parsed(said.encode(), CreateSchedule)
    assert found.request is not None
    assert [i.percentage for i in found.request.scheduleItems] == [Decimal("33.333333333"), Decimal("66.666666667")]


def test_custom_fields_stand_among_the_others() -> None:
    """As the documented response has them: PONumber__c, integer__c, boolean__c and picklist__c of items."""
    of_item = {"PONumber__c": "PO-1", "integer__c": 1000, "boolean__c": False, "picklist__c": None}
    request = ok(changed(ONE_EACH[0], ("ratio__c", 0.5), ("scheduleItems", [{"amount": 150000, **of_item}])))
    assert request.custom == {"ratio__c": Decimal("0.5")}
    assert request.scheduleItems[0].custom == of_item
    updated = ok({"region__c": None, "scheduleItems": [{"id": "I-1", "amount": 1, **of_item}]}, UpdateSchedule)
    assert updated.custom == {"region__c": None}
    assert updated.scheduleItems[0].custom == of_item


def test_an_update_tells_what_was_given_from_what_was_not() -> None:
    assert ok({}, UpdateSchedule).model_fields_set == set()
    emptied = dict.fromkeys(("notes", "nextRunDate", "invoiceSeparately", "specificSubscriptions"))
    request = ok({**emptied, "scheduleItems": [{"id": "I-1", "name": None}]}, UpdateSchedule)
    assert request.model_fields_set == {*emptied, "scheduleItems"}
    assert request.notes is request.nextRunDate is request.invoiceSeparately is None
    assert request.specificSubscriptions == ()
    assert request.scheduleItems[0].model_fields_set == {"id", "name"}


def test_an_updated_item_keeps_what_is_not_given() -> None:
    """So only what is known is judged: sizes of new items, and dates that were given."""
    said = {"scheduleItems": [
        {"id": "I-1"}, {"id": "I-2", "runDate": "2024-02-01"}, {"id": "I-3"},
        {"percentage": 50, "runDate": "2024-03-01"},
    ]}  # fmt: skip
    assert ok(said, UpdateSchedule)
    assert refused(changed(said, ("scheduleItems.3", {"runDate": "2024-03-01"})), UpdateSchedule) == [
        ("22", "'scheduleItems[3].amount' is required unless percentage is given.")
    ]
    assert refused(changed(said, ("scheduleItems.3.runDate", "2024-02-01")), UpdateSchedule) == [
        ("30", "'scheduleItems[3].runDate' is 2024-02-01, which is not after 2024-02-01, the run date before it.")
    ]


def test_one_subscription_may_be_named_for_two_orders() -> None:
    named = subscriptions(("O-00000007", "S-1", ["C-1"]), ("O-00000008", "S-1", ["C-2"]))
    assert ok(changed(CREATE, ("specificSubscriptions", named)))


@pytest.mark.parametrize("at_most", [
    ("scheduleItems", [{"amount": 1, "runDate": str(date(2024, 1, n + 1))} for n in range(31)] + [{"amount": 1}] * 19),
    ("orders", ["O-00000001", *(f"O-{n}" for n in range(9))]),
    ("specificSubscriptions", subscriptions(*(("O-00000001", f"S-{n}", []) for n in range(300)))),
    ("additionalSubscriptionsToBill", [f"S-{n}" for n in range(600)]),
    ("notes", "x" * 255),
    ("scheduleItems", [{"amount": 1, "name": "x" * 100}]),
])  # fmt: skip
def test_limits_are_reached(at_most: tuple[str, object]) -> None:
    assert ok(changed(ONE_EACH[0], at_most))


# ------------------------------------------------------------------ what is refused

NOTHING: Final = "must be more than 0, not 0; an item that bills nothing is left out: 50, 0 and 50 are two items."
LAST: Final = "but scheduleItems[{}] before it has none: items without a date come last."
ALIKE: Final = "can't be given beside the {} of scheduleItems[0]: one schedule is planned in one way."
FAULTS: Final[list[tuple[str, Json, str, str]]] = [
    # Shapes.
    ("no-account", changed(CREATE, ("accountKey", ABSENT)), "22", "'accountKey' is required."),
    ("no-orders", changed(CREATE, ("orders", ABSENT)), "22", "'orders' is required."),
    ("no-items", changed(CREATE, ("scheduleItems", ABSENT)), "22", "'scheduleItems' is required."),
    ("empty-orders", changed(ONE_EACH[0], ("orders", [])), "20", "'orders' must have at least 1 entry."),
    ("empty-items", items(), "20", "'scheduleItems' must have at least 1 entry."),
    ("null-items", changed(CREATE, ("scheduleItems", None)), "20", "'scheduleItems' must be a JSON array."),
    (
        "unknown",
        changed(CREATE, ("invoiceSeperately", True)),
        "21",
        "'invoiceSeperately' is not known here (did you mean invoiceSeparately?).",
    ),
    (
        "unknown-in-item",
        changed(CREATE, (f"{ITEM}.rundate", "2024-01-01")),
        "21",
        "'scheduleItems[1].rundate' is not known here (did you mean runDate?).",
    ),
    ("custom", changed(CREATE, ("custom", {})), "21", "'custom' is not known here."),
    (
        "custom-name",
        changed(CREATE, ("1x__c", 1)),
        "21",
        "'1x__c' is not known here.",
    ),
    (
        "custom-value",
        changed(CREATE, ("x__c", [1])),
        "20",
        "'x__c' must be a text, a number, true, false or null.",
    ),
    (
        "custom-controls",
        changed(CREATE, (f"{ITEM}.x__c", "a\nb")),
        "20",
        "'scheduleItems[1].x__c' must not contain control characters.",
    ),
    (
        "separately",
        changed(CREATE, ("invoiceSeparately", "no")),
        "20",
        "'invoiceSeparately' must be true or false.",
    ),
    # Limits.
    ("11-orders", changed(ONE_EACH[0], ("orders", ["O-00000001", *(f"O-{n}" for n in range(10))])), "20",
     "'orders' must have at most 10 entries."),
    ("51-items", items(*({"amount": 1} for _ in range(51))), "20", "'scheduleItems' must have at most 50 entries."),
    ("301-subscriptions",
     changed(CREATE, ("specificSubscriptions", subscriptions(*(("O-00000008", f"S-{n}", []) for n in range(301))))),
     "20", "'specificSubscriptions' must have at most 300 entries."),
    ("601-additional", changed(CREATE, ("additionalSubscriptionsToBill", [f"S-{n}" for n in range(601)])), "20",
     "'additionalSubscriptionsToBill' must have at most 600 entries."),
    ("notes", changed(CREATE, ("notes", "x" * 256)), "20", "'notes' must have at most 255 characters."),
    ("name", changed(CREATE, (f"{ITEM}.name", "x" * 101)), "20",
     "'scheduleItems[1].name' must have at most 100 characters."),
    # Sizes.
    ("no-size", changed(CREATE, (f"{ITEM}.amount", ABSENT)), "22",
     "'scheduleItems[1].amount' is required unless percentage is given."),
    ("both-sizes", items({"amount": 5, "percentage": 100}), "30",
     "'scheduleItems[0].percentage' can't be given together with amount."),
    ("zero-amount", items({"amount": 1}, {"amount": 0}), "30",
     f"'scheduleItems[1].amount' {NOTHING}"),
    ("zero-percentage", shares(50, 0, 50), "30",
     f"'scheduleItems[1].percentage' {NOTHING}"),
    ("negative", items({"amount": -5}), "30", "'scheduleItems[0].amount' must be more than 0, not -5."),
    ("over-100", shares(150), "30", "'scheduleItems[0].percentage' must be at most 100, not 150."),
    ("mixed", items({"amount": 5}, {"percentage": 100}), "30",
     f"'scheduleItems[1].percentage' {ALIKE.format('amount')}"),
    ("mixed-back", items({"percentage": 100}, {"amount": 5}), "30",
     f"'scheduleItems[1].amount' {ALIKE.format('percentage')}"),
    ("less-than-100", shares(10, 20, "69.999999999"), "30",
     "'scheduleItems' has percentages that add up to 99.999999999, not 100."),
    ("more-than-100", shares(60, 60), "30", "'scheduleItems' has percentages that add up to 120, not 100."),
    # Dates.
    ("no-day", changed(CREATE, (f"{ITEM}.runDate", "2022-13-01")), "20",
     "'scheduleItems[1].runDate' must be a day of the calendar, YYYY-MM-DD, not '2022-13-01'."),
    ("same-day", dated("2024-01-01", "2024-01-01"), "30",
     "'scheduleItems[1].runDate' is 2024-01-01, which is not after 2024-01-01, the run date before it."),
    ("earlier", dated("2024-01-02", "2024-02-01", "2024-01-03"), "30",
     "'scheduleItems[2].runDate' is 2024-01-03, which is not after 2024-02-01, the run date before it."),
    ("blank-first", dated(None, None, "2024-01-01"), "30",
     f"'scheduleItems[2].runDate' is 2024-01-01, {LAST.format(0)}"),
    # Names.
    ("order-twice", changed(ONE_EACH[0], ("orders", ["O-00000001", "O-2", "O-2"])), "30",
     "'orders[2]' comes twice: 'O-2' was given before."),
    ("additional-twice", changed(CREATE, ("additionalSubscriptionsToBill", ["S-1", "S-1"])), "30",
     "'additionalSubscriptionsToBill[1]' comes twice: 'S-1' was given before."),
    ("subscription-twice",
     changed(CREATE, ("specificSubscriptions", subscriptions(("O-00000008", "S-1", ["A"]), ("O-00000008", "S-1", [])))),
     "30", "'specificSubscriptions[1]' comes twice: 'S-1' of order 'O-00000008' was given before."),
    ("charge-twice", changed(CREATE, (f"{NAMED}.chargeNumbers", ["C-1", "C-2", "C-1"])), "30",
     "'specificSubscriptions[0].chargeNumbers[2]' comes twice: 'C-1' was given before."),
    ("charge-of-two",
     changed(
         CREATE,
         ("specificSubscriptions", subscriptions(("O-00000007", "S-1", ["C"]), ("O-00000008", "S-2", ["C"]))),
     ),
     "30", "'specificSubscriptions[1].chargeNumbers[0]' comes twice: 'C' was given before."),
    ("other-order", changed(CREATE, (f"{NAMED}.orderKey", "O-9")), "30",
     "'specificSubscriptions[0].orderKey' names 'O-9', which is not in orders."),
    ("no-order-key", changed(CREATE, (f"{NAMED}.orderKey", ABSENT)), "22",
     "'specificSubscriptions[0].orderKey' is required."),
    ("blank-name", changed(CREATE, ("accountKey", " ")), "20",
     "'accountKey' must not be empty, have blanks at its ends or contain control characters."),
]  # fmt: skip


@pytest.mark.parametrize(("said", "code", "sentence"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_what_is_wrong_is_said_of_its_field(said: Json, code: str, sentence: str) -> None:
    assert refused(said) == [(code, sentence)]


UPDATE_FAULTS: Final[list[tuple[str, Json, str, str]]] = [
    ("id", changed(EDITED, (f"{ITEM}.id", EDITED["scheduleItems"][0]["id"])), "30",
     "'scheduleItems[1].id' comes twice: '8a90f508837f092c0183824e3aad3797' was given before."),
    ("orders", {"orders": None}, "20", "'orders' must be a JSON array."),
    ("items", {"scheduleItems": []}, "20", "'scheduleItems' must have at least 1 entry."),
    ("account", {"accountKey": "A-2"}, "21", "'accountKey' is not known here."),
    ("mixed", changed(EDITED, (ITEM, {"id": "I", "percentage": 50})), "30",
     f"'scheduleItems[1].percentage' {ALIKE.format('amount')}"),
    ("sum", {"scheduleItems": [{"id": "I", "percentage": 50}]}, "30",
     "'scheduleItems' has percentages that add up to 50, not 100."),
    ("dates", changed(EDITED, (f"{ITEM}.runDate", None)), "30",
     f"'scheduleItems[2].runDate' is 2022-11-03, {LAST.format(1)}"),
    ("other-order", changed(UPDATED, (f"{NAMED}.orderKey", "O-9")), "30",
     "'specificSubscriptions[0].orderKey' names 'O-9', which is not in orders."),
    ("day", {"nextRunDate": "soon"}, "20", "'nextRunDate' must be a day, YYYY-MM-DD, not 'soon'."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "code", "sentence"), [f[1:] for f in UPDATE_FAULTS], ids=[f[0] for f in UPDATE_FAULTS]
)
def test_what_is_wrong_with_an_update_is_said_of_its_field(said: Json, code: str, sentence: str) -> None:
    assert refused(said, UpdateSchedule) == [(code, sentence)]


def test_subscriptions_of_an_update_without_orders_are_judged_later() -> None:
    assert ok({"specificSubscriptions": CREATE["specificSubscriptions"]}, UpdateSchedule)


@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [
        ({}, "22", "'specificSubscriptions' is required."),
        ({"specificSubscriptions": []}, "20", "'specificSubscriptions' must have at least 1 entry."),
        (
            {"specificSubscriptions": subscriptions(*(("O", f"S-{n}", []) for n in range(501)))},
            "20",
            "'specificSubscriptions' must have at most 500 entries.",
        ),
        (
            {"specificSubscriptions": subscriptions(("O", "S", ["C"]), ("O", "T", ["C"]))},
            "30",
            "'specificSubscriptions[1].chargeNumbers[0]' comes twice: 'C' was given before.",
        ),
    ],
)
def test_what_is_attached_or_detached_is_named_once(said: Json, code: str, sentence: str) -> None:
    assert refused(said, AttachDetach) == [(code, sentence)]


def test_five_hundred_subscriptions_are_detached() -> None:
    assert ok({"specificSubscriptions": subscriptions(*(("O", f"S-{n}", []) for n in range(500)))}, AttachDetach)


def test_every_fault_of_a_request_is_told_at_once() -> None:
    said = changed(CREATE, ("orders", []), (f"{ITEM}.amount", "x"), ("note", {}))
    assert [code for code, _ in refused(said)] == ["20", "20", "21"]
    said = changed(CREATE, ("orders", ["O-00000008"] * 2), ("scheduleItems.2.runDate", "2022-01-01"))
    assert [message.split()[0] for _, message in refused(said)] == ["'orders[1]'", "'scheduleItems[2].runDate'"]


@given(st.lists(st.dates(date(2024, 1, 1), date(2024, 1, 9)) | st.none(), max_size=5))
def test_dates_are_fine_if_they_rise_and_blanks_are_last(days: list[date | None]) -> None:
    known = [day for day in days if day]
    fine = days == [*known, *[None] * (len(days) - len(known))] and known == sorted(set(known))
    assert (not list(day_faults(dict(enumerate(days))))) == fine


@given(st.lists(st.sampled_from([(Decimal(1), None), (None, Decimal(50)), (None, None)]), max_size=4))
def test_sizes_are_fine_if_they_are_of_one_kind(sizes: list[tuple[Decimal | None, Decimal | None]]) -> None:
    amounts, percentages = ([s[side] for s in sizes if s[side]] for side in (0, 1))
    one_kind = not (amounts and percentages)
    all_told = len(percentages) == len(sizes)
    fine = one_kind and not (all_told and percentages and len(percentages) != 2)
    assert (not list(size_faults(sizes))) == fine


# ------------------------------------------------------------------ answers

SCHEDULE: Final[Json] = {
    "number": "IS-00000001",
    "schedule_id": "IS-00000001",
    "account_number": "A00000970",
    "status": "Pending",
    "notes": "Annual Platform Fee",
    "currency": "USD",
    "total_amount": Decimal("150000.0000"),
    "actual_amount": Decimal("150000.0000"),
    "billed_amount": Decimal("0.0000"),
    "unbilled_amount": Decimal("150000.0000"),
    "next_run_date": date(2023, 12, 1),
    "orders": '["O-00000001"]',
    "specific_subscriptions": json.dumps(ONE_EACH[0]["specificSubscriptions"]),
    "additional_subscriptions_to_bill": None,
    "invoice_separately": False,
    "last_item": 3,
    "idempotency_key": None,
    "request": "{}",
}
"""The row of a schedule, as the first documented request makes it."""

ITEMS: Final[list[Json]] = [
    {
        "item_id": f"IS-00000001-000{n}",
        "invoice_schedule_number": "IS-00000001",
        "sequence_number": n,
        "name": f"Annual Platform Fee | Year {n} ",
        "run_date": date(2022 + n, 12, 1),
        "amount": Decimal("50000.0000"),
        "percentage": None,
        "actual_amount": Decimal("50000.0000"),
        "status": "Pending",
        "invoice_id": None,
        "credit_memo_id": None,
        "target_date_for_additional_subscriptions": None,
        "bill_run_number": None,
        "PONumber__c": "PO number value",
        "integer__c": 1000,
        "boolean__c": False,
        "picklist__c": "One",
        "unused__c": None,
    }
    for n in (3, 1, 2)
]
"""The rows of its items, in no order, with the custom fields that the documented response shows."""

ANSWER: Final[Json] = {
    "id": "IS-00000001",
    "accountId": "A00000970",
    "number": "IS-00000001",
    "notes": "Annual Platform Fee",
    "status": "Pending",
    "nextRunDate": "2023-12-01",
    "totalAmount": 150000,
    "actualAmount": 150000,
    "billedAmount": 0,
    "unbilledAmount": 150000,
    "scheduleItems": [
        {
            "id": f"IS-00000001-000{n}",
            "amount": 50000,
            "actualAmount": 50000,
            "percentage": None,
            "status": "Pending",
            "invoiceId": None,
            "creditMemoId": None,
            "runDate": f"{2022 + n}-12-01",
            "name": f"Annual Platform Fee | Year {n} ",
            "targetDateForAdditionalSubscriptions": None,
            "PONumber__c": "PO number value",
            "integer__c": 1000,
            "boolean__c": False,
            "picklist__c": "One",
        }
        for n in (1, 2, 3)
    ],
    "orders": ["O-00000001"],
    "specificSubscriptions": [
        {"orderKey": "O-00000001", "subscriptionKey": "S-00000001", "chargeNumbers": ["C-00000001"]}
    ],
    "invoiceSeparately": False,
    "additionalSubscriptionsToBill": [],
    "currency": "USD",
    "success": True,
}
"""The documented response, with numbers in the place of the vendor's ids."""


def told(body: object) -> Any:  # noqa: ANN401 - JSON
    return json.loads(answers.text(body), parse_float=Decimal)


def test_a_schedule_is_answered_as_documented() -> None:
    """To the order of its keys."""
    found = told(answers.body(SCHEDULE, ITEMS))
    assert json.dumps(found) == json.dumps(ANSWER)
    header = told(answers.header(SCHEDULE))
    assert header == {name: value for name, value in ANSWER.items() if name not in {"scheduleItems", "success"}}


def test_an_answer_has_custom_fields_empty_lists_and_exact_amounts() -> None:
    named = subscriptions(("O-1", "S-1", []))
    del named[0]["chargeNumbers"]
    row = SCHEDULE | {
        "region__c": "North",
        "blank__c": None,
        "specific_subscriptions": json.dumps(named),
        "actual_amount": Decimal("99999999999999.9999"),
        "next_run_date": None,
    }
    found = told(answers.body(row, [ITEMS[0] | {"percentage": Decimal("33.333333333")}]))
    assert [*found][-2:] == ["region__c", "success"]
    assert "blank__c" not in found
    assert found["specificSubscriptions"] == [{"orderKey": "O-1", "subscriptionKey": "S-1", "chargeNumbers": []}]
    assert found["actualAmount"] == Decimal("99999999999999.9999")
    assert found["scheduleItems"][0]["percentage"] == Decimal("33.333333333")
    assert found["nextRunDate"] is None


@pytest.mark.parametrize(
    ("page", "size", "shown"),
    [(None, None, 45), (1, None, 20), (3, None, 5), (None, 40, 40), (2, 40, 5), (2, 2, 2), (9, 20, 0)],
)
def test_a_schedule_is_answered_by_page(page: int | None, size: int | None, shown: int) -> None:
    many = [ITEMS[0] | {"item_id": f"I-{n}", "sequence_number": n} for n in range(1, 46)]
    found = [i["id"] for i in answers.body(SCHEDULE, many, page=page, page_size=size)["scheduleItems"]]
    first = ((page or 1) - 1) * (size or 20)
    assert found == [f"I-{n}" for n in range(first + 1, first + shown + 1)]


@pytest.mark.usefixtures("orders_vendor")
def test_answers_are_in_the_words_of_the_vendor() -> None:
    """Its models lack the currency and the custom fields that its pages show, and take them as further fields."""
    body = told(answers.body(SCHEDULE | {"region__c": "North"}, ITEMS))
    plain = {name: value for name, value in body.items() if name not in {"currency", "region__c"}}
    plain["scheduleItems"] = [{n: v for n, v in i.items() if not n.endswith("__c")} for i in body["scheduleItems"]]
    read = Vendor()("InvoiceScheduleResponse", plain)
    assert (read.number, read.total_amount, read.next_run_date) == ("IS-00000001", 150000, "2023-12-01")
    assert [i.run_date for i in read.schedule_items] == ["2023-12-01", "2024-12-01", "2025-12-01"]
    refusal = Vendor()("InvoiceScheduleResponse", answers.failure([Reason("53100040", "No.")]))
    assert (refusal.success, refusal.reasons[0].message) == (False, "No.")


def receipt(number: str | None, status: str | None) -> Receipt:
    documents = Documents(**{name: pl.DataFrame() for name in Documents.__dataclass_fields__})
    return Receipt(number, status, 1, 1, 0, documents)


def test_an_execution_is_answered_as_documented() -> None:
    """EXEC-REST-1, but for ids and the status: billfold is done when it answers."""
    day = date(2022, 12, 3)
    request = RunRequest(target_date=day, invoice_date=day, excluded_charge_types=("Usage",))
    found = told(answers.executed(request, receipt("BR-00170238", "Completed"), SCHEDULE, "IS-00000001-0001"))
    assert found == {
        "id": "BR-00170238", "autoEmail": False, "autoPost": False, "autoRenewal": False, "billCycleDay": None,
        "billRunNumber": "BR-00170238", "invoiceDate": "2022-12-03", "noEmailForZeroAmountInvoice": False,
        "status": "Completed", "targetDate": "2022-12-03", "targetDateOffset": None, "invoiceDateOffset": None,
        "scheduledExecutionTime": None, "batches": None, "chargeTypeToExclude": ["Usage"],
        "billRunFilters": [
            {"filterType": "InvoiceSchedule", "accountId": "A00000970", "subscriptionId": None,
             "invoiceScheduleId": "IS-00000001", "invoiceScheduleItemId": "IS-00000001-0001"}
        ],
        "schedule": None, "success": True,
    }  # fmt: skip
    posted = told(answers.executed(request, receipt("BR-00170239", "Posted"), SCHEDULE))
    assert (posted["autoPost"], posted["status"]) == (True, "Posted")
    assert posted["billRunFilters"][0]["invoiceScheduleItemId"] is None


def test_an_execution_without_anything_to_bill_has_no_run() -> None:
    day = date(2022, 12, 3)
    found = answers.executed(RunRequest(target_date=day, invoice_date=day), receipt(None, None), SCHEDULE)
    assert (found["billRunNumber"], found["status"], found["success"]) == (None, "Completed", True)
