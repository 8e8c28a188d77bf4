"""The nightly run: everything that happens between the files that come in and the report that goes out.

`night` does it all; `steps` has each step by itself, `inbox` the files, `paper` what is printed.
"""

from __future__ import annotations

from billfold.night.whole import Night, night

__all__ = ["Night", "night"]
