"""Reads Parquet files and writes their rows again: what loading them can't be much faster than."""

from __future__ import annotations

import argparse
from pathlib import Path

import duckdb


def copy(source: Path, out: Path) -> None:
    """Every Parquet file of a folder, compressed as a book's are."""
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("*.parquet")):
        duckdb.read_parquet(str(file)).write_parquet(str(out / file.name), compression="zstd")


def main() -> None:
    """Copy a folder's Parquet files."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    copy(arguments.source, arguments.out)


if __name__ == "__main__":
    main()
