"""Whether a process before this one served in the same sandbox, and was ended."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._settings import Settings

_READ = 32  # bytes: a process id has seven digits


def was_ended(settings: Settings) -> bool:
    """True if one was, by a time-out, a crash, or for its memory; from now on this process is the last that served.

    When Lambda ends a process it starts the next one in the same sandbox: with the same log stream, and with what was
    in ``/tmp``. There each process leaves its id when it serves for the first time. Nothing is left where nothing could
    be told from it: under SnapStart, whose environments have no log stream; on Managed Instances, where processes
    share one; and where this is no Lambda runtime. A file that cannot be read or written tells nothing, and is not
    worth a word.
    """
    stream = settings.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
    if not stream or not settings.in_lambda or settings.processes or settings.init_type == "snap-start":
        return False
    import binascii  # a C module without imports of its own, unlike hashlib

    name = f"lambdakit-{binascii.crc32(stream.encode(errors='replace')):08x}"
    path = os.path.join(settings.environ.get("TMPDIR") or "/tmp", name)  # noqa: PTH118, S108 - pathlib is an import; Lambda's
    last = _read(path)
    if last in (str(os.getpid()), str(os.getppid())):  # itself, or what it was forked from
        return False
    _write(path, str(os.getpid()))
    return last is not None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib is an import
            return file.read(_READ)
    except OSError:
        return None


def _write(path: str, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
    except OSError:
        pass
