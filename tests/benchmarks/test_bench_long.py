"""The long effects, which a quick run leaves out too: what their verifications look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from benchmarks.effects import async_loop, database, keep_alive
from benchmarks.framework import results
from benchmarks.framework.effect import Measured, Series
from benchmarks.framework.run import Run, Size
from benchmarks.servers.postgres import programs

from verifying import changed, not_verified

pytestmark = pytest.mark.soak  # ten seconds each

TINY = Size(processes=1, samples=2, sample_s=0.001, environments=1, warm=2)


@pytest.fixture(scope="module")
def servers() -> Iterator[Run]:
    """What effects are measured with, once each way."""
    with Run(replace(TINY, processes=1)) as run:
        yield run


@pytest.fixture(scope="module")
def kept(servers: Run) -> Measured:
    """`keep_alive` as it is."""
    return keep_alive.measure(servers)


@pytest.fixture(scope="module")
def looped(servers: Run) -> Measured:
    """`async_loop` as it is."""
    return async_loop.measure(servers)


@pytest.fixture(scope="module")
def connected(servers: Run) -> Measured:
    """`database` as it is."""
    if programs() is None:
        pytest.skip("pgserver is not installed: it has no wheel for this Python")
    return database.measure(servers)


def test_keep_alive_is_verified(kept: Measured) -> None:
    """Each row of what was measured has its figures; the claim about freezes holds on any machine."""
    assert not_verified(keep_alive.verify(kept)) == []
    near = [row for row in keep_alive.EFFECT.rows if "1 ms" not in row.what and "20 ms" not in row.what]
    rows = [results.row_figures(row, kept) for row in near]
    assert all(row["ratio"] for row in rows if row["unit"] == "µs")
    lost = {row["control"]: (row["without"], row["with"]) for row in rows if row["unit"] == "requests"}
    assert lost == {f"{way}, lost": (50, 0) for way in keep_alive.KEPT if way != keep_alive.OURS}


@pytest.mark.parametrize("scheme", keep_alive.SCHEMES)
@pytest.mark.parametrize("way", keep_alive.WAYS)
def test_connections_that_are_not_as_they_should_be_arenot_verified(scheme: str, way: str, kept: Measured) -> None:
    """One more than there was: a kept side that opened a second, another that did with fewer."""
    name = f"{way}, {keep_alive.cell(scheme, 0)}"
    (done,) = kept.evidence[name]
    broken = changed(kept, name, connections=done["connections"] + (1 if way in keep_alive.KEPT else -1))
    wanted = "one connection" if way in keep_alive.KEPT else "a connection for each"
    assert not_verified(keep_alive.verify(broken)) == [f"{name}: {wanted}"]


def test_a_wrong_answer_isnot_verified(kept: Measured) -> None:
    """One is enough, and so is a request that the server did not see."""
    name = f"{keep_alive.OURS}, {keep_alive.cell('http', 0)}"
    (done,) = kept.evidence[name]
    mixed = changed(kept, name, answers={done["path"]: done["calls"] - 1, "/other": 1})
    assert not_verified(keep_alive.verify(mixed)) == [f"{name}: the answers are right"]
    unseen = changed(kept, name, requests=done["calls"] - 1)
    assert not_verified(keep_alive.verify(unseen)) == [f"{name}: the server saw each request"]


def test_a_distance_that_is_not_there_isnot_verified(kept: Measured) -> None:
    """An answer sooner than light: a new connection over TLS takes three round trips."""
    name = f"{keep_alive.NEW}, {keep_alive.cell('https', 5)}"
    near = replace(kept, series=kept.series | {name: Series(unit="µs", processes=[[14_900.0]])})
    assert not_verified(keep_alive.verify(near)) == [f"{name}: so far it was"]


def test_freezes_that_hurt_nobody_arenot_verified(kept: Measured) -> None:
    """Then they prove nothing."""
    ours = kept.evidence["freezes"][keep_alive.OURS]
    harmless = replace(kept, evidence=kept.evidence | {"freezes": dict.fromkeys(keep_alive.KEPT, ours)})
    assert not_verified(keep_alive.verify(harmless)) == ["freezes: a peer lost requests"]


def test_a_loop_that_keeps_no_connection_isnot_verified(looped: Measured) -> None:
    """The evidence of the control, in the place of ours."""
    name, control_name = (
        next(key for key in looped.evidence if key.startswith(f"{way},")) for way in ("kept loop", "asyncio.run")
    )
    (done,) = looped.evidence[control_name]
    assert not_verified(async_loop.verify(changed(looped, name, **done))) == [f"{name}: one connection"]


def test_an_invocation_without_its_answer_isnot_verified(looped: Measured) -> None:
    """Of any way."""
    for name in looped.evidence:
        broken = changed(looped, name, answers={"error": 1})
        assert not_verified(async_loop.verify(broken)) == [f"{name}: every invocation was answered"]


@pytest.mark.parametrize("way", [database.CHECKED, database.UNCHECKED])
def test_a_singleton_that_connects_each_time_isnot_verified(way: str, connected: Measured) -> None:
    """The evidence of the control, in the place of ours: two sessions are one too many."""
    (done,) = connected.evidence[way]
    (session,) = done["answers"]
    broken = changed(connected, way, answers={session: done["calls"] - 1, "1": 1}, after="2")
    assert not_verified(database.verify(broken)) == [f"{way}: one session"]


@pytest.mark.parametrize("after", [None, "the same"])
def test_a_singleton_that_does_not_heal_isnot_verified(after: str | None, connected: Measured) -> None:
    """An error, or an answer over the session that was ended."""
    (done,) = connected.evidence[database.CHECKED]
    (session,) = done["answers"]
    broken = changed(connected, database.CHECKED, after=session if after else None)
    assert not_verified(database.verify(broken)) == ["singleton(check=...): another session after one was ended"]


def test_a_control_with_one_session_isnot_verified(connected: Measured) -> None:
    """It has to connect in each invocation."""
    (done,) = connected.evidence[database.CONNECT]
    broken = changed(connected, database.CONNECT, answers={"1": done["calls"]})
    assert not_verified(database.verify(broken)) == ["connect per invocation: a session for each"]
