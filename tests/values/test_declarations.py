"""Values that are named before they are needed: what they are read as, and what state they are in."""

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import lambdakit
from lambdakit import (
    ConfigurationError,
    Declaration,
    Environment,
    NotFoundError,
    Settings,
    State,
    ThrottledError,
    parameter,
    parameters,
    secret,
)
from lambdakit.testing import ManualClock, MemoryBackend


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(
        secrets={"a": '{"x": [1], "planted": 2}'}, parameters={"/shop/a": "1", "/shop/deep/b": "2", "n": "5"}
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def env(backend: MemoryBackend, clock: ManualClock) -> Iterator[Environment]:
    env = Environment(settings=Settings(region="eu-west-1"), clock=clock, backend=backend)
    with lambdakit.use_environment(env):
        yield env


def test_declaring_fetches_nothing(backend: MemoryBackend) -> None:
    """And needs no environment: a declaration belongs to none."""
    declared = [secret("a"), parameter("n"), parameters("/shop")]
    assert [repr(one) for one in declared] == ["<secret 'a'>", "<parameter 'n'>", "<path '/shop'>"]
    assert {type(one) for one in declared} == {Declaration}
    assert backend.calls == []


def test_get_is_the_getter_with_the_options_given(backend: MemoryBackend, clock: ManualClock) -> None:
    """Field, transform, ttl and all: what it fetches, the getter finds, and the other way round."""
    assert secret("a", transform="json").get() == lambdakit.get_secret("a", transform="json")
    assert secret("a", field="x").get() == [1]
    assert secret("a", field="x", transform=len).get() == 1
    assert parameter("n", transform=int).get() == 5
    assert (
        parameters("/shop").get() == lambdakit.get_parameters_by_path("/shop") == {"/shop/a": "1", "/shop/deep/b": "2"}
    )
    assert parameters("/shop", recursive=False, transform=int).get() == {"/shop/a": 1}
    assert backend.calls == [("secret", "a"), ("parameter", "n"), ("path", "/shop"), ("path", "/shop")]
    backend.calls.clear()
    clock.tick(10)
    for declared in (secret("a", ttl=10), parameter("n", ttl=10), parameters("/shop", ttl=10)):
        declared.get()
    assert len(backend.calls) == 3


class Recorder(MemoryBackend):
    """Answers with what it was asked."""

    def get_secret(self, name: str, **options: Any) -> tuple[str, str | None]:
        return json.dumps([name, options]), "1"

    def get_parameter(self, name: str, **options: Any) -> tuple[str, str | None]:
        return json.dumps([name, options]), "1"

    def get_parameters_by_path(self, path: str, **options: Any) -> Any:
        return {path: (json.dumps([path, options]), "1")}


def test_every_option_reaches_the_backend() -> None:
    """None is lost between the declaration and the call."""
    with lambdakit.use_environment(Environment(settings=Settings(region="eu-west-1"), backend=Recorder())):
        assert secret("a", version_id="v", region="r", transform="json").get() == [
            "a",
            {"region": "r", "version_id": "v", "version_stage": None},
        ]
        assert secret("a", version_stage="s", transform="json").get() == [
            "a",
            {"region": "eu-west-1", "version_id": None, "version_stage": "s"},
        ]
        assert parameter("n", decrypt=False, region="r", transform="json").get() == [
            "n",
            {"region": "r", "decrypt": False},
        ]
        assert parameters("/p/", recursive=False, decrypt=False, region="r", transform="json").get() == {
            "/p": ["/p", {"region": "r", "recursive": False, "decrypt": False}]
        }


def test_it_finds_the_environment_of_the_moment() -> None:
    """Declared once at the top of a module, used in every test's own environment."""
    declared = secret("a", field="x")
    assert declared.get() == [1]
    with lambdakit.use_environment(Environment(backend=MemoryBackend(secrets={"a": '{"x": 2}'}))):
        assert declared.state == "absent"
        assert declared.get() == 2
    assert declared.get() == [1]


@pytest.mark.parametrize(
    "declared", [secret("a"), parameter("n"), parameters("/shop")], ids=["secret", "parameter", "path"]
)
def test_a_state_is_fresh_or_stale_or_absent(declared: Declaration, backend: MemoryBackend, clock: ManualClock) -> None:
    """With the age of the value, for the default ttl of 300 s and the hour after it. Asking fetches nothing."""
    assert (declared.state, declared.state.age_s) == ("absent", None)
    declared.get()
    backend.calls.clear()
    for seconds, state in ((0, "fresh"), (299, "fresh"), (1, "stale"), (3599, "stale"), (1, "absent")):
        clock.tick(seconds)
        assert declared.state == state
        assert declared.state.age_s == (None if state == "absent" else clock.monotonic_s - 1.0)
    assert backend.calls == []


def test_a_state_is_that_for_its_reader(clock: ManualClock) -> None:
    """Its own ttl and stale_ttl decide, its options which value; frozen time counts; invalidation makes it absent."""
    secret("a").get()
    clock.suspend(10)
    assert secret("a").state == "fresh"
    assert secret("a", ttl=10).state == "stale"
    assert secret("a", ttl=10).state.age_s == 10.0
    assert secret("a", ttl=5, stale_ttl=5).state == "absent"
    assert secret("a", ttl=5, stale_ttl=5.1).state == "stale"
    assert secret("a", version_stage="AWSPREVIOUS").state == "absent"
    assert secret("a", region="us-east-1").state == "absent"
    assert parameter("a").state == "absent"
    parameters("/shop").get()
    assert parameters("/shop/").state == parameter("/shop/a").state == "fresh"
    assert parameters("/shop", recursive=False).state == parameter("/shop/a", decrypt=False).state == "absent"
    lambdakit.invalidate("a")
    assert secret("a").state == "absent"


def test_a_wall_clock_that_ran_backwards_makes_it_stale(clock: ManualClock) -> None:
    """Nobody knows how old it is; at least what monotonic time says."""
    secret("a").get()
    clock.tick(5)
    clock.set_wall(0.0)
    assert secret("a").state == "stale"
    assert secret("a").state.age_s == 5.0


def test_a_failed_refresh_shows(backend: MemoryBackend, clock: ManualClock) -> None:
    """The state is stale for as long as the old value is served."""
    secret("a").get()
    clock.tick(300)
    backend.secrets["a"] = ThrottledError("x", service="s", operation="o", name="a")
    secret("a").get()
    assert secret("a").state == "stale"
    backend.secrets["a"] = "new"
    clock.tick(2)
    secret("a").get()
    assert (secret("a").state, secret("a").state.age_s) == ("fresh", 0.0)


def test_an_error_leaves_it_absent() -> None:
    """Errors are not kept."""
    with pytest.raises(NotFoundError):
        secret("missing").get()
    assert secret("missing").state == "absent"


def test_a_state_is_a_string() -> None:
    """It compares, formats, goes into JSON, is copied and pickled with its age."""
    state = State("fresh", 1.5)
    assert (str(state), f"{state:>6}", json.dumps({"state": state})) == ("fresh", " fresh", '{"state": "fresh"}')
    assert (repr(state), repr(State("absent", None))) == ("<fresh, 1.500 s old>", "<absent>")
    for same in (copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state))):  # noqa: S301 - our own
        assert (same, same.age_s, type(same)) == ("fresh", 1.5, State)


