"""Secrets and parameters: keys, ttl, transforms, one fetch for all, errors."""

import base64
import json
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lambdakit
from lambdakit import ConfigurationError, Environment, Settings, ValueFormatError
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend

SECRET = {"user": "shop", "port": 5432, "password": "planted", "tls": True, "none": None, "hosts": ["a", "b"]}


class Recorder(MemoryBackend):
    """Answers with what it was asked, so that two answers are equal only if the requests were."""

    def get_secret(self, name: str, **options: Any) -> tuple[str, str | None]:
        self.calls.append(("secret", name))
        return json.dumps({"name": name, **options}), "1"

    def get_parameter(self, name: str, **options: Any) -> tuple[str, str | None]:
        self.calls.append(("parameter", name))
        return json.dumps({"name": name, **options}), "1"


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(
        secrets={"prod/db": json.dumps(SECRET), "blob": b"\x00\xff", "list": "[1, 2]", "plain": "planted text"},
        parameters={"/flags": '{"beta": true}', "/b64": base64.b64encode(b"raw").decode(), "/n": "5"},
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def env(backend: MemoryBackend, clock: ManualClock) -> Any:
    env = Environment(settings=Settings(region="eu-west-1"), clock=clock, backend=backend)
    with lambdakit.use_environment(env):
        yield env


def test_a_value_is_fetched_once(backend: MemoryBackend) -> None:
    """While it is fresh, readers get it from memory."""
    assert [lambdakit.get_secret("plain") for _ in range(3)] == ["planted text"] * 3
    assert [lambdakit.get_parameter("/n") for _ in range(3)] == ["5"] * 3
    assert backend.calls == [("secret", "plain"), ("parameter", "/n")]


def test_text_json_and_fields_of_one_secret_cost_one_call(backend: MemoryBackend) -> None:
    """The transform is the reader's, not the entry's."""
    assert lambdakit.get_secret("prod/db") == json.dumps(SECRET)
    assert lambdakit.get_secret("prod/db", transform="json") == SECRET
    assert lambdakit.get_secret("prod/db", field="password") == "planted"
    assert lambdakit.get_secret("prod/db", transform=len) == len(json.dumps(SECRET))
    assert len(backend.calls) == 1


def test_the_default_ttl_is_five_minutes_or_the_setting(clock: ManualClock) -> None:
    """At 299 s from memory, at 300 s fetched; LAMBDAKIT_TTL changes it."""
    for settings, limit in ((Settings(), 300.0), (Settings.from_environ({"LAMBDAKIT_TTL": "10"}), 10.0)):
        backend = MemoryBackend(secrets={"x": "1"})
        with lambdakit.use_environment(Environment(settings=settings, clock=clock, backend=backend)):
            lambdakit.get_secret("x")
            clock.tick(limit - 1)
            lambdakit.get_secret("x")
            assert len(backend.calls) == 1
            clock.tick(1)
            lambdakit.get_secret("x")
            assert len(backend.calls) == 2


def test_a_shorter_ttl_is_honoured(backend: MemoryBackend, clock: ManualClock) -> None:
    """Each reader says how old is too old, for parameters too."""
    for getter, name in ((lambdakit.get_secret, "plain"), (lambdakit.get_parameter, "/n")):
        backend.calls.clear()
        getter(name, ttl=3600)
        clock.tick(10)
        getter(name, ttl=3600)
        assert len(backend.calls) == 1
        getter(name, ttl=5)
        assert len(backend.calls) == 2
        getter(name, ttl=0)
        getter(name, ttl=0)
        assert len(backend.calls) == 4


def test_a_frozen_hour_counts(backend: MemoryBackend, clock: ManualClock) -> None:
    """Wall +1 h with monotonic +0 fetches; wall -1 h fetches."""
    lambdakit.get_secret("plain")
    clock.suspend(3600)
    lambdakit.get_secret("plain")
    assert len(backend.calls) == 2
    clock.set_wall(clock.wall_s - 3600)
    lambdakit.get_secret("plain")
    assert len(backend.calls) == 3


SECRET_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "version_id": st.sampled_from(["a" * 32, "b" * 32]),
        "version_stage": st.sampled_from(["AWSPREVIOUS", "AWSPENDING"]),
        "region": st.sampled_from(["eu-west-1", "us-east-1"]),
    },
)
PARAMETER_KEYS = st.fixed_dictionaries(
    {}, optional={"decrypt": st.booleans(), "region": st.sampled_from(["eu-west-1", "us-east-1"])}
)


