"""An environment whose runtime forks workers, each of which runs one invocation at a time; it is never frozen."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from . import _invocation as outcomes
from ._environment import Environment, State
from ._slot import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cpu import Share
    from ._functions import Function
    from ._invocation import Invocation, Outcome
    from ._slot import Event

# The runtime's HTTP client opens a new connection instead of one that was idle for two minutes, or after an error: a
# worker whose connection went away in mid-invocation has crashed if a process is missing, or if it uses no other one.
_LOOK_S = 0.01
_LOOKS = 50  # where the system does not tell of processes


class ManagedEnvironment(Environment):
    """One parent process and its workers, which are told from each other by the connection that they poll on.

    A time-out ends nothing here: the caller gets its error, the worker goes on and takes no other event meanwhile. A
    worker that has ended is not replaced.

    Args:
        function: what runs in it.
        version: the function's version.
        init_type: Lambda's word for how it comes to be.
        share: the CPU share of all workers together.
        on_end: called once when the parent process has ended.
    """

    __slots__ = ("_asking", "_lost", "_missed", "_on_free", "_returncode", "_running", "_slots", "_waiting")

    def __init__(
        self, function: Function, *, version: str, init_type: str, share: Share, on_end: Callable[[Environment], None]
    ) -> None:
        super().__init__(function, version=version, init_type=init_type, share=share, on_end=on_end)
        self._slots: dict[object, Slot] = {}  # by the connection of their workers
        self._waiting: deque[Slot] = deque()  # the first one has waited longest
        self._asking: deque[asyncio.Future[Slot | None]] = deque()  # invocations that no worker was free for
        self._on_free: Callable[[], None] | None = None
        self._missed: list[object] = []  # connections that went away in mid-invocation
        self._running = 0
        self._lost = 0
        self._returncode = 0

    @property
    def workers(self) -> tuple[int, ...]:
        """The process ids of the workers, where the system tells."""
        return () if self.pid is None else children(self.pid)

    @property
    def is_resting(self) -> bool:
        """Whether no caller waits for an answer; workers may be busy with what has timed out."""
        return self.state is not State.INIT and self._running == 0

    @property
    def withdrawn(self) -> int:
        """How many workers are gone, or busy with an invocation whose caller has been answered."""
        lost = min(self._lost, self.function.max_concurrency - len(self._slots))
        return lost + sum(slot.is_overdue for slot in self._slots.values())

    def on_free(self, call: Callable[[], None]) -> None:
        """Have a function called whenever a worker has become free, or all are gone."""
        self._on_free = call

    async def invoke(self, invocation: Invocation, limit_s: float) -> tuple[Outcome, float]:
        """Run one invocation in the worker that has waited longest; if all are busy, in the first that is free."""
        self._running += 1
        self.invocations += 1
        self._show()
        try:
            slot = await self._free_slot(limit_s)
            if slot is not None:
                return await slot.run(invocation, limit_s, str(uuid.uuid4()))
            if self.state is State.ENDED:
                return outcomes.exited(invocation.request_id, self._returncode), 0.0
            return outcomes.timed_out(invocation.request_id, self.function.timeout_s), limit_s * 1000
        finally:
            self._running -= 1
            self._show()

    async def next_event(self, connection: object) -> Event | None:
        """GET /next: the worker's INIT or its invocation is over; wait for the next event. None: there will be none."""
        self._require_process().drain()
        slot = self._slots.get(connection)
        if slot is None:
            slot = self._slots[connection] = Slot(self.function.timeout_s, on_finish=_nothing, on_expiry=_nothing)
        event = slot.ask()
        if not self._ready.done():
            self.state = State.IDLE
            self._init_over()
            self._share.resume()
        self._offer(slot)
        return await event

    def conclude(self, request_id: str, outcome: Outcome, *, connection: object, invocation_id: str | None) -> bool:
        """POST /response or /error. False: no worker has that invocation, or it runs under another id there."""
        known = next((known for known, slot in self._slots.items() if slot.has(request_id)), None)
        slot = self._slots.get(known)
        if slot is None or slot.event is None or invocation_id not in (None, slot.event.invocation_id):
            return False
        if known in self._missed:
            self._missed.remove(known)
            self._slots[connection] = self._slots.pop(known)
        return slot.conclude(request_id, outcome)

    def fail_init(self, body: bytes, error_type: str) -> bool:
        """POST /init/error. False: another worker was first, with its error or with its first GET /next."""
        if super().fail_init(body, error_type):
            return True
        if self._ready.result() is None:  # the others go on without it
            self._lost += 1
        return False

    def disconnected(self, connection: object) -> None:
        """A worker has closed its connection: it has ended, or it will use a new one."""
        slot = self._slots.get(connection)
        if slot is None:
            return
        if slot.is_waiting:
            self._lose(connection, slot)
        else:
            self._missed.append(connection)
            self._look(connection, slot, _LOOKS)

    def _look(self, connection: object, slot: Slot, looks: int) -> None:
        if connection not in self._missed:
            return  # it uses another one
        alive = len(self.workers)
        if alive < len(self._slots) if alive else looks <= 0:
            self._missed.remove(connection)
            self._lose(connection, slot)
        else:
            asyncio.get_running_loop().call_later(_LOOK_S, self._look, connection, slot, looks - 1)

    def _lose(self, connection: object, slot: Slot) -> None:
        del self._slots[connection]
        self._lost += 1
        if slot in self._waiting:
            self._waiting.remove(slot)
        slot.exit(0)  # only its parent knows how it ended

    async def _free_slot(self, limit_s: float) -> Slot | None:
        if self._waiting:
            return self._waiting.popleft()
        if self.state is State.ENDED:
            return None
        asking: asyncio.Future[Slot | None] = asyncio.get_running_loop().create_future()
        self._asking.append(asking)
        try:
            await asyncio.wait({asking}, timeout=limit_s)
        finally:
            if not asking.done():
                self._asking.remove(asking)
        return asking.result() if asking.done() else None

    def _offer(self, slot: Slot) -> None:
        if self._asking:
            self._asking.popleft().set_result(slot)
            return
        self._waiting.append(slot)
        self._show()
        if self._on_free is not None:
            self._on_free()

    def _show(self) -> None:
        """Let the state say whether anything runs."""
        if self.state in (State.IDLE, State.BUSY):
            at_work = self._running > 0 or any(slot.is_overdue for slot in self._slots.values())
            self.state = State.BUSY if at_work else State.IDLE

    def _stopped(self, returncode: int) -> None:
        self._returncode = returncode
        self._waiting.clear()
        while self._asking:
            self._asking.popleft().set_result(None)
        for slot in self._slots.values():
            slot.exit(returncode)
        if self._on_free is not None:
            self._on_free()


def children(pid: int) -> tuple[int, ...]:
    """The processes whose parent is `pid` and that have not ended; none where the system does not tell."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return ()
    return tuple(child for child in map(int, listed) if _is_alive(child))


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _nothing() -> None:
    pass
