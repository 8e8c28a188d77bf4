"""Tiers as files spell them, the one text that a book keeps of them, and those that are refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from inputs import row, seed, state, write, write_rows

from billfold.book import Book
from billfold.errors import InputError
from billfold.intake import load, tiers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Spans = Sequence[tuple[str, str | None]]

MODEL: Final = {"charge_model": "Volume", "quantity": "1"}
TWO: Final = (
    '[{"startingUnit":"0","endingUnit":"10","price":"1","priceFormat":"PerUnit"},'
    '{"startingUnit":"10.1","endingUnit":null,"price":"0.9","priceFormat":"FlatFee"}]'
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """One book for all: each test brings a charge of its own, or is refused."""
    folder = tmp_path_factory.mktemp("tiers")
    with Book.create(folder / "book") as opened:
        load(opened, [str(seed(folder / "seed"))])
        yield opened


def charges(*texts: str, prefix: str = "T") -> list[dict[str, Any]]:
    return [row("rate_plan_charges", f"{prefix}-{n:02}", tiers=text, **MODEL) for n, text in enumerate(texts)]


def stored(book: Book, prefix: str = "T") -> list[str | None]:
    """The tiers of the charges whose numbers begin so."""
    mine = pl.col("charge_number").str.starts_with(f"{prefix}-")
    kept: list[str | None] = (
        book.read("rate_plan_charges").filter(mine).sort("charge_number").collect()["tiers"].to_list()
    )
    return kept


def first(text: str, start: str = "10") -> str:
    """Two tiers of which `text` is the first."""
    return f'[{text}, {{"from": {start}, "price": 1}}]'


def priced(price: str) -> str:
    """One tier with this price."""
    return f'[{{"from": 0, "price": {price}}}]'


def spanned(spans: Spans) -> str:
    """Tiers from and to these units."""
    return json.dumps([{"from": start, "to": end, "price": 1} for start, end in spans])


SPELLINGS: list[tuple[str, str]] = [
    ("as_the_book_keeps_them", TWO),
    ("numbers", ('[{"startingUnit": 0, "endingUnit": 10, "price": 1, "priceFormat": "PerUnit"},'
     '{"startingUnit": 10.1, "price": 0.9, "priceFormat": "FlatFee"}]')),
    ("texts", ('[{"startingUnit": "0", "endingUnit": "10", "price": "1", "priceFormat": "Per Unit"},'
     '{"startingUnit": "10.1", "endingUnit": null, "price": "0.9", "priceFormat": "Flat Fee"}]')),
    ("underscores", ('[{"starting_unit": 0, "ending_unit": 10, "price": 1, "price_format": "per_unit"},'
     '{"starting_unit": 10.1, "ending_unit": null, "price": 0.9, "price_format": "flat_fee"}]')),
    ("from_and_to", ('[{"from": 0, "to": 10, "price": 1}, '
     '{"from": 10.1, "to": null, "price": 0.9, "format": "FLATFEE"}]')),
    ("from_and_up_to", ('[{"from_": 0, "upTo": 10, "price": 1, "format": "PerUnit"},'
     '{"from_": 10.1, "upTo": null, "price": 0.9, "format": "Flat Fee"}]')),
    ("capitals", ('[{"StartingUnit": 0, "EndingUnit": 10, "Price": 1}, '
     '{"StartingUnit": 10.1, "Price": 0.9, "PriceFormat": "flat fee"}]')),
    ("numbered", ('[{"tier": 1, "from": 0, "to": 10, "price": 1}, '
     '{"tier": 2, "from": 10.1, "price": 0.9, "format": "FlatFee"}]')),
    ("numbered_the_other_way_round", ('[{"tier": 2, "from": 10.1, "price": 0.9, "format": "FlatFee"}, '
     '{"tier": "1", "from": 0, "to": 10, "price": 1}]')),
    ("the_other_way_round", '[{"from": 10.1, "price": 0.9, "format": "FlatFee"}, {"from": 0, "to": 10, "price": 1}]'),
    ("numbered_in_part", ('[{"tier": 1, "from": 10.1, "price": 0.9, "format": "FlatFee"}, '
     '{"tier": null, "from": 0, "to": 10, "price": 1}]')),
    ("an_object_of_tiers", ('{"tiers": [{"from": 0, "to": 10, "price": 1}, '
     '{"from": 10.1, "price": 0.9, "format": "FlatFee"}]}')),
    ("an_object_of_tier", ('{"tier": [{"from": 0, "to": 10, "price": 1}, '
     '{"from": 10.1, "price": 0.9, "format": "FlatFee"}]}')),
    ("needless_zeros", ('[{"from": 0.000, "to": 1e1, "price": "01.00"}, '
     '{"from": "+10.10", "price": "9E-1", "format": "FlatFee"}]')),
    ("blanks_and_lines",
     ' [ {"from": 0, "to": 10,\n "price": 1},\t{"from": 10.1, "price": 0.9, "format": "FlatFee"}]\n'),
]  # fmt: skip


@pytest.fixture(scope="module")
def as_csv(book: Book, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str | None]:
    """What the book keeps of every text below that it accepts, each in a charge of its own, all loaded at once."""
    texts = [
        *(text for _, text in SPELLINGS),
        *(priced(given) for given, _ in NUMBERS),
        *(spanned(spans) for _, spans in SEAMS),
    ]
    path = write_rows(tmp_path_factory.mktemp("csv") / "c.csv", charges(*texts, prefix="CSV"))
    load(book, [f"rate_plan_charges={path}"])
    return dict(zip(texts, stored(book, "CSV"), strict=True))


@pytest.fixture(scope="module")
def as_json(book: Book, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str | None]:
    """What the book keeps of the spellings as nested values of JSON lines."""
    texts = [text for _, text in SPELLINGS]
    lines = [
        json.dumps(charge | {"tiers": "@"}).replace('"@"', " ".join(text.split())) + "\n"
        for charge, text in zip(charges(*texts, prefix="JSON"), texts, strict=True)
    ]
    path = write(tmp_path_factory.mktemp("json") / "c.jsonl", "".join(lines))
    load(book, [f"rate_plan_charges={path}"])
    return dict(zip(texts, stored(book, "JSON"), strict=True))


@pytest.mark.parametrize("text", [s[1] for s in SPELLINGS], ids=[s[0] for s in SPELLINGS])
def test_spellings_become_one_text(as_csv: Mapping[str, str | None], text: str) -> None:
    assert as_csv[text] == TWO


@pytest.mark.parametrize("text", [s[1] for s in SPELLINGS], ids=[s[0] for s in SPELLINGS])
def test_spellings_become_one_text_as_json_too(as_json: Mapping[str, str | None], text: str) -> None:
    assert as_json[text] == TWO


def test_nested_parquet_becomes_the_same_text(book: Book, tmp_path: Path) -> None:
    rows = pl.DataFrame(charges("@")).with_columns(
        tiers=pl.Series([[
            {"from": Decimal(0), "to": Decimal(10), "price": 1.0, "format": None},
            {"from": Decimal("10.1"), "to": None, "price": 0.9, "format": "FlatFee"},
        ]])
    )  # fmt: skip
    load(book, [f"rate_plan_charges={write(tmp_path / 'c.parquet', rows)}"])
    assert stored(book)[0] == TWO


def test_another_spelling_of_the_same_tiers_changes_nothing(book: Book, tmp_path: Path) -> None:
    rows = [row("product_rate_plan_charges", "PC-T", tiers=TWO, charge_model="Volume")]
    load(book, [f"product_rate_plan_charges={write_rows(tmp_path / 'a.csv', rows)}"])
    before = state(book)
    for name, text in SPELLINGS:
        again = [rows[0] | {"tiers": text}]
        [loaded] = load(book, [f"product_rate_plan_charges={write_rows(tmp_path / f'{name}.csv', again)}"])
        assert (loaded.new, loaded.changed) == (0, 0)
    assert state(book) == before


def test_each_row_keeps_its_own_tiers(book: Book, tmp_path: Path) -> None:
    flat = '{"startingUnit":"0","endingUnit":null,"price":"5","priceFormat":"FlatFee"}'
    rows = [
        *charges(f"[{flat}]", TWO, f"[{flat}]", prefix="EACH"),
        row("rate_plan_charges", "EACH-03", tiers=""),
        row("rate_plan_charges", "EACH-04", tiers=TWO.replace(",", ", ")),
    ]
    load(book, [f"rate_plan_charges={write_rows(tmp_path / 'c.csv', rows)}"])
    assert stored(book, "EACH") == [f"[{flat}]", TWO, f"[{flat}]", None, TWO]


NUMBERS: list[tuple[str, str]] = [
    ("0.000000001", "0.000000001"), ("1e-9", "0.000000001"), ("9999999999999999999.999999999",) * 2,
    ('"9999999999999999999.999999999"', "9999999999999999999.999999999"), ("1234567890123456789.123456789",) * 2,
    ("1e18", "1000000000000000000"), ("100", "100"), ("0e9", "0"), ("-0", "0"), ('"007"', "7"), ('".5"', "0.5"),
    ('"5."', "5"), ("0.1", "0.1"), ("1.00000000000000000000000000000000000000", "1"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "kept"), NUMBERS, ids=[n[0] for n in NUMBERS])
def test_numbers_keep_every_digit(as_csv: Mapping[str, str | None], given: str, kept: str) -> None:
    assert json.loads(as_csv[priced(given)] or "")[0]["price"] == kept


SEAMS: list[tuple[str, Spans]] = [
    ("one_open_tier", [("0", None)]),
    ("one_closed_tier", [("1", "500")]),
    ("from_1_to_1", [("1", "1"), ("2", None)]),
    ("units_one_by_one", [("1", "1"), ("2", "2"), ("3", "3"), ("4", None)]),
    ("no_step", [("0", "500"), ("500", "1000"), ("1000", None)]),
    ("a_step_of_1", [("0", "50"), ("51", "100")]),
    ("steps_of_hundredths", [("0", "5"), ("5.01", "7"), ("7.01", "9")]),
    ("the_smallest_step", [("0", "5"), ("5.000000001", None)]),
    ("several_steps", [("0", "5"), ("6", "7.5"), ("7.5", "8"), ("8.001", None)]),
    ("halves", [("0", "0.5"), ("0.5", "1"), ("1", None)]),
    ("the_largest_end", [("0", "9999999999999999999.999999998"), ("9999999999999999999.999999999", None)]),
]


@pytest.mark.parametrize("spans", [s[1] for s in SEAMS], ids=[s[0] for s in SEAMS])
def test_tiers_without_gaps_or_overlaps_are_accepted(as_csv: Mapping[str, str | None], spans: Spans) -> None:
    kept = json.loads(as_csv[spanned(spans)] or "")
    assert [(tier["startingUnit"], tier["endingUnit"]) for tier in kept] == list(spans)


REFUSED: list[tuple[str, str, str]] = [
    ("words", "many", tiers.ARRAY),
    ("half_an_array", '[{"from": 0, "price": 1}', tiers.ARRAY),
    ("an_empty_array", "[]", tiers.ARRAY),
    ("a_null", "null", tiers.ARRAY),
    ("a_number", "5", tiers.ARRAY),
    ("a_text", '"[]"', tiers.ARRAY),
    ("a_tier_alone", '{"from": 0, "price": 1}', tiers.ARRAY),
    ("an_object_of_something_else", '{"steps": [{"from": 0, "price": 1}]}', tiers.ARRAY),
    ("an_object_of_tiers_and_more", '{"tiers": [{"from": 0, "price": 1}], "currency": "USD"}', tiers.ARRAY),
    ("an_object_of_one_tier", '{"tiers": {"from": 0, "price": 1}}', tiers.ARRAY),
    ("an_array_of_numbers", "[1, 2]", tiers.ARRAY),
    ("an_array_with_a_null", '[{"from": 0, "price": 1}, null]', tiers.ARRAY),
    ("an_array_without_end", "[" * 100_000, tiers.ARRAY),
    ("an_unknown_key", '[{"from": 0, "price": 1, "colour": "red"}]', tiers.KEYS),
    ("an_unknown_key_of_nothing", '[{"from": 0, "price": 1, "colour": null}]', tiers.KEYS),
    ("a_key_twice", '[{"from": 0, "from": 1, "price": 1}]', tiers.ONCE),
    ("a_key_in_two_spellings", '[{"from": 0, "startingUnit": 0, "price": 1}]', tiers.ONCE),
    ("no_start", '[{"to": 10, "price": 1}]', tiers.NEEDED),
    ("a_start_of_null", '[{"from": null, "price": 1}]', tiers.NEEDED),
    ("no_price", '[{"from": 0, "to": 10}]', tiers.NEEDED),
    ("a_price_in_words", '[{"from": 0, "price": "cheap"}]', tiers.NUMBERS),
    ("a_blank_price", '[{"from": 0, "price": ""}]', tiers.NUMBERS),
    ("a_price_with_blanks", '[{"from": 0, "price": " 1"}]', tiers.NUMBERS),
    ("a_price_of_nan", '[{"from": 0, "price": NaN}]', tiers.NUMBERS),
    ("an_infinite_end", '[{"from": 0, "to": Infinity, "price": 1}]', tiers.NUMBERS),
    ("a_price_of_truth", '[{"from": 0, "price": true}]', tiers.NUMBERS),
    ("a_price_in_a_list", '[{"from": 0, "price": [1]}]', tiers.NUMBERS),
    ("a_decimal_comma", '[{"from": 0, "price": "1,5"}]', tiers.NUMBERS),
    ("arabic_digits", '[{"from": 0, "price": "١٢"}]', tiers.NUMBERS),
    ("ten_decimals", '[{"from": 0, "price": 0.0000000001}]', tiers.NUMBERS),
    ("twenty_digits", '[{"from": 0, "price": 12345678901234567890}]', tiers.NUMBERS),
    ("a_gigantic_exponent", '[{"from": 0, "price": 1e999999999999}]', tiers.NUMBERS),
    ("too_many_digits", f'[{{"from": 0, "price": {"1" * 5000}}}]', tiers.NUMBERS),
    ("a_number_of_a_tier_in_words", '[{"tier": "first", "from": 0, "price": 1}]', tiers.NUMBERS),
    ("a_negative_price", '[{"from": 0, "price": -0.000000001}]', tiers.NEGATIVE),
    ("a_negative_start", '[{"from": -1, "price": 1}]', tiers.NEGATIVE),
    ("a_negative_end", '[{"from": 0, "to": "-1", "price": 1}]', tiers.NEGATIVE),
    ("an_unknown_format", '[{"from": 0, "price": 1, "format": "PerDozen"}]', tiers.FORMAT),
    ("a_format_in_a_list", '[{"from": 0, "price": 1, "format": ["FlatFee"]}]', tiers.FORMAT),
    ("a_start_at_2", '[{"from": 2, "price": 1}]', tiers.FIRST),
    ("a_start_between_0_and_1", '[{"from": 0.5, "price": 1}]', tiers.FIRST),
    ("an_end_before_its_start", first('{"from": 1, "to": 0.5, "price": 1}', start="1"), tiers.ORDER),
    ("a_last_end_before_its_start", '[{"from": 0, "to": 10, "price": 1}, {"from": 11, "to": 10.5, "price": 1}]',
     tiers.ORDER),
    ("nothing_but_0", first('{"from": 0, "to": 0, "price": 1}', start="0"), tiers.EMPTY),
    ("a_tier_that_holds_nothing", '[{"from": 0, "to": 10, "price": 1}, {"from": 10, "to": 10, "price": 1}]',
     tiers.EMPTY),
    ("an_open_tier_before_another", first('{"from": 0, "price": 1}'), tiers.OPEN),
    ("two_open_tiers_that_begin_together", first('{"from": 0, "price": 1}', start="0"), tiers.OPEN),
    ("a_gap_of_2", first('{"from": 0, "to": 8, "price": 1}'), tiers.GAP),
    ("a_gap_of_a_half", first('{"from": 0, "to": 9.5, "price": 1}'), tiers.GAP),
    ("a_gap_of_1_and_a_bit", first('{"from": 0, "to": 8.999999999, "price": 1}'), tiers.GAP),
    ("a_later_gap", '[{"from": 0, "to": 1, "price": 1}, {"from": 1, "to": 2, "price": 1}, {"from": 5, "price": 1}]',
     tiers.GAP),
    ("an_overlap", first('{"from": 0, "to": 11, "price": 1}'), tiers.OVERLAP),
    ("an_overlap_of_the_smallest", first('{"from": 0, "to": 10.000000001, "price": 1}'), tiers.OVERLAP),
    ("tiers_numbered_against_their_starts",
     '[{"tier": 2, "from": 0, "to": 5, "price": 1}, {"tier": 1, "from": 1, "to": 2, "price": 1}]', tiers.OVERLAP),
]  # fmt: skip


@pytest.fixture(scope="module")
def refused(book: Book, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The faults of a file in which each of the texts above stands between two that are accepted."""
    texts = [t for _, text, _ in REFUSED for t in (TWO, text)]
    path = write_rows(tmp_path_factory.mktemp("refused") / "c.csv", charges(*texts, TWO, prefix="REFUSED"))
    before = state(book)
    with pytest.raises(InputError) as caught:
        load(book, [f"rate_plan_charges={path}"])
    assert state(book) == before
    found = caught.value.failures
    assert found["row"].unique().sort().to_list() == [2 * n for n in range(1, len(REFUSED) + 1)]
    assert found["file"].unique().to_list() == [str(path)]
    return found.to_dicts()


