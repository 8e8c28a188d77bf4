"""Where the parts of a large run are made: side by side in this process, in others, or on a cluster of Dask.

Whoever makes them, they are finished in order, each with the number of documents before it, so that no place changes a
byte.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final

from billfold import __version__
from billfold.book import Book
from billfold.budget import Budget
from billfold.errors import BillfoldError
from billfold.in_parts import How
from billfold.part import draft, finish
from billfold.parts import PART

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from billfold.book.place import Place
    from billfold.part import Drafted, Finished, Kept, Target, Task

_DASK: Final = "dask://"
_TRIES: Final = 3
_PATIENCE: Final = 10
"""Seconds in which a scheduler must answer."""


@dataclass(frozen=True)
class Local:
    """In this process, so many parts at once; Polars gives each of them all cores."""

    at_once: int = 1

    def parts(self, book: Book, files: Target, task: Task) -> Iterator[Finished]:
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


@dataclass(frozen=True)
class Elsewhere:
    """On an executor of `concurrent.futures`, whose workers open the book at its place and share its scratch folder.

    A worker that dies is no harm: its parts are made again, by another executor where this one is broken.
    """

    start: Callable[[], Executor]

    def parts(self, book: Book, files: Target, task: Task) -> Iterator[Finished]:
        """All parts of a run, in order; one is finished as soon as those before it are drafted."""
        before, finishing = 0, []
        with closing(_Crew(self.start)) as crew:
            drafting = [crew.call(draft_there, book.place, task, part) for part in range(task.dealt.parts)]
            for job in drafting:
                kept = crew.result(job)
                finishing.append(crew.call(finish_there, files, task, kept, before))
                before += kept.count
            for job in finishing:
                yield crew.result(job)


def draft_there(place: Place, task: Task, part: int) -> Kept:
    """Make a part's documents in another process or on another machine; they wait in scratch files.

    Raises:
        BillfoldError: another version of billfold runs there.
    """
    if task.version != __version__:
        msg = f"A worker has billfold {__version__} and the run is made by {task.version}: give all one version."
        raise BillfoldError(msg)
    with Book.at(place, read_only=True) as book:
        return draft(book, task, part).keep(book.files, task)


def finish_there(files: Target, task: Task, kept: Kept, before: int) -> Finished:
    """Finish a part that was drafted somewhere else."""
    return finish(files, task, kept.drafted(files, task), before)


class _Job:
    """Something that an executor was asked to do, and may be asked again."""

    def __init__(self, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
        self.work, self.given = work, given
        self.tries = 0
        self.future: Future[Any]
        self.crew: Executor


class _Crew:
    """An executor, replaced by a new one when it breaks, as a pool of processes does when one of them is killed."""

    def __init__(self, start: Callable[[], Executor]) -> None:
        self._start = start
        self._executor = start()

    def call(self, work: Callable[..., Any], *given: Any) -> _Job:  # noqa: ANN401 - whatever the work takes
        job = _Job(work, given)
        self._submit(job)
        return job

    def _submit(self, job: _Job) -> None:
        job.tries += 1
        try:
            job.crew, job.future = self._executor, self._executor.submit(job.work, *job.given)
        except BrokenExecutor:
            self._replace(self._executor)
            job.crew, job.future = self._executor, self._executor.submit(job.work, *job.given)

    def result(self, job: _Job) -> Any:  # noqa: ANN401 - whatever the work makes
        while True:
            try:
                return job.future.result()
            except BrokenExecutor as e:
                if job.tries >= _TRIES:
                    msg = f"The processes that make parts of the run died {_TRIES} times: {_first_line(e)}"
                    raise BillfoldError(f"{msg}; give them more memory, or less to do with --memory.") from e
                self._replace(job.crew)
                self._submit(job)

    def _replace(self, broken: Executor) -> None:
        if broken is self._executor:
            broken.shutdown(wait=False, cancel_futures=True)
            self._executor = self._start()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")


def how(executor: str = "local", memory: str | None = None) -> How:
    """How runs are made: `executor` is local, processes or dask://HOST:PORT.

    Raises:
        BillfoldError: there is no such executor, it can't be reached, or the memory is no size.
    """
    budget = Budget.parse(memory)
    at_once = budget.at_once(PART)
    if executor == "local":
        return How(budget, Local(at_once))
    if executor == "processes":
        return How(budget, Elsewhere(partial(ProcessPoolExecutor, at_once, get_context("spawn"))))
    if executor.startswith(_DASK):
        return How(budget, Elsewhere(partial(_dask, executor.removeprefix(_DASK))))
    msg = f"There is no executor {executor!r}: it is local, processes or dask://HOST:PORT."
    raise BillfoldError(msg)


def _dask(address: str) -> Executor:
    """The workers of a Dask scheduler. A worker that is lost is replaced by Dask itself."""
    try:
        import distributed  # noqa: PLC0415 - only clusters have it
    except ImportError as e:
        msg = "Runs on Dask need the package distributed: pip install 'billfold[cluster]'."
        raise BillfoldError(msg) from e
    try:
        client: Any = distributed.Client(f"tcp://{address}", timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as e:
        msg = (
            f"There is no Dask scheduler at {address}: start one with `dask scheduler`, and workers with `dask worker`."
        )
        raise BillfoldError(msg) from e
    if not client.scheduler_info()["workers"]:
        msg = f"The Dask scheduler at {address} has no worker: start some with `dask worker {address}`."
        raise BillfoldError(msg)
    return _Dask(client)


class _Dask(Executor):
    """The workers that a client of Dask reaches, as an executor."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - published without types
        self._client = client
        self._inner: Executor = client.get_executor(pure=False, retries=_TRIES)

    def submit(self, fn: Callable[..., Any], /, *given: object, **named: object) -> Future[Any]:
        return self._inner.submit(fn, *given, **named)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as declared
        """Let go of the cluster. What it still has to do is forgotten, since nobody waits for it any more."""
        del wait, cancel_futures
        self._client.close()
