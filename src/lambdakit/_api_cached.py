"""The public decorator for anything that is worth keeping."""

from __future__ import annotations

from ._current import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, Protocol, TypeVar, overload

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)

    class CachedMethod(Protocol[R_co]):
        """One that stands in a class: of a class method, checkers do not know that its first argument is given."""

        def __call__(self, *args: Any, **kwargs: Any) -> R_co: ...
        def invalidate(self, *args: Any, **kwargs: Any) -> None:
            """Forget the result for these arguments, the instance first."""

        def clear(self) -> None:
            """Forget all results."""

    class CachedFunction(Protocol[P, R_co]):
        """A function whose results are kept."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
        @overload
        def __get__(self, instance: None, owner: type, /) -> CachedMethod[R_co]: ...
        @overload
        def __get__(self, instance: Any, owner: type | None = None, /) -> Callable[..., R_co]: ...
        def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
            """Forget the result for these arguments."""

        def clear(self) -> None:
            """Forget all results."""


if TYPE_CHECKING:

    @overload
    def cached(
        fn: Callable[P, R],
        /,
        *,
        ttl: float | Callable[[Any], float] | None = None,
        stale_ttl: float | None = None,
        max_size: int | None = None,
        key: Callable[..., Any] | None = None,
    ) -> CachedFunction[P, R]: ...
    @overload
    def cached(
        *,
        ttl: float | Callable[[Any], float] | None = None,
        stale_ttl: float | None = None,
        max_size: int | None = None,
        key: Callable[..., Any] | None = None,
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...


def cached(
    fn: Any = None, /, *, ttl: Any = None, stale_ttl: float | None = None, max_size: int | None = None, key: Any = None
) -> Any:
    """Keep what a function returns, as secrets and parameters are kept: ``@cached``, or ``@cached(...)`` with options.

    One fetch for all threads, or tasks, that ask at once; frozen time counts; errors are not kept; a result that is too
    old is served for a while where a call fails for a reason that passes (time-outs, lost connections, throttling, a
    status of 500 or above: of botocore, requests, httpx, urllib3, aiohttp and the standard library).

    Args:
        fn: a function or a coroutine function; in a class, the instance is one of the arguments. Below ``@classmethod``
            or ``@staticmethod``, where there is one.
        ttl: seconds; None: 300, or ``LAMBDAKIT_TTL``. A callable gets what was returned and tells for how many seconds
            that is good, such as ``lambda token: token["expires_in"] - 30``; 0 or less: not kept.
        stale_ttl: as in `get_secret`; None is 0 where `ttl` is a callable: what has expired is of no use.
        max_size: how many results are kept, per function; None: 1,000, or ``LAMBDAKIT_MAX_ENTRIES``. The one whose last
            use is longest ago goes first.
        key: gets the arguments and returns what identifies them, hashable; None: the arguments themselves, as they are
            given: ``f(1)`` and ``f(n=1)`` are two.

    Returns:
        A function of the same signature, with ``invalidate(*args, **kwargs)`` and ``clear()``. All readers get the same
        object: do not change it.

    Raises:
        ConfigurationError: an option is wrong, or `fn` is a class or yields. At a call: the arguments cannot be hashed,
            the function returned something that only one reader can use, such as an iterator, or asks for itself.
        DeadlineExceededError: at a call, less than 0.25 s is left of the invocation, and there is no stale result.

    Thread-safe. Results belong to the environment. Since 0.1.
    """
    from ._cached import Cached, bind  # 0.4 ms, paid by who decorates

    def decorate(fn: Any) -> Any:
        return bind(Cached(fn, ttl=ttl, stale_ttl=stale_ttl, max_size=max_size, key=key), environment)

    if fn is None:
        Cached(decorate, ttl=ttl, stale_ttl=stale_ttl, max_size=max_size, key=key)  # an error where it stands
        return decorate
    return decorate(fn)
