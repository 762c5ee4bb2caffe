"""The settings of an environment, read once from its environment variables."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

TTL_S = 300.0  # as the AWS extension and Powertools' neighbours have it: a rotation is seen within five minutes

MAX_ENTRIES = 1_000  # as the AWS extension's cache; a function that needs more names is reading a database
MAX_BYTES = 8 * 1024 * 1024  # a sixteenth of the smallest function; 128 secrets of the largest size
MAX_IDLE_S = 20.0  # half a minute is what the quickest servers and balancers allow
MAX_AGE_S = 120.0  # a name that moved is followed within that; browsers and the JVM have a minute or two, too
MAX_UNUSED_S = 60.0  # balancers and firewalls begin to forget connections after minutes, some after one
STALE_TTL_S = 3600.0  # an outage of a service of AWS is over within the hour, or known to everyone

BACKENDS = ("auto", "direct", "sdk", "extension")

# With one of these set, the retries of SDK clients are the user's choice, made for all SDKs at once.
_RETRY_VARIABLES = ("AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "AWS_DEFAULTS_MODE")


class Settings:
    """What an environment is told from outside; immutable by convention, made by `from_environ` or by keywords.

    Attributes:
        environ: the variables themselves, for what is read when it is needed, such as credentials.
        backend: where values are fetched from: ``auto``, ``direct``, ``sdk`` or ``extension``.
        region: the default region, or None where none is set (the SDK may still know one from its configuration file).
        function_name: the name of the Lambda function, or None outside Lambda.
        init_type: Lambda's own word for how the environment came to be, or None outside Lambda.
        in_lambda: True under a Lambda runtime (``AWS_LAMBDA_RUNTIME_API`` is set): real, local or emulated.
        ttl_s: the default of every ``ttl=``, in seconds.
        retries_chosen: True if the user has chosen the SDK's retries by environment variables.
        stale_ttl_s: the default of every ``stale_ttl=``, in seconds.
        max_entries: how many values are kept.
        max_bytes: how many bytes they may have together.
        max_idle_s: for how long a connection may be idle, in seconds, and still be used.
        max_age_s: for how long an HTTP connection is used after it was opened, in seconds.
        max_unused_s: the same as `max_idle_s` of a singleton without a check; by default longer, since building one
            costs more.
        metrics_namespace: the CloudWatch namespace of the metrics of each invocation; None for no metrics.
        log: True for a line of JSON at each start that is not warm.
        trace_imports: True to have that line tell which imports were slow.
        processes: how many processes of Lambda's Managed Instances share this machine, or None elsewhere.
        problems: what was malformed, a sentence each; the environment logs them once.
    """

    __slots__ = (
        "backend",
        "environ",
        "function_name",
        "in_lambda",
        "init_type",
        "log",
        "max_age_s",
        "max_bytes",
        "max_entries",
        "max_idle_s",
        "max_unused_s",
        "metrics_namespace",
        "problems",
        "processes",
        "region",
        "retries_chosen",
        "stale_ttl_s",
        "trace_imports",
        "ttl_s",
    )

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        backend: str = "auto",
        region: str | None = None,
        function_name: str | None = None,
        init_type: str | None = None,
        in_lambda: bool = False,
        ttl_s: float = TTL_S,
        stale_ttl_s: float = STALE_TTL_S,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        max_idle_s: float = MAX_IDLE_S,
        max_age_s: float = MAX_AGE_S,
        max_unused_s: float = MAX_UNUSED_S,
        metrics_namespace: str | None = None,
        log: bool = False,
        trace_imports: bool = False,
        processes: int | None = None,
        retries_chosen: bool = False,
        problems: tuple[str, ...] = (),
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.backend = backend
        self.region = region
        self.function_name = function_name
        self.init_type = init_type
        self.in_lambda = in_lambda
        self.ttl_s = ttl_s
        self.stale_ttl_s = stale_ttl_s
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.max_idle_s = max_idle_s
        self.max_age_s = max_age_s
        self.max_unused_s = max_unused_s
        self.metrics_namespace = metrics_namespace
        self.log = log
        self.trace_imports = trace_imports
        self.processes = processes
        self.retries_chosen = retries_chosen
        self.problems = problems

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read `environ` (default: this process's variables). A malformed one is a problem, and its default."""
        environ = os.environ if environ is None else environ
        problems: list[str] = []
        return cls(
            environ=environ,
            backend=_one_of(environ, "LAMBDAKIT_BACKEND", BACKENDS, problems),
            # Lambda sets both alike. Elsewhere they may differ: boto3 reads AWS_DEFAULT_REGION only, and a client of
            # ours must not talk to another region than one of boto3's in the same function.
            region=environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or None,
            function_name=environ.get("AWS_LAMBDA_FUNCTION_NAME") or None,
            init_type=environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") or None,
            in_lambda=bool(environ.get("AWS_LAMBDA_RUNTIME_API")),
            ttl_s=_seconds(environ, "LAMBDAKIT_TTL", TTL_S, problems),
            stale_ttl_s=_seconds(environ, "LAMBDAKIT_STALE_TTL", STALE_TTL_S, problems),
            max_entries=_whole(environ, "LAMBDAKIT_MAX_ENTRIES", MAX_ENTRIES, problems),
            max_bytes=_whole(environ, "LAMBDAKIT_MAX_BYTES", MAX_BYTES, problems),
            max_idle_s=_seconds(environ, "LAMBDAKIT_MAX_IDLE", MAX_IDLE_S, problems),
            max_age_s=_seconds(environ, "LAMBDAKIT_MAX_AGE", MAX_AGE_S, problems),
            max_unused_s=_seconds(environ, "LAMBDAKIT_MAX_IDLE", MAX_UNUSED_S, []),  # a problem is told once
            metrics_namespace=environ.get("LAMBDAKIT_METRICS_NAMESPACE", "").strip() or None,
            log=_flag(environ, "LAMBDAKIT_LOG", problems),
            trace_imports=_flag(environ, "LAMBDAKIT_TRACE_IMPORTS", problems),
            processes=_whole(environ, "AWS_LAMBDA_MAX_CONCURRENCY", 0, problems) or None,
            retries_chosen=any(environ.get(name) for name in _RETRY_VARIABLES),
            problems=tuple(problems),
        )

    def __repr__(self) -> str:
        """Every setting by name; `environ` holds credentials and is left out."""
        names = [name for name in self.__slots__ if name != "environ"]
        return f"Settings({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


