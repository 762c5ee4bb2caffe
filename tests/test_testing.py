"""What users' tests stand on."""

import pytest

import lambdakit
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

pytest_plugins = ["pytester"]


def test_a_manual_clock_moves_as_it_is_told() -> None:
    """Both clocks, the wall clock alone, the wall clock to a moment."""
    clock = ManualClock(wall_s=1000.0, monotonic_s=5.0)
    clock.tick(10)
    assert clock.now() == (1010.0, 15.0)
    clock.suspend(100)
    assert clock.now() == (1110.0, 15.0)
    clock.set_wall(3.0)
    assert clock.now() == (3.0, 15.0)
    assert repr(clock) == "ManualClock(wall_s=3.0, monotonic_s=15.0)"


def test_a_fake_context_has_what_the_runtimes_has() -> None:
    """Every public attribute of awslambdaric's own context."""
    from awslambdaric.lambda_context import LambdaContext

    real = LambdaContext("id", None, None, 0, "arn", None)
    public = {name for name in dir(real) if not name.startswith("_")}
    assert public - set(dir(FakeContext())) == {"log"}  # which only prints


def test_a_fake_context_tells_its_time() -> None:
    """In milliseconds, as the runtime does, never below 0."""
    context = FakeContext(remaining_s=1.5)
    assert context.get_remaining_time_in_millis() == 1500
    context.remaining_s = -1.0
    assert context.get_remaining_time_in_millis() == 0


def test_a_memory_backend_answers_and_counts() -> None:
    """Values, exceptions, what is missing; a changed value has a new version."""
    backend = MemoryBackend(secrets={"s": "1", "bad": RuntimeError("down")}, parameters={"p": "2"})
    secret = {"region": None, "version_id": None, "version_stage": None}
    assert backend.get_secret("s", **secret) == ("1", "1")
    backend.secrets["s"] = "changed"
    assert backend.get_secret("s", **secret) == ("changed", "2")
    assert backend.get_secret("s", **secret) == ("changed", "2")
    assert backend.get_parameter("p", region=None, decrypt=True) == ("2", "1")
    with pytest.raises(RuntimeError, match="down"):
        backend.get_secret("bad", **secret)
    with pytest.raises(lambdakit.NotFoundError, match="'missing'"):
        backend.get_parameter("missing", region=None, decrypt=True)
    assert backend.calls == [("secret", "s")] * 3 + [("parameter", "p"), ("secret", "bad"), ("parameter", "missing")]
    assert repr(backend) == "<MemoryBackend secrets=2 parameters=1 calls=6>"


def test_the_fixture_gives_each_test_a_fresh_environment(pytester: pytest.Pytester) -> None:
    """A value cached in one test is not seen in the next, and the environment from before is back afterwards."""
    pytester.makeini("[pytest]\nusefixtures = lambdakit_environment\n")
    pytester.makepyfile(
        """
        import lambdakit

        seen = []

        def test_one(lambdakit_environment):
            assert lambdakit.environment() is lambdakit_environment
            lambdakit_environment.begin(None)
            seen.append(lambdakit_environment)

        def test_two():
            assert lambdakit.environment() is not seen[0]
            assert lambdakit.environment().invocations == 0
        """
    )
    before = lambdakit.environment()
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
    assert lambdakit.environment() is before


def test_importing_a_handler_touches_nothing() -> None:
    """Decorating makes no client, reads no value, opens no connection."""
    backend = MemoryBackend()
    source = (
        "import lambdakit\n@lambdakit.handler\ndef handler(event, context):\n    return lambdakit.get_secret('x')\n"
    )
    with lambdakit.use_environment(lambdakit.Environment(backend=backend)) as env:
        exec(source, {})  # noqa: S102 - a module of a user, imported
    assert (len(env.clients), env.invocations, env.pings, backend.calls) == (0, 0, 0, [])
