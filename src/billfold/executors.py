"""Where the parts of a large run are made: side by side in this process, in others, or on a cluster of Dask.

Whoever makes them, they are finished in order, each with the number of documents before it, so that no place changes a
byte.
"""

from __future__ import annotations

import os
import re
import signal
from collections import deque
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from billfold import __version__
from billfold.book import Book
from billfold.budget import Budget
from billfold.errors import BillfoldError
from billfold.in_parts import How
from billfold.part import Attempt, Finished, draft, finish
from billfold.parts import PART

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from billfold.book.place import Place
    from billfold.part import Drafted, Kept, Target, Task

_DASK: Final = re.compile(r"dask://([^/\s]+:\d+)/?")
_LOOK: Final = 0.1
"""Seconds between two looks at whether a cluster is still busy."""

_DEATHS: Final = 3
"""How often processes may die in a row before a run gives up."""

_PATIENCE: Final = 10
"""Seconds in which a scheduler must answer."""

_MAKERS: Final = ("billfold", "duckdb", "polars")
"""Packages that decide about the bytes of a part."""

_NOTHING: Final = "so nothing was written: see to it and run the command again"
_NO_WORKER: Final = "The Dask scheduler has no worker any more"
_LOST: Final = {
    "KilledWorker": "Workers died again and again over one part, as they do when --memory is more than they have",
    "NoValidWorkerError": _NO_WORKER,
    "NoWorkerError": _NO_WORKER,
}
"""What Dask's own errors mean."""


@dataclass(frozen=True)
class Local:
    """In this process, so many parts at once; Polars gives each of them all cores."""

    at_once: int = 1

    def check(self) -> None:
        """This process is there."""

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
    side_by_side: Callable[[Executor], int]
    """How many parts the workers of an executor make at the same time."""

    def check(self) -> None:
        """Refuse early what can't work later.

        Raises:
            BillfoldError: the workers can't be reached, or can't do it.
        """
        self.start().shutdown(wait=False)

    def parts(self, book: Book, files: Target, task: Task) -> Iterator[Finished]:
        """All parts of a run, in order; one is finished as soon as those before it are drafted."""
        with closing(_Crew(self.start)) as crew:
            try:
                yield from _finished(crew, files, task, self._drafted(crew, book, task))
            except BaseException:
                files.remove(f for made in crew.ended() if isinstance(made, Finished) for f in made.files.values())
                raise

    def _drafted(self, crew: _Crew, book: Book, task: Task) -> Iterator[Kept]:
        """No more parts are begun than keep the workers busy, so that little is to be waited for if one fails."""
        under_way: deque[_Job] = deque()
        for part in range(task.dealt.parts):
            while under_way and len(under_way) >= 2 * self.side_by_side(crew.executor):
                yield crew.result(under_way.popleft())
            under_way.append(crew.call(draft_there, book.place, _for_part(task, part), part))
        for job in under_way:
            yield crew.result(job)


def _finished(crew: _Crew, files: Target, task: Task, drafted: Iterator[Kept]) -> Iterator[Finished]:
    before, under_way = 0, deque[_Job]()
    for kept in drafted:
        under_way.append(crew.call(finish_there, files, _for_part(task, kept.part), kept, before))
        before += kept.count
        while under_way and under_way[0].future.done():
            yield crew.result(under_way.popleft())
    for job in under_way:
        yield crew.result(job)


def _for_part(task: Task, part: int) -> Task:
    """A task as it is sent to who makes a part: without the names of all other parts' files."""
    files = {(table, of): names for (table, of), names in task.dealt.files.items() if of == part}
    return replace(task, dealt=replace(task.dealt, files=files))


def draft_there(place: Place, task: Task, part: int) -> Kept:
    """Make a part's documents in another process or on another machine; they wait in scratch files.

    Raises:
        BillfoldError: another version of billfold runs there.
    """
    if task.version != __version__:
        raise BillfoldError(_other_version(f"billfold {__version__}", f"billfold {task.version}"))
    with Book.at(place, read_only=True) as book:
        return draft(book, task, part).keep(Attempt(book.files), task)


def finish_there(files: Target, task: Task, kept: Kept, before: int) -> Finished:
    """Finish a part that was drafted somewhere else."""
    return finish(files, task, kept.drafted(files, task), before)


def _other_version(there: str, here: str) -> str:
    return f"A worker has {there}, and the run is made with {here}: give all machines the same."


