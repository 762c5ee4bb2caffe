"""A CPU share without a cgroup: stop the process group, continue it, and count what it used."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

PERIOD_S = 0.020
_SHORTEST_S = 0.0003  # a nap below this costs more CPU than it gives accuracy


class DutyCycleShare:
    """The share of one environment: it runs until its budget of a period is used up, then stands until that is earned.

    On Linux the CPU time of the runtime process counts, as a cgroup would have it: a function that waits is not
    stopped. Elsewhere every moment in which it could have run counts. Children of the process are stopped with it, but
    their CPU time is not counted.
    """

    __slots__ = ("_active", "_cycle", "_limited", "_used_s", "cores", "pid", "stopped", "wake_s")

    def __init__(self, cycle: DutyCycle, cores: float) -> None:
        self._cycle = cycle
        self.cores = cores
        self.pid = 0
        self.wake_s = 0.0
        self.stopped = False
        self._used_s = 0.0
        self._active = 0.0
        self._limited = False

    def attach(self, pid: int) -> None:
        """Take in the environment's process, with the full CPU."""
        self.pid = pid

    def limit(self) -> None:
        """Switch from the full CPU to the share."""
        self._limited = True

    def resume(self) -> None:
        """The environment was thawed."""
        if self._limited:
            self._cycle.add(self)

    def pause(self) -> None:
        """The environment is about to be frozen; no signal of this share's comes after."""
        self._cycle.discard(self)

    def remove(self) -> None:
        """The environment's process has ended, or is about to be killed."""
        self._cycle.discard(self)

    def begin(self, now: float) -> None:
        """Start a period in which the process runs."""
        self.stopped = False
        self._active = now
        self._used_s = cpu_s(self.pid, now)
        self.wake_s = now + self.cores * PERIOD_S

    def step(self, now: float) -> None:
        """Decide at `wake_s`: run on, or stand until what was used is earned.

        Raises:
            OSError: the process has ended.
        """
        if self.stopped:
            os.killpg(self.pid, signal.SIGCONT)
            self.begin(now)
            return
        used = cpu_s(self.pid, now) - self._used_s
        left = self.cores * PERIOD_S - used
        if left <= _SHORTEST_S / 2:
            os.killpg(self.pid, signal.SIGSTOP)
            self.stopped = True
            self.wake_s = max(self._active + used / self.cores, now + _SHORTEST_S)
        elif now - self._active >= PERIOD_S:
            self.begin(now)  # it did not use up its budget: nothing is carried over
        else:
            self.wake_s = now + max(left, _SHORTEST_S)


class DutyCycle:
    """One thread that stops and continues the environments of one lab; safe to use from any thread."""

    __slots__ = ("_changed", "_closed", "_shares", "_thread")

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shares: set[DutyCycleShare] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="lambdakit-lab-duty-cycle", daemon=True)
        self._thread.start()

    def add(self, share: DutyCycleShare) -> None:
        """Limit a running process from now on."""
        with self._changed, contextlib.suppress(OSError):  # it has ended already
            share.begin(time.monotonic())
            self._shares.add(share)
            self._changed.notify()

    def discard(self, share: DutyCycleShare) -> None:
        """Send no signal to that process any more."""
        with self._changed:
            self._shares.discard(share)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for share in [share for share in self._shares if share.wake_s <= now]:
                    try:
                        share.step(now)
                    except OSError:
                        self._shares.discard(share)  # the process has ended
                wake_s = min((share.wake_s for share in self._shares), default=None)
                self._changed.wait(None if wake_s is None else max(0.0, wake_s - time.monotonic()))


def cpu_s(pid: int, now: float) -> float:
    """The CPU time of a process so far in seconds, or `now` where the system does not tell.

    Raises:
        OSError: there is no such process.
    """
    if sys.platform != "linux":
        return now
    return time.clock_gettime((~pid << 3) | 2)  # the clock id of a process, as clock_getcpuclockid(3) makes it
