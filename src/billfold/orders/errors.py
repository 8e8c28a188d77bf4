"""Why an order can't be done: one fault, said of a field."""

from __future__ import annotations

from typing import Final

from billfold.orders.parsing import Reason

INVALID: Final = "20"
MISSING: Final = "22"
RULE: Final = "30"
NOT_FOUND: Final = "40"


class OrderError(Exception):
    """An order that the book does not allow. `path` names the field; `category` is the code's last two digits."""

    def __init__(self, path: str, said: str, category: str = RULE) -> None:
        """Keep what is said, and of which field."""
        super().__init__(f"'{path}' {said}" if path else said)
        self.category = category


def not_found(path: str, what: str, value: str) -> OrderError:
    """A reference that leads nowhere."""
    return OrderError(path, f"names the {what} {value!r}, which is not in the book.", NOT_FOUND)


def reason(category: str, said: str) -> Reason:
    """A fault as error bodies have it: the object (an order) and the category make the code."""
    return Reason(f"531000{category}", said)