@given(st.lists(st.tuples(st.sampled_from(["x", "y"]), SECRET_KEYS), max_size=6))
def test_every_input_that_changes_a_secret_is_in_its_key(requests: list[tuple[str, dict[str, Any]]]) -> None:
    """In any order of requests, each gets the answer to its own question; the default region is the named one."""
    with lambdakit.use_environment(Environment(settings=Settings(region="eu-west-1"), backend=Recorder())):
        for name, options in requests:
            asked = {"version_id": None, "version_stage": None, "region": "eu-west-1"} | options
            assert json.loads(lambdakit.get_secret(name, **options)) == {"name": name, **asked}


@given(st.lists(st.tuples(st.sampled_from(["/x", "/y"]), PARAMETER_KEYS), max_size=6))
def test_every_input_that_changes_a_parameter_is_in_its_key(requests: list[tuple[str, dict[str, Any]]]) -> None:
    """`decrypt=True` after `decrypt=False` does not return the cipher text."""
    with lambdakit.use_environment(Environment(settings=Settings(region="eu-west-1"), backend=Recorder())):
        for name, options in requests:
            asked = {"decrypt": True, "region": "eu-west-1"} | options
            assert json.loads(lambdakit.get_parameter(name, **options)) == {"name": name, **asked}


def test_a_secret_and_a_parameter_of_one_name_are_two(backend: MemoryBackend) -> None:
    """The kind is in the key."""
    backend.secrets["same"], backend.parameters["same"] = "s", "p"
    assert (lambdakit.get_secret("same"), lambdakit.get_parameter("same")) == ("s", "p")


def test_parsed_json_is_a_new_object_for_each_reader() -> None:
    """Changing what one got changes nothing for the next, nested values and fields included."""
    first = lambdakit.get_secret("prod/db", transform="json")
    first["hosts"].append("c")
    first["user"] = "changed"
    hosts = lambdakit.get_secret("prod/db", field="hosts")
    hosts.append("d")
    assert lambdakit.get_secret("prod/db", transform="json") == SECRET
    assert lambdakit.get_secret("prod/db", field="hosts") == ["a", "b"]


@pytest.mark.parametrize("field", ["user", "port", "tls", "none", "hosts"])
def test_a_field_keeps_its_type(field: str) -> None:
    """Scalars and others, the first time and from memory."""
    for _ in range(2):
        value = lambdakit.get_secret("prod/db", field=field)
        assert (value, type(value)) == (SECRET[field], type(SECRET[field]))
        assert lambdakit.get_secret("prod/db", field=field, transform="json") == SECRET[field]


def test_a_scalar_field_is_parsed_once(backend: MemoryBackend) -> None:
    """The same object from memory; it cannot be changed."""
    backend.secrets["long"] = json.dumps({"key": "k" * 100})
    assert lambdakit.get_secret("long", field="key") is lambdakit.get_secret("long", field="key")


def test_binary() -> None:
    """base64 text becomes bytes; a binary secret is bytes already, and text where it is JSON."""
    assert lambdakit.get_parameter("/b64", transform="binary") == b"raw"
    assert lambdakit.get_secret("blob") == b"\x00\xff"
    assert lambdakit.get_secret("blob", transform="binary") == b"\x00\xff"


