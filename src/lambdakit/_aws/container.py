"""The container endpoint of credentials: whom to ask, how, what may come back."""

from __future__ import annotations

import json
import time

from ..exceptions import AccessDeniedError, FetchError, NetworkError, ServiceError, ThrottledError
from .endpoints import split_url
from .signing import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Fetch = Callable[[str, dict[str, str], float], tuple[int, bytes]]

_RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - the name of a variable
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - the name of a variable
_ECS = "169.254.170.2"
_HOSTS = (_ECS, "169.254.170.23", "fd00:ec2::23", "localhost")  # botocore.utils.ContainerMetadataFetcher
_KEYS = "AccessKeyId, SecretAccessKey, Token, Expiration"

_OK, _TOO_MANY, _FAILED = 200, 429, 500
_MAX_BYTE = 255
_LOOPBACK_6, _LOOPBACK_4_IN_6 = b"\0" * 15 + b"\1", b"\0" * 10 + b"\xff\xff\x7f"


class Request:
    """What to ask for: the variable that says so, the URL, the headers. The last two are kept out of every message."""

    __slots__ = ("headers", "url", "variable")

    def __init__(self, variable: str, url: str, headers: dict[str, str]) -> None:
        self.variable = variable
        self.url = url
        self.headers = headers

    def __repr__(self) -> str:
        """The variable: the rest may be as good as a key."""
        return f"Request({self.variable})"


def request(environ: Mapping[str, str]) -> Request:
    """The request that the variables ask for; the file of the token is read anew.

    Raises:
        AccessDeniedError: if they ask for none, or for one that must not be made.
    """
    variable = _RELATIVE if _RELATIVE in environ else _FULL
    if variable not in environ:
        problem = f"it is not set, and neither is {_RELATIVE} nor {_FULL}. Give the function a role, or set it"
        raise denied("AWS_ACCESS_KEY_ID", problem)
    url = f"http://{_ECS}{environ[_RELATIVE]}" if variable == _RELATIVE else environ[_FULL]
    try:
        scheme, host, _, _ = split_url(url)
    except ValueError as error:
        raise denied(variable, f"it is not the URL of an endpoint: {error}") from error
    if scheme != "https" and not is_container_host(host):
        problem = f"without https {host} is not asked, only a loopback address or {', '.join(_HOSTS)}"
        raise denied(variable, problem)
    headers = {"Accept": "application/json"}
    token = _authorization(environ)
    if token is not None:
        headers["Authorization"] = token
    return Request(variable, url, headers)


def ask(where: Request, fetch: Fetch, timeout_s: float) -> object:
    """Ask once, for at most `timeout_s` seconds. The parsed answer, whatever it is.

    Raises:
        FetchError: of the kind that the failure is; botocore would ask again after each of them.
    """
    try:
        status, body = fetch(where.url, where.headers, timeout_s)
    except OSError as error:
        raise _failed(NetworkError, where.variable, "its endpoint did not answer") from error
    if status != _OK:
        kind = ThrottledError if status == _TOO_MANY else ServiceError if status >= _FAILED else AccessDeniedError
        raise _failed(kind, where.variable, f"its endpoint answered with status {status}", status=status)
    try:
        return json.loads(body.decode("utf-8-sig", "replace"))
    except ValueError:
        pass  # not chained: that exception holds the document
    raise denied(where.variable, "the answer of its endpoint is not JSON")


def from_answer(where: Request, answer: object) -> Credentials:
    """The credentials in an answer.

    Raises:
        AccessDeniedError: if there are none, or not of the right form.
    """
    match answer:
        case {
            "AccessKeyId": str(access_key),
            "SecretAccessKey": str(secret_key),
            "Token": (str() | None) as token,
            "Expiration": str(expiration),
        }:
            expires_at = epoch_s(expiration)
            if expires_at is not None and _is_header(f"{access_key}{token}"):
                return Credentials(access_key, secret_key, token=token, expires_at=expires_at)
        case _:
            raise denied(where.variable, f"the answer of its endpoint is not an object with {_KEYS}")
    raise denied(where.variable, "the answer of its endpoint has a field of the wrong form")


