"""Nothing that users pay for grows unnoticed: what is counted is what `guard.json` says, on every Python."""

from collections.abc import Iterator
from typing import Any

import pytest
from guard import CALLS, CONNECTIONS, COUNTED, FUNCTIONS, GATES, INSTRUCTIONS, allowed, ask, differences, measure
from guard_scenes import SCENES, SUBJECTS
from guard_server import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("guard")) as server:
        yield server


@pytest.fixture(scope="module")
def found(server: Server) -> dict[str, Any]:
    return measure(server)


@pytest.fixture(scope="module")
def worse(server: Server) -> dict[str, Any]:
    return measure(server, worse=True)


@pytest.mark.parametrize("gate", GATES)
def test_nothing_costs_another_amount_than_before(gate: str, found: dict[str, Any]) -> None:
    """If it is meant to: `python tests/guard.py --renew`, and the reason in the changelog."""
    assert differences(found, allowed()).get(gate) is None


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_bites(gate: str, worse: dict[str, Any]) -> None:
    """With a module, a call, a connection, a function, an object more, it says so."""
    assert differences(worse, allowed()).get(gate)


def test_each_scene_and_each_subject_bites(worse: dict[str, Any]) -> None:
    """None is there that would stay as it is whatever happens."""
    told = differences(worse, allowed())
    assert told[CALLS].keys() | told[CONNECTIONS].keys() == SCENES.keys()
    assert [told[gate].keys() for gate in (FUNCTIONS, INSTRUCTIONS)] == [SUBJECTS.keys()] * 2


def test_a_python_that_nobody_has_counted_on_is_a_failure(found: dict[str, Any]) -> None:
    """And none that is passed over."""
    shared = {gate: value for gate, value in allowed().items() if gate in {CALLS, CONNECTIONS}}
    told = differences(found, shared)
    assert told.keys() == {*GATES} - {CALLS, CONNECTIONS}
    assert "nothing is known" in told[INSTRUCTIONS]


def test_fewer_modules_of_ours_are_a_difference_too(found: dict[str, Any]) -> None:
    """So that what was won is written down, and not lost again unnoticed; of the system's they are none."""
    fewer = {gate: value[1:] if isinstance(value, list) else value for gate, value in found.items()}
    assert sorted(differences(fewer, found)) == ["lambdakit's modules, first secret", "lambdakit's modules, import"]


def test_the_same_is_counted_again(server: Server, found: dict[str, Any]) -> None:
    """Nothing of it depends on chance."""
    assert {gate: found[gate] for gate in COUNTED} == ask(server, "count")
