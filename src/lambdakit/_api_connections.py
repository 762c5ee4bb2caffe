"""The public functions for what stays connected: each finds the environment and asks it."""

from __future__ import annotations

from ._current import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar, overload

    from ._declared import Declared
    from ._oauth import Token
    from ._singletons import Singletons

    R = TypeVar("R")


if TYPE_CHECKING:

    @overload
    def singleton(
        factory: Callable[[], R],
        /,
        *,
        check: Callable[[Any], object] | None = None,
        check_after: float = 0.0,
        max_age: float | None = None,
        close: Callable[[Any], object] | None = None,
        depends_on: Declared | Sequence[Declared] = (),
    ) -> Callable[[], R]: ...
    @overload
    def singleton(
        *,
        check: Callable[[Any], object] | None = None,
        check_after: float = 0.0,
        max_age: float | None = None,
        close: Callable[[Any], object] | None = None,
        depends_on: Declared | Sequence[Declared] = (),
    ) -> Callable[[Callable[[], R]], Callable[[], R]]: ...


def singleton(
    factory: Any = None,
    /,
    *,
    check: Callable[[Any], object] | None = None,
    check_after: float = 0.0,
    max_age: float | None = None,
    close: Callable[[Any], object] | None = None,
    depends_on: Declared | Sequence[Declared] = (),
) -> Any:
    """Build a thing once per environment, keep it alive: ``@singleton``, or ``@singleton(...)`` with options.

    For a database connection, an engine, a client of any kind. The first call builds it, in one thread or task while
    the others wait; later calls return the same object. Whether it is still good is looked at when it is first used in
    an invocation, so that what died while the environment was frozen is replaced before it is needed. That takes
    `handler` on the function: nothing else tells invocations apart.

    Args:
        factory: a function or a coroutine function without arguments. What it raises passes unchanged, and the next
            call tries again. What a coroutine function builds belongs to the event loop it was built in.
        check: called with the instance. It fails if it raises or returns False; then the old instance is closed and a
            new one built. Nothing limits how long it may take, unless it is a coroutine: that gets half of the
            remaining time. None: built anew after 60 s of idleness.
        check_after: seconds of idleness after which `check` is called, frozen time included; 0: in each invocation.
            Idleness counts from the first use in the last invocation that used it.
        max_age: seconds after which it is built anew, frozen time included; None: never for that reason.
        close: called with an old instance, whatever it raises is dropped. None: its own ``close()``, if it has one, or
            ``aclose()`` of what a coroutine function has built.
        depends_on: `secret` or `parameter` declarations, one or a list. Built anew at the next call when memory has
            another version of one: after its ttl, or after `retry_on_rotation` has fetched it.

    Returns:
        A function without arguments that returns the instance, with the type that the factory has. It can be
        preloaded, unless it is a coroutine function.

    Raises:
        ConfigurationError: an option is wrong, or `factory` is a class or yields. At a call: the factory returned a
            coroutine, or asks for its own instance.
        LambdakitError: at a call, a value of `depends_on` could not be fetched and nothing has been built yet; or
            another thread takes longer to build than this invocation lasts (`DeadlineExceededError`).

    Call it where the instance is needed, and keep only the function. Threads share the instance, so it has to be
    thread-safe itself. An instance is closed before a SnapStart snapshot and built anew after it; a forked child builds
    its own and leaves its parent's alone. Thread-safe. Since 0.1.
    """
    from ._factory import Factory  # 0.6 ms with the next, paid by who decorates
    from ._singletons import bind

    def decorate(factory: Any) -> Any:
        return bind(
            Factory(factory, check=check, check_after=check_after, max_age=max_age, close=close, depends_on=depends_on),
            _singletons,
        )

    return decorate if factory is None else decorate(factory)


def _singletons() -> Singletons:
    return environment().singletons


def oauth_token(
    token_url: str,
    *,
    client_id: str,
    client_secret: str | Declared,
    scope: str | None = None,
    audience: str | None = None,
) -> Token:
    """A bearer token by client credentials (RFC 6749), kept until 30 s before its own expiry.

    ``lambdakit.http.get(url, auth=token)`` sends it, and after a 401 obtains another and sends the request once more.
    Elsewhere ``str(token)`` is its value; call ``token.forget()`` after a 401.

    Args:
        token_url: where tokens are issued.
        client_id: of this client.
        client_secret: of this client, or `lambdakit.secret` that holds it, with ``field=`` where it is one of a JSON
            secret. If the server refuses it, it is fetched anew, and tried again if it was rotated.
        scope: what the token is for, names with spaces between; default: what the server says.
        audience: for whom the token is; an extension of some servers.

    Returns:
        A `Token`. Nothing is fetched here. Equal arguments share one token.

    Raises:
        ConfigurationError: an argument is wrong.

    Threads that ask at once share one fetch, which is retried and bounded by the remaining time; if it fails, a token
    that has not expired is used on. Thread-safe. Since 0.1.
    """
    from ._oauth import Token, Wanted  # 0.5 ms, paid by who uses it

    wanted = Wanted(token_url, client_id=client_id, client_secret=client_secret, scope=scope, audience=audience)
    return Token(lambda: environment().tokens, wanted)
