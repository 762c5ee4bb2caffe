"""The import hook: modules are instrumented, or timed, while they are imported."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from .recorder import end_phase, local, record, wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RUNTIME_CLIENT = "awslambdaric.lambda_runtime_client"


class Finder:
    """Finds modules by the other finders, and has some of them loaded by a function.

    Args:
        wants: whether a module of that name is one of them.
        load: loads it; called with the module's own loader, the seconds that it took to find it, and the module.
    """

    def __init__(self, wants: Callable[[str], bool], load: Callable[[Any, float, Any], None]) -> None:
        self._wants = wants
        self._load = load

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The specification of a module, or None."""
        if not self._wants(name):
            return None
        started = time.perf_counter()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module") and hasattr(spec.loader, "create_module"):
                    loader: Any = _Loader(spec.loader, time.perf_counter() - started, self._load)
                    spec.loader = loader
                return spec
        return None


class _Loader:
    """Loads a module in the place of its own loader, of which alone the module knows."""

    def __init__(self, loader: Any, found_s: float, load: Callable[[Any, float, Any], None]) -> None:
        self._loader = loader
        self._found_s = found_s
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        """As its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Give the module its own loader, and have the function load it."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._load(self._loader, self._found_s, module)


def instrument(how: Callable[[Any], None], module: Any) -> None:
    """Instrument a module; one that lacks what is expected of it is recorded as not instrumented."""
    try:
        how(module)
    except AttributeError as error:
        record("unseen", module=module.__name__, why=str(error))


def instrument_runtime(module: Any) -> None:
    """Record the end of INIT and of each invocation."""

    def next_invocation(original: Any, *args: Any, **kwargs: Any) -> Any:
        end_phase()
        return original(*args, **kwargs)

    wrap(module.LambdaRuntimeClient, "wait_next_invocation", next_invocation)


def load_timed(loader: Any, found_s: float, module: Any) -> None:
    """Load a module, and record how long that took, with and without what it imports itself."""
    if module.__name__ == RUNTIME_CLIENT:
        loader.exec_module(module)
        instrument(instrument_runtime, module)
        return
    outer_s, within = getattr(local, "nested_s", 0.0), local.__dict__.setdefault("within", [])
    local.nested_s = 0.0
    within.append(module.__name__)
    started = time.perf_counter()
    try:
        loader.exec_module(module)
    finally:
        took_s = time.perf_counter() - started + found_s
        own_s, local.nested_s = took_s - local.nested_s, outer_s + took_s
        within.pop()
        figures = {"own_ms": round(own_s * 1000, 3), "total_ms": round(took_s * 1000, 3)}
        record("import", name=module.__name__, within=list(within), **figures)
