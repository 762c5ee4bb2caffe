"""Imports end with INIT: what a function is going to use is imported when its handler is decorated.

INIT has the whole CPU; an invocation has the share of the memory size. At 128 MB the same modules take 10 ms there and
130 ms here. Which features a function uses is told by the names in the code of its modules: an import is all that a
wrong guess costs. Under a Lambda runtime only: elsewhere everything is imported at its first use.
"""

from __future__ import annotations

import sys
from functools import partial
from types import CodeType, FunctionType, MethodType

from ._diagnostics import find_in_type, log_exceptions, namespace_of, own_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, ModuleType
    from typing import Any

    from ._environment import Environment

_PACKAGE = __name__.partition(".")[0]


def warm_imports(env: Environment, fn: Any) -> None:
    """Import what `fn` and the modules of its function name, and what that needs for its first use.

    A feature's module may have a function ``warm_imports(env)``: it is called once the module is loaded, by whatever
    has asked for it. Nothing is raised; what fails is logged, and fails again where it is used.
    """
    package = sys.modules[_PACKAGE]
    for name in sorted(_named_features(fn, package)):
        log_exceptions(f"import of lambdakit.{name} in INIT", getattr, package, name)
    for name, module in [*sys.modules.items()]:
        if name.startswith(f"{_PACKAGE}.") and name != __name__ and "warm_imports" in vars(module):
            log_exceptions(f"imports of {name} in INIT", module.warm_imports, env)


def _named_features(fn: Any, package: ModuleType) -> set[str]:
    """The public names that are imported later, and stand in code where lambdakit does."""
    later: dict[str, str] = vars(package)["_LATER"]
    named: set[str] = set()
    for code, aliases in _code(fn, package):
        names = {*code.co_names}
        if not aliases.isdisjoint(names):
            named |= names & later.keys()
    return named


def _code(fn: Any, package: ModuleType) -> Iterator[tuple[CodeType, set[str]]]:
    """All code that may use lambdakit, each with the names that the package has there."""
    # Modules that are being executed have all their functions among their code's constants, also those below.
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - as inspect has it, without the 5 ms of its import
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            yield from _with_constants(frame.f_code, _aliases(frame.f_globals, package))
        frame = frame.f_back
    yield from _of_function(fn, package)
    for name, module in [*sys.modules.items()]:
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root != _PACKAGE:
            yield from _of_module(module, package)


def _of_module(module: ModuleType, package: ModuleType) -> Iterator[tuple[CodeType, set[str]]]:
    namespace = own_attributes(module)  # to ask a lazy module is to load it
    # By identity: values of a module may answer to `==` in ways of their own.
    if not any(value is package for value in [*namespace.values()]):
        return
    for value in [*namespace.values()]:
        if type(value) is FunctionType:
            yield from _of_function(value, package)
        elif issubclass(type(value), type):
            members = namespace_of(value)
            if members.get("__module__") == namespace.get("__name__"):
                for member in [*members.values()]:
                    yield from _of_function(member, package)


def _of_function(fn: Any, package: ModuleType) -> Iterator[tuple[CodeType, set[str]]]:
    """The code of a function, of what it wraps, and of a callable object."""
    seen: set[int] = set()
    while id(fn) not in seen:
        seen.add(id(fn))
        if issubclass(type(fn), partial):
            fn = fn.func
        elif type(fn) in {MethodType, classmethod, staticmethod}:
            fn = fn.__func__
        elif type(fn) is property:
            fn = fn.fget
        elif type(fn) is FunctionType:
            yield from _with_constants(fn.__code__, _aliases(fn.__globals__, package))
            fn = vars(fn).get("__wrapped__", fn)
        else:
            fn = find_in_type(type(fn), "__call__")


def _with_constants(code: CodeType, aliases: set[str]) -> Iterator[tuple[CodeType, set[str]]]:
    yield code, aliases
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _with_constants(constant, aliases)


def _aliases(namespace: dict[str, Any], package: ModuleType) -> set[str]:
    """The names of the package in a module; its own where a function imports it for itself."""
    return {_PACKAGE, *(name for name, value in [*namespace.items()] if value is package)}
