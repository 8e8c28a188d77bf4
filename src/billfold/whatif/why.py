"""Why documents merge or split: the components of their groups that no longer set them apart, or do now."""

from __future__ import annotations

import json
from typing import Final

import polars as pl

_TYPE: Final = "document_type"
"""Not a component of groups, but all that sets an invoice apart from the credit memo of its group."""


def with_reasons(matches: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """Matches with `joined_by` and `separated_by`: lists of names, in the order of group keys.

    The documents before differ in the components of `joined_by`, those after in the components of `separated_by`; both
    are empty where there is one document. `documents` have match, side, document_type and group_key.
    """
    apart = _apart(documents)
    sides = (("before", "joined_by"), ("after", "separated_by"))
    for side, name in sides:
        of_side = apart.filter(side=side).select("match", pl.col("apart").alias(name))
        matches = matches.join(of_side, on="match", how="left", maintain_order="left")
    none = pl.lit([], dtype=pl.List(pl.String))
    return matches.with_columns(pl.col(name).fill_null(none) for _, name in sides)


def _apart(documents: pl.DataFrame) -> pl.DataFrame:
    """For each side of a match that has several documents, in which components they differ (`apart`)."""
    several = documents.filter(pl.len().over("match", "side") > 1)
    names = list(json.loads(several["group_key"][0])) if several.height else []
    key = pl.col("group_key").str.json_decode(pl.Struct(dict.fromkeys(names, pl.String())))
    told = several.select("match", "side", key=key).unnest("key") if names else several
    counts = told.group_by("match", "side").agg(pl.col(names).n_unique())
    differing = [pl.when(pl.col(c) > 1).then(pl.lit(c)) for c in names]
    of_groups = pl.concat_list(differing or pl.lit(None, pl.String)).list.drop_nulls()
    only_type = pl.when(of_groups.list.len() == 0).then(pl.lit([_TYPE])).otherwise(of_groups)
    return counts.select("match", "side", apart=only_type)


def summed_up(matches: pl.DataFrame) -> pl.DataFrame:
    """What happens for which reason, the most documents first.

    Columns: change, joined_by, separated_by (texts, names with commas), is_parked, documents_before, documents_after,
    accounts.
    """
    texts = (pl.col(c).list.join(", ") for c in ("joined_by", "separated_by"))
    changed = matches.filter(pl.col("change") != "unchanged").with_columns(texts)
    summed = changed.group_by("change", "joined_by", "separated_by", "is_parked").agg(
        pl.col("documents_before", "documents_after").sum(), accounts=pl.col("account_number").n_unique()
    )
    most = pl.max_horizontal("documents_before", "documents_after")
    return summed.sort(-most.cast(pl.Int64), "change", "joined_by", "separated_by", "is_parked")
