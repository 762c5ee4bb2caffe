"""Several things at once, all of them over before the caller goes on."""

from __future__ import annotations

import threading
import time
from contextvars import copy_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_MOST = 8  # more connections than that at once cost more than they save, and are what services throttle


def run(tasks: Sequence[Callable[[], Any]], *, timeout_s: float | None = None) -> list[Any]:
    """What each task returned, or the exception it raised; `TimeoutError` for one that is not over in time.

    A single task without a time-out runs in the calling thread. Otherwise each thread has a copy of the caller's
    context, so that invocation and budget hold in it too, and is joined. One that outlasts `timeout_s` cannot be ended:
    it goes on by itself, and is no reason for the process to stay.
    """
    outcomes: list[Any] = [TimeoutError("not over in time")] * len(tasks)
    waiting = iter(enumerate(tasks))  # `next` on it is one step for all threads

    def work() -> None:
        for number, task in waiting:
            try:
                outcomes[number] = task()
            except BaseException as error:  # noqa: BLE001 - for the caller's thread, in which `sys.exit` means something
                outcomes[number] = error

    threads: list[threading.Thread] = []
    if timeout_s is None and len(tasks) <= 1:
        work()
    else:
        for _ in range(min(_MOST, len(tasks))):
            threads.append(threading.Thread(target=copy_context().run, args=(work,), name="lambdakit", daemon=True))
            threads[-1].start()
    end = None if timeout_s is None else time.monotonic() + min(timeout_s, threading.TIMEOUT_MAX / 2)
    for thread in threads:
        thread.join(None if end is None else max(0.0, end - time.monotonic()))
    for _ in waiting:
        pass  # what has not begun by now never begins: nothing of ours runs between invocations
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
            raise outcome
    return list(outcomes)
