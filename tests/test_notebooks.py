"""The notebooks: what they say about real books, as programs, and that they can be what marimo writes."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from books import Shelf, asked
from histories import Step, histories
from hypothesis import given
from notebook_runs import FOLDER, NAMES, make_saas, run_notebook
from test_histories import run_all
from test_laws import laws

from billfold import Book, bill
from billfold.lifecycle import cancel, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Run = Callable[..., tuple[str, Any]]

DOCUMENT: Final = FOLDER / "README.md"
_CONSOLE: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PYTHON: Final = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DAY: Final = date(2024, 3, 1)
HOSTILE: Final = "<img src=x onerror=alert(1)> & $x^2$ **Ltd**"


@pytest.fixture(scope="module")
def saas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two subscribers of data/saas with two bill runs, as README.md bills them."""
    folder = tmp_path_factory.mktemp("saas") / "book"
    make_saas(folder)
    return folder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("BILLFOLD_BOOK", raising=False)
    return lambda name, *arguments: run_notebook(monkeypatch, name, *arguments)


@pytest.fixture(scope="module")
def sources() -> Iterator[Any]:
    """The module beside the notebooks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("sources")


def line(item: str, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - any value of a column
    """An order line of one unit for 10 that is due."""
    due = {"item_state": "SentToBilling", "bill_target_date": "2024-02-01", "transaction_date": "2024-02-01"}
    return {"order_number": "O", "item_number": item, "account_number": "A", "amount_per_unit": "10", **due, **values}


def account(number: str, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - any value of a column
    return {"account_number": number, "name": HOSTILE, "currency": "USD", **values}


def outcomes(frame: pl.DataFrame) -> dict[tuple[str, str, str], tuple[int, Decimal, Decimal]]:
    columns = ("currency", "kind", "outcome", "lines", "exact", "billed")
    return {(c, k, o): (n, x, b) for c, k, o, n, x, b in frame.select(columns).iter_rows()}


# --- what they say ----------------------------------------------------------------------------------------------


def test_reconcile_says_thrice_that_a_run_is_right(run: Run, saas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown, found = run("reconcile", "--book", saas, "--run", "BR-00000001")
    assert capsys.readouterr().out.splitlines() == [
        "BR-00000001 reconciles: CHF 1,239.38 net, USD 1,397.48 net; nothing that was due is missing.",
        "BR-00000001, made again, gives the same bytes.",
        f"All {len(found['verdicts'])} promises hold, over the whole book.",
    ]
    assert "1,397.48" in shown
    assert "No run before it that counts was asked for the same but for the dates." in shown


def test_every_order_line_has_one_outcome_and_its_exact_worth(sources: Any, shelf: Shelf) -> None:  # noqa: ANN401
    rows = {
        "accounts": [account("A"), account("B"), account("C", status="Canceled"), account("Y", currency="JPY")],
        "order_line_items": [
            line("1", quantity="3", amount_per_unit="0.335"),
            line("2", amount_per_unit=None, list_price_per_unit="10", discount_type="Percentage", discount="12.5"),
            line("3", item_category="Return", quantity="2", amount_per_unit="1.001"),
            line("4", item_state="Booked", amount_per_unit="7"),
            line("5", bill_target_date="2024-03-02", amount_per_unit="8"),
            line("6", account_number="B", amount_per_unit="-5"),
            line("7", account_number="C", amount_per_unit="6"),
            line("8", account_number="Y", amount_per_unit="100.4"),
            line("9", account_number="C", invoice_owner_account_number="A", amount_per_unit="4"),
        ],
    }
    with shelf.holding(rows) as book:
        bill(book, asked(DAY))
        done = runs(book).row(0, named=True)
        lines = sources.order_lines(book, done)
        parts = [tell(book, done) for tell in (sources.charges, sources.documents, sources.contents)]
    agreement = sources.agreement("it", lines, *parts)
    d = Decimal
    assert outcomes(lines) == {
        ("JPY", "Sales", "billed by this run"): (1, d("100.4"), d(100)),
        ("USD", "Sales", "billed by this run"): (3, d("13.755"), d("13.76")),
        ("USD", "Sales", "account is not active"): (1, d(6), d(0)),
        ("USD", "Sales", "account is parked"): (1, d(-5), d(0)),
        ("USD", "Sales", "due after the target date"): (1, d(8), d(0)),
        ("USD", "Sales", "not sent to billing: Booked"): (1, d(7), d(0)),
        ("USD", "Return", "billed by this run"): (1, d("-2.002"), d("-2.00")),
    }
    assert agreement.holds
    assert agreement.said.endswith("rounding explains JPY -0.40 on 1 order line and USD 0.007 on 2 order lines.")


def test_later_runs_find_lines_billed_before_and_canceled_runs_give_them_back(sources: Any, shelf: Shelf) -> None:  # noqa: ANN401
    rows = {"accounts": [account("A")], "order_line_items": [line("1"), line("2", bill_target_date="2024-04-01")]}
    with shelf.holding(rows) as book:
        bill(book, asked(DAY))
        bill(book, asked(date(2024, 4, 1)))
        cancel(book, "BR-00000001")
        bill(book, asked(date(2024, 4, 1)))
        found = [outcomes(sources.order_lines(book, done)) for done in runs(book).to_dicts()]
    ten = Decimal(10)
    billed, nothing = (1, ten, ten), (1, ten, Decimal(0))
    said = ("billed by this run", "billed before", "due after the target date")
    here, before, later = (("USD", "Sales", outcome) for outcome in said)
    assert found == [{here: billed, later: nothing}, {here: billed, before: nothing}, {here: billed, before: nothing}]


@laws(2)
@given(steps=histories(runs=(3,)))
def test_every_run_of_a_history_reconciles(sources: Any, shelf: Shelf, steps: Sequence[Step]) -> None:  # noqa: ANN401
    with shelf.holding(steps[0].rows) as book:
        run_all(book, steps)
        for done in runs(book).to_dicts():
            frames = (sources.order_lines, sources.charges, sources.documents, sources.contents)
            told = sources.agreement(done["bill_run_number"], *(frame(book, done) for frame in frames))
            assert told.holds, told.said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": pl.lit("due, but not billed")}, "3 order lines due and not billed"),
        ({"largest": pl.lit(Decimal("0.01"))}, "an order line in USD is off by 0.01"),
        ({"lines": pl.col("lines") + 1}, "3 items for 4 order lines"),
    ],
)
def test_what_does_not_agree_is_said(sources: Any, change: dict[str, pl.Expr], said: str) -> None:  # noqa: ANN401
    columns = {"currency": ["USD"], "outcome": ["billed by this run"], "lines": [3], "rounded": [0]}
    amounts = {"difference": Decimal(0), "largest": Decimal("0.009"), "step": Decimal("0.01")}
    lines = pl.DataFrame(columns).with_columns(**amounts)
    contents = pl.DataFrame({"source": ["OrderLineItem"], "items": [3]})
    sums = dict.fromkeys(("sum of documents", "sum of items", "the run's report"), Decimal(30))
    headers = pl.DataFrame({"currency": ["USD"], "type": ["Invoice"]}).with_columns(**sums)
    charges = pl.DataFrame({"outcome": [], "charges": []}, schema={"outcome": pl.String, "charges": pl.Int64})
    assert sources.agreement("it", lines, charges, headers, contents).holds
    told = sources.agreement("it", lines.with_columns(**change), charges, headers, contents)
    assert (told.holds, said in told.said) == (False, True)
    unequal = headers.with_columns(**{"sum of items": Decimal(31)})
    assert not sources.agreement("it", lines, charges, unequal, contents).holds


def test_usage_is_counted_by_what_became_of_it(sources: Any, saas: Path) -> None:  # noqa: ANN401
    with Book(saas, read_only=True) as book:
        found = sources.usage(book, runs(book).row(1, named=True)).filter(unit="call")
    assert found.select("outcome", "records", "units", "on items").rows() == [
        ("billed by this run", 2, Decimal(2700), Decimal(2700)),
        ("billed before", 2, Decimal(11500), None),
        ("came after its period was billed", 1, Decimal(300), None),
    ]


def test_why_explains_a_document_and_its_first_item(run: Run, saas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown, found = run("why_this_invoice", "--book", saas, "--document", "INV00000001")
    assert capsys.readouterr().out.splitlines() == [
        found["explanation"].summary, found["why"].kind_reason, found["item_explanation"].summary,
    ]  # fmt: skip
    assert found["why"].document_number == "INV00000001"
    assert "11,500 call by tiers" in shown
    assert "invoice group number" in shown


def test_names_are_never_markup(run: Run, shelf: Shelf) -> None:
    rows = {"accounts": [account(HOSTILE)], "order_line_items": [line("1", account_number=HOSTILE, item_name=HOSTILE)]}
    with shelf.holding(rows) as book:
        bill(book, asked(DAY))
        shown, _ = run("why_this_invoice", "--book", book.folder)
        showing = import_module("showing")
        parts = [shown, showing.table([{HOSTILE: HOSTILE}]).text, showing.sentence(HOSTILE).text]
    assert ["<img" in part for part in parts] == [False] * 3
    assert ["&lt;img" in part for part in parts] == [True] * 3


def test_what_if_compares_and_writes_nothing(run: Run, saas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Book(saas, read_only=True) as book:
        head = book.head()
    _, found = run("what_if_we_grouped_differently", "--book", saas, "--charges", "BillingPeriod")
    assert capsys.readouterr().out == "2 documents would become 3. Unchanged are 1; 1 account would see a change.\n"
    assert found["comparison"].bill_run_number == "BR-00000002"
    with Book(saas, read_only=True) as book:
        assert book.head() == head


def test_what_if_asks_about_a_day_and_a_setting_too(run: Run, saas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked_for = ("--target-date", "2024-05-01", "--ungrouped", "separate")
    _, found = run("what_if_we_grouped_differently", "--book", saas, *asked_for)
    assert found["comparison"].request.target_date == date(2024, 5, 1)
    assert found["comparison"].rules.rows() == [("ungrouped", "auto", "separate")]
    assert capsys.readouterr().out.startswith("1 document would become 1.")


# --- where they end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_without_a_book_they_end_with_a_sentence(run: Run, name: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"There is no book in .*nothing: `billfold init` makes one") as ended:
        run(name, "--book", tmp_path / "nothing")
    assert "\n" not in str(ended.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("reconcile", "book has no bill run yet: `billfold run --target-date YYYY-MM-DD` makes one."),
        ("why_this_invoice", "book has no document yet: `billfold run --target-date YYYY-MM-DD` makes some."),
        ("what_if_we_grouped_differently", "Choose other fields or another setting, then compare."),
    ],
)
def test_a_book_without_runs_is_said_to_have_none(
    run: Run, name: str, said: str, empty_book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLFOLD_BOOK", str(empty_book))
    with pytest.raises(SystemExit) as ended:
        run(name)
    assert str(ended.value) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("reconcile", "--run", "BR-7"), "There is no bill run BR-7: `billfold runs` lists them."),
        (("why_this_invoice", "--document", "O'Hara"), 'No account, document or group has "O\'Hara" in it.'),
        (("what_if_we_grouped_differently", "--run", "BR-7"), "There is no bill run BR-7: `billfold runs` lists them."),
        (("what_if_we_grouped_differently", "--charges", "PO"), "--charges can't be PO: it is one or more of Subscr"),
    ],
)
def test_what_is_not_there_is_said(run: Run, saas: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments[0], "--book", saas, *arguments[1:])
    assert str(ended.value).startswith(said)


# --- as files ---------------------------------------------------------------------------------------------------


def marimo(*arguments: str | Path) -> str:
    done = subprocess.run([sys.executable, "-m", "marimo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_marimo_finds_no_fault_with_them() -> None:
    assert marimo("check", "--strict", *(FOLDER / f"{name}.py" for name in NAMES)).strip() == ""


@pytest.mark.slow
def test_marimo_exports_what_a_notebook_shows(saas: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    marimo("export", "html", FOLDER / "reconcile.py", "-o", page, "--", "--book", saas)
    assert "BR-00000002 reconciles: CHF -1,082.76 net" in page.read_text(encoding="utf-8")


def _commands() -> list[tuple[str, str]]:
    """Commands of the document's console blocks with the output below them."""
    blocks = _CONSOLE.findall(DOCUMENT.read_text(encoding="utf-8"))
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def test_the_document_shows_what_its_lines_of_python_print(
    saas: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(saas.parent)
    blocks = _PYTHON.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(blocks) == len(NAMES)
    for code, shown in blocks:
        exec(compile(code, DOCUMENT, "exec"), {})  # noqa: S102 - the document is ours
        assert capsys.readouterr().out == shown


@pytest.mark.slow
def test_the_document_shows_what_its_commands_print(saas: Path, tmp_path: Path) -> None:
    (tmp_path / "notebooks").symlink_to(FOLDER)
    (tmp_path / "book").symlink_to(saas)
    commands = _commands()
    assert len(commands) == len(NAMES)
    for command, shown in commands:
        arguments = command.removeprefix(".venv/bin/python ").split()
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.stderr, done.stdout) == ("", shown), command
