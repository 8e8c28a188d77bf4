"""`make bench`: every step of a bill run at size, beside DuckDB SQL, pandas and PySpark that do the same work."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.engines import ENGINES, missing
from benchmarks.machine import machine
from benchmarks.product import Measured, medians
from benchmarks.steps import (
    AGAIN,
    COPY,
    LOAD,
    ONE_NIGHT,
    RUN,
    STEPS,
    Subject,
    by_hand,
    compare,
    copied,
    generate,
    with_needed,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MIB: Final = 2**20


def bench(
    subject: Subject, steps: Sequence[str], engines: Sequence[str], repeat: int, spark_memory: str = "12g"
) -> list[Measured]:
    """The medians of every step and engine, after a check that all make the same documents.

    Raises:
        RuntimeError: a step failed, or the documents differ.
    """
    rounds = []
    for _ in range(repeat):
        done = list(subject.measure(steps))
        if LOAD in {m.step for m in done}:
            done.append(copied(subject.folder, subject.source))
        rounds.append([*done, *(by_hand(engine, subject.folder, subject.source, spark_memory) for engine in engines)])
    for engine in engines:
        if RUN in with_needed(steps):
            compare(engine, subject.folder)
    found = {m.step: m for m in medians(rounds)}
    same = {COPY: LOAD, **dict.fromkeys(ENGINES, RUN)}
    return [_as_many(m, found.get(same.get(m.step, ""))) for m in found.values()]


def _as_many(done: Measured, other: Measured | None) -> Measured:
    """With the rows of a step that does the same."""
    return replace(done, rows=other.rows, unit=other.unit) if other else done


def ratios(done: Sequence[Measured]) -> dict[str, str]:
    """What one wants to know of another size or machine."""
    found = {m.step: m for m in done}
    pairs = [(LOAD, COPY), *((RUN, engine) for engine in ENGINES), (ONE_NIGHT, RUN)]
    told = {f"{a} / {b}": f"{found[a].seconds / found[b].seconds:.2f}" for a, b in pairs if a in found and b in found}
    if ONE_NIGHT in found:
        told[f"{ONE_NIGHT} / {RUN}, items"] = f"{found[ONE_NIGHT].rows / found[RUN].rows:.4f}"
    if AGAIN in found:
        told["nothing due, seconds"] = f"{found[AGAIN].seconds:.2f}"
    return told


def table(title: str, done: Sequence[Measured], *, beside: str = "sql") -> Table:
    """Steps and engines; the last column compares with what one engine takes for the work of `run` only."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("step")
    floor = next((m.seconds for m in done if m.step == beside), None)
    for column in ("seconds", "CPU seconds", "peak MiB", "made", "a second", *([f"x {beside}"] if floor else [])):
        shown.add_column(column, justify="right")
    for m in done:
        made, rate = (f"{m.rows:,} {m.unit}", f"{m.rows / m.seconds:,.0f}") if m.rows else ("", "")
        figures = (f"{m.seconds:.2f}", f"{m.cpu_seconds:.2f}", f"{m.peak_bytes / _MIB:,.0f}", made, rate)
        shown.add_row(m.step, *figures, *([f"{m.seconds / floor:.2f}"] if floor else []))
    return shown


def show(title: str, done: Sequence[Measured], compared: Mapping[str, str], *, as_json: bool) -> None:
    """Print the figures, and what they were measured on."""
    if as_json:
        figures = {"machine": machine(), "title": title, "steps": [asdict(m) for m in done], "ratios": compared}
        print(json.dumps(figures, indent=2))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print("  ·  ".join(f"{name} {value}" for name, value in machine().items()))
    console.print(table(title, done))
    for name, ratio in compared.items():
        console.print(f"{name:<24}{ratio:>8}")


def names(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    """Reads an argument: some of these names, with commas between them."""

    def parse(text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        if unknown := sorted(set(found) - set(allowed)):
            msg = f"there is no {', '.join(unknown)}; choose from {', '.join(allowed)}"
            raise argparse.ArgumentTypeError(msg)
        return [name for name in allowed if name in found]

    return parse


def with_common(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds what several benchmarks take."""
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts of the book; ten charges each")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other rows")
    parser.add_argument("--repeat", type=int, default=1, help="show the medians of so many rounds")
    parser.add_argument("--folder", type=Path, help="keep all files here, instead of in a temporary folder")
    parser.add_argument("--run-options", type=shlex.split, default=[], help='for every billfold run: "--memory 4GB"')
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _arguments() -> argparse.Namespace:
    parser = with_common(argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__))
    steps, engines = list(STEPS), list(ENGINES)
    parser.add_argument("--steps", type=names(steps), default=steps, help=f"only these: {','.join(steps)}")
    parser.add_argument("--engines", type=names(engines), default=engines, help=f"only these: {','.join(engines)}")
    parser.add_argument("--spark-memory", default="12g", help="what Java may use for Spark")
    return parser.parse_args()


def main() -> None:
    """Measure every step and print the table."""
    arguments = _arguments()
    for engine in arguments.engines:
        if lack := missing(engine):
            sys.exit(f"{engine} can't be measured: {lack}; --engines leaves it out.")
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        generate(folder / "input", arguments.accounts, arguments.seed)
        subject = Subject(folder, folder / "input", arguments.run_options)
        done = bench(subject, arguments.steps, arguments.engines, arguments.repeat, arguments.spark_memory)
    title = f"{arguments.accounts:,} accounts, {10 * arguments.accounts:,} charges, seed {arguments.seed}"
    show(title, done, ratios(done), as_json=arguments.json)


if __name__ == "__main__":
    main()
