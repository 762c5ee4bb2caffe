"""Which features a function names: told by the code of its modules. That nothing else is imported later: tests/lab."""

import functools
import importlib.util
import json.decoder
import logging
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import wrapt

import lambdakit
import lambdakit as lk
from lambdakit import Environment, Settings, _patch, _values, _warm_imports
from lambdakit._http import httpx_clients, requests_session
from lambdakit.testing import MemoryBackend

IN_LAMBDA = Settings(in_lambda=True, region="eu-west-1")


def named(fn: Any) -> set[str]:
    """The features that are found for a function."""
    return _warm_imports._named_features(fn, lambdakit)


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is loaded, as far as it is found: modules that hold the package are read, and those of tests do."""
    modules: dict[str, Any] = {"lambdakit": lambdakit, "os": os, "wrapt": wrapt}
    known = SimpleNamespace(
        modules=modules, stdlib_module_names=sys.stdlib_module_names, _getframe=lambda: sys._getframe(1)
    )
    monkeypatch.setattr(_warm_imports, "sys", known)
    return modules


def plain(event: Any, context: Any) -> Any:
    return lambdakit.fan_out()


def by_another_name(event: Any, context: Any) -> Any:
    return lk.fan_out()


def in_a_constant(event: Any, context: Any) -> Any:
    return [lambdakit.fan_out() for _ in event]


def imported_within(event: Any, context: Any) -> Any:
    from lambdakit import fan_out

    return fan_out()


class Routes:
    def __call__(self, event: Any, context: Any) -> Any:
        return lambdakit.fan_out()

    def method(self, event: Any, context: Any) -> Any:
        return lambdakit.fan_out()

    @classmethod
    def of_class(cls, event: Any, context: Any) -> Any:
        return lambdakit.fan_out()

    @staticmethod
    def static(event: Any, context: Any) -> Any:
        return lambdakit.fan_out()

    @property
    def prop(self) -> Any:
        return lambdakit.fan_out()


def wrapped(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


@pytest.mark.parametrize(
    "fn",
    [
        plain,
        by_another_name,
        in_a_constant,
        imported_within,
        functools.partial(plain, {}),
        functools.partial(wrapped(plain), {}),
        wrapped(wrapped(plain)),
        Routes(),
        Routes().method,
        Routes.of_class,
        Routes.static,
        vars(Routes)["of_class"],
        vars(Routes)["static"],
        vars(Routes)["prop"],
        lambdakit.handler(plain),
    ],
    ids=lambda fn: getattr(fn, "__qualname__", type(fn).__name__),
)
def test_what_the_code_of_a_function_names(fn: Any) -> None:
    """Whatever kind of callable it is, and whatever is around it."""
    assert named(fn) == {"fan_out"}


def nothing(event: Any, context: Any) -> Any:
    return event.fan_out


endless: Any = wrapped(nothing)
endless.__wrapped__ = endless


@pytest.mark.parametrize("fn", [nothing, print, functools.partial(print), object(), None, endless])
def test_what_names_nothing(fn: Any) -> None:
    """A name of ours where lambdakit is not in sight, C code, no function, and one that wraps itself."""
    assert named(fn) == set()


@pytest.fixture
def module(modules: dict[str, Any]) -> ModuleType:
    """A module of the function's that its handler knows nothing of."""
    module = modules["stock"] = ModuleType("stock")
    return module


@pytest.mark.parametrize(
    "code",
    [
        "import lambdakit\ndef stock(): return lambdakit.fan_out()",
        "import lambdakit as lk\nclass Stock:\n def get(self): return lk.fan_out()",
        "import lambdakit\nclass Stock:\n @property\n def now(self): return lambdakit.fan_out()",
        "import lambdakit\nclass Stock:\n now = property(None, lambda self, value: lambdakit.fan_out())",
        "import lambdakit\nclass Stock:\n class Items:\n  def now(self): return lambdakit.fan_out()",
        "import lambdakit, functools\n@functools.cache\ndef stock(): return lambdakit.fan_out()",
        "import lambdakit, functools as f\nclass A:\n @f.cached_property\n def now(self): return lambdakit.fan_out()",
        "import lambdakit, wrapt\n@wrapt.decorator\ndef w(f, *_): return f()\n@w\ndef s(): return lambdakit.fan_out()",
        "import lambdakit\ndef twice(fn): return lambda: [fn(), fn()]\n@twice\ndef stock(): return lambdakit.fan_out()",
    ],
)
def test_other_modules_of_the_function_are_read(code: str, module: ModuleType) -> None:
    """Where lambdakit stands in them: their functions, and the methods of their classes."""
    exec(code, vars(module))  # noqa: S102 - as an import does
    assert named(nothing) == {"fan_out"}