@pytest.mark.parametrize("declare", [secret, parameter, parameters])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"transform": "yaml"}, "transform='yaml': give 'json'"),
        ({"ttl": -1}, "ttl=-1: give a number of seconds"),
        ({"ttl": "5"}, "ttl='5': give a number of seconds"),
        ({"stale_ttl": True}, "stale_ttl=True: give a number of seconds"),
        ({"region": 5}, "region: give a non-empty string, not int"),
    ],
)
def test_wrong_options_are_refused_where_they_stand(declare: Any, options: dict[str, Any], said: str) -> None:
    """At import, not at the first use of the value."""
    with pytest.raises(ConfigurationError, match=said):
        declare("/x", **options)


@pytest.mark.parametrize(
    ("declare", "name", "options", "said"),
    [
        (secret, "", {}, "name='': give a non-empty string"),
        (secret, 5, {}, "name: give a non-empty string, not int"),
        (parameter, None, {}, "name: give a non-empty string, not NoneType"),
        (parameters, None, {}, "path: give a non-empty string, not NoneType"),
        (parameters, "shop", {}, "path='shop': give a path that begins with a slash"),
        (secret, "a", {"field": 5}, "field=5: give the name of one entry"),
        (secret, "a", {"version_id": ""}, "version_id='': give a non-empty string"),
        (secret, "a", {"version_stage": 5}, "version_stage: give a non-empty string, not int"),
        (parameter, "n", {"decrypt": 1}, "decrypt=1: give True or False"),
        (parameters, "/p", {"decrypt": None}, "decrypt=None: give True or False"),
        (parameters, "/p", {"recursive": "no"}, "recursive='no': give True or False"),
    ],
)
def test_wrong_arguments_are_refused_where_they_stand(
    declare: Any, name: Any, options: dict[str, Any], said: str
) -> None:
    """As above, for what only some of them have."""
    with pytest.raises(ConfigurationError, match=said):
        declare(name, **options)
