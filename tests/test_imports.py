"""What an import costs, as the set of modules it loads, in fresh interpreters."""

import ast
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


# Lower may not import higher. What stands beside each other imports nothing of its level.
LEVELS = [
    {"exceptions", "_plain", "_clock", "_log", "_warmup", "_declared", "_parallel", "_process", "_http_tls"}
    | {"_itself", "_peak", "_upstream"},
    {
        "_settings",
        "_check",
        "_prime",
        "_renewal",
        "_flights",
        "_invocation",
        "_budget",
        "_entries",
        "_tally",
        "_http_terms",
    },
    {
        "_handler_options",
        "_warmup_options",
        "_start_log",
        "_import_times",
        "_ping",
        "_predecessor",
        "_record",
        "_metrics",
    }
    | {"backends", "_http_retries", "_http_connection", "_http_streams"},
    {"_metric_terms", "_transient", "_running", "_http_call", "_http_requests", "_http_httpx"},
    {"_cache", "_http_pools"},
    {"_transforms", "_clients", "_cached", "_source", "_loop"},
    {"_values", "_factory"},
    {"_batches", "_app_config", "_items", "_rotation", "_singletons"},
    {"_preload", "_oauth", "_fan_out", "_telemetry", "_renewing"},
    {"_memory", "_plans", "_warmer"},
    {"_stats", "_owned"},
    {"_environment"},
    {"_current"},
    {"_handler", "_api", "_api_values", "_api_batches", "_api_cached", "_api_upkeep", "_api_connections", "http"}
    | {"_api_telemetry", "_api_warmup"}
    | {"_declarations", "_pytest", "_snap_start"},
    {"_patch_boto3", "_patch_requests", "_patch_httpx"},
    {"_patch", "testing"},
    {"__init__"},
]


def test_imports_only_go_downward() -> None:
    """Each module names its level, and takes from levels below it. The lab stands outside: nothing imports it."""
    level = {name: number for number, names in enumerate(LEVELS) for name in names}
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in {"lab", "_bench", "cli", "__main__"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == len(parts):
                targets = [node.module.partition(".")[0]] if node.module else [alias.name for alias in node.names]
                wrong += [
                    f"{'.'.join(parts)} -> {target}"
                    for target in targets
                    if level[target] >= level[parts[0]] and not _only_for_types(path, node)
                ]
    assert wrong == []


def _only_for_types(path: Path, node: ast.ImportFrom) -> bool:
    """Inside `if TYPE_CHECKING:` nothing is imported."""
    return any(
        isinstance(block, ast.If)
        and getattr(block.test, "id", "") == "TYPE_CHECKING"
        and node.lineno in range(block.lineno, (block.end_lineno or 0) + 1)
        for block in ast.walk(ast.parse(path.read_text()))
    )


def test_no_module_is_long() -> None:
    """One idea each."""
    long = {path.name: count for path in PACKAGE.rglob("*.py") if (count := len(path.read_text().splitlines())) > 300}
    assert long == {}
