"""`python -m benchmarks.whale`: one account with a million items, billed, beside hand-written SQL on the same rows."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.__main__ import bench, ratios, show, with_common
from benchmarks.steps import RUN, Subject, generate


def main() -> None:
    """Measure the run of one large account."""
    arguments = with_common(
        argparse.ArgumentParser(prog="python -m benchmarks.whale", description=__doc__)
    ).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        generate(folder / "input", arguments.accounts, arguments.seed, only_one=True)
        done = bench(Subject(folder, folder / "input", arguments.run_options), [RUN], ["sql"], arguments.repeat)
    title = f"one account of {arguments.accounts:,} has all {10 * arguments.accounts:,} charges"
    show(title, done, ratios(done), as_json=arguments.json)


if __name__ == "__main__":
    main()
