"""What an error shows: the variables of the frames that it has come through."""

from __future__ import annotations

import sys
from contextlib import suppress

from ..exceptions import LambdakitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

# What lambdakit calls: their frames hold values, signed requests and tokens, as ours do.
_LIBRARIES = frozenset(("anyio", "boto3", "botocore", "h11", "httpcore", "httpx", "requests", "urllib3"))

# Flags of code objects, of what can wait: generators, coroutines, asynchronous generators.
_SUSPENDABLE = 0x20 | 0x80 | 0x200


def hide(error: BaseException, *, libraries: bool = True) -> None:
    """See `hide_locals`."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        _hide_frames(one, libraries=libraries, first=one is error)
        todo += (one.__cause__, one.__context__)
        several = getattr(one, "errors", None) if isinstance(one, LambdakitError) else None  # of a `BatchError`
        if isinstance(several, dict):
            todo += several.values()


def _hide_frames(error: BaseException, *, libraries: bool, first: bool) -> None:
    last: TracebackType | None = error.__traceback__ if first else None
    traceback = error.__traceback__ if last is None else last.tb_next
    while traceback is not None:
        frame, following = traceback.tb_frame, traceback.tb_next
        if not _is_hidden(frame, libraries=libraries):
            last = traceback
        elif frame.f_code.co_flags & _SUSPENDABLE:
            # It may be waiting, for another task that shares the error: emptying it would end it.
            if last is None:
                error.__traceback__ = following
            else:
                last.tb_next = following
        else:
            last = traceback
            with suppress(RuntimeError):  # it runs, in another thread that shares the error
                frame.clear()
        traceback = following


def _is_hidden(frame: FrameType, *, libraries: bool) -> bool:
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return package == "lambdakit" or (libraries and (package in _LIBRARIES or package in sys.stdlib_module_names))
