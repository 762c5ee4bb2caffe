"""The event loop that coroutine handlers run on, the same one in every invocation of an environment."""

from __future__ import annotations

import gc
import sys
import threading
from contextlib import suppress
from contextvars import copy_context
from threading import get_ident
from weakref import WeakKeyDictionary

from ._diagnostics import warn
from ._environment import CURRENT, error_name
from .exceptions import ConfigurationError, MissingDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Runner, Task
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from typing import Any, TypeVar

    from ._clock import Budget
    from ._environment import Environment, HandlerOptions, Invocation

    R = TypeVar("R")

_LIFE = "_lambdakit_life"
_END_S = 0.1  # for what a cancelled task does in `finally`; a fraction of the deadline margin
_SHOWN = 5  # names in a warning


def loop_kind(given: Any) -> str:
    """`given`, if it is a kind of event loop that there is beside asyncio's own."""
    if given != "uvloop":
        raise ConfigurationError(f'loop={given!r:.80}: give "asyncio" or "uvloop"')
    try:
        __import__("uvloop")  # asked for, so paid in INIT and not in the first invocation
    except ImportError as error:
        raise MissingDependencyError(
            'loop="uvloop": uvloop is not installed; `pip install uvloop`, or leave loop= out'
        ) from error
    return "uvloop"


class LoopLife:
    """What belongs to an event loop and ends with it; the loop itself holds it, so that both go together.

    `asyncio.run`, a `Runner` and the kept loop close async generators before they close the loop: one of these ends
    what is `owned` while something can still be awaited. A loop that is closed without has it discarded.

    Attributes:
        owned: by owner, what has ``async end()``, and ``discard()`` for a loop that is closed already. It must not hold
            its owner.
        thread: the one that has run the loop last, as far as is known.
        keeper: the `EventLoop` whose loop it is, if it is one's.
    """

    __slots__ = ("_generator", "keeper", "owned", "thread")

    def __init__(self) -> None:
        self.owned: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self.thread = 0
        self.keeper: EventLoop | None = None
        self._generator: Any = None

    def arm(self) -> None:
        """Have it end with the running loop."""
        if self._generator is None:
            self._generator = self._until_the_end()
            with suppress(StopIteration):
                self._generator.__anext__().send(None)  # up to its `yield`: nothing is awaited

    async def _until_the_end(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._generator = None
            for owned in self._take():
                await owned.end()

    def discard(self) -> None:
        """The loop is closed."""
        for owned in self._take():
            owned.discard()

    def _take(self) -> list[Any]:
        owned = [*self.owned.values()]
        self.owned.clear()
        owned.reverse()
        return owned


def life_of(loop: AbstractEventLoop) -> LoopLife:
    """The life of any loop."""
    life: LoopLife | None = getattr(loop, _LIFE, None)
    if life is None:
        life = LoopLife()
        setattr(loop, _LIFE, life)
    return life


def life_of_running(loop: AbstractEventLoop) -> LoopLife:
    """That of the loop which this code runs in."""
    life = life_of(loop)
    life.thread = get_ident()
    life.arm()
    return life


def run_if_standing(loop: AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, R]]) -> R | None:
    """What `work` brings, run in a loop that stands still and is this thread's; None where it cannot be.

    A loop that another thread has run may be run by it at any moment. A kept one is taken from its keeper meanwhile.
    """
    if loop.is_closed() or loop.is_running() or in_loop():
        return None
    life = life_of(loop)
    if life.keeper is not None:
        return life.keeper.run_standing(loop, work)
    if life.thread != get_ident() and any(thread.ident == life.thread for thread in threading.enumerate()):
        return None
    return loop.run_until_complete(work())


