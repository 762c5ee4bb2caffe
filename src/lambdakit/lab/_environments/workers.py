"""An environment whose runtime forks workers, each of which runs one invocation at a time; it is never frozen."""

from __future__ import annotations

import asyncio
import select
import uuid
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import Outcome
from .base import Environment, State
from .slot import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._functions import Function
    from .._host.cpu import Share
    from . import Invocation
    from .slot import Event

# The runtime's HTTP client replaces a connection that was idle for two minutes, or that had an error. So a worker whose
# connection was closed during an invocation has crashed only if a process is missing, or if no new connection replaces
# the closed one.
_CHECK_INTERVAL_S = 0.01
_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)  # the last one is Linux's
_MAX_CHECKS = 50  # where the system does not tell of processes


class ManagedEnvironment(Environment):
    """One parent process and its workers, which are identified by the connection that they poll on.

    A time-out ends no process: the caller gets its error, the worker finishes, and takes no other event meanwhile. A
    worker that has ended is not replaced.

    Args:
        function: the deployed function.
        version: the version of the function.
        init_type: as in ``AWS_LAMBDA_INITIALIZATION_TYPE``.
        share: the CPU share of all workers together.
        on_end: called once when the parent process has ended.
    """

    __slots__ = ("_disconnected", "_free", "_lost", "_on_free", "_returncode", "_running", "_slots", "_waiters")

    def __init__(
        self, function: Function, *, version: str, init_type: str, share: Share, on_end: Callable[[Environment], None]
    ) -> None:
        super().__init__(function, version=version, init_type=init_type, share=share, on_end=on_end)
        self._slots: dict[object, Slot] = {}  # by the connection of their workers
        self._free: deque[Slot] = deque()  # the first one has been free for longest
        self._waiters: deque[asyncio.Future[Slot | None]] = deque()  # invocations that found no free worker
        self._on_free: Callable[[], None] | None = None
        self._disconnected: list[object] = []  # connections that were closed during an invocation
        self._running = 0
        self._lost = 0  # workers that have ended
        self._returncode = 0

    @property
    def workers(self) -> tuple[int, ...]:
        """The process ids of the workers, where the system tells."""
        return () if self.pid is None else children(self.pid)

    @property
    def can_end(self) -> bool:
        """Whether no caller waits for a response; workers may be busy with invocations that have timed out."""
        return self.state is not State.INIT and self._running == 0

    @property
    def unavailable(self) -> int:
        """How many workers have ended, or are busy with an invocation that has timed out."""
        lost = min(self._lost, self.function.max_concurrency - len(self._slots))
        return lost + sum(slot.is_past_timeout for slot in self._slots.values())

    def on_free(self, call: Callable[[], None]) -> None:
        """Have a function called whenever a worker has become free, or all have ended."""
        self._on_free = call

    async def invoke(self, invocation: Invocation, limit_s: float) -> tuple[Outcome, float]:
        """Run one invocation in the worker that has been free for longest, or in the first that becomes free."""
        self._running += 1
        self.invocations += 1
        self._update_state()
        try:
            slot = await self._acquire_slot(limit_s)
            if slot is not None:
                return await slot.run(invocation, limit_s, str(uuid.uuid4()))
            if self.state is State.ENDED:
                return Outcome.exited(invocation.request_id, self._returncode), 0.0
            return Outcome.timed_out(invocation.request_id, self.function.timeout_s), limit_s * 1000
        finally:
            self._running -= 1
            self._update_state()

    async def next_event(self, connection: object) -> Event | None:
        """GET /next: the worker's INIT or invocation is over; wait for the next event. None: it has ended."""
        self._require_process().drain()
        slot = self._slots.get(connection)
        if slot is None:
            slot = self._slots[connection] = Slot(self.function.timeout_s, on_finish=_nothing, on_timeout=_nothing)
        event = slot.next_event()
        if not self._init_done.done():
            self.state = State.IDLE
            self._complete_init()
            self._share.resume()
        self._release_slot(slot)
        return await event

    def complete(self, request_id: str, outcome: Outcome, *, connection: object, invocation_id: str | None) -> bool:
        """POST /response or /error. False: no worker has that invocation, or its invocation id is another."""
        known = next((known for known, slot in self._slots.items() if slot.is_running(request_id)), None)
        slot = self._slots.get(known)
        if slot is None or slot.event is None or invocation_id not in (None, slot.event.invocation_id):
            return False
        if known in self._disconnected:
            self._disconnected.remove(known)
            self._slots[connection] = self._slots.pop(known)
        return slot.complete(request_id, outcome)

    def fail_init(self, body: bytes, error_type: str) -> bool:
        """POST /init/error. False: INIT is over, by another worker's error or by its first GET /next."""
        if super().fail_init(body, error_type):
            return True
        if self._init_done.result() is None:  # it has succeeded, and goes on without this worker
            self._lost += 1
        return False

    def connection_closed(self, connection: object) -> None:
        """A worker has closed its connection: it has ended, or it will open another one."""
        slot = self._slots.get(connection)
        if slot is None:
            return
        if slot.is_waiting:
            self._lose(connection, slot)
        else:
            self._disconnected.append(connection)
            self._check(connection, slot, _MAX_CHECKS)

    def _check(self, connection: object, slot: Slot, checks_left: int) -> None:
        if connection not in self._disconnected:
            return  # the worker has opened another one
        alive = len(self.workers)
        if alive < len(self._slots) if alive else checks_left <= 0:
            self._disconnected.remove(connection)
            self._lose(connection, slot)
        else:
            asyncio.get_running_loop().call_later(_CHECK_INTERVAL_S, self._check, connection, slot, checks_left - 1)

    def _lose(self, connection: object, slot: Slot) -> None:
        del self._slots[connection]
        self._lost += 1
        if slot in self._free:
            self._free.remove(slot)
        slot.process_exited(0)  # only its parent knows how it ended

    async def _hear_of_ends(self) -> None:
        """Wait until the loop has heard of each worker that has ended: that is seen before its sockets are closed."""
        for _ in range(_MAX_CHECKS):
            if not 0 < len(self.workers) < len(self._slots):
                return
            await asyncio.sleep(_CHECK_INTERVAL_S)

    async def _acquire_slot(self, limit_s: float) -> Slot | None:
        await self._hear_of_ends()
        while self._free:
            slot = self._free.popleft()
            connection = next(known for known, one in self._slots.items() if one is slot)
            if not _is_closed(connection):
                return slot
            self._lose(connection, slot)  # its worker was killed, and the loop has yet to hear of it
        if self.state is State.ENDED:
            return None
        waiter: asyncio.Future[Slot | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await asyncio.wait({waiter}, timeout=limit_s)
        finally:
            if not waiter.done():
                self._waiters.remove(waiter)
        return waiter.result() if waiter.done() else None

    def _release_slot(self, slot: Slot) -> None:
        if self._waiters:
            self._waiters.popleft().set_result(slot)
            return
        self._free.append(slot)
        self._update_state()
        if self._on_free is not None:
            self._on_free()

    def _update_state(self) -> None:
        """Idle if no invocation runs, busy otherwise."""
        if self.state in (State.IDLE, State.BUSY):
            is_busy = self._running > 0 or any(slot.is_past_timeout for slot in self._slots.values())
            self.state = State.BUSY if is_busy else State.IDLE

    def _on_exit(self, returncode: int) -> None:
        self._returncode = returncode
        self._free.clear()
        while self._waiters:
            self._waiters.popleft().set_result(None)
        for slot in self._slots.values():
            slot.process_exited(returncode)
        if self._on_free is not None:
            self._on_free()


def children(pid: int) -> tuple[int, ...]:
    """The children of a process that have not ended; none where the system does not tell."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return ()
    return tuple(child for child in map(int, listed) if _is_alive(child))


def _is_closed(connection: Any) -> bool:
    """Whether the other end of a connection is closed, also where the loop has yet to hear of it."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket"), _HUNG_UP)
    return bool(poll.poll(0))


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _nothing() -> None:
    pass
