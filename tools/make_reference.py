"""Write docs/tables.md from the contracts: `make reference`."""

from __future__ import annotations

from pathlib import Path

from billfold.contracts.reference import markdown

if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("docs", "tables.md").write_text(markdown(), encoding="utf-8")
