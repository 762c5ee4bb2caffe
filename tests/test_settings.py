"""Settings from environment variables."""

import logging

import pytest

import lambdakit
from lambdakit import Settings
from lambdakit._settings import init_type
from lambdakit.testing import ManualClock, MemoryBackend


def test_every_variable_has_its_attribute() -> None:
    """What Lambda and the user set is read."""
    settings = Settings.from_environ(
        {
            "AWS_REGION": "eu-west-1",
            "AWS_LAMBDA_FUNCTION_NAME": "orders",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
            "LAMBDAKIT_TTL": " 60.5 ",
            "AWS_MAX_ATTEMPTS": "5",
        }
    )
    assert (settings.region, settings.function_name, settings.init_type) == ("eu-west-1", "orders", "on-demand")
    assert (settings.in_lambda, settings.ttl_s, settings.retries_chosen) == (True, 60.5, True)
    assert settings.problems == ()


def test_an_empty_environment_has_the_defaults() -> None:
    """Nothing set: no region, not on Lambda, five minutes."""
    settings = Settings.from_environ({})
    assert (settings.region, settings.function_name, settings.init_type) == (None, None, None)
    assert (settings.in_lambda, settings.ttl_s, settings.retries_chosen) == (False, 300.0, False)


def test_the_region_is_the_one_that_boto3_takes() -> None:
    """AWS_DEFAULT_REGION, then AWS_REGION, which boto3 does not read; an empty one counts as none."""
    both = {"AWS_DEFAULT_REGION": "us-west-2", "AWS_REGION": "eu-west-1"}
    assert Settings.from_environ(both).region == "us-west-2"
    assert Settings.from_environ(both | {"AWS_DEFAULT_REGION": ""}).region == "eu-west-1"


def test_a_ttl_of_zero_is_one() -> None:
    """It fetches always."""
    assert Settings.from_environ({"LAMBDAKIT_TTL": "0"}).ttl_s == 0.0


@pytest.mark.parametrize(
    ("text", "on"), [("1", True), ("true", True), (" TRUE ", True), ("0", False), ("false", False), ("", False)]
)
def test_switches(text: str, on: bool) -> None:
    """1 or true; anything else is off."""
    settings = Settings.from_environ({"LAMBDAKIT_LOG": text, "LAMBDAKIT_TRACE_IMPORTS": text})
    assert (settings.log, settings.trace_imports, settings.problems) == (on, on, ())


def test_a_malformed_switch_is_a_problem_and_off() -> None:
    """The problem names the variable and what is allowed."""
    settings = Settings.from_environ({"LAMBDAKIT_LOG": "yes please"})
    assert settings.log is False
    assert settings.problems == ("LAMBDAKIT_LOG='yes please' is none of 1, 0, true, false; using the default, 0",)


@pytest.mark.parametrize(("text", "namespace"), [("Shop", "Shop"), (" Shop ", "Shop"), ("", None), (" ", None)])
def test_the_namespace_of_metrics(text: str, namespace: str | None) -> None:
    """Set, or not."""
    assert Settings.from_environ({"LAMBDAKIT_METRICS_NAMESPACE": text}).metrics_namespace == namespace


@pytest.mark.parametrize("text", ["five", "-1", "nan", "inf", "1e999", "3 minutes"])
def test_a_malformed_number_is_one_problem_and_the_default(text: str) -> None:
    """The problem names the variable, what it is, and what is used instead."""
    settings = Settings.from_environ({"LAMBDAKIT_TTL": text})
    assert settings.ttl_s == 300.0
    (problem,) = settings.problems
    assert "LAMBDAKIT_TTL" in problem
    assert text in problem
    assert "300" in problem


def test_an_environment_logs_each_problem_once(caplog: pytest.LogCaptureFixture) -> None:
    """A malformed variable costs a warning at the birth of the environment, and nothing afterwards."""
    with caplog.at_level(logging.WARNING, logger="lambdakit"):
        env = lambdakit.Environment(settings=Settings.from_environ({"LAMBDAKIT_TTL": "x"}))
        with lambdakit.use_environment(env):
            lambdakit.handler(lambda event, context: None)({}, None)
    assert [record.name for record in caplog.records] == ["lambdakit"]
    assert "LAMBDAKIT_TTL='x'" in caplog.text


