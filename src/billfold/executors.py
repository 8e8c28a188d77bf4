"""Where the parts of a large run are made: side by side in this process, in others, or on a cluster of Dask.

Whoever makes them, they are finished in order, each with the number of documents before it, so that no place changes a
byte.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from billfold.budget import Budget
from billfold.in_parts import How
from billfold.part import draft, finish
from billfold.parts import PART

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from billfold.book import Book, DataFiles
    from billfold.part import Drafted, Finished, Task


@dataclass(frozen=True)
class Local:
    """In this process, so many parts at once; Polars gives each of them all cores."""

    at_once: int = 1

    def parts(self, book: Book, files: DataFiles, task: Task) -> Iterator[Finished]:
        """All parts of a run, in order; one is finished while the next ones are drafted."""
        before = 0
        waiting: deque[Future[Drafted]] = deque()
        with ThreadPoolExecutor(self.at_once) as pool:
            for part in range(task.dealt.parts):
                waiting.append(pool.submit(draft, book, task, part))
                while len(waiting) >= self.at_once or (waiting and part + 1 == task.dealt.parts):
                    drafted = waiting.popleft().result()
                    yield finish(files, task, drafted, before)
                    before += drafted.count


def usual(memory: str | None = None) -> How:
    """How runs are made when nothing else is said: on this machine, within a share of its memory."""
    budget = Budget.parse(memory)
    return How(budget, Local(budget.at_once(PART)))
