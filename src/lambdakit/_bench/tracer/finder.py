"""A look at modules while they are imported."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from .notes import end_phase, local, note, wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RUNTIME_CLIENT = "awslambdaric.lambda_runtime_client"


class Finder:
    """Finds modules as all other finders do.

    Args:
        wants: whether a module of that name is to be looked at.
        load: called with the module's own loader, the seconds that it took to find it, and the module; loads it.
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
    """Stands before a module's own loader, of which the module knows."""

    def __init__(self, inner: Any, found_s: float, load: Callable[[Any, float, Any], None]) -> None:
        self._inner = inner
        self._found_s = found_s
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: Any) -> Any:
        """As its own loader does."""
        return self._inner.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """As its own loader does; the module never knows of this one."""
        module.__spec__.loader = module.__loader__ = self._inner
        self._load(self._inner, self._found_s, module)


def watch(how: Callable[[Any], None], module: Any) -> None:
    """Watch a module; one that is built otherwise than expected is not watched, and that is told."""
    try:
        how(module)
    except AttributeError as error:
        note("unseen", module=module.__name__, why=str(error))


def watch_runtime(module: Any) -> None:
    """The end of INIT and of each invocation."""

    def next_invocation(original: Any, *args: Any, **kwargs: Any) -> Any:
        end_phase()
        return original(*args, **kwargs)

    wrap(module.LambdaRuntimeClient, "wait_next_invocation", next_invocation)


def load_timed(inner: Any, found_s: float, module: Any) -> None:
    """Load a module, and write down how long that took, with and without what it imports itself."""
    if module.__name__ == RUNTIME_CLIENT:
        inner.exec_module(module)
        watch(watch_runtime, module)
        return
    above_s, within = getattr(local, "inner_s", 0.0), local.__dict__.setdefault("within", [])
    local.inner_s = 0.0
    within.append(module.__name__)
    started = time.perf_counter()
    try:
        inner.exec_module(module)
    finally:
        took_s = time.perf_counter() - started + found_s
        own_s, local.inner_s = took_s - local.inner_s, above_s + took_s
        within.pop()
        figures = {"own_ms": round(own_s * 1000, 3), "total_ms": round(took_s * 1000, 3)}
        note("import", name=module.__name__, within=list(within), **figures)
