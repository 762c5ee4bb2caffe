"""The public surface."""

import inspect
import subprocess
import sys
import types
from importlib.metadata import version

import pytest

import lambdakit


def test_all_is_exact() -> None:
    """Everything public is in `__all__`, and everything in it exists."""
    public = {
        name
        for name in dir(lambdakit)
        if not name.startswith("_")
        and not isinstance(getattr(lambdakit, name), types.ModuleType)
        and name not in {"annotations", "TYPE_CHECKING"}
    }
    assert set(lambdakit.__all__) == public
    assert lambdakit.__all__ == sorted(lambdakit.__all__)


def test_what_is_imported_later_is_there_when_it_is_asked_for() -> None:
    """Then it is kept; and what there is not, is an AttributeError as in any module."""
    code = (
        "import lambdakit, sys\nassert 'lambdakit._cached' not in sys.modules\n"
        "first = lambdakit.cached\nassert vars(lambdakit)['cached'] is first is lambdakit.cached\n"
        "from lambdakit import get_secrets, secret\nassert 'stats' in dir(lambdakit)\n"
        "assert not hasattr(lambdakit, 'get_secret_s')\nfrom lambdakit import *\nassert stats is lambdakit.stats"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with pytest.raises(AttributeError, match="module 'lambdakit' has no attribute 'get_secrt'"):
        getattr(lambdakit, "get_secrt")  # noqa: B009 - a type checker would see it


def test_everything_public_is_documented() -> None:
    """Functions and classes, their public methods and properties."""
    undocumented = []
    for name in lambdakit.__all__:
        thing = getattr(lambdakit, name)
        members = vars(thing).items() if isinstance(thing, type) else ()
        named = [(name, thing), *((f"{name}.{key}", member) for key, member in members if not key.startswith("_"))]
        undocumented += [
            key
            for key, member in named
            if (callable(member) or isinstance(member, property)) and not inspect.getdoc(member)
        ]
    assert undocumented == []


def test_functions_say_since_when() -> None:
    """A docstring tells the version that brought it."""
    functions = [getattr(lambdakit, name) for name in lambdakit.__all__]
    assert [fn.__name__ for fn in functions if inspect.isfunction(fn) and "Since " not in (fn.__doc__ or "")] == []


def test_options_are_keyword_only() -> None:
    """A second positional argument could be swapped for another."""
    for fn in (lambdakit.client, lambdakit.resource, lambdakit.get_secret, lambdakit.get_parameter):
        kinds = [parameter.kind for parameter in inspect.signature(fn).parameters.values()]
        assert set(kinds[1:]) == {inspect.Parameter.KEYWORD_ONLY}


def test_the_version_is_that_of_the_package() -> None:
    """Said once in the source, taken from there by the build."""
    assert lambdakit.__version__ == version("lambdakit")