def test_binary_of_a_field(backend: MemoryBackend) -> None:
    """A certificate in a JSON secret."""
    backend.secrets["tls"] = json.dumps({"der": base64.b64encode(b"cert").decode(), "n": 5})
    assert lambdakit.get_secret("tls", field="der", transform="binary") == b"cert"
    with pytest.raises(ValueFormatError, match="field 'n' of secret 'tls' is not base64"):
        lambdakit.get_secret("tls", field="n", transform="binary")


def test_a_callable_runs_once_per_stored_version(backend: MemoryBackend, clock: ManualClock) -> None:
    """Its result is shared; of a field too, and separately; a new fetch runs it again."""
    runs: list[Any] = []

    def transform(value: Any) -> list[Any]:
        runs.append(value)
        return [value]

    first = lambdakit.get_secret("prod/db", transform=transform)
    assert lambdakit.get_secret("prod/db", transform=transform) is first
    assert lambdakit.get_secret("prod/db", field="user", transform=transform) == ["shop"]
    assert runs == [json.dumps(SECRET), "shop"]
    clock.tick(301)
    assert lambdakit.get_secret("prod/db", transform=transform) is not first
    assert len(runs) == 3


def test_an_exception_of_a_callable_is_the_callers_and_is_not_kept() -> None:
    """It passes unchanged; the next call runs it again."""
    with pytest.raises(ZeroDivisionError):
        lambdakit.get_parameter("/n", transform=lambda value: int(value) / 0)
    assert lambdakit.get_parameter("/n", transform=int) == 5


def test_a_callable_may_read_other_values() -> None:
    """A transform that composes: no lock is held while it runs."""
    composed = lambdakit.get_parameter("/n", transform=lambda n: f"{n} {lambdakit.get_secret('plain')}")
    assert composed == "5 planted text"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("plain", {"transform": "json"}, "secret 'plain' is not JSON"),
        ("plain", {"field": "user"}, "secret 'plain' is not JSON"),
        ("blob", {"transform": "json"}, "secret 'blob' is not JSON"),
        ("list", {"field": "user"}, "not an object"),
        ("prod/db", {"field": "pasword"}, "no such entry"),
        ("plain", {"transform": "binary"}, "secret 'plain' is not base64"),
        ("deep", {"transform": "json"}, "secret 'deep' is not JSON"),
    ],
)
def test_a_value_of_the_wrong_form(name: str, options: dict[str, Any], said: str, backend: MemoryBackend) -> None:
    """A clear error without the value, nor anything of it, in its whole chain."""
    backend.secrets["deep"] = "[" * 200_000
    with pytest.raises(ValueFormatError, match=said) as caught:
        lambdakit.get_secret(name, **options)
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    assert not hasattr(caught.value.__context__, "doc")


BAD = [
    ({"name": ""}, "name=''"),
    ({"name": "  "}, "name='  '"),
    ({"name": None}, "name: .*NoneType"),
    ({"name": ["x"]}, "name: .*list"),
    ({"name": "x" * 2049}, "name: .*2048"),
    ({"name": "a\nb"}, "name: .*printable"),
    ({"name": "x", "ttl": -1}, "ttl=-1"),
    ({"name": "x", "ttl": "60"}, "ttl='60'"),
    ({"name": "x", "ttl": True}, "ttl=True"),
    ({"name": "x", "ttl": float("nan")}, "ttl=nan"),
    ({"name": "x", "region": ""}, None),
    ({"name": "x", "region": " "}, "region=' '"),
    ({"name": "x", "region": 5}, "region: .*int"),
    ({"name": "x", "region": ["eu"]}, "region: .*list"),
    ({"name": "x", "force_fetch": "yes"}, "force_fetch='yes'"),
    ({"name": "x", "transform": "yaml"}, "transform='yaml'.*'json', 'binary', 'auto', a callable or None"),
    ({"name": "x", "transform": ["json"]}, "transform="),
    ({"name": "x", "field": 5}, "field=5"),
]


