"""Values of columns by their hashes: what a hundred million rows name has to fit into memory, eight bytes a row.

Equal values have equal hashes, within one process. Different values have equal ones too, once in 10^19 pairs: what
seems to occur twice is therefore compared again as it is written; a reference that leads nowhere is taken for a good
one beside a hundred million keys once in 10^11.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HASH: Final = pl.UInt64()

_BUCKET: Final = 8_000_000
"""Hashes that are compared with each other at a time."""

_TEXTS: Final = 1_000_000
"""Distinct values that are also kept as they are written."""


def hashed(names: Sequence[str]) -> pl.Expr:
    """The hash of some columns' values together; one column's is the hash of its values. Blanks have a hash too."""
    first, *others = names
    found = pl.col(first).hash()
    for seed, name in enumerate(others, 1):
        found = found.xor(pl.col(name).hash(seed))
    return found


class Values:
    """The distinct values of a column of text in the parts of a file."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.hashes: list[pl.Series] = []
        self._texts: pl.Series | None = pl.Series("value", [], dtype=pl.String)

    def add(self, cells: pl.Series) -> None:
        """See a part; blanks are no values."""
        texts = cells.drop_nulls().unique()
        if texts.len():
            self.hashes.append(texts.hash())
        if self._texts is not None:
            self._texts = pl.concat([self._texts, texts.alias("value")]).unique()
            self._texts = self._texts if self._texts.len() <= _TEXTS else None

    def texts(self, among: pl.Series | None = None) -> pl.Series | None:
        """The values as they are written, or those with some hashes; None if there are too many to keep them."""
        if self._texts is None or among is None:
            return self._texts
        return self._texts.filter(self._texts.hash().is_in(among.implode()))


def repeated_in(parts: Sequence[pl.Series]) -> pl.Series:
    """Hashes that occur more than once."""
    ordered = (_within(parts, bounds).sort() for bounds in _ranges(parts))
    return _joined(s.filter(s == s.shift()).unique() for s in ordered)


def missing_from(wanted: Sequence[pl.Series], there: Sequence[pl.Series]) -> pl.Series:
    """Distinct hashes that are nowhere among others."""
    both = ((_within(wanted, b).unique(), _within(there, b)) for b in _ranges([*wanted, *there]))
    return _joined(mine.filter(~mine.is_in(theirs.implode())) for mine, theirs in both)


def with_several(parts: Sequence[tuple[pl.Series, pl.Series]]) -> pl.Series:
    """The first ones of pairs of hashes that stand beside several second ones."""
    often = repeated_in([first for first, _ in parts])
    if often.is_empty():
        return often
    frames = (pl.DataFrame({"hash": first, "second": second}) for first, second in parts)
    pairs = [f.filter(pl.col("hash").is_in(often.implode())).unique() for f in frames]
    return _joined(
        p.unique().filter(pl.col("hash").is_duplicated())["hash"].unique()
        for p in (pl.concat(p.filter(pl.col("hash").is_between(*b)) for p in pairs) for b in _ranges([often]))
    )


def _ranges(parts: Iterable[pl.Series]) -> Iterator[tuple[pl.Expr, pl.Expr]]:
    """The least and the greatest hash of as many buckets as are needed; hashes spread evenly."""
    count = sum(p.len() for p in parts) // _BUCKET + 1
    edges = [2**64 * n // count for n in range(count + 1)]
    for low, high in itertools.pairwise(edges):
        yield pl.lit(low, dtype=HASH), pl.lit(high - 1, dtype=HASH)


def _within(parts: Iterable[pl.Series], bounds: tuple[pl.Expr, pl.Expr]) -> pl.Series:
    return _joined(p.filter(p.is_between(*bounds)) for p in parts)


def _joined(found: Iterable[pl.Series]) -> pl.Series:
    return pl.concat([pl.Series("hash", [], dtype=HASH), *(f.alias("hash") for f in found)])
