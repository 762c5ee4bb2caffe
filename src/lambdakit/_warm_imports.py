"""Imports end with INIT: what a function is going to use is imported when its handler is decorated.

INIT has the whole CPU; an invocation has the share of the memory size. At 128 MB the same modules take 10 ms there and
130 ms here. Which features a function uses is told by the names in the code of its modules: an import is all that a
wrong guess costs. Under a Lambda runtime only: elsewhere everything is imported at its first use.
"""

from __future__ import annotations

import sys
from functools import cached_property, lru_cache, partial
from types import CodeType, FunctionType, MethodType, ModuleType

from ._diagnostics import find_in_type, log_exceptions, namespace_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

    from ._environment import Environment

    _Scope = tuple[set[str], frozenset[str]]  # the names of the package, and words that are not of lambdakit
    _Code = tuple[CodeType, set[str], frozenset[str]]

_PACKAGE = __name__.partition(".")[0]
_LRU_CACHE = type(lru_cache(lambda: None))
_FUNCTIONS = frozenset({FunctionType, _LRU_CACHE})
# Other libraries use these words, too: `from http import HTTPStatus`, `boto3.client`, `handlers.clear()`. A wrong guess
# imports urllib3 or a backend, with certificates: 75 ms and more. Who clears has read: that alone says nothing.
_COMMON_WORDS = frozenset(
    {"Declaration", "Record", "State", "clear", "client", "http", "invalidate", "metric", "parameter", "parameters"}
    | {"patch", "prime", "resource", "secret", "stats"}
)
_NOTHING_ALONE = frozenset({"clear"})
_namespace_of_module = vars(ModuleType)["__dict__"].__get__


def warm_imports(env: Environment, fn: Any) -> None:
    """Import what `fn` and the modules of its function name, and what that needs for its first use.

    A feature's module may have a function ``warm_imports(env)``: it is called once the module is loaded, by whatever
    has asked for it. Nothing is raised; what fails is logged, and fails again where it is used.
    """
    package = sys.modules[_PACKAGE]
    for name in sorted(_named_features(fn, package)):
        log_exceptions(f"import of lambdakit.{name} in INIT", getattr, package, name)
    for name, module in [*sys.modules.items()]:
        if name.startswith(f"{_PACKAGE}.") and name != __name__ and "warm_imports" in _namespace(module):
            log_exceptions(f"imports of {name} in INIT", module.warm_imports, env)


def _named_features(fn: Any, package: ModuleType) -> set[str]:
    """The public names that are imported later, and stand in code where lambdakit does."""
    later: dict[str, str] = vars(package)["_LATER"]
    named: set[str] = set()
    for code, aliases, not_ours in _Search(package).code(fn):
        names = {*code.co_names}
        if not aliases.isdisjoint(names):
            named |= (names & later.keys()) - not_ours
    return named


