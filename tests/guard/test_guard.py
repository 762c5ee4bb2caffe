"""Nothing that users pay for grows unnoticed: what is counted is within the bounds, on every Python."""

from collections.abc import Iterator

import pytest

from guard import BOUNDS, CALLS, CONNECTIONS, Figures, exceeded, measure
from guard_scenes import BLOCKS, BYTES, FUNCTIONS, INSTRUCTIONS
from guard_server import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("guard")) as server:
        yield server


@pytest.fixture(scope="module")
def found(server: Server) -> Figures:
    return measure(server)


@pytest.fixture(scope="module")
def worse(server: Server) -> Figures:
    return measure(server, worse=True)


@pytest.mark.parametrize("gate", BOUNDS)
def test_nothing_costs_more_than_it_may(gate: str, found: Figures) -> None:
    """Every subject that has a bound is measured, and is within it."""
    assert found[gate].keys() == BOUNDS[gate].keys()
    assert exceeded(found).get(gate) is None


@pytest.mark.parametrize("gate", sorted(BOUNDS.keys() - {CALLS, CONNECTIONS}))
def test_each_bound_bites(gate: str, worse: Figures) -> None:
    """With modules, functions, objects more, each subject is above it."""
    assert exceeded(worse)[gate].keys() == BOUNDS[gate].keys()


def test_each_scene_bites(worse: Figures) -> None:
    """With a call more, or a connection more for as many calls."""
    told = exceeded(worse)
    assert told[CALLS].keys() | told[CONNECTIONS].keys() == BOUNDS[CALLS].keys()


def test_what_has_no_bound_is_told() -> None:
    """None is passed over."""
    assert exceeded({"calls": {"nobody's": 0}, "hopes": {"any": 1}}).keys() == {"calls", "hopes"}


def test_the_same_is_counted_again(server: Server, found: Figures) -> None:
    """Nothing of it depends on chance."""
    again = measure(server)
    assert {gate: again[gate] for gate in (BLOCKS, FUNCTIONS, INSTRUCTIONS, BYTES)} == {
        gate: found[gate] for gate in (BLOCKS, FUNCTIONS, INSTRUCTIONS, BYTES)
    }
