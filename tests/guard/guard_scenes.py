"""One fresh process that does something once, or counts what it takes: a script, which needs nothing of the tests'."""

from __future__ import annotations

import json
import os
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:  # what is imported here is not counted
    from collections.abc import Callable
    from typing import Any

PARAMETERS = [f"/guard/{number:02}" for number in range(35)]
SECRETS = [f"guard/{number:02}" for number in range(21)]
OURS, OTHERS = "lambdakit's modules", "other modules"
BLOCKS = "memory blocks kept of a call"
FUNCTIONS, INSTRUCTIONS, BYTES = "function calls", "instructions", "bytes in use during a call"
_LIMIT_S = 60.0


def loaded(what: str, *, worse: bool) -> list[str]:
    """The modules that something brings when it is done first, where the runtime client is loaded already.

    Lambda's variables are not set: there all that a module names would be imported with its handler, and this module
    names all of it.
    """
    import awslambdaric.bootstrap  # noqa: F401 - what Lambda's own process has loaded before the handler's module

    before = {*sys.modules}
    FIRST[what]()
    if worse:
        import asyncio  # noqa: F401 - some that are not ours are too many: how few a secret needs differs by Python

        import lambdakit.testing  # noqa: F401 - and some of ours

    return sorted({*sys.modules} - before)


def url() -> str:
    """One that answers."""
    return os.environ["AWS_ENDPOINT_URL"] + "/stock"


def ours() -> Any:
    """The package, as a function imports it."""
    import lambdakit

    return lambdakit


def first_invocation(options: dict[str, Any], event: object, call: Callable[[], object]) -> None:
    """One, of a function that is as small as it can be."""
    import lambdakit

    lambdakit.handler(**options)(lambda event, context: call())(event, Context())


FIRST: dict[str, Callable[[], object]] = {
    "import and handler": lambda: ours().handler(lambda event, context: None),
    "a first secret": lambda: first_invocation({}, {}, lambda: ours().get_secret(SECRETS[0])),
    "a first client": lambda: first_invocation({}, {}, lambda: ours().client("dynamodb")),
    "a first request": lambda: first_invocation({}, {}, lambda: ours().http.get(url())),
    "a first metric": lambda: first_invocation({"metrics": "Shop"}, {}, lambda: ours().metric("Orders", 1)),
    "a first ping": lambda: first_invocation({}, {"warmer": True}, lambda: None),
    "a first preload": lambda: ours().environment().preload(ours().secret(SECRETS[0])),
}


def hits(*, worse: bool) -> None:
    """A secret that is read in a hundred invocations."""
    import lambdakit

    handler = lambdakit.handler(lambda event, context: lambdakit.get_secret(SECRETS[0], ttl=0 if worse else None))
    for _ in range(100):
        handler({"order": 1}, Context())


def both(*, worse: bool) -> None:
    """A secret and a parameter, in text, in JSON, and a field of it."""
    import lambdakit

    for _ in range(3):
        lambdakit.get_secret(SECRETS[0], region="eu-north-1" if worse else None)
        lambdakit.get_parameter(PARAMETERS[0])
        lambdakit.get_secret(SECRETS[0], transform="json")
        lambdakit.get_secret(SECRETS[0], field="of")


def preload(*, worse: bool) -> None:
    """What a function declares."""
    import lambdakit

    declared = [*map(lambdakit.parameter, PARAMETERS), *map(lambdakit.secret, SECRETS)]
    handler = lambdakit.handler(preload=[] if worse else declared)(
        lambda event, context: [
            *map(lambdakit.get_parameter, PARAMETERS),
            *map(lambdakit.get_secret, SECRETS),
        ]
    )
    handler({"order": 1}, Context())


