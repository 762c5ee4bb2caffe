"""One request of `lambdakit.http`: its arguments checked, its token renewed, its body bounded."""

from __future__ import annotations

import binascii
import json as json_module
import os
import re
from urllib.parse import urlencode

from urllib3 import HTTPResponse, Timeout
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import parse_url

from .._diagnostics import did_you_mean, find_in_type, flag
from ..exceptions import ConfigurationError, ValueFormatError
from .policy import CONNECT_S, IDEMPOTENT, READ_S, deadline_error, is_deadline_error
from .retries import is_spent, retries, rewinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from urllib3 import BaseHTTPResponse

    from .pools import Manager, Pools
    from .retries import Retries

_UNAUTHORIZED = 401
_IN_QUERY = frozenset(("DELETE", "GET", "HEAD", "OPTIONS"))  # where `fields` go there, as urllib3 has it
_PIECE = 64 * 1024
_LONGEST_S = 86_400.0
_PAIR = 2  # a name and a value


def send(
    pools: Pools,
    method: Any,
    url: Any,
    *,
    body: Any = None,
    json: Any = None,
    fields: Any = None,
    headers: Any = None,
    auth: Any = None,
    timeout: Any = None,
    retry: Any = True,
    max_bytes: Any = None,
    redirect: bool = True,
    ca: Any = None,
    cert: Any = None,
    **others: Any,
) -> BaseHTTPResponse:
    """What `lambdakit.http.request` does, with these pools."""
    if others:
        raise _unknown([*others])
    if method not in IDEMPOTENT:  # those are known to be right
        method = _method(method)
    if not (isinstance(url, str) and url[:8].lower().startswith(("http://", "https://")) and _has_no_user(url)):
        raise _bad_url()
    options: dict[str, Any] = {"redirect": flag("redirect", redirect), "headers": _headers(headers), "body": body}
    if body is not None:
        _check_body(body)
    if json is not None or fields is not None:
        url = _encode(method, url, json, fields, options)
    if timeout is not None:
        options["timeout"] = _timeout(timeout)
    # Said with each request: older versions of urllib3 forget the manager's at a redirect.
    options["retries"] = pools.retries if retry is True else _retries(pools, retry)
    if max_bytes is not None and (isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 0):
        raise ConfigurationError(f"max_bytes={max_bytes!r}: give a whole number of bytes, or None for any")
    manager = pools.manager() if ca is None and cert is None else _manager(pools, ca, cert)
    if auth is None:
        return _exchange(manager, method, url, max_bytes, options)
    return _authorized(manager, method, url, auth, max_bytes, options)


def _manager(pools: Pools, ca: Any, cert: Any) -> Manager:
    """That which trusts, and is known by, these certificates."""
    trust: dict[str, Any] = {"ca": _path("ca", ca), "cert": cert}
    if isinstance(cert, tuple):
        if not 2 <= len(cert) <= 3:  # noqa: PLR2004 - of what
            raise ConfigurationError("cert: give a file with certificate and key, or a tuple of the two")
        trust["cert"] = (_path("cert", cert[0]), _path("cert", cert[1]), *cert[2:])
    else:
        trust["cert"] = _path("cert", cert)
    try:
        pools.contexts.context(**trust)  # a look at the files; they are read where they have changed
    except (OSError, TypeError, ValueError) as error:
        names = " or ".join(name for name, given in trust.items() if given is not None)
        raise ConfigurationError(f"{names}: what is named cannot be read as certificates ({error})") from None
    return pools.manager(trust)


def _path(name: str, given: Any) -> str | None:
    if given is None:
        return None
    try:
        path = os.fspath(given)
    except TypeError:
        path = None
    if not isinstance(path, str) or not path:
        raise ConfigurationError(f"{name}: give a path, not {type(given).__name__}")
    return path


def _authorized(
    manager: Manager, method: str, url: str, auth: Any, max_bytes: int | None, options: dict[str, Any]
) -> BaseHTTPResponse:
    headers = options["headers"]
    if any(name.lower() == "authorization" for name in headers):
        raise ConfigurationError("auth, headers: both have an Authorization; give one of them")
    headers["Authorization"] = _authorization(auth)
    forget = getattr(auth, "forget", None)  # a tuple has none: there is nothing to renew
    rewind = rewinder(options.get("body"))
    response = _exchange(manager, method, url, max_bytes, options)
    if response.status != _UNAUTHORIZED or rewind is None or forget is None:
        return response
    forget()
    rewind()
    headers["Authorization"] = _authorization(auth)
    return _exchange(manager, method, url, max_bytes, options)


