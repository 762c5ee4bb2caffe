"""What the benchmarks say of each other library: that it was measured where it was, and something where it was not."""

from __future__ import annotations

import pytest
from benchmarks.effects import EFFECTS
from benchmarks.framework import peers, results
from benchmarks.framework.effect import Measured, Series

ALLOWED = (peers.MEASURED, peers.DOES_NOT, "does the same, not measured: ")


def _outcome(name: str, *, without: tuple[str, ...] = ()) -> results.Outcome:
    """As after a run that measured all series but those of some peers."""
    effect = EFFECTS[name]
    series = {
        side: Series(unit="ms", processes=[[1.0]])
        for row in effect.rows
        if row.peer not in without
        for side in (row.control, row.treatment)
    }
    return results.Outcome(effect=effect, measured=Measured(series=series, evidence={}))


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_says_something_of_every_peer(name: str) -> None:
    """One of three things; that it was measured if, and only if, a row has its series."""
    outcome = _outcome(name)
    told = {one["name"]: one["jobs"][name] for one in peers.document([outcome])}
    assert [*told] == [*peers.PEERS]
    assert all(job.startswith(ALLOWED) for job in told.values())
    assert {peer for peer, job in told.items() if job == peers.MEASURED} == {
        row.peer for row in EFFECTS[name].rows if row.peer is not None
    }


@pytest.mark.parametrize("name", EFFECTS)
def test_no_peer_is_measured_and_excused(name: str) -> None:
    """What is said of peers beside the rows is of those that have none, and tells why."""
    effect = EFFECTS[name]
    assert {*effect.peers}.isdisjoint(row.peer for row in effect.rows)
    assert {*effect.peers, *(row.peer for row in effect.rows if row.peer)} <= {*peers.PEERS}
    assert all(said.startswith(ALLOWED[2]) and said != ALLOWED[2] for said in effect.peers.values())


@pytest.mark.parametrize("peer", [peer for peer in peers.PEERS if peer not in {"boto3", "Powertools"}])
def test_a_peer_whose_series_are_not_there_was_left_out(peer: str) -> None:
    """Of every effect that has it: it does the job, and this run did not measure it."""
    for name, effect in EFFECTS.items():
        (told,) = (one for one in peers.document([_outcome(name, without=(peer,))]) if one["name"] == peer)
        measured = any(row.peer == peer for row in effect.rows)
        assert told["jobs"][name] == (peers.LEFT_OUT if measured else effect.peers.get(peer, peers.DOES_NOT))


def test_every_peer_is_measured_somewhere() -> None:
    """Else it is none; each has the version that is installed beside the benchmarks."""
    measured = {row.peer for effect in EFFECTS.values() for row in effect.rows}
    assert {*peers.PEERS} <= measured
    assert all(one["version"] for one in peers.document([]))
