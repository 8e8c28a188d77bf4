"""Settings of units of measure, and the newer plain ones: set, shown, refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from billfold import settings
from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from pathlib import Path

    from billfold.book import Book


def test_plain_settings_have_their_defaults(book: Book) -> None:
    shown = settings.show(book)
    assert (shown["usage_without_records"], shown["credit_wording"]) == ("bill", "yes")
    assert not [name for name in shown if name.startswith("uom_")]


@pytest.mark.parametrize(
    ("given", "kept"),
    [({"uom_decimals.GB": "2"}, {"uom_decimals.GB": "2"}),
     ({"uom_decimals.GB": "0"}, {"uom_decimals.GB": "0"}),
     ({"uom_decimals.GB": "9"}, {"uom_decimals.GB": "9"}),
     ({"uom_decimals.GB": "1", "uom_decimals.gb": "2"}, {"uom_decimals.GB": "1", "uom_decimals.gb": "2"}),
     ({"uom_decimals. API calls ": "3"}, {"uom_decimals.API calls": "3"}),
     ({"uom_decimals.v1.2": "3"}, {"uom_decimals.v1.2": "3"}),
     ({"uom_rounding.GB": "down"}, {"uom_rounding.GB": "down"}),
     ({"uom_rounding.Größe": "UP"}, {"uom_rounding.Größe": "up"}),
     ({"usage_without_records": "skip"}, {"usage_without_records": "skip"}),
     ({"credit_wording": "No"}, {"credit_wording": "no"})],
)  # fmt: skip
def test_settings_are_kept(book: Book, given: dict[str, str], kept: dict[str, str]) -> None:
    before = settings.show(book)
    assert settings.change(book, given) == before | kept
    assert settings.show(book) == before | kept


def test_a_unit_can_change_its_mind(book: Book) -> None:
    settings.change(book, {"uom_decimals.GB": "2", "uom_rounding.GB": "down"})
    settings.change(book, {"uom_decimals.GB": "3"})
    shown = settings.show(book)
    assert (shown["uom_decimals.GB"], shown["uom_rounding.GB"]) == ("3", "down")


def test_toml_tables_name_units(book: Book, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('credit_wording = false\n[uom_decimals]\nGB = 2\n"API calls" = "0"\n[uom_rounding]\nGB = "down"\n')
    shown = settings.change(book, settings.from_toml(file))
    expected = {
        "credit_wording": "no", "uom_decimals.GB": "2", "uom_decimals.API calls": "0", "uom_rounding.GB": "down",
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected


DIGITS = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("uom_decimals.GB", "10", DIGITS), ("uom_decimals.GB", "-1", DIGITS), ("uom_decimals.GB", "1.5", DIGITS),
     ("uom_decimals.GB", "2.0", DIGITS), ("uom_decimals.GB", "", DIGITS), ("uom_decimals.GB", "two", DIGITS),
     ("uom_decimals.GB", "٢", DIGITS), ("uom_decimals.GB", "02", DIGITS),
     ("uom_rounding.GB", "half_up", "up, down"), ("uom_rounding.GB", "", "up, down"),
     ("uom_decimals.", "2", "uom_decimals.GB"), ("uom_rounding.  ", "up", "uom_rounding.GB"),
     ("uom_decimals.G\nB", "2", "uom_decimals.GB"), ("uom_decimals." + "x" * 256, "2", "uom_decimals.GB"),
     ("uom_decimals", "2", "uom_decimals.UOM"), ("uom_length.GB", "2", "uom_rounding.UOM"),
     ("usage_without_records", "yes", "bill, skip"), ("credit_wording", "maybe", "yes, no"),
     ("usage_without_record", "bill", "did you mean usage_without_records?")],
)  # fmt: skip
def test_wrong_settings_are_refused_and_nothing_changes(book: Book, name: str, value: str, said: str) -> None:
    before = settings.show(book)
    with pytest.raises(BillfoldError) as caught:
        settings.change(book, {"credit_wording": "no", name: value})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert settings.show(book) == before


@pytest.mark.parametrize(
    ("name", "values"),
    [("uom_decimals.GB", tuple("0123456789")), ("uom_rounding.GB", ("up", "down")), ("credit_wording", ("yes", "no")),
     ("rounding_increment.CHF", ("1, 2 or 5 times a power of ten",))],
)  # fmt: skip
def test_what_a_setting_may_be_is_shown(name: str, values: tuple[str, ...]) -> None:
    assert settings.allowed(name) == values