@pytest.mark.parametrize(("arguments", "said"), [(a, s) for a, s in BAD if s])
def test_bad_input_is_refused_at_once(arguments: dict[str, Any], said: str, backend: MemoryBackend) -> None:
    """The error names the argument and what is allowed; nothing is fetched for it."""
    backend.secrets["x"] = backend.parameters["x"] = "1"
    for getter in (lambdakit.get_secret, lambdakit.get_parameter):
        with pytest.raises(ConfigurationError, match=said):
            getter(**arguments)
    assert backend.calls == []


def test_bad_input_is_refused_on_a_hit_too(backend: MemoryBackend) -> None:
    """What is cached does not hide a wrong transform or ttl."""
    lambdakit.get_secret("plain")
    with pytest.raises(ConfigurationError, match="transform='yaml'"):
        lambdakit.get_secret("plain", transform="yaml")
    with pytest.raises(ConfigurationError, match="field=5"):
        lambdakit.get_secret("plain", field=5)  # type: ignore[call-overload] - what untyped code does
    with pytest.raises(ConfigurationError, match="ttl=-1"):
        lambdakit.get_secret("plain", ttl=-1)
    assert len(backend.calls) == 1


@pytest.mark.parametrize("argument", ["version_id", "version_stage"])
def test_bad_versions(argument: str) -> None:
    """Text, or None."""
    with pytest.raises(ConfigurationError, match=argument):
        lambdakit.get_secret("plain", **{argument: ""})


def test_bad_decrypt() -> None:
    """True or False: a name passed in its place would be a costly mistake."""
    with pytest.raises(ConfigurationError, match="decrypt='no'"):
        lambdakit.get_parameter("/n", decrypt="no")  # type: ignore[call-overload] - what untyped code does


def test_force_fetch(backend: MemoryBackend) -> None:
    """Fetches although it is fresh; what it brings is for everyone."""
    for getter, values, name in (
        (lambdakit.get_secret, backend.secrets, "plain"),
        (lambdakit.get_parameter, backend.parameters, "/n"),
    ):
        getter(name)
        values[name] = "rotated"
        assert getter(name) != "rotated"
        assert getter(name, force_fetch=True) == "rotated"
        assert getter(name) == "rotated"


def test_invalidate_and_clear(backend: MemoryBackend) -> None:
    """By name, whatever the version or the kind; or everything."""
    backend.secrets["/n"] = "secret"

    def read() -> None:
        lambdakit.get_secret("/n")
        lambdakit.get_secret("/n", version_stage="AWSPREVIOUS")
        lambdakit.get_parameter("/n")
        lambdakit.get_secret("plain")

    read()
    assert len(backend.calls) == 4
    lambdakit.invalidate("/n")
    read()
    assert len(backend.calls) == 7
    lambdakit.clear()
    read()
    assert len(backend.calls) == 11
    with pytest.raises(ConfigurationError, match="name=''"):
        lambdakit.invalidate("")


def test_an_error_passes_and_is_not_cached(backend: MemoryBackend) -> None:
    """First fetch fails, service recovers, next call succeeds."""
    backend.secrets["flaky"] = failure = lambdakit.ServiceError("down", service="s", operation="o", name="flaky")
    with pytest.raises(lambdakit.ServiceError) as caught:
        lambdakit.get_secret("flaky")
    assert caught.value is failure
    backend.secrets["flaky"] = "up"
    assert lambdakit.get_secret("flaky") == "up"
    with pytest.raises(lambdakit.NotFoundError):
        lambdakit.get_secret("missing")


def test_32_threads_and_one_cold_key_cost_one_call() -> None:
    """The one fetch is held until the 31 other threads have asked how long they may wait for it."""
    waiting = threading.Semaphore(0)

    class Counting(FakeContext):
        def get_remaining_time_in_millis(self) -> int:
            waiting.release()
            return super().get_remaining_time_in_millis()

    class Slow(MemoryBackend):
        def get_secret(self, name: str, **options: Any) -> Any:
            for _ in range(32):  # this thread asked too, whether there is time to begin
                assert waiting.acquire(timeout=10)
            return super().get_secret(name, **options)

    backend = Slow(secrets={"x": "1"})
    env = Environment(backend=backend)
    with lambdakit.use_environment(env), ThreadPoolExecutor(32) as pool:
        handler = lambdakit.handler(lambda event, context: [*pool.map(lambda _: lambdakit.get_secret("x"), range(32))])
        results = handler({}, Counting(remaining_s=60.0))
    assert results == ["1"] * 32
    assert backend.calls == [("secret", "x")]


