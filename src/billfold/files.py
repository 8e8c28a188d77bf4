"""Files for people and other programs: whole or not there at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file under another name beside it, then give it its own. Devices and pipes are simply written to.

    Who may read it is up to `mode` and the umask.

    Raises:
        BillfoldError: it can't be written; what was there before is still there.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        scratch.touch(mode=mode)
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as e:
        with suppress(OSError):
            scratch.unlink()
        msg = f"{path} can't be written: {e.strerror}."
        raise BillfoldError(msg) from e


def make_folder(folder: Path) -> None:
    """Make a folder for files, if it is not there.

    Raises:
        BillfoldError: it can't be made, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        msg = f"The folder {folder} can't be made: {e.strerror}."
        raise BillfoldError(msg) from e
    if not os.access(folder, os.W_OK):
        msg = f"The folder {folder} can't be written: choose another."
        raise BillfoldError(msg)
