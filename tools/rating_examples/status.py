"""Whether a case is billed, and why not."""

from __future__ import annotations

from typing import Final

from rating_examples.case import Case, beginning

WAITS_FOR: Final = {
    "CREDIT-FIXED-DISC": "fixed-amount discounts: a charge of that model parks its account",
    "DISC-FIXED": "fixed-amount discounts: a charge of that model parks its account",
    "CM-VOLUME-USAGE-IND": "rating of single usage records: usage is summed per charge and billing period",
    "USAGE-GROUP-ByUsageStartDate": "rating groups: usage is summed per charge and billing period",
    "USAGE-GROUP-ByUsageUpload": "rating groups: usage is summed per charge and billing period",
    "USAGE-GROUP-ByGroupId": "rating groups: usage is summed per charge and billing period",
    "USAGE-ONDEMAND": "rating on demand: usage is owed when its billing period has ended",
    "CM-MINCOMMIT": "minimum commitments",
    "CM-ROLLWINDOW": "overage smoothing",
    "DUE-PROX": "payment terms with a cutoff day: their documents have no due date",
}
"""What has to exist before the cases whose ids begin so can be billed."""

OUT_OF_SCOPE: Final = {
    "PER-MONTH-PARTIAL-NO": "billfold always bills parts of months, and what a charge does not serve it never bills",
    "PER-QTR-C": "billfold always bills and prorates parts of periods",
    "CREDIT-PERIOD-B": "billfold always credits parts of months",
    "USAGE-TIMEBASED": "billfold never prorates what was used",
    "TAX-": "billfold reckons no taxes",
    "SCHED-": "billfold has no calendar of runs: whoever starts a run gives its dates",
    "OLI-RETURN-FULFILL": "billfold has no fulfillments",
}
"""Why the cases whose ids begin so will not be billed."""


def status(case: Case) -> tuple[str, str | None]:
    """Whether a case can be billed now, later or not, and why not."""
    for name, reasons in (("waiting", WAITS_FOR), ("out_of_scope", OUT_OF_SCOPE)):
        if (key := beginning(case, reasons)) is not None:
            return name, reasons[key]
    return "runnable", None
