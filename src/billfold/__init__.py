"""billfold: a batch bill run on dataframes.

`Book` is the store, `bill` a run that commits, `preview` one that does not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from billfold.book import Book
    from billfold.explanations.api import explain
    from billfold.lifecycle import cancel, post
    from billfold.orders.api import create_order, preview_order
    from billfold.requests import RunRequest
    from billfold.run import bill, preview, retry
    from billfold.schedules.api import create_schedule, execute_schedule, show_schedule, update_schedule
    from billfold.whatif.compare import compare

__version__ = "0.1.0"

_KEPT: Final = "dirty_decay_ms:60000,muzzy_decay_ms:0,oversize_threshold:0"
"""Memory that Polars freed is kept for a minute: giving pages back and asking for them again is a fifth of a run."""

os.environ.setdefault("_RJEM_MALLOC_CONF", f"{_KEPT},narenas:{os.cpu_count()}")  # read by Polars when it is loaded

__all__ = [
    "Book",
    "RunRequest",
    "__version__",
    "bill",
    "cancel",
    "compare",
    "create_order",
    "create_schedule",
    "execute_schedule",
    "explain",
    "post",
    "preview",
    "preview_order",
    "retry",
    "show_schedule",
    "update_schedule",
]

_HOMES = {
    "Book": "billfold.book",
    "RunRequest": "billfold.requests",
    "bill": "billfold.run",
    "cancel": "billfold.lifecycle",
    "compare": "billfold.whatif.compare",
    "create_order": "billfold.orders.api",
    "create_schedule": "billfold.schedules.api",
    "execute_schedule": "billfold.schedules.api",
    "explain": "billfold.explanations.api",
    "post": "billfold.lifecycle",
    "preview": "billfold.run",
    "preview_order": "billfold.orders.api",
    "retry": "billfold.run",
    "show_schedule": "billfold.schedules.api",
    "update_schedule": "billfold.schedules.api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - functions and classes alike
    """Import the heavy parts on first use, so that `billfold --help` answers at once."""
    import importlib  # noqa: PLC0415 - as lazy as the rest

    if name not in _HOMES:
        msg = f"module 'billfold' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES[name]), name)
