"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from billfold.errors import BillfoldError
from billfold.files import make_folder, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "rows.csv"
    place.write_text("before")
    write_whole(place, b"after")
    assert (place.read_text(), list(tmp_path.iterdir())) == ("after", [place])


def test_what_can_not_be_written_leaves_all_as_it_was(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    (taken / "inside").mkdir(parents=True)
    with pytest.raises(BillfoldError, match=r"taken can't be written: "):
        write_whole(taken, b"after")
    assert (list(tmp_path.iterdir()), list(taken.iterdir())) == ([taken], [taken / "inside"])


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, b"rows")
    assert (os.read(reader, 10), pipe.is_fifo()) == (b"rows", True)
    os.close(reader)


def test_private_files_are_private(tmp_path: Path) -> None:
    write_whole(tmp_path / "note", b"", mode=0o600)
    assert (tmp_path / "note").stat().st_mode & 0o777 == 0o600


def test_a_folder_under_a_file_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BillfoldError, match=r"The folder .*file/pages can't be made: Not a directory\."):
        make_folder(tmp_path / "file" / "pages")
