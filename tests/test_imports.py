"""What an import costs, as the set of modules it loads, in fresh interpreters."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lambdakit

PACKAGE = Path(lambdakit.__file__).parent
HEAVY = {
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "datetime",
    "email",
    "http.client",
    "importlib.metadata",
    "inspect",
    "random",
    "socket",
    "ssl",
    "typing",
    "urllib",
    "urllib.parse",
}


def modules(code: str, *, before: str = "import awslambdaric.bootstrap") -> set[str]:
    """The modules that `code` loads in a fresh interpreter where `before` has run."""
    script = (
        f"{before}\nimport sys, json\nbefore = set(sys.modules)\n{code}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("before", ["import awslambdaric.bootstrap", "import json"])
def test_importing_lambdakit_loads_no_third_party_module(before: str) -> None:
    """Under the runtime client, and in a bare interpreter: lambdakit and the standard library only."""
    loaded = {name.partition(".")[0] for name in modules("import lambdakit", before=before)}
    assert loaded - set(sys.stdlib_module_names) == {"lambdakit"}


def test_importing_lambdakit_loads_nothing_heavy() -> None:
    """Of the standard library neither, beyond what the runtime client has loaded."""
    loaded = modules("import lambdakit")
    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.partition(".")[0] != "lambdakit"} <= {"contextvars", "_contextvars"}


def test_http_is_loaded_by_who_asks_for_it() -> None:
    """As an attribute, by its name, or from the package."""
    assert "lambdakit.http" not in modules("import lambdakit\nassert 'http' in dir(lambdakit)")
    for code in ("import lambdakit\nlambdakit.http.get", "import lambdakit.http", "from lambdakit import http"):
        assert "lambdakit.http" in modules(code)
    assert lambdakit.__getattr__("http") is sys.modules["lambdakit.http"]


def test_neither_do_the_decorator_an_invocation_or_a_ping() -> None:
    """A function that uses nothing else pays for nothing else."""
    code = (
        "import lambdakit\nhandler = lambdakit.handler(lambda event, context: None)\n"
        "handler({}, None)\nhandler({'warmer': True}, None)\nrepr(lambdakit.environment())"
    )
    assert {name.partition(".")[0] for name in modules(code)} <= {"lambdakit", "contextvars", "_contextvars"}


def test_a_client_does_not_import_boto3() -> None:
    """botocore makes the same one; S3 needs boto3's transfer methods."""
    code = "import lambdakit\nlambdakit.client({!r}, region='eu-west-1')"
    assert "boto3" not in modules(code.format("dynamodb"))
    assert "boto3" in modules(code.format("s3"))
