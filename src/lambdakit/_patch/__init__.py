"""Functions of boto3, requests and httpx, answered from what the environment keeps: for code that nobody rewrites."""

from __future__ import annotations

import sys
from functools import update_wrapper

from .._diagnostics import did_you_mean, warn
from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType
    from typing import Any

    from .._environment import Environment

    # It gets the original function and the arguments of a call, and answers it.
    Take = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

_MOST_WRAPPERS = 100  # round one function; more is a circle


class SimpleCall:
    """The arguments that a call of a patched function may have to be answered here.

    Args:
        positions: the names of the positional ones.
        names: of those that may be given by name.
        ignored_defaults: of others, the values that say what the function does anyway.
    """

    __slots__ = ("_ignored_defaults", "_names", "_positions")

    def __init__(self, *positions: str, names: str, ignored_defaults: Mapping[str, tuple[Any, ...]]) -> None:
        self._positions = positions
        self._names = frozenset((*positions, *names.split()))
        self._ignored_defaults = ignored_defaults

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments by name, without ignored defaults; None if the call has others, or makes no sense."""
        if len(args) > len(self._positions):
            return None
        bound = dict(zip(self._positions, args, strict=False))
        for name, value in kwargs.items():
            if name in self._names and name not in bound:
                bound[name] = value
            elif not any(value is default for default in self._ignored_defaults.get(name, ())):
                return None
        return bound


class Library:
    """One library that can be patched. Thread-safe, without a lock that a forked child would have to replace.

    What is patched is a fact of the process, as modules are, and not of an environment: each call finds its own.

    Args:
        name: of the module.
        takes: imports and returns what answers in place of the module's functions, by their names.
        caller: a function of the module that calls them by the names they have where it was defined.
    """

    __slots__ = ("_awaited", "_caller", "_name", "_takes", "_wrappers", "on")

    def __init__(self, name: str, takes: Callable[[], dict[str, Take]], *, caller: str | None = None) -> None:
        self.on = False  # wrappers ask it at each call: one that somebody holds is inert after `unpatch`
        self._name = name
        self._takes = takes
        self._caller = caller
        self._awaited = False
        self._wrappers: dict[int, Callable[..., Any]] = {}  # by the id of the original, which its wrapper keeps alive

    def patch(self) -> None:
        """Now, or when the module is imported."""
        self.on = True
        if sys.modules.get(self._name) is None and not self._awaited:
            import wrapt  # 48 ms: only for what is not imported yet

            self._awaited = True
            wrapt.register_post_import_hook(self._imported, self._name)
        if sys.modules.get(self._name) is not None:
            import importlib

            # Where another thread is just importing it, this waits for the end.
            self._put(importlib.import_module(self._name))

    def unpatch(self) -> None:
        """Put the originals back. Where another tool has wrapped our wrapper, that stays, and does nothing."""
        self.on = False
        module = sys.modules.get(self._name)
        for place in () if module is None else self._places(module):
            for name, fn in [*place.items()]:
                if self._is_ours(fn):
                    place[name] = fn.__wrapped__

    def _imported(self, module: ModuleType) -> None:
        self._awaited = False
        if self.on:  # else unpatched before there was anything to patch
            self._put(module)

    def _put(self, module: ModuleType) -> None:
        for place in self._places(module):
            for name, take in self._takes().items():
                fn = place.get(name)
                if not callable(fn):
                    warn("patch: this version of %s has no %s.%s; it is left alone", self._name, self._name, name)
                elif not any(map(self._is_ours, _layers(fn))):
                    # The same wrapper, whichever thread or place comes first: a function pickles as what its name says.
                    place[name] = self._wrappers.setdefault(id(fn), self._wrapper(fn, take))

    def _wrapper(self, fn: Callable[..., Any], take: Take) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return take(fn, args, kwargs) if self.on else fn(*args, **kwargs)

        return update_wrapper(wrapper, fn)

    def _is_ours(self, fn: Any) -> bool:
        return any(fn is one for one in [*self._wrappers.values()])  # not by `==`: proxies of others equal ours

    def _places(self, module: ModuleType) -> Iterator[dict[str, Any]]:
        """The namespaces in which the functions are looked up: the module's, and the one it took them from."""
        yield vars(module)
        if self._caller is not None:
            *_, caller = _layers(vars(module).get(self._caller))
            home = getattr(caller, "__globals__", {})
            if home.get("__name__", "").startswith(f"{self._name}."):  # neither the package itself, nor another
                yield home


def _layers(fn: Any) -> list[Any]:
    """A function, what it wraps, what that wraps, ..."""
    layers = [fn]
    while len(layers) < _MOST_WRAPPERS and (fn := getattr(fn, "__wrapped__", None)) is not None:
        layers.append(fn)
    return layers


def _boto3() -> dict[str, Take]:
    from .boto3 import client, resource

    return {"client": client, "resource": resource}


def _requests() -> dict[str, Take]:
    from .requests import request

    return {"request": request}


def _httpx() -> dict[str, Take]:
    from .httpx import request

    return {"request": request}


# `requests.get` and the others call `request`, so does `httpx.get`: they are patched where they have been imported by
# name, too.
_LIBRARIES = {
    "boto3": Library("boto3", _boto3),
    "requests": Library("requests", _requests, caller="get"),
    "httpx": Library("httpx", _httpx, caller="get"),
}


def warm_imports(env: Environment) -> None:  # noqa: ARG001 - what every feature is given
    """What a first request of a patched library needs: for INIT, see `_warm_imports`."""
    if any(library.on for library in _LIBRARIES.values()):
        __import__("encodings.idna")  # 1 ms: names of hosts go through it


def patch(*names: str) -> None:
    """Have functions of other libraries use what the environment keeps, for functions that nobody wants to rewrite.

    ``boto3.client`` and ``boto3.resource`` return what `client` and `resource` return; ``requests.get``, ``httpx.get``,
    their siblings and ``request`` use connections that are kept alive, and keep no cookie. That holds for calls with
    plain arguments, from now on or from when the library is imported, in all modules and threads; all other calls are
    the library's own, as are sessions and clients that the code makes for itself. Errors are those of the library.

    Args:
        names: of ``"boto3"``, ``"requests"`` and ``"httpx"``; none for all three. One that is never imported is not
            missed, here neither.

    Raises:
        ConfigurationError: another name; nothing is patched then.

    Calling it again changes nothing. `unpatch` undoes it. Thread-safe. Since 0.1.
    """
    for library in _chosen("patch", names):
        library.patch()


def unpatch(*names: str) -> None:
    """Undo `patch`: for these names, or for all. Clients and connections that are there stay.

    Raises:
        ConfigurationError: as `patch`.

    Harmless where nothing is patched. Thread-safe. Since 0.1.
    """
    for library in _chosen("unpatch", names):
        library.unpatch()


def _chosen(function: str, names: tuple[Any, ...]) -> list[Library]:
    for name in names:
        if not isinstance(name, str):
            raise ConfigurationError(f"{function}: give names of libraries, such as 'boto3', not {type(name).__name__}")
        if name not in _LIBRARIES:
            known = [*_LIBRARIES]
            raise ConfigurationError(
                f"{function}: {name!r} is none of {', '.join(map(repr, known))}.{did_you_mean(name, known)}"
            )
    return [_LIBRARIES[name] for name in names or _LIBRARIES]
