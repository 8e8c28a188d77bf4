"""A report as one HTML file: no script, no address, nothing that a browser would ask a network for."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from billfold.replay import IDENTICAL
from billfold.report import sections
from billfold.report.html import Html, element, joined
from billfold.report.tables import Row, lines, number, plural, table
from billfold.requests import RunRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.report.figures import Report
    from billfold.verify import Verdict

_PARTS: Final = (
    sections.totals, sections.waterfall, sections.changes, sections.unusual, sections.parked, sections.sizes,
    sections.rankings, sections.history,
)  # fmt: skip
_KINDS: Final = {"bill run": "Bill run", "orders": "Run of orders", "schedule": "Run of an invoice schedule"}
_LINKS: Final = {
    "totals": "Totals", "promises": "Promises", "waterfall": "Lines to documents", "changes": "Changes",
    "unusual": "Unusual bills", "parked": "Parked accounts", "sizes": "Sizes", "rankings": "Accounts, groups, sources",
    "history": "Last runs",
}  # fmt: skip
_HEAD: Final = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
    '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
)
_LONG: Final = 30
"""Facts with more characters have a line of their own."""

_NAMED: Final = 5
"""Names that a sentence about what was asked for gives."""


def page(report: Report) -> str:
    """The whole file. Equal reports give equal bytes."""
    first, *others = (part(report) for part in _PARTS)
    main = element("main", first, _promises(report), *others)
    title = f"{report.run['bill_run_number']}: report"
    style = Html(files("billfold.report").joinpath("style.css").read_text(encoding="utf-8"))
    head = joined([Html(_HEAD), element("title", title), element("style", style), Html("</head><body>\n")])
    return joined([head, _header(report), _links(main), main, _footer(report), Html("</body></html>\n")])


def _header(report: Report) -> Html:
    run = report.run
    facts = {
        "Target date": str(run["target_date"]), "Invoice date": str(run["invoice_date"]),
        "Made": f"{run['started_at']:%Y-%m-%d %H:%M:%S} UTC",
        "Read": f"snapshot {run['snapshot_id']} of the book",
        "Asked for": _asked(RunRequest.model_validate_json(run["request"])),
        "Fingerprint": run["fingerprint"],
    }  # fmt: skip
    told = [_fact(name, said) for name, said in facts.items()]
    title = joined([f"{_KINDS[report.kind]} {run['bill_run_number']}",
                    element("span", run["status"], class_=f"status {run['status']}")])  # fmt: skip
    return element("header", element("h1", title), element("p", _lead(report)), element("dl", *told, class_="facts"))


def _fact(name: str, said: str) -> Html:
    return element("div", element("dt", name), element("dd", said), class_="long" if len(said) > _LONG else None)


def _lead(report: Report) -> str:
    """The run in two sentences."""
    run = report.run
    made = f"{plural(run['invoices'], 'invoice')} and {plural(run['credit_memos'], 'credit memo')}"
    count = run["invoices"] + run["credit_memos"]
    idle = run["accounts_nothing_due"]
    others = f"; {plural(idle, 'account')} owed nothing" if idle else ""
    billed = f"The run made {made}, and billed {plural(run['accounts_billed'], 'account')}{others}."
    said = billed if count else "The run made no documents."
    parked = run["parked_accounts"]
    waits = f" {plural(parked, 'account is', 'accounts are')} parked, with the reasons below." if parked else ""
    return f"{said}{waits} {_state(report, count)}".strip()


def _state(report: Report, count: int) -> str:
    """What became of the run's documents."""
    if report.run["status"] == "Canceled":
        return "It was canceled: all that it billed can be billed again, and its figures count for nothing any more."
    drafts = int(report.totals["drafts"].sum())
    if not count or not drafts:
        return "All documents are final." if count else ""
    if drafts < count:
        return f"{number(count - drafts)} of its documents are final, {number(drafts)} are drafts."
    return "All documents are drafts: posting gives them numbers and due dates."