def test_repr_shows_every_setting_and_no_credential() -> None:
    """For a bug report."""
    settings = Settings.from_environ({"AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "planted"})
    assert repr(settings).startswith("Settings(backend='auto', function_name=None, in_lambda=False,")
    assert "region='eu-west-1'" in repr(settings)
    assert "planted" not in repr(settings)


@pytest.mark.parametrize("name", ["auto", "direct", "sdk", "extension"])
def test_the_backend_is_one_of_four(name: str) -> None:
    """Whatever its case; anything else is a problem and the default."""
    assert Settings.from_environ({"LAMBDAKIT_BACKEND": f" {name.upper()} "}).backend == name
    settings = Settings.from_environ({"LAMBDAKIT_BACKEND": f"{name}2"})
    assert settings.backend == "auto"
    assert settings.problems == (
        f"LAMBDAKIT_BACKEND='{name}2' is none of auto, direct, sdk, extension; using the default, auto",
    )


SECONDS = {"LAMBDAKIT_TTL": "ttl_s", "LAMBDAKIT_STALE_TTL": "stale_ttl_s"}
NUMBERS = {
    "LAMBDAKIT_MAX_ENTRIES": "max_entries",
    "LAMBDAKIT_MAX_BYTES": "max_bytes",
    "AWS_LAMBDA_MAX_CONCURRENCY": "processes",
}
DEFAULTS = {
    "ttl_s": 300.0,
    "stale_ttl_s": 3600.0,
    "max_entries": 1000,
    "max_bytes": 8 * 1024 * 1024,
    "processes": None,
}


@pytest.mark.parametrize(("name", "attribute"), [*(SECONDS | NUMBERS).items()])
@pytest.mark.parametrize("text", [None, "", "  "])
def test_an_empty_variable_is_the_default(name: str, attribute: str, text: str | None) -> None:
    """As one that is not set; no problem."""
    settings = Settings.from_environ({} if text is None else {name: text})
    assert getattr(settings, attribute) == DEFAULTS[attribute] == getattr(Settings(environ={}), attribute)
    assert settings.problems == ()


@pytest.mark.parametrize(("name", "attribute"), [*NUMBERS.items()])
def test_a_whole_number_is_one(name: str, attribute: str) -> None:
    """With blanks around it too."""
    assert getattr(Settings.from_environ({name: " 12 "}), attribute) == 12


@pytest.mark.parametrize(("name", "attribute"), [*SECONDS.items()])
@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("0.5", 0.5), (" 1e3 ", 1000.0)])
def test_seconds_are_a_number(name: str, attribute: str, text: str, value: float) -> None:
    """0 is one of them."""
    settings = Settings.from_environ({name: text})
    assert (getattr(settings, attribute), settings.problems) == (value, ())


@pytest.mark.parametrize(("name", "attribute"), [*NUMBERS.items()])
@pytest.mark.parametrize("text", ["-1", "1.5", "many", "1e3", "٣", "²", "1_000", "0x10", "9" * 5000])
def test_a_malformed_whole_number_is_one_problem_and_the_default(name: str, attribute: str, text: str) -> None:
    """The problem names the variable and the default; nothing is raised."""
    settings = Settings.from_environ({name: text})
    assert getattr(settings, attribute) == DEFAULTS[attribute]
    (problem,) = settings.problems
    assert problem.startswith(f"{name}=")
    assert "is not a whole number >= 0; using the default, " in problem


@pytest.mark.parametrize(("name", "attribute"), [*SECONDS.items()])
@pytest.mark.parametrize("text", ["-1", "nan", "inf", "soon"])
def test_malformed_seconds_are_one_problem_and_the_default(name: str, attribute: str, text: str) -> None:
    """Each variable has its own default."""
    settings = Settings.from_environ({name: text})
    assert getattr(settings, attribute) == DEFAULTS[attribute]
    assert settings.problems == (
        f"{name}={text!r} is not a number of seconds >= 0; using the default, {DEFAULTS[attribute]:g}",
    )


def test_no_processes_is_none() -> None:
    """Lambda does not set 0; a number of processes is what spreads first fetches."""
    assert Settings.from_environ({"AWS_LAMBDA_MAX_CONCURRENCY": "0"}).processes is None


def test_the_init_type_is_known_before_there_is_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks are registered at import."""
    assert init_type() is None
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "")
    assert init_type() is None
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    assert init_type() == "snap-start"


def test_settings_are_what_the_cache_goes_by() -> None:
    """Ttl, stale ttl and bounds of an environment are those of its variables."""
    variables = {"LAMBDAKIT_TTL": "10", "LAMBDAKIT_STALE_TTL": "20", "LAMBDAKIT_MAX_ENTRIES": "1"}
    clock = ManualClock()
    backend = MemoryBackend(secrets={"x": "1", "y": "2"})
    env = lambdakit.Environment(settings=Settings.from_environ(variables), clock=clock, backend=backend)
    with lambdakit.use_environment(env):
        lambdakit.get_secret("x")
        clock.tick(10)
        backend.secrets["x"] = ConnectionResetError("down")
        assert lambdakit.get_secret("x") == "1"
        clock.tick(20)
        with pytest.raises(ConnectionResetError):
            lambdakit.get_secret("x")
        lambdakit.get_secret("y")
        assert lambdakit.stats()["entries"] == 1


@pytest.mark.parametrize(
    ("processes", "random_value", "pause_s"), [("8", 0.999, 0.05), ("8", 0.5, 0.025), ("", 0.5, 0.0)]
)
def test_processes_of_one_machine_spread_their_first_call_to_parameter_store(
    processes: str, random_value: float, pause_s: float
) -> None:
    """Over at most 50 ms, by chance, once, in batches too; Secrets Manager takes what comes."""
    settings = Settings.from_environ({"AWS_LAMBDA_MAX_CONCURRENCY": processes})
    for first in (
        lambda: lambdakit.get_parameter("/a"),
        lambda: lambdakit.get_parameters(["/a", "/b"]),
        lambda: lambdakit.get_parameters_by_path("/"),
    ):
        clock = ManualClock(chance=random_value)
        backend = MemoryBackend(secrets={"x": "1"}, parameters={"/a": "1", "/b": "2"})
        with lambdakit.use_environment(lambdakit.Environment(settings=settings, clock=clock, backend=backend)):
            begun = clock.monotonic_s
            lambdakit.get_secret("x")
            assert clock.monotonic_s == begun
            first()
            assert clock.monotonic_s - begun == pytest.approx(pause_s, abs=1e-3)
            then = clock.monotonic_s
            lambdakit.get_parameter("/a", ttl=0)
            assert clock.monotonic_s == then