def is_container_host(host: str) -> bool:
    """Whether credentials may be asked for there without TLS."""
    return host in _HOSTS or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether `host` is an address in 127.0.0.0/8 or ::1, however it is spelt.

    As ``ipaddress`` has it, whose import would cost 0.8 ms.
    """
    parts = host.split(".")
    if len(parts) == 4 and parts[0] == "127":  # noqa: PLR2004 - the four numbers of an IPv4 address
        return all(part.isdigit() and part == str(int(part)) and int(part) <= _MAX_BYTE for part in parts)
    if ":" not in host:
        return False
    import socket  # loaded by whoever connects

    address = socket.inet_pton(socket.AF_INET6, host)  # `split_url` has made sure that it is one
    return address == _LOOPBACK_6 or address.startswith(_LOOPBACK_4_IN_6)


def epoch_s(text: str) -> float | None:
    """Seconds since the epoch of a time with its zone, fractions dropped; None if `text` is anything else.

    ISO 8601 as AWS writes it; any other spelling by the parser that botocore has, where it is installed.
    """
    seconds = _iso_epoch_s(text)
    return _other_epoch_s(text) if seconds is None else seconds


def _other_epoch_s(text: str) -> float | None:
    try:
        from dateutil.parser import parse  # 10 ms, and rare: no service of AWS writes so
    except ImportError:
        return None
    try:
        when = parse(text, tzinfos=_zone)
        return None if when.tzinfo is None else when.replace(microsecond=0).timestamp()
    except (OverflowError, TypeError, ValueError):
        return None


def _zone(_: str | None, offset_s: int | None) -> int | None:
    """A zone by its offset; a name may be anything, of which dateutil would warn, or of this machine's."""
    return offset_s


def _iso_epoch_s(text: str) -> float | None:
    fields = (text[0:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    digits = "".join(fields)
    offset_s = _offset_s(text[19:])
    well_formed = text[4:17:3] in {"--T::", "-- ::"} and digits.isascii() and digits.isdigit()
    if offset_s is None or not well_formed:
        return None
    year, month, day, hour, minute, second = numbers = tuple(map(int, fields))
    shift = (14 - month) // 12  # years begin in March: the leap day is their last
    years = year + 4800 - shift
    days = day + (153 * (month + 12 * shift - 3) + 2) // 5 + 365 * years + years // 4 - years // 100 + years // 400
    seconds = ((days - 2472633) * 24 + hour) * 3600 + minute * 60 + second
    if tuple(time.gmtime(seconds))[:6] != numbers:
        return None  # no such day, hour, minute or second
    return float(seconds - offset_s)


def denied(name: str, problem: str) -> FetchError:
    """The error for credentials that are missing, malformed or refused; `name` says where they were looked for."""
    return _failed(AccessDeniedError, name, problem)


def _failed(kind: type[FetchError], name: str, problem: str, *, status: int | None = None) -> FetchError:
    message = f"No AWS credentials from {name}: {problem}"
    return kind(message, service="credentials", operation="GetCredentials", name=name, status=status)


def _authorization(environ: Mapping[str, str]) -> str | None:
    variable = _TOKEN_FILE if _TOKEN_FILE in environ else _TOKEN
    token = environ.get(variable)
    if token is not None and variable == _TOKEN_FILE:
        try:
            with open(token, "rb") as file:  # noqa: PTH123 - pathlib would be an import more
                token = file.read().decode("latin-1")  # total: no exception holds the token
        except OSError as error:
            raise denied(variable, "the file that it names cannot be read") from error
    if token is not None and not _is_header(token):
        raise denied(variable, "there is a line break in the token, or another character that no header can carry")
    return token


def _is_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _offset_s(zone: str) -> int | None:
    # "Z", "+hh:mm", "+hhmm" or "+hh", after a fraction or not.
    if zone[:1] == ".":
        zone = zone[1:].lstrip("0123456789") if zone[1:2].isdigit() else ""
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "", 1) if zone[3:4] in {":", ""} else zone[1:]
    if zone[:1] not in {"+", "-"} or len(digits) not in {2, 4} or not (digits.isascii() and digits.isdigit()):
        return None
    offset = int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60
    if offset >= 24 * 3600:
        return None
    return -offset if zone[0] == "-" else offset
