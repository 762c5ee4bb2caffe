"""What a database connection per invocation costs, against one that is kept and looked after.

PostgreSQL on the loopback interface, a password checked by SCRAM, no TLS: the cheapest connection that there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework import processes, sampling
from ..framework.effect import Check, Effect, Measured, Row, Series, pairs_equal, times_less
from ..framework.micro import in_unit
from ..framework.processes import clean_environ
from ..framework.turns import TOGETHER, take_turns, without_samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..framework.run import Run

CONNECT, CHECKED, UNCHECKED = "connect per invocation", "singleton(check=...)", "singleton"
GLOBAL = "a connection in a variable"
WAYS = (CONNECT, CHECKED, UNCHECKED, GLOBAL)
LOOPS = 5
ROWS = (
    Row(what=f"a query, {CHECKED}", control=CONNECT, treatment=CHECKED, claims=(times_less(5),)),
    Row(what=f"a query, {UNCHECKED} without a check", control=CONNECT, treatment=UNCHECKED),
    Row(what=f"{CHECKED}, against {GLOBAL}, which nobody looks after", control=GLOBAL, treatment=CHECKED),
    Row(what=f"{UNCHECKED} without a check, against {GLOBAL}", control=GLOBAL, treatment=UNCHECKED),
)
QUERY = "select pg_backend_pid()"  # the server's process for this connection: its number tells one from another


def steps(run: Run) -> int:
    """One process without counting, then one in each round."""
    return sampling.steps(run, (TOGETHER,))


def measure(run: Run) -> Measured:
    """Processes in which all take turns."""

    def trial(_: str, round_: int) -> dict[str, Any]:
        samples = run.size.samples if round_ != sampling.WARM_UP else 1
        kept = run.switch(True, off=False)
        arguments = {"dsn": run.postgres.dsn, "samples": samples, "kept": kept}
        found: dict[str, Any] = processes.call(timed, environ=clean_environ(), **arguments)
        return found

    trials = sampling.rounds(run, (TOGETHER,), trial, series=_series, rows=ROWS)[TOGETHER]
    evidence = {way: [without_samples(found[way]) for found in trials] for way in WAYS}
    return Measured(series=_series({TOGETHER: trials}), evidence=evidence)


def _series(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Series]:
    return {
        way: Series(unit="µs", processes=[in_unit(found[way]["samples_s"], "µs") for found in trials[TOGETHER]])
        for way in WAYS
    }


def timed(dsn: str, samples: int, *, kept: bool = True) -> dict[str, Any]:
    """In a process of its own: invocations of each handler in turn, then one of each after its session was ended."""
    import psycopg

    ways = handlers(dsn, kept=kept)
    found = take_turns(ways, samples=samples, loops=dict.fromkeys(ways, LOOPS))
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
    for way, invoke in ways.items():
        try:
            found[way]["after"] = invoke()
        except psycopg.OperationalError:
            found[way]["after"] = None
    return found


def handlers(dsn: str, *, kept: bool) -> dict[str, Callable[[], str]]:
    """By way, one invocation, which returns the number of its session. Without `kept` there is no singleton."""
    import psycopg

    import lambdakit

    def connect() -> Any:
        return psycopg.connect(dsn, autocommit=True)

    checked = lambdakit.singleton(check=lambda connection: connection.execute("select 1"))(connect)
    unchecked = lambdakit.singleton(connect)
    if not kept:
        checked = unchecked = connect
    own = connect()

    def ask(connection: Any) -> str:
        return str(connection.execute(QUERY).fetchone()[0])

    def connecting(event: Any, context: Any) -> str:  # noqa: ARG001 - the shape of a handler
        with connect() as connection:
            return ask(connection)

    by_way: dict[str, Callable[[Any, Any], str]] = {
        CONNECT: connecting,
        CHECKED: lambda event, context: ask(checked()),  # noqa: ARG005 - as above
        UNCHECKED: lambda event, context: ask(unchecked()),  # noqa: ARG005 - as above
        GLOBAL: lambda event, context: ask(own),  # noqa: ARG005 - as above
    }
    return {way: _invoking(lambdakit.handler(handler)) for way, handler in by_way.items()}


def _invoking(handler: Callable[[Any, Any], str]) -> Callable[[], str]:
    return lambda: handler({"order": 1}, None)


def verify(measured: Measured) -> list[Check]:
    """The server saw one session, or one for each invocation; the checked one is there after its session was ended."""
    checks = []
    for way in WAYS:
        trials = measured.evidence[way]
        sessions = [(len(done["answers"]), done["calls"] if way == CONNECT else 1) for done in trials]
        checks += [
            Check(
                what=f"{way}: every invocation was answered",
                passed=all(sum(done["answers"].values()) == done["calls"] for done in trials),
            ),
            pairs_equal(f"{way}: {'a session for each' if way == CONNECT else 'one session'}", sessions),
        ]
    healed = [done["after"] not in {None, *done["answers"]} for done in measured.evidence[CHECKED]]
    broken = [done["after"] is None for done in measured.evidence[GLOBAL]]
    return [
        *checks,
        Check(what=f"{CHECKED}: another session after one was ended", passed=all(healed), found=healed),
        Check(what=f"{GLOBAL}: an error after its session was ended", passed=all(broken), found=broken),
    ]


EFFECT = Effect(
    name="database",
    question="What does a database connection per invocation cost, against one that is kept and looked after?",
    group="warm",
    claim="A query over a connection that is kept and looked after takes a fifth of one that connects, at most.",
    rows=ROWS,
    steps=steps,
    measure=measure,
    verify=verify,
    breaks=(f"{CHECKED}: one session", f"{UNCHECKED}: one session"),
    long=True,
)
