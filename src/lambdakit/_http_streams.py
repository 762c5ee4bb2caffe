"""httpcore's connections, told what urllib3's are: how long they may idle, how long a step may take."""

from __future__ import annotations

import socket
from contextlib import contextmanager

import httpcore

from ._http_terms import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from typing import Any

    from ._http_terms import Terms


class Lost(httpcore.ReadError):
    """A connection that was used before ended before a byte of the response came."""


class _Use:
    """What is known of the use of one connection."""

    def __init__(self, terms: Terms, host: str) -> None:
        self.terms = terms
        self.host = host
        self._used_at = terms.clock.now()
        self._generation = terms.generation
        self._kept = False  # there was an exchange before this one
        self._answered = False  # a byte of the response has come

    def is_over(self) -> bool:
        """Whether it may be dead for having been idle, or belongs to what was closed."""
        return self.terms.is_over(self._used_at, self._generation, self.terms.clock.now())

    def wrote(self) -> None:
        """Something is sent: a new exchange begins, if an answer has come since the last."""
        if self._answered:
            self._kept, self._answered = True, False

    def read(self, data: bytes) -> bytes:
        """Something, or the end, was read."""
        if data:
            self._answered = True
            self._used_at = self.terms.clock.now()
        elif self._kept and not self._answered:
            raise Lost("The server ended a kept connection without a response.")
        return data

    @contextmanager
    def bounded(self, asked_s: float | None) -> Iterator[float | None]:
        """The time-out for one step."""
        timeout_s, by_budget = self.terms.bound(asked_s, self.host)
        try:
            yield timeout_s
        except httpcore.TimeoutException as error:
            if by_budget:
                raise late(self.host) from error
            raise
        except httpcore.ReadError as error:
            if self._kept and not self._answered:
                raise Lost(str(error)) from error
            raise


class Stream(httpcore.NetworkStream):
    """A connection."""

    def __init__(self, inner: httpcore.NetworkStream, use: _Use) -> None:
        self._inner = inner
        self._use = use

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._use.bounded(timeout) as timeout_s:
            return self._use.read(self._inner.read(max_bytes, timeout=timeout_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._use.wrote()
        with self._use.bounded(timeout) as timeout_s:
            self._inner.write(buffer, timeout=timeout_s)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            with self._use.bounded(timeout) as timeout_s:
                return Stream(self._inner.start_tls(ssl_context, server_hostname, timeout_s), self._use)
        except BaseException:
            self.close()  # httpcore has not kept it yet
            raise

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for; it does not use an idle connection that is readable: that is one that has ended."""
        return (info == "is_readable" and self._use.is_over()) or self._inner.get_extra_info(info)


class Backend(httpcore.SyncBackend):
    """Connects."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """The address that answers first, in the time that there is for all of them."""
        use = _Use(self._terms, host)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception | None = None
        for *_, address in found:
            try:
                with use.bounded(timeout) as timeout_s:
                    inner = super().connect_tcp(str(address[0]), port, timeout_s, local_address, socket_options)
                    return Stream(inner, use)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class AsyncStream(httpcore.AsyncNetworkStream):
    """A connection of an event loop."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, use: _Use) -> None:
        self._inner = inner
        self._use = use

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        with self._use.bounded(timeout) as timeout_s:
            return self._use.read(await self._inner.read(max_bytes, timeout=timeout_s))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's
        self._use.wrote()
        with self._use.bounded(timeout) as timeout_s:
            await self._inner.write(buffer, timeout=timeout_s)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
    ) -> httpcore.AsyncNetworkStream:
        try:
            with self._use.bounded(timeout) as timeout_s:
                return AsyncStream(await self._inner.start_tls(ssl_context, server_hostname, timeout_s), self._use)
        except BaseException:
            await self.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        """As `Stream` has it."""
        return (info == "is_readable" and self._use.is_over()) or self._inner.get_extra_info(info)


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """Connects, in an event loop."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._inner: Any = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        """As `Backend` has it: anyio tries the addresses by itself."""
        use = _Use(self._terms, host)
        with use.bounded(timeout) as timeout_s:
            return AsyncStream(await self._inner.connect_tcp(host, port, timeout_s, local_address, socket_options), use)
