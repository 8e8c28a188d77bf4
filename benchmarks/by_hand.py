"""The same bill run as hand-written SQL (`by_hand.sql`), for a price to compare with. Imports nothing but DuckDB."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import duckdb


def run(folder: Path, out: Path, target: date) -> None:
    """Make the documents of the input files in `folder` as Parquet files in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"temp_directory": str(out / "spilled")}) as connection:
        for name, value in {"folder": str(folder), "out": str(out), "target": target}.items():
            connection.execute(f"SET VARIABLE {name} = ?", [value])
        connection.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def main() -> None:
    """Run the hand-written SQL."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("target", type=date.fromisoformat)
    arguments = parser.parse_args()
    run(arguments.folder, arguments.out, arguments.target)


if __name__ == "__main__":
    main()