@pytest.mark.parametrize(
    ("row_", "text", "rule"), [(2 * n, *r[1:]) for n, r in enumerate(REFUSED, 1)], ids=[r[0] for r in REFUSED]
)
def test_broken_tiers_are_refused_in_their_row(refused: list[dict[str, Any]], row_: int, text: str, rule: str) -> None:
    [fault] = [f for f in refused if f["row"] == row_ and f["column"]]
    assert (fault["column"], fault["value"], fault["rule"]) == ("tiers", text, rule)


def test_tiers_are_checked_whatever_the_charge_model(book: Book, tmp_path: Path) -> None:
    rows = [row("rate_plan_charges", "N-1", tiers="[]"), row("rate_plan_charges", "N-2", tiers="{}")]
    with pytest.raises(InputError) as caught:
        load(book, [f"rate_plan_charges={write_rows(tmp_path / 'c.csv', rows)}"])
    assert caught.value.failures.select("row", "column", "rule").rows() == [
        (1, "tiers", tiers.ARRAY), (2, "tiers", tiers.ARRAY),
    ]  # fmt: skip


def test_tiers_of_the_catalog_are_checked_too(book: Book, tmp_path: Path) -> None:
    rows = [row("product_rate_plan_charges", "N-1", tiers='[{"from": 5, "price": 1}]')]
    with pytest.raises(InputError) as caught:
        load(book, [f"product_rate_plan_charges={write_rows(tmp_path / 'c.csv', rows)}"])
    assert caught.value.failures.select("row", "column", "rule").rows() == [(1, "tiers", tiers.FIRST)]


def test_objects_of_a_file_of_json_lines_are_refused_alike(book: Book, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", [row("rate_plan_charges", "N-1", tiers=[{"from": 3, "price": 0.1}])])
    with pytest.raises(InputError) as caught:
        load(book, [f"rate_plan_charges={path}"])
    [fault] = caught.value.failures.to_dicts()
    assert (fault["value"], fault["rule"]) == ('[{"from": 3, "price": "0.1"}]', tiers.FIRST)


def test_a_truth_value_is_no_array_of_tiers(book: Book, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", [row("rate_plan_charges", "N-1", tiers=True)])
    with pytest.raises(InputError) as caught:
        load(book, [f"rate_plan_charges={path}"])
    assert caught.value.failures["rule"].to_list() == [tiers.ARRAY]


def test_the_rules_differ() -> None:
    assert len({rule for _, _, rule in REFUSED}) == 13
