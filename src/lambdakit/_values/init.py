"""Whether what a handler declares is going to be needed by this process."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType, FrameType

# Which handler Lambda calls. Those who put one of their own there keep the user's: Datadog, OpenTelemetry, New Relic.
_HANDLERS = ("_HANDLER", "DD_LAMBDA_HANDLER", "ORIG_HANDLER", "NEW_RELIC_LAMBDA_HANDLER")

# What may lie between a call and the assignment of what it returns: the calls of decorators further out.
_CALLS = frozenset(("CACHE", "CALL", "EXTENDED_ARG", "NOP", "PRECALL"))


def is_child() -> bool:
    """Whether `multiprocessing` has started this process anew, by the methods spawn or forkserver.

    It imports the modules of its parent, and serves no invocation. A process that was forked may: it is how Lambda's
    Managed Instances begin.
    """
    processes = sys.modules.get("multiprocessing.process")
    if processes is None:
        return False
    process = processes.current_process()
    if getattr(process, "_inheriting", False):  # it is being told what to do
        return True
    if processes.parent_process() is None:
        return False
    method = getattr(type(process), "_start_method", None)
    if method is None:
        method = sys.modules["multiprocessing.context"]._default_context.get_start_method(allow_none=True)  # noqa: SLF001 - of a plain `Process`
    return method in {"spawn", "forkserver"}


def serves(environ: Mapping[str, str]) -> bool:
    """Whether the handler that is being decorated may be this function's.

    False only for a handler of the same module under another name that nothing else in the module uses: several
    functions of Lambda share the file, and this one has no use for it, and perhaps no permission either.

    Args:
        environ: tells the function's handler.
    """
    frame = _module_frame()
    if frame is None:
        return True
    wanted = _wanted_names(environ, frame.f_globals.get("__name__"))
    name = _assigned_name(frame.f_code, frame.f_lasti)
    return not wanted or name is None or name in wanted or _is_used(frame.f_code, name)


def _module_frame() -> FrameType | None:
    """The frame of the module that is being executed and decorates a handler."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - as inspect has it, without the 5 ms of its import
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame


def _wanted_names(environ: Mapping[str, str], module: str | None) -> set[str]:
    """The names of this function's handlers in `module`; none where it stands in another one."""
    found = set()
    for variable in _HANDLERS:
        path, _, name = environ.get(variable, "").rpartition(".")
        if path.replace("/", ".") == module:
            found.add(name)
    return found


def _instructions(code: CodeType, begin: int = 0) -> Iterator[tuple[str, int]]:
    """The names of operations and their arguments, from the offset `begin` on."""
    from opcode import EXTENDED_ARG, opname  # 0.3 ms

    high = 0
    for at in range(begin, len(code.co_code), 2):
        operation, argument = code.co_code[at], code.co_code[at + 1] | high
        yield opname[operation], argument
        high = argument << 8 if operation == EXTENDED_ARG else 0


def _assigned_name(code: CodeType, at: int) -> str | None:
    """The name that is given to what the call at the offset `at` returns, or to what decorators make of it."""
    following = _instructions(code, at + 2)
    operation, argument = next(one for one in following if one[0] not in _CALLS)  # at last the module returns
    return code.co_names[argument] if operation == "STORE_NAME" else None


def _is_used(code: CodeType, name: str) -> bool:
    """Whether the code of a module does anything with what it calls `name`."""
    if any(operation == "LOAD_NAME" and code.co_names[argument] == name for operation, argument in _instructions(code)):
        return True
    todo = [constant for constant in code.co_consts if type(constant) is type(code)]
    while todo:
        inner = todo.pop()
        if name in inner.co_names:
            return True
        todo += [constant for constant in inner.co_consts if type(constant) is type(code)]
    return False