def crowd(*, worse: bool) -> None:
    """Sixteen threads that ask for one secret at once."""
    import lambdakit

    barrier = threading.Barrier(16)

    def ask(number: int) -> None:
        barrier.wait(_LIMIT_S)
        lambdakit.get_secret(SECRETS[number % 3 if worse else 0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def requests(*, worse: bool) -> None:
    """A request in each of ten invocations."""
    import lambdakit

    headers = {"Connection": "close"} if worse else {}
    handler = lambdakit.handler(lambda event, context: lambdakit.http.get(url(), headers=headers).status)
    for _ in range(10):
        handler({"order": 1}, Context())


SCENES: dict[str, Callable[..., None]] = {
    "a secret in 100 invocations": hits,
    "a secret and a parameter, in all forms": both,
    "35 parameters and 21 secrets, preloaded": preload,
    "16 threads and one secret": crowd,
    "10 requests": requests,
}


class Context:
    """The runtime's context, as far as a handler looks at it; its time does not pass."""

    aws_request_id = "7f1c0cbe-0000-4000-8000-000000000000"
    client_context = None
    identity = None

    def get_remaining_time_in_millis(self) -> int:
        """An hour."""
        return 3_600_000


def no_op() -> Callable[[], object]:
    """An invocation of a handler that does nothing."""
    import lambdakit

    handler, event, context = lambdakit.handler(lambda event, context: None), {"order": 1}, Context()
    return lambda: handler(event, context)


def ping() -> Callable[[], object]:
    """The same handler, kept warm."""
    import lambdakit

    handler, event, context = lambdakit.handler(lambda event, context: None), {"warmer": True}, Context()
    return lambda: handler(event, context)


def hit() -> Callable[[], object]:
    """A secret that is in memory."""
    import lambdakit

    lambdakit.get_secret(SECRETS[0])
    return lambda: lambdakit.get_secret(SECRETS[0])


def client() -> Callable[[], object]:
    """A client that was made."""
    import lambdakit

    lambdakit.client("dynamodb")
    return lambda: lambdakit.client("dynamodb")


# In this order: an invocation looks after what was made, and a ping renews it.
SUBJECTS = {"a decorated no-op": no_op, "a ping": ping, "get_secret, a hit": hit, "client, a hit": client}


def worsened(call: Callable[[], object]) -> Callable[[], object]:
    """The same with one function more, which keeps something, and needs some memory for a while."""
    kept: list[object] = []

    def keep() -> None:
        kept.append(object())
        bytearray(1_000)

    def slower() -> object:
        for _ in range(10):
            keep()
        return call()

    return slower


def counted(*, worse: bool) -> dict[str, dict[str, int]]:
    """Of each subject everything that is counted."""
    found: dict[str, dict[str, int]] = {gate: {} for gate in (BLOCKS, FUNCTIONS, INSTRUCTIONS, BYTES)}
    for name, prepare in SUBJECTS.items():
        call = worsened(prepare()) if worse else prepare()
        for _ in range(50):  # what only a first call does, and what the interpreter does when a function is warm
            call()
        found[BLOCKS][name] = blocks(call)
        found[BYTES][name] = in_use(call)
        found[FUNCTIONS][name] = functions(call)
        found[INSTRUCTIONS][name] = instructions(call)
    return found


def blocks(call: Callable[[], object]) -> int:
    """How many blocks of memory are there after a thousand calls that were not before, for each of them."""
    import gc

    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        call()
    gc.collect()
    return round((sys.getallocatedblocks() - before) / 1000)


def in_use(call: Callable[[], object]) -> int:
    """How many bytes a call has in use at its highest, beyond those that were."""
    import gc
    import tracemalloc

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        call()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    return peak - before


def functions(call: Callable[[], object]) -> int:
    """How many functions a call calls, in Python and in C."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count - 1  # of those one is `setprofile` itself, which ends it


def instructions(call: Callable[[], object]) -> int:
    """How many instructions of byte code a call executes."""
    return monitored(call) if sys.version_info >= (3, 12) else traced(call)


def traced(call: Callable[[], object]) -> int:
    """Up to Python 3.11, by the means of debuggers."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return count


def monitored(call: Callable[[], object]) -> int:
    """From Python 3.12 on, where a debugger that asks for instructions does not get those of its first call."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
    own, tool, count = monitored.__code__, monitoring.PROFILER_ID, 0

    def executed(code: Any, offset: int) -> None:
        nonlocal count
        count += code is not own

    monitoring.use_tool_id(tool, "guard")
    monitoring.register_callback(tool, monitoring.events.INSTRUCTION, executed)
    monitoring.set_events(tool, monitoring.events.INSTRUCTION)
    try:
        call()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    return count


def main(what: str, *how: str) -> None:
    """Do it, and tell what was found in JSON."""
    worse = "worse" in how
    if what in SCENES:
        SCENES[what](worse=worse)
        found: Any = None
    elif what == "count":
        found = counted(worse=worse)
    else:
        found = loaded(what, worse=worse)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
