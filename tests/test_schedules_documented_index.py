"""Every documented case of schedules and hybrid orders: where it is tested, or why billfold has nothing to test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

BILLED: Final = "test_schedules_documented.py"
SEED: Final = "test_schedules_documented_seed.py"
CHANGES: Final = "test_schedules_documented_changes.py"
OF_ORDERS: Final = "test_schedules_documented_orders.py"
DETACHED: Final = "test_schedules_documented_detached.py"
ORDERS: Final = "test_orders_documented.py"

CASES: Final[dict[str, str]] = {
    "SEED004-INDIVIDUAL-CHARGES": SEED,
    "UC-SAME-TERM": BILLED,
    "UC-DIFF-START": BILLED,
    "UC-STAGGERED": BILLED,
    "UC-MY9": BILLED,
    "UC-ZERO-PRICE": OF_ORDERS,
    "RULE-SERVICE-PERIOD-6.7": BILLED,
    "OV-12000": BILLED,
    "PCT-10-20-70": BILLED,
    "VALIDATION-BILLING-PERIOD": BILLED,
    "UC-PCT-C3": BILLED,
    "UC-DISC-2": OF_ORDERS,
    "UC-BLANK-DATES": CHANGES,
    "UC-MULTIYEAR-CONTRACT": CHANGES,
    "EDIT-REST-1": CHANGES,
    "EDIT-REST-2": CHANGES,
    "EXEC-REST-1": CHANGES,
    "EXEC-REST-2": CHANGES,
    "API-CREATE": CHANGES,
    "API-GET": CHANGES,
    "API-UPDATE": CHANGES,
    "API-PAUSE-RESUME": CHANGES,
    "API-DETACH-ATTACH": DETACHED,
    "UC-REMOVE-PARTIAL": OF_ORDERS,
    "UC-ADD-CHARGES": OF_ORDERS,
    "UC-CHANGE-PRICE": OF_ORDERS,
    "UC-RENEW-NEW-SCHEDULE": OF_ORDERS,
    "UC-EARLY-STANDARD": OF_ORDERS,
    "UC-DETACH-STANDARD": DETACHED,
    "UC-DETACH-OWNER": DETACHED,
    "UC-REVERSE": CHANGES,
    "UC-CUSTOM-FIELDS": CHANGES,
    "UC-DELETE-PARTIAL": CHANGES,
    "UC-OWNER-TRANSFER": OF_ORDERS,
    "UC-ISS-CHANGE": OF_ORDERS,
    "UC-RAMP-3": OF_ORDERS,
    "UC-RAMP-4": OF_ORDERS,
    "BRFILTER-1": BILLED,
    "SEED003-HYBRID-ORDER": ORDERS,
    "OLI-HYBRID-2": ORDERS,
    "OLI-INLINE-DISCOUNT": ORDERS,
    "OLI-SETTLEMENT-YES": ORDERS,
    "OLI-SETTLEMENT-NO": ORDERS,
    "OLI-BULK-UPDATE": ORDERS,
    "OLI-QUANTITY-STATES": ORDERS,
    "PREVIEW-ORDER-API": ORDERS,
}
"""The file of tests that has a case, by the case's name in the vendor's facts."""

OUTSIDE: Final[dict[str, str]] = {
    "BRFILTER-2": "a run is limited to accounts, batches, bill cycle days or orders; no filter names subscriptions",
}

PRINTED: Final[dict[str, str]] = {
    "UC-ODD-TERM": BILLED,
    "UC-MY2": BILLED,
    "UC-DISC": BILLED,
    "UC-RAMP-1": OF_ORDERS,
    "UC-RAMP-2": BILLED,
    "UC-REMOVE-FULL": OF_ORDERS,
    "UC-SWITCH": OF_ORDERS,
    "UC-ISS-NEW": OF_ORDERS,
    "UC-DET1": DETACHED,
    "UC-DET3": DETACHED,
}
"""Cases of which only key figures are known."""


def test_every_documented_case_is_tested_or_out_of_scope() -> None:
    assert len(CASES | OUTSIDE) == len(CASES) + len(OUTSIDE) == 47


@pytest.mark.parametrize(("name", "file"), sorted((CASES | PRINTED).items()))
def test_a_case_is_named_by_a_test_of_its_file(name: str, file: str) -> None:
    said = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(name.removesuffix('-INDIVIDUAL-CHARGES'))}\b", said)