def test_a_waiter_gives_up_within_its_own_deadline(backend: MemoryBackend) -> None:
    """The remaining time of the invocation, less 0.25 s, bounds the wait for another's fetch."""
    begun, through = threading.Event(), threading.Event()

    class Held(MemoryBackend):
        def get_secret(self, name: str, **options: Any) -> Any:
            begun.set()
            assert through.wait(10)
            return super().get_secret(name, **options)

    env = Environment(backend=Held(secrets={"x": "1"}))
    with lambdakit.use_environment(env), ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambdakit.get_secret, "x")
        assert begun.wait(10)
        with pytest.raises(lambdakit.DeadlineExceededError):
            lambdakit.handler(lambda event, context: lambdakit.get_secret("x"))({}, FakeContext(remaining_s=0.26))
        through.set()
        assert first.result(10) == "1"


def test_no_repr_shows_a_value(env: Environment) -> None:
    """The environment and all that it owns, after a secret was read."""
    lambdakit.get_secret("plain")
    lambdakit.get_secret("prod/db", field="password")
    lambdakit.client("sts")
    caches = [cache for _, cache in env._caches]
    entries = [entry for cache in caches for _, entry in cache.entries()]
    assert len(entries) == 2
    for thing in (env, env.settings, *env._parts.made.values(), *caches, *entries):
        assert "planted" not in repr(thing)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": ""}, "name=''"),
        ({"name": "MISSING"}, "no such environment variable"),
        ({"name": "CIPHER", "context": "fn"}, "context: .*dict of strings"),
        ({"name": "CIPHER", "context": {"fn": 5}}, "context: .*dict of strings"),
    ],
)
def test_bad_input_of_an_encrypted_variable(
    arguments: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The argument and what is allowed; the variable's content is not shown."""
    monkeypatch.setenv("CIPHER", "cGxhbnRlZA==")
    with pytest.raises(ConfigurationError, match=said) as caught:
        lambdakit.decrypt_env(**arguments)
    assert "cGxhbnRlZA" not in str(caught.value)


def test_an_encrypted_variable_is_decrypted_once(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """For good, whatever time passes; for each context; again after it was invalidated."""
    monkeypatch.setenv("CIPHER", "cGxhbnRlZA==")
    backend.ciphertexts["cGxhbnRlZA=="] = "plain"
    for _ in range(3):
        assert lambdakit.decrypt_env("CIPHER") == "plain"
    assert backend.calls == [("ciphertext", "cGxhbnRlZA==")]
    lambdakit.decrypt_env("CIPHER", context={"a": "b"})
    lambdakit.invalidate("CIPHER")
    lambdakit.decrypt_env("CIPHER")
    assert len(backend.calls) == 3


@pytest.mark.parametrize(("held", "plain"), [("not base64!", "plain"), ("cGxhbnRlZA==", "\udcff")])
def test_what_is_no_encrypted_text(
    held: str, plain: str, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ValueFormatError that says nothing of either."""
    monkeypatch.setenv("CIPHER", held)
    backend.ciphertexts[held] = plain
    with pytest.raises(ValueFormatError, match=r"'CIPHER'.*base64") as caught:
        lambdakit.decrypt_env("CIPHER")
    assert held not in str(caught.value)


@pytest.mark.parametrize("read", ["secret", "field", "parameter", "configuration"])
def test_base64_may_have_line_breaks(read: str, backend: MemoryBackend) -> None:
    """As its command writes it; what is no base64 without them is an error still."""
    raw = bytes(range(256))
    for text in (base64.encodebytes(raw).decode(), base64.encodebytes(raw).decode().replace("\n", "\r\n "), "!\n", 5):
        backend.secrets["x"] = backend.parameters["/x"] = backend.app_configs["a/e/p"] = str(text)
        backend.secrets["doc"] = json.dumps({"x": text})
        lambdakit.clear()
        getters: dict[str, Any] = {
            "secret": lambda: lambdakit.get_secret("x", transform="binary"),
            "field": lambda: lambdakit.get_secret("doc", field="x", transform="binary"),
            "parameter": lambda: lambdakit.get_parameter("/x", transform="binary"),
            "configuration": lambda: lambdakit.get_app_config("a", "e", "p", transform="binary", ttl=0),
        }
        if isinstance(text, str) and len(text) > 2:
            assert getters[read]() == raw
        else:
            with pytest.raises(ValueFormatError, match="is not base64"):
                getters[read]()
        if read == "configuration":
            return  # one poll in a minute


def test_a_byte_order_mark_before_json_is_none_of_it(backend: MemoryBackend) -> None:
    """Some editors write it, in text and in bytes; as text it is told as it is stored."""
    backend.secrets["x"], backend.secrets["bytes"] = '\ufeff{"a": 1}', b'\xef\xbb\xbf{"a": 1}'
    backend.parameters["/x"] = '\ufeff{"a": 1}'
    assert lambdakit.get_secret("x", field="a") == lambdakit.get_parameter("/x", field="a") == 1
    assert lambdakit.get_secret("bytes", transform="json") == lambdakit.get_secret("x", transform="json") == {"a": 1}
    assert lambdakit.get_secret("x") == '\ufeff{"a": 1}'


AUTO = [
    ("prod/db.json", {"a": 1}),
    ("/flags.json", {"a": 1}),
    ("/flags.json:3", {"a": 1}),
    ("arn:aws:ssm:eu-west-1:123456789012:parameter/flags.json:3", {"a": 1}),
    ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db.json-AbCdEf", {"a": 1}),
    ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db.json", {"a": 1}),
    ("key.binary", b"raw"),
    ("plain", "text"),
    ("json", "text"),
    ("a.json/b", "text"),
    ("prod/db.JSON", "text"),
]


@pytest.mark.parametrize(("name", "value"), AUTO)
def test_the_end_of_the_name_may_tell_the_transform(name: str, value: Any, backend: MemoryBackend) -> None:
    """Of secrets, parameters, batches and paths; a field is of JSON in any case."""
    stored = {bytes: base64.b64encode(b"raw").decode(), dict: '{"a": 1}', str: "text"}[type(value)]
    backend.secrets[name] = backend.parameters[name] = stored
    assert lambdakit.get_secret(name, transform="auto") == value
    assert lambdakit.get_parameter(name, transform="auto") == value
    assert lambdakit.get_secrets([name, "plain"], transform="auto")[name] == value
    if name.startswith("/"):
        assert lambdakit.get_parameters_by_path("/", transform="auto")[name] == value


def test_auto_with_a_field(backend: MemoryBackend) -> None:
    """Adds nothing but what ``.binary`` says."""
    backend.secrets["a"] = backend.secrets["a.json"] = backend.secrets["a.binary"] = '{"f": "cmF3"}'
    got = [lambdakit.get_secret(name, field="f", transform="auto") for name in ("a", "a.json", "a.binary")]
    assert got == ["cmF3", "cmF3", b"raw"]


def test_an_encrypted_variable_may_have_line_breaks(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend gets the ciphertext without them."""
    text = base64.encodebytes(bytes(range(200))).decode()
    backend.ciphertexts[text] = "hidden"
    monkeypatch.setenv("DB_PASSWORD", text)
    assert lambdakit.decrypt_env("DB_PASSWORD") == "hidden"
    assert backend.calls == [("ciphertext", "".join(text.split()))]