@pytest.mark.parametrize(
    "code",
    [
        "import json as lambdakit\ndef stock(): return lambdakit.fan_out()",
        "import lambdakit\nfrom json import JSONDecoder",
    ],
)
def test_modules_that_do_not_hold_it_are_not_read(code: str, module: ModuleType) -> None:
    """Neither are the classes of others, which stand in a module by import."""
    exec(code, vars(module))  # noqa: S102 - as an import does
    assert named(nothing) == set()


@pytest.mark.parametrize(
    ("name", "file", "found"),
    [
        ("secrets", "/var/task/secrets.py", {"fan_out"}),
        ("secrets", secrets.__file__, set()),
        ("json.decoder", json.decoder.__file__, set()),
        ("time", None, set()),
    ],
)
def test_a_module_of_the_function_may_have_a_name_of_the_standard_library(
    name: str, file: str | None, found: set[str], modules: dict[str, Any]
) -> None:
    """Where its file stands tells whose it is."""
    module = modules[name] = ModuleType(name)
    vars(module)["__file__"] = file
    exec("import lambdakit\ndef stock(): return lambdakit.fan_out()", vars(module))  # noqa: S102 - as an import does
    assert named(nothing) == found


def test_a_name_without_a_value_yet() -> None:
    """A function that is decorated before what it uses is there."""

    def outer() -> Any:
        def handler(event: Any, context: Any) -> Any:
            return lambdakit.fan_out(), later

        found = named(handler)
        later = 1
        return found

    assert outer() == {"fan_out"}


class Strict(type):
    """A class that does not tell of itself."""

    def __getattribute__(cls, name: str) -> Any:
        raise ValueError("planted")

    def __eq__(cls, other: object) -> bool:
        raise ValueError("planted")

    __hash__ = type.__hash__


class Odd(metaclass=Strict):
    """An object that answers nothing."""

    def __getattribute__(self, name: str) -> Any:
        raise ValueError("planted")

    def __eq__(self, other: object) -> bool:
        raise ValueError("planted")

    def __bool__(self) -> bool:
        raise ValueError("planted")

    __hash__ = None  # type: ignore[assignment]


class OddModule(ModuleType):
    def __getattribute__(self, name: str) -> Any:
        raise ValueError("planted")


def test_no_attribute_of_an_object_is_read_and_none_is_compared(modules: dict[str, Any]) -> None:
    """Proxies, mocks and classes with metaclasses stand in modules, and some packages put objects among the modules."""
    odd = type.__call__(Odd)
    holds = ModuleType("holds")
    exec("import lambdakit\ndef stock(): return lambdakit.fan_out()\nclass Stock: pass", vars(holds))  # noqa: S102
    vars(holds).update(odd=odd, mock=MagicMock(), Odd=Odd)
    vars(holds)["stock"].__wrapped__ = odd
    vars(holds)["Stock"].item = odd
    vars(holds)["Stock"].kind = Odd
    modules |= {"none": None, "odd": odd, "odd_module": OddModule("odd_module"), "holds": holds}
    assert named(nothing) == {"fan_out"}
    vars(holds)["Stock"].__module__ = odd
    assert named(nothing) == {"fan_out"}
    del vars(holds)["__name__"]
    assert named(odd) == {"fan_out"}


