"""The credentials of the environment, found where botocore finds them: in variables, else at the container endpoint."""

from __future__ import annotations

import threading

from .._clock import age_s
from .._diagnostics import warn
from .._single_flight import SingleFlight
from ..exceptions import DeadlineExceededError, FetchError
from .signing import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._clock import Clock, Instant
    from .container import Fetch

REFRESH_S = 300.0  # before expiry: the service issues new ones from then on, and a request may be under way for minutes

# Where credentials come from. Who changes one of these, as tests do and mocks of AWS, means others.
_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)

_ATTEMPTS, _TIMEOUT_S, _PAUSE_S = 3, 2.0, 1.0  # botocore.utils.ContainerMetadataFetcher
_BACKOFF_S = 10.0  # after a renewal that failed, while the old ones are still good: not one attempt per request


class _Cached:
    """Credentials, when they were obtained, how long they last from then (None: for good), and by which variables."""

    __slots__ = ("credentials", "fingerprint", "lifetime_s", "since")

    def __init__(self, credentials: Credentials, since: Instant, fingerprint: int) -> None:
        expires_at = credentials.expires_at
        self.credentials = credentials
        self.since = since
        self.fingerprint = fingerprint
        self.lifetime_s = None if expires_at is None else expires_at - since[0]

    def due(self, now: Instant) -> bool:
        return self.lifetime_s is not None and age_s(self.since, now) >= self.lifetime_s - REFRESH_S

    def usable(self, now: Instant) -> bool:
        # Each clock by itself: if the wall clock was set back, what monotonic time allows may still be used.
        return self.lifetime_s is None or max(now[0] - self.since[0], now[1] - self.since[1]) < self.lifetime_s


class CredentialProvider:
    """Finds the credentials, keeps them, renews them before they expire. Safe for use by several threads.

    The environment variables go first (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SECURITY_TOKEN`` or
    ``AWS_SESSION_TOKEN``, ``AWS_CREDENTIAL_EXPIRATION``), then the container endpoint
    (``AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`` or ``_FULL_URI``, with ``AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`` or
    ``AWS_CONTAINER_AUTHORIZATION_TOKEN``). Nothing is read before the first `get`; where one of the variables that say
    where they come from has changed, what is kept is dropped.

    Args:
        environ: the environment variables, compared at every `get` and read at every renewal.
        clock: what time it is; waits between attempts.
        fetch: an HTTP GET: ``fetch(url, headers, timeout_s)`` returns status and body, or raises an OSError.
    """

    __slots__ = ("_cached", "_clock", "_environ", "_failed", "_fetch", "_fetches", "_lock")

    def __init__(self, environ: Mapping[str, str], *, clock: Clock, fetch: Fetch) -> None:
        self._environ = environ
        self._clock = clock
        self._fetch = fetch
        self._lock = threading.Lock()  # guards what is kept, never a request
        self._fetches = SingleFlight(self._lock)
        self._cached: _Cached | None = None
        self._failed: Instant | None = None

    def __repr__(self) -> str:
        """What is kept, without what could be used."""
        return f"CredentialProvider({self._cached.credentials if self._cached else None})"

    def forget(self) -> None:
        """Drop what is kept: after a restore it is another environment's. What is under way is not kept either."""
        with self._lock:
            self._cached = self._failed = None
            self._fetches.invalidate(lambda _: True)

    def get(self, *, timeout_s: float | None = None) -> Credentials:
        """The credentials to sign with now: those kept, until 5 minutes before they expire.

        From then on they are renewed, by one thread, in one attempt; as long as they are valid they are served to the
        other threads meanwhile and to all threads if that fails. Without any, three attempts are made, of 2 seconds
        each and with a second between them, as botocore does; other threads wait for the outcome.

        Args:
            timeout_s: how long this may take, in seconds; None for as long as the attempts take, 0 for no request.

        Raises:
            AccessDeniedError: there are none, they are incomplete, malformed or expired, or the endpoint refuses.
            DeadlineExceededError: `timeout_s` has passed, the attempts are not over.
            NetworkError: the container endpoint did not answer.
            ServiceError: the container endpoint failed (a status of 500 or above).
            ThrottledError: the container endpoint asked for fewer requests.
        """
        fingerprint = _fingerprint(self._environ)
        cached = self._cached
        if cached is not None and cached.fingerprint != fingerprint:
            self.forget()
            cached = None
        if cached is not None and cached.lifetime_s is None:
            return cached.credentials
        now = self._clock.now()
        if cached is not None and not cached.due(now):
            return cached.credentials
        credentials = from_environ(self._environ)
        if credentials is None:
            return self._from_container(now, None if timeout_s is None else now[1] + timeout_s)
        if credentials.expires_at is not None and credentials.expires_at <= now[0]:
            raise _denied("AWS_CREDENTIAL_EXPIRATION", "it has passed: the credentials in the environment are expired")
        self._cached = _Cached(credentials, now, fingerprint)
        return credentials

    def _from_container(self, now: Instant, end_s: float | None) -> Credentials:
        cached, failed = self._cached, self._failed
        fallback = cached.credentials if cached is not None and cached.usable(now) else None
        if fallback is not None and failed is not None and age_s(failed, now) < _BACKOFF_S:
            return fallback
        cut: list[DeadlineExceededError] = []

        def work() -> _Cached | None:
            try:
                return self._ask(1 if fallback else _ATTEMPTS, end_s)
            except DeadlineExceededError as error:
                cut.append(error)  # of this caller: those who wait may have more time
                return None

        def remaining() -> float | None:
            # With a fallback nobody waits for another thread.
            return 0.0 if fallback else None if end_s is None else max(0.0, end_s - self._clock.now()[1])

        try:
            while not cut:
                renewed: _Cached | None = self._fetches.run(
                    "", work, lookup=lambda _: self._current(now), store=self._keep, remaining=remaining
                )
                if renewed is not None:
                    return renewed.credentials
            raise cut.pop()
        except (DeadlineExceededError, FetchError) as error:
            if fallback is None:
                raise
            if isinstance(error, FetchError):
                self._failed = now
                warn("AWS credentials could not be renewed: using cached credentials until they expire. %s", error)
            return fallback

    def _current(self, now: Instant) -> _Cached | None:
        cached = self._cached
        return None if cached is None or cached.due(now) else cached

    def _keep(self, _: object, cached: _Cached | None) -> None:
        if cached is not None:
            self._cached = cached

    def _ask(self, attempts: int, end_s: float | None) -> _Cached:
        from .container import ask, denied, from_answer, request  # not paid where the variables have them

        fingerprint = _fingerprint(self._environ)
        where = request(self._environ)
        while True:
            now = self._clock.now()
            timeout_s = _TIMEOUT_S if end_s is None else min(_TIMEOUT_S, end_s - now[1])
            if timeout_s <= 0.0:
                raise DeadlineExceededError("there is no time left to ask the container endpoint for AWS credentials")
            try:
                answer = ask(where, self._fetch, timeout_s)
            except FetchError as error:
                attempts -= 1
                if not attempts:
                    raise
                if end_s is not None and end_s - self._clock.now()[1] <= _PAUSE_S:
                    message = f"there is no time left for another attempt to get AWS credentials: {error}"
                    raise DeadlineExceededError(message) from error
            else:
                cached = _Cached(from_answer(where, answer), now, fingerprint)
                if cached.usable(now):
                    return cached
                # A proxy that was frozen with the environment answers from its memory first, and asks meanwhile.
                attempts -= 1
                if not attempts or (end_s is not None and end_s - self._clock.now()[1] <= _PAUSE_S):
                    raise denied(
                        where.variable, "its endpoint sent credentials that have expired, if the clock is right"
                    )
            self._clock.sleep(_PAUSE_S)