def _asked(request: RunRequest) -> str:
    """What the run was limited to."""
    limits = [
        _some("account", request.accounts), _some("batch", request.batches, "batches"),
        _some("bill cycle day", [str(d) for d in request.bill_cycle_days]), _some("order", request.orders),
        _some("schedule", request.schedules),
        f"without charge type {', '.join(request.excluded_charge_types)}" if request.excluded_charge_types else "",
        "" if request.subscriptions else "without subscriptions",
        "" if request.order_line_items else "without order lines",
        "" if request.ceilings else "without ceilings",
    ]  # fmt: skip
    return "; ".join(limit for limit in limits if limit) or "everything that is due"


def _some(what: str, names: Any, many: str | None = None) -> str:  # noqa: ANN401 - any sequence of texts
    """Some names, and how many others."""
    if not names:
        return ""
    more = f" and {number(len(names) - _NAMED)} more" if len(names) > _NAMED else ""
    return f"{what if len(names) == 1 else many or what + 's'} {', '.join(names[:_NAMED])}{more}"


def _links(main: str) -> Html:
    """Links to the parts that are there."""
    there = [
        element("li", element("a", said, href=f"#{name}")) for name, said in _LINKS.items() if f'id="{name}"' in main
    ]
    return element("nav", element("ul", *there), aria_label="Parts of this report")


def _promises(report: Report) -> Html:
    """Every promise with its result; the broken ones first."""
    broken = [v for v in report.verdicts if not v.holds]
    kept = len(report.verdicts) - len(broken)
    said = f"{'All ' if not broken else ''}{kept} of {len(report.verdicts)} promises hold over the whole book."
    look = "bad" if broken or not report.holds else "good"
    sentence = element("p", element("strong", said, class_=look))
    marked = element("ul", *(_mark(v) for v in report.verdicts), class_="promises")
    found = [_told("Broken promises", broken)] if broken else []
    every = element("details", element("summary", "What each promise says"), _told("Promises", report.verdicts))
    return sections.section("promises", "Promises", sentence, *_replay(report), *found, marked, every)


def _mark(verdict: Verdict) -> Html:
    """A promise with its result, in a word."""
    mark, look, said = ("\N{CHECK MARK}", "good", "holds") if verdict.holds else ("\N{BALLOT X}", "bad", "broken")
    return element("li", element("span", mark, class_=look, role="img", aria_label=said), f" {verdict.promise}")


def _told(caption: str, verdicts: Sequence[Verdict]) -> Html:
    """Promises with their results and what they say."""
    headings = ["Promise", "What it says", "Result"]
    return table(caption, headings, map(_verdict, verdicts), texts=headings[1:2])


def _verdict(verdict: Verdict) -> Row:
    result = "holds" if verdict.holds else f"{number(verdict.count)} broken"
    left = plural(verdict.left_out, "run") if verdict.left_out else None
    told = lines(result, left and f"but for {left} of older versions")
    says = lines(verdict.says, *verdict.broken["broken"])
    return Row([verdict.promise, says, told], look=None if verdict.holds else "broken")


def _replay(report: Report) -> list[Html]:
    """Whether the run, made again, gives the same bytes."""
    replay = report.replay
    if replay is None:
        return []
    other = [t for t in replay.tables if t.result != IDENTICAL]
    found = "; ".join(f"{t.table} {t.result}: {t.said}" for t in other)
    same = f"Made again from snapshot {replay.snapshot_id}, every table of the run is the same, byte by byte."
    said = f"Made again from snapshot {replay.snapshot_id}, the run is not the same: {found}." if other else same
    return [element("p", element("strong", said, class_="good" if replay.holds else "bad"))]


def _footer(report: Report) -> Html:
    made = report.run["billfold_version"]
    by = f"The run was made by billfold {made}. " if made else ""
    told = f"{by}Amounts are exact, in the decimals of their currency, and never summed over currencies."
    narrow = "Some columns are left out on a narrow screen; a wider one, and paper, show them all."
    return element("footer", element("p", told), element("p", narrow, class_="narrow"))
