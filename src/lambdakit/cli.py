"""The command `lambdakit`."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .exceptions import ConfigurationError, LambdakitError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

FAILED, WRONG_ARGUMENT = 1, 2
SIGNALLED = 128  # and the number of the signal, as a shell has it
_ENDING_S = 20.0  # longer than the guard takes to clean up
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_EPILOG = """examples:
  lambdakit bench app.handler --task-root src --event event.json
  lambdakit bench app.handler --memory 128,512,1769 --json bench.json
  lambdakit bench app.handler --against app_new.handler --env TABLE=orders --env AWS_ENDPOINT_URL=http://127.0.0.1:5000

exit codes: 0 measured, 1 the function failed, if only at one memory size, 2 an argument is wrong or a package is
missing, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP
"""


class _SignalledError(BaseException):
    """A signal asks this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command line; None: those of this process.

    Returns:
        The exit code: 0, 1 if the function to measure failed, 2 if an argument is wrong or a package is missing, 128
        and the number of the signal after SIGINT (Ctrl-C), SIGTERM or SIGHUP.

    Raises:
        SystemExit: the command line cannot be parsed (with code 2), or asks for help or the version.
    """
    parsed = _parser().parse_args(arguments)
    try:
        with _signals_raise():
            return _bench(parsed)
    except _SignalledError as signalled:
        name = "interrupted" if signalled.number == signal.SIGINT else signal.Signals(signalled.number).name
        return _failed(f"{name}; everything that was started has ended", SIGNALLED + signalled.number)
    except (ConfigurationError, MissingDependencyError) as error:
        return _failed(str(error), WRONG_ARGUMENT)
    except (LambdakitError, OSError) as error:
        return _failed(str(error), FAILED)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Have a signal that ends a process raise instead, so that what was started ends; meanwhile no other one does."""
    if threading.current_thread() is not threading.main_thread():  # others cannot say what a signal does
        yield
        return

    raised_s = -math.inf

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal raised_s
        if time.monotonic() - raised_s > _ENDING_S:  # else the end would be cut short
            raised_s = time.monotonic()
            raise _SignalledError(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: how for number, how in before.items() if how not in (signal.SIG_IGN, None)}  # as nohup has it
    try:
        for number in before:
            signal.signal(number, end)
        yield
    finally:
        for number, how in before.items():
            signal.signal(number, how)


def _failed(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write(f"lambdakit: {message}\n")
        sys.stderr.flush()
    return code


def _bench(arguments: argparse.Namespace) -> int:
    from ._bench.options import checked

    file: Path | None = arguments.json
    if file is not None and not file.absolute().parent.is_dir():
        raise ConfigurationError(f"--json {file} is not allowed; allowed: a file in a directory that exists")
    if file is not None:
        _check_writable(file)
    options = checked(
        arguments.handler,
        event=arguments.event,
        cold=arguments.cold,
        warm=arguments.warm,
        memory=arguments.memory,
        against=arguments.against,
        env=arguments.env,
        task_root=arguments.task_root,
        against_task_root=arguments.against_task_root,
        timeout=arguments.timeout,
        python=arguments.python,
    )
    from ._bench.run import run
    from ._bench.show import show

    document = run(options)
    with contextlib.ExitStack() as shown:
        shown.callback(show, document, sys.stdout)  # also if the file cannot be written after all
        if file is not None:  # first, so that it is there even if the terminal is closed
            file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return FAILED if document["failures"] else 0


def _check_writable(file: Path) -> None:
    """Find out before anything is measured, and leave what is there as it is."""
    is_new = not file.exists()
    if not is_new and not file.is_file() and not file.is_dir():
        return  # whoever reads a pipe would take this for its end
    try:
        with file.open("ab"):
            pass
        if is_new:
            file.unlink()
    except OSError as cause:
        raise ConfigurationError(f"--json {file} cannot be written ({cause.strerror}); give a file that can") from cause


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lambdakit", description="Tools for functions on AWS Lambda.")
    parser.add_argument("--version", action="version", version=f"lambdakit {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    bench = commands.add_parser(
        "bench",
        help="measure a function in a local Lambda",
        description="Measure a function of yours in a local Lambda: INIT, first and warm invocations, memory, imports, "
        "calls, connections, cost; and what lambdakit would change. Needs the extra lambdakit[lab].",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = bench.add_argument
    add("handler", metavar="HANDLER", help="module.function, as it is configured in Lambda")
    add("--event", metavar="FILE", help="the event, as JSON (default: {})")
    add("--cold", metavar="N", default="20", help="environments, for each function and memory size (default: 20)")
    add("--warm", metavar="N", default="200", help="warm invocations, spread over the environments (default: 200)")
    add("--memory", metavar="MB,...", default="1769", help="memory sizes, 128 to 10240 (default: 1769, one core)")
    add("--against", metavar="HANDLER", help="another function, measured in turn with it")
    add(
        "--env",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an environment variable; NAME alone takes this shell's value",
    )
    add("--task-root", metavar="DIR", default=".", help="the directory with the code (default: this one)")
    add("--against-task-root", metavar="DIR", help="the directory with the code of --against (default: the same)")
    add("--timeout", metavar="S", default="30", help="time-out of an invocation in seconds (default: 30)")
    add("--python", metavar="FILE", default=sys.executable, help="the interpreter of the function (default: this one)")
    add("--json", metavar="FILE", type=Path, help="the file that all figures are written to")
    return parser