class _Job:
    """Something that an executor was asked to do, and may be asked again."""

    def __init__(self, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
        self.work, self.given = work, given
        self.future: Future[Any] = Future()

    @property
    def is_open(self) -> bool:
        """Whether there is no answer, because the executor has not come to it or has broken."""
        return not self.future.done() or isinstance(self.future.exception(), BrokenExecutor)


class _Crew:
    """An executor, replaced by a new one when it breaks, as a pool of processes does when one of them is killed."""

    def __init__(self, start: Callable[[], Executor]) -> None:
        self._start = start
        self.executor = start()
        self._jobs: list[_Job] = []
        self._deaths = 0

    def call(self, work: Callable[..., Any], *given: Any) -> _Job:  # noqa: ANN401 - whatever the work takes
        job = _Job(work, given)
        self._jobs.append(job)
        self._submit(job)
        return job

    def _submit(self, job: _Job) -> None:
        try:
            job.future = self.executor.submit(job.work, *job.given)
        except BrokenExecutor as e:
            job.future = Future()
            job.future.set_exception(e)

    def result(self, job: _Job) -> Any:  # noqa: ANN401 - whatever the work makes
        """What a job made; jobs that broke with their executor are done again."""
        while isinstance(error := job.future.exception(), BrokenExecutor):
            self._deaths += 1
            if self._deaths == _DEATHS:
                msg = f"Processes that make parts of the run died {_DEATHS} times in a row: {_first_line(error)}"
                raise BillfoldError(f"{msg}; give --memory less than there is for each of them.") from error
            self._begin_again()
        self._jobs.remove(job)
        self._deaths = 0
        return job.future.result()

    def _begin_again(self) -> None:
        self.executor.shutdown(wait=False)
        self.executor = self._start()
        for job in self._jobs:
            if job.is_open:
                self._submit(job)

    def ended(self) -> Iterator[Any]:
        """Begin nothing more, wait for what is under way, and give what was made of it."""
        self.executor.shutdown(wait=True, cancel_futures=True)
        for job in self._jobs:
            if job.future.done():
                with suppress(Exception):  # it made nothing
                    yield job.future.result()

    def close(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")


def how(executor: str = "local", memory: str | None = None) -> How:
    """How runs are made: `executor` is local, processes or dask://HOST:PORT.

    Raises:
        BillfoldError: there is no such executor, or the memory is no size.
    """
    budget = Budget.parse(memory)
    at_once = budget.at_once(PART)
    if executor == "local":
        return How(budget, Local(at_once))
    if executor == "processes":
        return How(budget, processes(at_once))
    if address := _DASK.fullmatch(executor):
        return How(budget, Elsewhere(partial(_dask, address[1]), _threads))
    msg = f"There is no executor {executor!r}: it is local, processes or dask://HOST:PORT."
    raise BillfoldError(msg)


def processes(at_once: int) -> Elsewhere:
    """In processes of this machine, so many at once; Polars gives each of them all cores."""
    return Elsewhere(partial(_pool, at_once), partial(_always, at_once))


def _always(at_once: int, _executor: Executor) -> int:
    return at_once


def _pool(at_once: int) -> Executor:
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - few runs need processes
    from multiprocessing import get_context  # noqa: PLC0415

    class Pool(ProcessPoolExecutor):
        def submit(self, fn: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:  # noqa: ANN401 - as declared
            with _deaf_to_interrupts():  # it may start a process, which would not know yet what to do with them
                return super().submit(fn, *given, **named)

    return Pool(at_once, get_context("spawn"), initializer=_follow)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that start in the block never hear of Ctrl-C; this one does after it. Windows has no such thing."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow() -> None:
    """Let this process end with the one that started it, however that ends, and leave Ctrl-C to that one."""
    from multiprocessing import parent_process  # noqa: PLC0415

    def wait() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=wait, daemon=True).start()


def _dask(address: str) -> Executor:
    """The workers of a Dask scheduler.

    Raises:
        BillfoldError: Dask is not installed, nobody answers, there is no worker, or one has another version.
    """
    try:
        import distributed  # noqa: PLC0415 - only clusters have it
    except ImportError as e:
        msg = "Runs on Dask need the package distributed: pip install 'billfold[cluster]'."
        raise BillfoldError(msg) from e
    try:
        client: Any = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as e:
        start = "start one with `dask scheduler`, and workers with `dask worker`"
        raise BillfoldError(f"There is no Dask scheduler at {address}: {start}.") from e
    try:
        _refuse_workers(client, address)
    except BaseException:
        client.close()
        raise
    return _Dask(client)


def _refuse_workers(client: Any, address: str) -> None:  # noqa: ANN401 - published without types
    """Refuse a cluster without workers, and workers that might make other bytes."""
    told = client.get_versions(packages=_MAKERS)
    if not told["workers"]:
        msg = f"The Dask scheduler at {address} has no worker: start some with `dask worker {address}`."
        raise BillfoldError(msg)
    here, *there = ([one["packages"][p] for p in _MAKERS] for one in (told["client"], *told["workers"].values()))
    for worker, versions in zip(told["workers"], there, strict=True):
        for package, mine, other in zip(_MAKERS, here, versions, strict=True):
            if mine != other:
                has = f"has {package} {other}" if other else f"lacks {package}"
                msg = f"The worker {worker} {has}, and this is {package} {mine}: give all machines the same."
                raise BillfoldError(msg)


def _threads(executor: Executor) -> int:
    """How many threads the workers have that are there now."""
    return sum(executor.client.nthreads().values()) if isinstance(executor, _Dask) else 0


class _Dask(Executor):
    """The workers that a client of Dask reaches, as an executor. What they lose they do again by themselves."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - published without types
        self.client = client
        self._inner: Executor = client.get_executor(pure=False)
        self._answers: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *given: object, **named: object) -> Future[Any]:
        answer: Future[Any] = Future()
        self._answers.append(answer)
        self._inner.submit(fn, *given, **named).add_done_callback(partial(_answer, answer))
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as declared
        """Let go of the cluster, which forgets what nobody waits for any more, but goes on with what it has begun."""
        del cancel_futures
        while wait and self._is_busy():
            sleep(_LOOK)
        self.client.close()

    def _is_busy(self) -> bool:
        """Whether a worker that is still there makes something that was asked for."""
        if self.client.status != "running" or all(answer.done() for answer in self._answers):
            return False
        try:
            return any(self.client.processing().values())
        except OSError:
            return False


def _answer(answer: Future[Any], future: Future[Any]) -> None:
    """Pass on what came of a future of Dask, its own errors in a sentence."""
    try:
        answer.set_result(future.result())
    except CancelledError:
        answer.set_exception(BillfoldError(f"The Dask scheduler was lost, {_NOTHING}."))
    except Exception as e:  # noqa: BLE001 - whatever it is, whoever waits for the answer gets it
        said = _LOST.get(type(e).__name__)
        answer.set_exception(BillfoldError(f"{said}, {_NOTHING}.") if said else e)