def test_a_module_that_is_loaded_lazily_stays_unloaded(modules: dict[str, Any], tmp_path: Path) -> None:
    """It would be loaded by the first attribute that is read."""
    (tmp_path / "lazily.py").write_text("loaded = True\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("lazily", tmp_path / "lazily.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = modules["lazily"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert named(nothing) == set()
    assert "loaded" not in object.__getattribute__(module, "__dict__")
    assert module.loaded  # as any other attribute does


def test_a_module_that_is_being_executed_is_read() -> None:
    """All its functions, also those below the handler, which are not there yet."""
    code = "import lambdakit\nfound = named(nothing)\ndef below(): return lambdakit.fan_out()"
    scope: dict[str, Any] = {"__name__": "function", "named": named, "nothing": nothing}
    exec(code, scope)  # noqa: S102 - as an import does
    assert scope["found"] == {"fan_out"}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from http import HTTPStatus\nFOUND", set()),
        ("import logging\nlogging.Logger('').handlers.clear()\nFOUND", set()),
        ("class boto3: client = dict\nclient = boto3.client()\nFOUND", set()),
        ("import http\ndef get(): return lambdakit.remaining_s(), http.HTTPStatus.OK\nFOUND", set()),
        ("client = {}\ndef get(): return lambdakit.remaining_s(), client\nFOUND", set()),
        ("def reset(): lambdakit.clear()\nFOUND", set()),
        ("def get(): return lambdakit.http.get('https://partner.example')\nFOUND", {"http"}),
        ("http = None\ndef get():\n global http\n http = lambdakit.http.pool()\nFOUND", {"http"}),
        ("FOUND\nclass Partner:\n def get(self): return lambdakit.http.get('https://partner.example')", {"http"}),
        ("FOUND\n@lambdakit.cached\ndef below(): return 1", {"cached"}),
    ],
)
def test_words_of_other_libraries_are_no_features(code: str, found: set[str]) -> None:
    """A wrong guess may be dear. What a module's own code uses is imported by that."""
    scope: dict[str, Any] = {"__name__": "function", "named": named, "nothing": nothing}
    exec(f"import lambdakit\n{code}".replace("FOUND", "found = named(nothing)"), scope)  # noqa: S102 - as an import does
    assert scope["found"] == found


def test_what_is_named_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a Lambda runtime, when the handler is decorated."""
    monkeypatch.delitem(vars(lambdakit), "fan_out", raising=False)
    for settings, imported in ((Settings(), False), (IN_LAMBDA, True)):
        with lambdakit.use_environment(Environment(settings=settings, backend=MemoryBackend())):
            lambdakit.handler(plain)
        assert ("fan_out" in vars(lambdakit)) is imported


def test_what_fetches_credentials_is_imported_where_they_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restore, and in containers; not where the variables have them."""
    variables = {"AWS_REGION": "eu-west-1"}
    keys = variables | {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}
    container = variables | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/credentials"}
    for environ, imported in ((keys, False), (container, True)):
        monkeypatch.delitem(sys.modules, "lambdakit._aws.container", raising=False)
        settings = Settings(in_lambda=True, region="eu-west-1", environ=environ)
        with lambdakit.use_environment(Environment(settings=settings, backend="direct")):
            _values.warm_imports(lambdakit.environment())
        assert ("lambdakit._aws.container" in sys.modules) is imported


def test_what_libraries_import_at_a_first_request_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """By httpx, by requests, and by those that are patched."""

    def imported(module: Any, name: str = "encodings.idna") -> bool:
        monkeypatch.delitem(sys.modules, name, raising=False)
        module.warm_imports(lambdakit.environment())
        return name in sys.modules

    assert imported(httpx_clients)
    assert imported(requests_session, "netrc")
    assert not imported(_patch)
    lambdakit.patch("boto3")
    try:
        assert imported(_patch)
    finally:
        lambdakit.unpatch()


def test_what_fails_in_init_is_logged_and_fails_where_it_is_used(
    modules: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The function starts; only what was asked for is missing."""
    broken = modules["lambdakit._broken"] = ModuleType("lambdakit._broken")

    def warm_imports(env: Environment) -> None:
        raise ImportError("planted")

    vars(broken)["warm_imports"] = warm_imports
    with lambdakit.use_environment(Environment(settings=IN_LAMBDA, backend=MemoryBackend())):
        caplog.set_level(logging.WARNING)
        assert lambdakit.handler(nothing)
    assert caplog.messages == ["imports of lambdakit._broken in INIT: ImportError was raised"]