class _Search:
    """All code that may use lambdakit, each with the names that the package has there, and with words that are others'.

    Types are asked, and what Python itself keeps of them: no attribute of a user's object is read, none is compared.
    """

    __slots__ = ("_package", "_scopes", "_seen", "_wrapper")

    def __init__(self, package: ModuleType) -> None:
        self._package = package
        self._seen: dict[int, Any] = {}  # by id, and kept, so that no other gets it
        # What decorators of X-Ray and others make of a function, where wrapt is loaded.
        self._wrapper: Any = _namespace(sys.modules.get("wrapt")).get("FunctionWrapper", ())
        self._scopes: dict[int, _Scope] = {}  # by the id of a module's namespace

    def code(self, fn: Any) -> Iterator[_Code]:
        """That of the modules that are being executed, of the handler, and of what is loaded."""
        # Modules that are being executed have all their functions among their code's constants, also those below.
        frame: FrameType | None = sys._getframe()  # noqa: SLF001 - as inspect has it, without the 5 ms of its import
        while frame is not None:
            if frame.f_code.co_name == "<module>":
                aliases, not_ours = self._scope(frame.f_globals)
                # What its own code uses is imported by that, above the handler and below: common words need no guess.
                yield frame.f_code, aliases, _COMMON_WORDS
                yield from _constants_of(frame.f_code, (aliases, not_ours))
            frame = frame.f_back
        yield from self._of_function(fn)
        standard = f"{sys.modules['os'].__file__}".removesuffix("os.py")
        for name, module in [*sys.modules.items()]:
            root = name.partition(".")[0]
            if root == _PACKAGE:
                continue
            if root not in sys.stdlib_module_names:
                yield from self._of_module(_namespace(module))
            elif root == name:  # unless it is the function's own: it may have a `secrets.py`
                namespace = _namespace(module)
                file = namespace.get("__file__")
                if type(file) is str and not file.startswith(standard):
                    yield from self._of_module(namespace)

    def _of_module(self, namespace: dict[str, Any]) -> Iterator[_Code]:
        # By identity: values of a module may answer to `==` in ways of their own.
        if id(self._package) not in map(id, [*namespace.values()]):
            return
        for value in [*namespace.values()]:
            if type(value) in _FUNCTIONS or issubclass(type(value), self._wrapper):
                yield from self._of_function(value)
            elif issubclass(type(value), type):
                yield from self._of_class(value, namespace.get("__name__"))

    def _of_class(self, cls: type, module: Any) -> Iterator[_Code]:
        """What stands in the body of a class, if it is one of this module."""
        namespace = namespace_of(cls)
        owner = namespace.get("__module__")
        if type(owner) is not str or type(module) is not str or owner != module or id(cls) in self._seen:
            return
        self._seen[id(cls)] = cls
        for member in [*namespace.values()]:
            if issubclass(type(member), type):
                yield from self._of_class(member, module)
            else:
                yield from self._of_function(member)

    def _of_function(self, fn: Any) -> Iterator[_Code]:
        """The code of a function, of what it wraps, and of a callable object."""
        found = [fn]
        while found:
            fn = found.pop()
            if id(fn) in self._seen:
                continue
            self._seen[id(fn)] = fn
            kind = type(fn)
            if issubclass(kind, partial):
                found.append(fn.func)
            elif kind in {MethodType, classmethod, staticmethod}:
                found.append(fn.__func__)
            elif kind is property:
                found += [fn.fget, fn.fset, fn.fdel]
            elif kind is cached_property:
                found.append(fn.func)
            elif issubclass(kind, self._wrapper):
                found.append(fn.__wrapped__)
            elif kind is _LRU_CACHE:
                found.append(vars(fn).get("__wrapped__"))
            elif kind is FunctionType:
                yield from _with_constants(fn.__code__, self._scope(fn.__globals__))
                found += [vars(fn).get("__wrapped__"), *_enclosed(fn)]  # decorators do not always tell what they wrap
            else:
                found.append(find_in_type(kind, "__call__"))

    def _scope(self, namespace: dict[str, Any]) -> _Scope:
        """The names of the package in a module, its own where a function imports it for itself; and words of others.

        What a module has by a common word is not ours, or is loaded already; None is a place for either.
        """
        found = self._scopes.get(id(namespace))
        if found is None:
            aliases = {_PACKAGE, *(name for name, value in [*namespace.items()] if value is self._package)}
            taken = {word for word in _COMMON_WORDS if namespace.get(word) is not None}
            found = self._scopes[id(namespace)] = aliases, _NOTHING_ALONE | taken
        return found


def _namespace(module: Any) -> dict[str, Any]:
    """What is in a module; nothing in what stands among modules and is none.

    What Python itself keeps: to ask a module that is loaded lazily for an attribute would load it.
    """
    namespace: dict[str, Any] = _namespace_of_module(module) if issubclass(type(module), ModuleType) else {}
    return namespace


def _enclosed(fn: FunctionType) -> Iterator[Any]:
    for cell in fn.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that has no value yet
            continue


def _with_constants(code: CodeType, scope: _Scope) -> Iterator[_Code]:
    yield code, *scope
    yield from _constants_of(code, scope)


def _constants_of(code: CodeType, scope: _Scope) -> Iterator[_Code]:
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _with_constants(constant, scope)