class Response(HTTPResponse):
    """urllib3's, whose `json` reads what JSON may be written in."""

    def json(self) -> Any:
        """The body, as JSON: UTF-8 with a byte order mark or without, UTF-16, UTF-32."""
        return json_module.loads(self.data)


def _exchange(
    manager: Manager, method: str, url: str, max_bytes: int | None, options: dict[str, Any]
) -> BaseHTTPResponse:
    try:
        send = manager.request if "fields" in options else manager.urlopen  # the one encodes, and calls the other
        response = send(method, url, preload_content=max_bytes is None, **options)
    except LocationValueError:
        raise _bad_url() from None  # the cause quotes the URL
    except (AttributeError, TypeError, ValueError):
        bad = _bad_header(options["headers"])
        if bad is not None:
            raise bad from None  # the cause quotes the value, which may be a secret
        raise
    if max_bytes is not None:
        _read(response, max_bytes, url)
    if type(response) is HTTPResponse:  # not of somebody who has put his own in its place
        response.__class__ = Response
    return response


def _read(response: BaseHTTPResponse, max_bytes: int, url: str) -> None:
    """Read the body, if it is no larger than that."""
    data = bytearray()
    host = str(parse_url(url).host)
    try:
        while len(data) <= max_bytes and (piece := response.read(min(_PIECE, max_bytes + 1 - len(data)))):
            data += piece
    except HTTPError as error:
        if is_deadline_error(error):
            raise deadline_error(host) from error
        raise
    if len(data) > max_bytes:
        response.close()  # with the connection: the rest would have to be read
        raise ValueFormatError(f"The response of {host} has more than max_bytes={max_bytes} bytes")
    response._body = bytes(data)  # type: ignore[attr-defined] # noqa: SLF001 - where `data` and `json` look


def _method(method: Any) -> str:
    if not isinstance(method, str) or not method.isascii() or not method.replace("-", "").isalpha():
        raise ConfigurationError(f"method={method!r}: give a method of HTTP, such as 'GET'")
    return method.upper()


def _has_no_user(url: str) -> bool:
    return "@" not in url or "@" not in url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0]


def _bad_url() -> ConfigurationError:
    # Without the URL: it may hold a password, or a signature.
    return ConfigurationError("url: give an absolute one, such as 'https://host/path'; user and password go into auth=")


def _headers(headers: Any) -> dict[str, Any]:
    if headers is None:
        return {"Accept-Encoding": "gzip"}
    if not hasattr(headers, "items"):
        raise ConfigurationError(f"headers: give a dictionary, not {type(headers).__name__}")
    given: dict[Any, Any] = dict(headers.items())
    # A part of what is compressed could not be decoded.
    if not any(isinstance(name, str) and name.lower() in _NO_GZIP for name in given):
        given["Accept-Encoding"] = "gzip"
    return given


def _bad_header(headers: dict[Any, Any]) -> ConfigurationError | None:
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return ConfigurationError(f"headers: {name!r} is no name of a header")
        if not isinstance(value, (str, bytes)):
            return ConfigurationError(f"headers: the value of {name!r} is {type(value).__name__}; give a str")
        if not set(value if isinstance(value, bytes) else map(ord, value)).isdisjoint(_NOT_IN_A_HEADER):
            return ConfigurationError(f"headers: the value of {name!r} has a line break in it, perhaps at its end")
        if isinstance(value, str) and any(ord(character) > 255 for character in value):  # noqa: PLR2004 - latin-1
            return ConfigurationError(f"headers: the value of {name!r} has characters that a header cannot have")
    return None


_NOT_IN_A_HEADER = frozenset(b"\r\n\0")
_NO_GZIP = frozenset(("accept-encoding", "range"))
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

# What the arguments of requests, httpx and urllib3 are called here.
_OURS = {
    "allow_redirects": "redirect=",
    "content": "body=",
    "cookies": "headers={'Cookie': ...}",
    "data": "body=, or fields= for a form",
    "files": "fields={'name': ('file.txt', data)}",
    "follow_redirects": "redirect=",
    "hooks": "nothing: the response is returned",
    "params": "fields=, or the query in the URL",
    "preload_content": "lambdakit.http.pool()",
    "proxies": "the variables HTTPS_PROXY and NO_PROXY",
    "proxy": "the variables HTTPS_PROXY and NO_PROXY",
    "retries": "retry=",
    "stream": "max_bytes=, or lambdakit.http.pool()",
    "verify": "ca=, a file or a directory of certificates to trust",
}


def _unknown(names: list[str]) -> ConfigurationError:
    name = names[0]
    if name in _OURS:
        return ConfigurationError(f"{name}= is an argument of another library; here it is {_OURS[name]}")
    known = [*(send.__kwdefaults__ or ())]
    return ConfigurationError(
        f"{name}= is no argument of lambdakit.http: {', '.join(known)}.{did_you_mean(name, known)}"
    )


