"""What lambdakit may cost, counted: modules, calls, connections, instructions, memory. Nothing here is a time.

Every figure is a bound, on every Python; ``python tests/guard/guard.py`` shows what this one needs of each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard_scenes import BLOCKS, BYTES, FUNCTIONS, INSTRUCTIONS, OTHERS, OURS, SCENES
from guard_server import IN_LAMBDA, Server, serving

Figures = Mapping[str, Mapping[str, int]]

SCRIPT = Path(__file__).with_name("guard_scenes.py")
CALLS, CONNECTIONS = "calls", "connections"
_LIMIT_S = 120.0

# At most. Instructions, functions and bytes: what the most expensive of CPython 3.11 to 3.14 needs, and a fifth.
BOUNDS: Figures = {
    OURS: {
        "import and handler": 8,
        "a first secret": 19,
        "a first client": 9,
        "a first request": 16,
        "a first metric": 12,
        "a first ping": 11,
        "a first preload": 24,
    },
    # contextvars and its C module. The SDK and urllib3 bring what they bring.
    OTHERS: {"import and handler": 2, "a first secret": 20, "a first metric": 4, "a first ping": 2},
    CALLS: {
        "a secret in 100 invocations": 1,
        "a secret and a parameter, in all forms": 2,
        "35 parameters and 21 secrets, preloaded": 6,  # ten names a call, twenty secrets
        "16 threads and one secret": 1,
        "10 requests": 10,
    },
    CONNECTIONS: {
        "a secret in 100 invocations": 1,
        "a secret and a parameter, in all forms": 1,  # both services have one endpoint here
        "35 parameters and 21 secrets, preloaded": 6,
        "16 threads and one secret": 1,
        "10 requests": 1,
    },
    BLOCKS: {"a decorated no-op": 0, "a ping": 0, "get_secret, a hit": 0, "client, a hit": 0},
    FUNCTIONS: {"a decorated no-op": 17, "a ping": 28, "get_secret, a hit": 6, "client, a hit": 5},
    INSTRUCTIONS: {"a decorated no-op": 270, "a ping": 385, "get_secret, a hit": 102, "client, a hit": 58},
    BYTES: {"a decorated no-op": 450, "a ping": 420, "get_secret, a hit": 110, "client, a hit": 70},
}


def ask(server: Server, *arguments: str, in_lambda: bool = True) -> Any:
    """What a fresh process says; see `guard_scenes`."""
    environ = {name: value for name, value in server.environ.items() if in_lambda or name != IN_LAMBDA}
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def measure(server: Server, *, worse: bool = False) -> dict[str, dict[str, int]]:
    """Every gate, for this Python.

    Args:
        server: to ask.
        worse: with all that has to be measured made worse on purpose.
    """
    how = ["worse"] if worse else []
    found: dict[str, dict[str, int]] = {gate: {} for gate in (OURS, OTHERS, CALLS, CONNECTIONS)}
    for subject in BOUNDS[OURS]:
        loaded = ask(server, subject, *how, in_lambda=False)
        ours = [name for name in loaded if name.partition(".")[0] == "lambdakit"]
        found[OURS][subject] = len(ours)
        if subject in BOUNDS[OTHERS]:
            found[OTHERS][subject] = len(loaded) - len(ours)
    for scene in SCENES:
        server.calls.clear()
        server.connections = 0
        ask(server, scene, *how)
        found[CALLS][scene] = server.calls.total()
        found[CONNECTIONS][scene] = server.connections
    return found | ask(server, "count", *how)


def exceeded(found: Figures) -> dict[str, dict[str, str]]:
    """Gate by gate, what is above its bound, or has none."""
    wrong: dict[str, dict[str, str]] = {}
    for gate, figures in found.items():
        for subject, figure in figures.items():
            bound = BOUNDS.get(gate, {}).get(subject)
            if bound is None or figure > bound:
                wrong.setdefault(gate, {})[subject] = f"{figure}, at most {bound}"
    return wrong


def main() -> None:
    """Show every figure beside its bound."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        found = measure(server)
    for gate, figures in found.items():
        for subject, figure in figures.items():
            print(f"{gate:32} {subject:42} {figure:5} of {BOUNDS[gate][subject]}")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
