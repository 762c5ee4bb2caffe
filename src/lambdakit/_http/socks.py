"""Connections through a SOCKS proxy: urllib3's, kept and bounded as all others are."""

from __future__ import annotations

from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection
from urllib3.exceptions import ConnectTimeoutError

from .connection import SOCKET_OPTIONS, PooledConnection, PooledTlsConnection
from .policy import deadline_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class SocksConnection(PooledConnection, SOCKSConnection):  # pyright: ignore[reportIncompatibleVariableOverride] # response_class, see there
    """Over one that the proxy opens."""

    def _new_conn(self) -> Any:
        asked_s: Any = self.timeout
        self.timeout, by_budget = self.policy.clamp_timeout(asked_s, self.host)
        self.socket_options = [*SOCKET_OPTIONS]
        try:
            sock = SOCKSConnection._new_conn(self)  # noqa: SLF001 - of a base
        except ConnectTimeoutError as error:
            if by_budget:
                raise deadline_error(self.host) from error
            raise
        finally:
            self.timeout = asked_s
        self._by_budget = self._bound(sock, asked_s)  # for the handshake
        return sock


class SocksTlsConnection(SocksConnection, PooledTlsConnection, SOCKSHTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride] # the same
    """The same, with TLS to the host behind the proxy."""