def _fingerprint(environ: Mapping[str, str]) -> int:
    """A number that is another one when the variables say something else of credentials; it tells nothing of them."""
    return hash(tuple([environ.get(name) for name in _VARIABLES]))  # a generator would take twice as long


def from_environ(environ: Mapping[str, str]) -> Credentials | None:
    """The credentials in the variables themselves, or None if ``AWS_ACCESS_KEY_ID`` is not set or empty.

    Raises:
        AccessDeniedError: if they are incomplete or malformed.
    """
    access_key = environ.get("AWS_ACCESS_KEY_ID")
    if not access_key:
        return None
    secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if not secret_key:
        raise _denied("AWS_SECRET_ACCESS_KEY", "it is not set, though AWS_ACCESS_KEY_ID is. Set both, or neither")
    token = environ.get("AWS_SECURITY_TOKEN") or environ.get("AWS_SESSION_TOKEN")  # botocore's order: the legacy first
    sent = f"{access_key}{token}"
    if not (sent.isascii() and sent.isprintable()):
        raise _denied("AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN", "there is a line break or the like in it")
    expiration = environ.get("AWS_CREDENTIAL_EXPIRATION")
    if not expiration:
        return Credentials(access_key, secret_key, token=token or None)
    from .container import epoch_s  # rare beside the rest

    expires_at = epoch_s(expiration)
    if expires_at is None:
        raise _denied("AWS_CREDENTIAL_EXPIRATION", "it is not a time such as 2026-01-31T12:00:00Z")
    return Credentials(access_key, secret_key, token=token or None, expires_at=expires_at)


def _denied(name: str, problem: str) -> FetchError:
    from .container import denied  # only where it ends in an error

    return denied(name, problem)