def _check_body(body: Any) -> None:
    """Refuse what would be sent as something else than it is."""
    kind = type(body)
    if kind in {bytes, str, bytearray, memoryview} or hasattr(body, "read"):
        return
    if is_spent(body):
        raise ConfigurationError("body: this generator was read already: nothing would be sent")
    if find_in_type(kind, "keys") or not any(find_in_type(kind, name) for name in _MAY_BE_SENT):
        raise ConfigurationError(
            f"body: give bytes, a str, a file or an iterable of bytes, not {kind.__name__}; json= and fields= take "
            "dictionaries"
        )


_MAY_BE_SENT = ("__iter__", "__buffer__")


def _encode(method: str, url: str, json: Any, fields: Any, options: dict[str, Any]) -> str:
    """Put what is to be sent into `options`, or into the URL that is returned."""
    if (options["body"] is not None) + (json is not None) + (fields is not None) > 1:
        raise ConfigurationError("body, json, fields: give one of them")
    if json is not None:
        options["body"] = _json(json, options["headers"])
        return url
    pairs = _pairs(fields, in_query=method in _IN_QUERY)
    if method in _IN_QUERY:
        url = url.partition("#")[0]  # what stands behind it is not sent
        query = urlencode(pairs)
        return f"{url}{'&' if '?' in url else '?'}{query}" if query else url
    del options["body"]
    options["fields"] = pairs
    return url


def _pairs(fields: Any, *, in_query: bool) -> list[tuple[Any, Any]]:
    """Names and values as they are sent: one for each of a list, none for None."""
    items = [*fields.items()] if find_in_type(type(fields), "items") else fields
    if not (
        isinstance(items, (list, tuple)) and all(isinstance(one, (list, tuple)) and len(one) == _PAIR for one in items)
    ):
        raise ConfigurationError(f"fields: give a dictionary, or a list of pairs, not {type(fields).__name__}")
    several = (list, tuple, set, frozenset) if in_query else (list, set, frozenset)  # there a tuple is a file
    pairs: list[tuple[Any, Any]] = []
    for name, value in items:
        values = value if isinstance(value, several) else (value,)
        pairs += [(name, _value(name, one, in_query=in_query)) for one in values if one is not None]
    return pairs


def _value(name: Any, value: Any, *, in_query: bool) -> Any:
    if isinstance(value, (str, bytes)) or (isinstance(value, tuple) and not in_query):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    # What would be sent of others is how Python shows them.
    if find_in_type(type(value), "__iter__") or hasattr(value, "read"):
        raise ConfigurationError(
            f"fields: the value of {name!r} is {type(value).__name__}; give a str, bytes, a number, a list of these, "
            "or in a form ('file.txt', data)"
        )
    return str(value)


def _retries(pools: Pools, retry: Any) -> Retries:
    if retry is not False and retry != "unsafe":
        raise ConfigurationError(f"retry={retry!r}: give True, False or 'unsafe'")
    return retries(pools.policy, retry=retry)


def _json(value: Any, headers: dict[str, Any]) -> bytes:
    try:
        body = json_module.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"json: {type(value).__name__} cannot be written as JSON ({error})") from error
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return body


def _timeout(timeout: Any) -> Timeout:
    parts = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    for part in parts:
        if part is not None and (
            isinstance(part, bool) or not isinstance(part, (int, float)) or not 0 < part <= _LONGEST_S
        ):
            parts = ()
    if len(parts) != 2:  # noqa: PLR2004 - of what
        raise ConfigurationError(
            f"timeout={timeout!r}: give a number of seconds above 0 (a day at most), or a tuple of two, "
            "to connect and to read"
        )
    connect_s, read_s = parts
    return Timeout(connect=CONNECT_S if connect_s is None else connect_s, read=READ_S if read_s is None else read_s)


def _authorization(auth: Any) -> str:
    if isinstance(auth, tuple):
        if len(auth) != 2 or not all(isinstance(part, str) for part in auth) or ":" in auth[0]:  # noqa: PLR2004 - user, password
            raise ConfigurationError("auth: give a tuple of user and password, both str, the user without a colon")
        return f"Basic {binascii.b2a_base64(':'.join(auth).encode(), newline=False).decode()}"
    if not callable(getattr(auth, "forget", None)):
        raise ConfigurationError(
            f"auth: give a tuple of user and password, or an OAuth token, not {type(auth).__name__}; "
            "anything else goes into headers={'Authorization': ...}"
        )
    return f"Bearer {auth}"