class EventLoop:
    """The kept loop of an environment, one for each kind that was asked for.

    A loop runs in one thread at a time. A thread that finds it at work gets one of its own, which is closed after it.
    Thread-safe, without a lock: each step on a dictionary here is one of its own operations.

    Args:
        budget: seconds that I/O may take now.
    """

    CLOSES_LAST = True  # coroutines close what they have built

    __slots__ = ("_budget", "_idle", "_open", "_times_closed")

    def __init__(self, *, budget: Budget) -> None:
        self._budget = budget
        self._start()

    @classmethod
    def of(cls, env: Environment) -> EventLoop:
        """That of an environment."""
        return cls(budget=env._budget)

    def _start(self) -> None:
        self._times_closed = 0
        self._idle: dict[str, Runner] = {}  # by kind
        self._open: set[Runner] = set()  # these, and those at work

    def run(self, work: Awaitable[R], options: HandlerOptions) -> R:
        """What `work` brings; it runs in a copy of this context.

        Args:
            work: anything that can be awaited.
            options: of the handler: the kind of loop, as `loop_kind` allows it, and the grace: seconds that tasks may
                still take that `work` has left over, no more than the budget; then they are cancelled, with a warning.
                None: they stay, and go on when the loop runs again.
        """
        kind, grace_s = options.loop, options.grace_s
        runner = self._idle.pop(kind, None) or self._open_runner(kind)
        times_closed, usable = self._times_closed, False
        try:
            try:
                result = runner.run(_await(work), context=copy_context())
            except (KeyboardInterrupt, SystemExit):
                raise  # nothing more runs then
            except BaseException:
                self._finish_tasks(runner, grace_s)
                usable = True
                raise
            self._finish_tasks(runner, grace_s)
            usable = True
            return result
        finally:
            mine = runner in self._open  # not in a child that was forked within `work`: there it is the parent's
            if mine:
                self._give_back(kind, runner, usable=usable and times_closed == self._times_closed)

    def _open_runner(self, kind: str) -> Runner:
        import asyncio  # 50 ms, paid only for coroutines; in INIT, where the decorator can tell that it has one

        # A factory, because a Runner without one makes its loop the thread's current one for everybody.
        factory: Callable[[], AbstractEventLoop] = asyncio.new_event_loop
        if kind == "uvloop":
            factory = sys.modules["uvloop"].new_event_loop
        runner = asyncio.Runner(loop_factory=factory)
        life_of(runner.get_loop()).keeper = self
        self._open.add(runner)
        return runner

    def run_standing(self, loop: AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, R]]) -> R | None:
        """What `work` brings, run in a kept loop if nobody else has it; None otherwise."""
        for kind, runner in [*self._idle.items()]:
            if runner.get_loop() is loop and self._take(kind, runner):
                times_closed = self._times_closed
                try:
                    return runner.run(work(), context=copy_context())
                finally:
                    self._give_back(kind, runner, usable=times_closed == self._times_closed)
        return None

    def _take(self, kind: str, runner: Runner) -> bool:
        """Have this runner for this thread alone."""
        taken = self._idle.pop(kind, None)
        if taken is not None and taken is not runner:  # another thread was faster, and has put its own there
            self._give_back(kind, taken, usable=True)
        return taken is runner

    def _give_back(self, kind: str, runner: Runner, *, usable: bool) -> None:
        if not (usable and self._idle.setdefault(kind, runner) is runner):
            self._close_runner(runner)

    def _finish_tasks(self, runner: Runner, grace_s: float | None) -> None:
        if grace_s is not None and runner in self._open:
            left = sys.modules["asyncio"].all_tasks(runner.get_loop())
            if left:
                left_s = self._budget()
                limit_s = grace_s if left_s is None else min(grace_s, left_s)
                runner.run(_wait_for(left, limit_s), context=copy_context())

    def _close_runner(self, runner: Runner) -> None:
        """Not `Runner.close`, which waits without limit for tasks that do not end, and for threads."""
        loop = runner.get_loop()
        try:
            if not in_loop():  # or no other can run in this thread
                runner.run(_shut_down())
        finally:
            loop.close()
            self._open.discard(runner)
            life_of(loop).discard()  # what could not be closed

    def close(self) -> None:
        """Cancel what is left, close async generators and the loop. One at work is closed when it is done."""
        self._times_closed += 1
        idle = [self._idle.pop(kind, None) for kind in [*self._idle]]  # None: another thread was faster
        for runner in filter(None, idle):
            self._close_runner(runner)

    def after_fork_in_child(self) -> bool:
        """Never run a destructor of the parent's loops; the child makes its own.

        A loop that is closed takes its files out of its selector, and epoll's is one that both processes share. The end
        of the interpreter runs destructors, too: hence something that nothing outside refers to and that is never
        collected.
        """
        inherited: list[Any] = [*self._open]
        if inherited:
            for runner in self._open - {*self._idle.values()}:
                _let_child_return(runner.get_loop())
            inherited.append(inherited)
            gc.freeze()
        self._start()  # whoever leaves a coroutine in the child leaves the parent's loop alone
        return False

    def __repr__(self) -> str:
        """The kinds that are kept."""
        return f"<EventLoop {' '.join(self._idle) or 'none'}>"