def init_type() -> str | None:
    """Lambda's own word for how this process came to be, or None outside Lambda; before there is an environment."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") or None


def trace_imports() -> bool:
    """Whether imports are to be timed, for the log line that tells of them; before there is an environment."""
    return all(_flag(os.environ, name, []) for name in ("LAMBDAKIT_TRACE_IMPORTS", "LAMBDAKIT_LOG"))


_MAX_DIGITS = 18  # Python refuses to read numbers of thousands of digits


def _seconds(environ: Mapping[str, str], name: str, default: float, problems: list[str]) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0.0 <= value < float("inf"):
        return value
    problems.append(f"{name}={text!r} is not a number of seconds >= 0; using the default, {default:g}")
    return default


def _whole(environ: Mapping[str, str], name: str, default: int, problems: list[str]) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if text.isdecimal() and text.isascii() and len(text) <= _MAX_DIGITS:
        return int(text)
    problems.append(f"{name}={text!r} is not a whole number >= 0; using the default, {default}")
    return default


def _flag(environ: Mapping[str, str], name: str, problems: list[str]) -> bool:
    text = environ.get(name, "").strip().lower()
    if text not in {"", "0", "1", "false", "true"}:
        problems.append(f"{name}={text!r} is none of 1, 0, true, false; using the default, 0")
    return text in {"1", "true"}


def _one_of(environ: Mapping[str, str], name: str, allowed: tuple[str, ...], problems: list[str]) -> str:
    text = environ.get(name, "").strip().lower()
    if text and text not in allowed:
        problems.append(f"{name}={text!r} is none of {', '.join(allowed)}; using the default, {allowed[0]}")
    return text if text in allowed else allowed[0]
