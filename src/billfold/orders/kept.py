"""Values by key that an order changes, to be kept or dropped as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by key. What an order puts in counts for it at once, and for the others once it is kept."""

    def __init__(self, stored: Mapping[K, V]) -> None:
        """Begin with what the book has."""
        self._stored = stored
        self._values = dict(stored)
        self._fresh: dict[K, V] = {}
        self._versions: dict[K, list[tuple[int, V]]] = {}

    def known(self) -> set[K]:
        """Keys that the book has."""
        return set(self._stored)

    def get(self, key: K) -> V | None:
        """The value as this order sees it."""
        return self._fresh[key] if key in self._fresh else self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """A new value, for this order."""
        if self.get(key) != value:
            self._fresh[key] = value

    def fresh(self) -> Iterator[tuple[K, V]]:
        """What this order has put in so far."""
        yield from self._fresh.items()

    def keep(self, line: int) -> None:
        """The order of this line is done: its values count for all later ones."""
        self._values |= self._fresh
        for key, value in self._fresh.items():
            self._versions.setdefault(key, []).append((line, value))
        self._fresh = {}

    def drop(self) -> None:
        """This order is not done: it changes nothing."""
        self._fresh = {}

    @property
    def replaces(self) -> bool:
        """Whether any changed value was in the book before."""
        return any(key in self._stored for key in self._versions)

    def changed(self) -> dict[K, V]:
        """Changed values by key, in the order of their first changes."""
        return {key: versions[-1][1] for key, versions in self._versions.items()}

    def versions(self, key: K) -> list[tuple[int, V]]:
        """What orders made of a value one after another, with their lines."""
        return self._versions.get(key, [])