def _let_child_return(loop: AbstractEventLoop) -> None:
    """Let a child come back to the loop that it was forked within.

    asyncio takes the running loop from a child, so that it can run one of its own. From Python 3.14 on the step of the
    task that has forked fails then at its very end, where nothing but the loop's handler of exceptions hears of it, and
    so does each later step: the child hangs. What the step itself has done stands, so the loop is put back there; what
    ends the process is raised again, since that error has hidden it.
    """
    asyncio = sys.modules["asyncio"]
    given = loop.get_exception_handler()

    def put_back(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if in_loop() or "is not the running loop" not in str(error):  # it has no type of its own
            loop.default_exception_handler(context) if given is None else given(loop, context)
            return
        loop.set_exception_handler(given)
        asyncio._set_running_loop(loop)  # noqa: SLF001 - as run_forever does, which takes it back
        if (task := asyncio.current_task(loop)) is not None:
            asyncio.tasks._leave_task(loop, task)  # noqa: SLF001 - the rest of the step
        if isinstance(hidden := getattr(error, "__context__", None), (KeyboardInterrupt, SystemExit)):
            raise hidden

    loop.set_exception_handler(put_back)


async def _await(work: Awaitable[R]) -> R:
    return await work


def _others() -> set[Task[Any]]:
    """The tasks of the running loop, but for this one."""
    asyncio = sys.modules["asyncio"]
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[no-any-return]


async def _wait_for(left: set[Task[Any]], limit_s: float) -> None:
    """Wait for tasks, and for those that they start, but no longer than the limit; cancel what is not done then.

    Each is given at least one step, since a generator that nobody reads to its end is closed by a task of its own.
    """
    import asyncio

    now = asyncio.get_running_loop().time
    end, left_s = now() + limit_s, max(0.0, limit_s)
    while left and left_s >= 0.0:
        _report((await asyncio.wait(left, timeout=left_s))[0])
        left, left_s = _others(), end - now()
    if left:
        warn(
            "left over by the handler, and cancelled after %.1f s: %s. Await them in the handler; "
            "what is to live on in the next invocation needs @handler(grace=None)",
            max(0.0, limit_s),
            _names(left),
        )
        await _cancel(left)


async def _cancel(left: set[Task[Any]]) -> None:
    import asyncio

    for task in left:
        task.cancel()
    done, not_ended = await asyncio.wait(left, timeout=_END_S)
    _report(done)
    if not_ended:
        warn("still not ended %.1f s after they were cancelled: %s", _END_S, _names(not_ended))


async def _shut_down() -> None:
    """The last that a loop does."""
    import asyncio

    if left := _others():
        await _cancel(left)
    try:
        async with asyncio.timeout(_END_S):
            await asyncio.get_running_loop().shutdown_asyncgens()
    except TimeoutError:
        warn("async generators were still not closed after %.1f s", _END_S)


def _report(done: set[Task[Any]]) -> None:
    """Log what tasks have raised that nobody awaits any more: the type, since the message may be anything."""
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            warn("%s, left over by the handler, raised %s", _name(task), type(error).__name__)


def _names(tasks: set[Task[Any]]) -> str:
    names = sorted(map(_name, tasks))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _name(task: Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "a task")


# An event loop is running already: a test that is a coroutine awaits the invocation.


def in_loop() -> bool:
    """Whether an event loop is running in this thread."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 - the public one raises


async def as_coroutine(answer: Any) -> Any:
    """`answer`, for a caller who awaits it."""
    return answer


def finish_later(env: Environment, invocation: Invocation, work: Awaitable[Any]) -> Awaitable[Any]:
    """The rest of an invocation whose work has yet to be awaited. Tasks that it leaves over are the loop's."""
    CURRENT.set(invocation._outer)  # it is not the caller's any more: another task may be the one that awaits it
    return _finish(env, invocation, work)


async def _finish(env: Environment, invocation: Invocation, work: Awaitable[Any]) -> Any:
    CURRENT.set(invocation)
    try:
        return await work
    except BaseException as error:
        invocation.error = error_name(error)
        raise
    finally:
        env._end(invocation)
