"""What lambdakit may cost, counted: modules, calls, connections, instructions, memory. Nothing here is a time.

``python tests/guard.py --renew`` writes ``guard.json`` anew for the Python that runs it, on purpose only: a number in
it that has changed is a change of what users pay.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from guard_scenes import BLOCKS, BYTES, FUNCTIONS, INSTRUCTIONS, SCENES
from guard_server import Server, serving

FILE = Path(__file__).with_name("guard.json")
SCRIPT = Path(__file__).with_name("guard_scenes.py")
ALL = "every Python"
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
_LIMIT_S = 120.0

OURS_AT_IMPORT, OTHERS_AT_IMPORT = "lambdakit's modules, import", "other modules, import"
OURS_AT_FIRST, OTHERS_AT_FIRST = "lambdakit's modules, first secret", "other modules, first secret"
CALLS, CONNECTIONS = "calls", "connections"
SHARED = (OURS_AT_IMPORT, OURS_AT_FIRST, CALLS, CONNECTIONS, BLOCKS)
APART = (OTHERS_AT_IMPORT, OTHERS_AT_FIRST, FUNCTIONS, INSTRUCTIONS, BYTES)
GATES = SHARED + APART
COUNTED = (BLOCKS, FUNCTIONS, INSTRUCTIONS, BYTES)


def ask(server: Server, *arguments: str) -> Any:
    """What a fresh process says; see `guard_scenes`."""
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), *arguments],
        env=server.environ,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def measure(server: Server, *, worse: bool = False) -> dict[str, Any]:
    """Every gate, for this Python.

    Args:
        server: to ask.
        worse: with all that has to be measured made worse on purpose.
    """
    how = ["worse"] if worse else []
    found: dict[str, Any] = {CALLS: {}, CONNECTIONS: {}}
    for gate, others, what in (
        (OURS_AT_IMPORT, OTHERS_AT_IMPORT, "import"),
        (OURS_AT_FIRST, OTHERS_AT_FIRST, "first secret"),
    ):
        names = ask(server, what, *how)
        found[gate] = [name for name in names if name.partition(".")[0] == "lambdakit"]
        found[others] = [name for name in names if name not in found[gate]]
    for scene in SCENES:
        server.calls.clear()
        server.connections = 0
        ask(server, scene, *how)
        found[CALLS][scene] = dict(sorted(server.calls.items()))
        found[CONNECTIONS][scene] = server.connections
    return found | ask(server, "count", *how)


def allowed() -> dict[str, Any]:
    """What `measure` may find on this Python; that of a Python which is not in the file is missing."""
    content = json.loads(FILE.read_text())
    return content[ALL] | content.get(THIS, {})


def differences(found: dict[str, Any], may: dict[str, Any]) -> dict[str, Any]:
    """Gate by gate, what is not as it may be. Of modules that are not ours fewer are no difference: systems differ."""
    told: dict[str, Any] = {}
    for gate in GATES:
        have, want = found[gate], may.get(gate)
        if want is None:
            told[gate] = f"nothing is known of Python {THIS}"
        elif isinstance(have, list):
            more, fewer = sorted({*have} - {*want}), sorted({*want} - {*have})
            if more or (fewer and gate in SHARED):
                told[gate] = {"more": more, "fewer": fewer}
        elif have != want:
            told[gate] = {
                name: (have.get(name), want.get(name)) for name in have | want if have.get(name) != want.get(name)
            }
    return told


def renew() -> None:
    """Write down what is found now."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        found = measure(server)
    content = json.loads(FILE.read_text()) if FILE.exists() else {}
    content[ALL] = {gate: found[gate] for gate in SHARED}
    content[THIS] = {gate: found[gate] for gate in APART}
    FILE.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--renew"]:
        raise SystemExit(__doc__)
    renew()
