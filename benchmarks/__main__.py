"""The program: ``python -m benchmarks``."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a signal handler
    """Exit by an exception, which stops every process and server; a second signal does not cut that short."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    for name in [*os.environ]:
        if name.startswith(("AWS_", "LAMBDAKIT_")):  # an account of the caller must not leak into a measurement
            del os.environ[name]
    from .framework.app import main

    sys.exit(main())
