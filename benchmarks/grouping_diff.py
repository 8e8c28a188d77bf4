"""`python -m benchmarks.grouping_diff`: a comparison of a whole book, beside two dry runs of it.

Every step is a process of its own. Two dry runs are the least that a comparison takes which makes both sides.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.product import Measured, measured, medians, told

if TYPE_CHECKING:
    from collections.abc import Sequence

# `generate.TARGET`, written again because importing it would bring Polars into the measuring process.
_TARGET: Final = date(2025, 7, 1)
_DRY_RUN, _NO_CHANGE, _SETTING, _GROUPING = "dry run", "diff, no change", "diff, a setting", "diff, by region"
_BY_REGION: Final = {
    "name": "by region",
    "meta": {
        "subscriptionGroup": [{"objectType": "Subscription", "field": "Region__c"}],
        "orderLineItemGroup": [{"objectType": "OrderLineItem", "field": "Region__c"}],
    },
}
_MIB: Final = 2**20


def bench(folder: Path, accounts: int, repeat: int) -> list[Measured]:
    """The medians of a dry run and of comparisons, after a check that both see the same documents.

    Raises:
        RuntimeError: a step failed, or a comparison has other documents before than a dry run.
    """
    billfold = ["billfold", "--book", str(folder / "book")]
    (folder / "region.json").write_text(json.dumps(_BY_REGION), encoding="utf-8")
    measured("generate", ["benchmarks.generate", str(folder / "input"), "--accounts", f"{accounts}"])
    measured("init", [*billfold, "init"])
    measured("load", [*billfold, "load", str(folder / "input")])
    dates = ["--target-date", f"{_TARGET}", "--invoice-date", f"{_TARGET}", "--json"]
    diff = [*billfold, "grouping", "diff"]
    steps = {
        _DRY_RUN: [*billfold, "run", "--dry-run", *dates],
        _NO_CHANGE: [*diff, "--set", "ungrouped=auto", *dates],
        _SETTING: [*diff, "--set", "ungrouped=pooled", *dates],
        _GROUPING: [*diff, str(folder / "region.json"), *dates],
    }
    rounds = [[_made(step, arguments) for step, arguments in steps.items()] for _ in range(repeat)]
    _refuse_others(rounds[0])
    return medians(rounds)


def _made(step: str, arguments: Sequence[str]) -> Measured:
    """A step with the documents that it made, on both sides of a comparison."""
    done, said = told(step, arguments)
    sides = [said] if step == _DRY_RUN else said["documents"].values()
    return replace(done, rows=sum(side["invoices"] + side["credit_memos"] for side in sides), unit="documents")


def _refuse_others(steps: Sequence[Measured]) -> None:
    made = {m.step: m.rows for m in steps}
    if made[_NO_CHANGE] != 2 * made[_DRY_RUN]:
        msg = f"Without a change there should be {made[_DRY_RUN]} documents on each side, and not {made[_NO_CHANGE]}."
        raise RuntimeError(msg)


def table(measurements: Sequence[Measured]) -> Table:
    """The steps; ratios are times of two dry runs."""
    shown = Table(title="Steps", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("step")
    for column in ("seconds", "x two dry runs", "CPU seconds", "x two dry runs", "peak MiB", "documents"):
        shown.add_column(column, justify="right")
    one = measurements[0]
    for m in measurements:
        ratio, cpu_ratio = m.seconds / (2 * one.seconds), m.cpu_seconds / (2 * one.cpu_seconds)
        clock, cpu = (f"{m.seconds:.2f}", f"{ratio:.2f}"), (f"{m.cpu_seconds:.2f}", f"{cpu_ratio:.2f}")
        shown.add_row(m.step, *clock, *cpu, f"{m.peak_bytes / _MIB:,.0f}", f"{m.rows:,}")
    return shown


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grouping_diff", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts of the book; ten charges each")
    parser.add_argument("--repeat", type=int, default=1, help="show the medians of so many rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def main() -> None:
    """Measure every step and print the table."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        done = bench(Path(temporary), arguments.accounts, arguments.repeat)
    if arguments.json:
        print(json.dumps({"machine": machine(), "steps": [asdict(m) for m in done]}, indent=2))
        return
    console = Console(highlight=False)
    console.print("  ·  ".join(f"{name} {value}" for name, value in machine().items()))
    console.print(table(done))


if __name__ == "__main__":
    main()
