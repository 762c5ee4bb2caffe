"""How long imports take: each module's own time, and that with what it imports.

A finder that goes before all others, which is what Python has `sys.meta_path` for. It sees ``import`` statements and
`importlib.import_module` alike, and only modules that are really loaded: a function in the place of
``builtins.__import__`` would be called by every statement, also for what is loaded already, and by nothing else. It
asks the other finders, gives what they found, and has the loader tell it the time: the loader stays the object that it
is, and has its own methods back before the module's first line runs. What it cannot do that with is loaded all the
same, untimed.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_MOST = 10  # in a report, of modules and of packages
_METHODS = ("create_module", "exec_module")  # a module in C is loaded in the first, one in Python in the second


def install() -> None:
    """Time imports from now on; a second call does nothing."""
    if not any(isinstance(finder, ImportTimes) for finder in sys.meta_path):
        sys.meta_path.insert(0, ImportTimes())


def taken() -> dict[str, Any] | None:
    """What was seen, and nothing is from now on; None where nothing was timed."""
    for finder in [*sys.meta_path]:
        if isinstance(finder, ImportTimes):
            with suppress(ValueError):  # another thread has taken it meanwhile
                sys.meta_path.remove(finder)
            return finder.report()
    return None


class ImportTimes:
    """The finder, and what it has seen."""

    __slots__ = ("_seen", "_within")

    def __init__(self) -> None:
        self._seen: list[tuple[str, float, float]] = []
        self._within: dict[
            int, list[float]
        ] = {}  # by thread, for each module that is being loaded: time of its imports

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """What the finders behind this one find."""
        began_s = perf_counter()
        spec = self._found(name, path, target)
        if spec is not None:
            self._time(spec, perf_counter() - began_s)
        return spec

    def _found(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        finders = iter([*sys.meta_path])
        for finder in finders:
            if finder is self:
                break
        for finder in finders:  # none, if it was taken out meanwhile
            find_spec = getattr(finder, "find_spec", None)  # some have other methods only, and are passed over
            spec = None if find_spec is None else find_spec(name, path, target)
            if spec is not None:
                return spec  # type: ignore[no-any-return] # a finder's business
        return None

    def _time(self, spec: ModuleSpec, found_s: float) -> None:
        loader: Any = spec.loader
        kind: Any = type(loader)
        own = getattr(loader, "__dict__", None)
        if not isinstance(own, dict) or not all(hasattr(kind, name) for name in _METHODS):
            return  # packages without a file have no loader; what is built in has a class, and takes no time
        if any(name in own for name in _METHODS):
            return  # somebody else's doing, or another thread's: one loader may load several modules
        spent_s = found_s

        def create_module(spec: ModuleSpec) -> Any:
            nonlocal spent_s
            began_s = perf_counter()
            try:
                return kind.create_module(loader, spec)
            finally:
                spent_s += perf_counter() - began_s

        def exec_module(module: ModuleType) -> None:
            for name in _METHODS:
                own.pop(name, None)
            self._run(kind, loader, module, spent_s)

        own.update(create_module=create_module, exec_module=exec_module)

    def _run(self, kind: Any, loader: Any, module: ModuleType, spent_s: float) -> None:
        from _thread import get_ident  # built in

        thread = get_ident()
        within = self._within.setdefault(thread, [])
        within.append(0.0)
        began_s = perf_counter()
        try:
            kind.exec_module(loader, module)
        finally:
            total_s = spent_s + perf_counter() - began_s
            self._seen.append((module.__name__, total_s - within.pop(), total_s))
            if within:
                within[-1] += total_s
            else:
                self._within.pop(thread, None)

    def report(self) -> dict[str, Any]:
        """The slowest modules by their own time, and packages by that of all their modules, in milliseconds."""
        seen = sorted(self._seen, key=lambda one: -one[1])
        packages: dict[str, float] = {}
        for name, own_s, _ in seen:
            package = name.partition(".")[0]
            packages[package] = packages.get(package, 0.0) + own_s
        return {
            "seen": "after lambdakit",
            "modules": len(seen),
            "total_ms": _ms(sum(own_s for _, own_s, _ in seen)),
            "slowest": [
                {"module": name, "own_ms": _ms(own_s), "with_imports_ms": _ms(total_s)}
                for name, own_s, total_s in seen[:_MOST]
            ],
            "packages": {
                name: _ms(packages[name]) for name in sorted(packages, key=lambda name: -packages[name])[:_MOST]
            },
        }

    def __repr__(self) -> str:
        """How many modules it has seen."""
        return f"<ImportTimes modules={len(self._seen)}>"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
