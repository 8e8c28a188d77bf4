"""Named places before and after everything that a commit does, where a test may let the process die.

`BILLFOLD_FAILPOINT=commit.before` kills the process when that place is reached; `BILLFOLD_FAILPOINT=log:FILE` adds
the names of the places that are reached to a file, a line each. Otherwise nothing happens.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

_ASKED: Final = os.environ.get("BILLFOLD_FAILPOINT", "")
_LOG: Final = "log:"


def reached(name: str) -> None:
    """Die here if that is what was asked for; for real, so that no handler tidies up."""
    if not _ASKED:
        return
    if _ASKED.startswith(_LOG):
        with Path(_ASKED.removeprefix(_LOG)).open("a", encoding="utf-8") as log:
            log.write(f"{name}\n")
    elif name == _ASKED:
        os.kill(os.getpid(), signal.SIGKILL)
