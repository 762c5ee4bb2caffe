"""Before a snapshot and after a restore, with the real registry of hooks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snapshots import restore, snapshot

import lambdakit
from lambdakit import ConfigurationError, Environment, Settings
from lambdakit._snap_start import register
from lambdakit.testing import FakeContext, MemoryBackend

SNAP_START = Settings(init_type="snap-start", in_lambda=True)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(secrets={"x": "1", "declared": "2"}, parameters={"/y": "3"})


@pytest.fixture(autouse=True)
def env(backend: MemoryBackend) -> Any:
    with lambdakit.use_environment(Environment(settings=SNAP_START, backend=backend)) as env:
        yield env


def run(code: str, tmp_path: Path, **environ: str) -> Any:
    """What `code` prints, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "AWS_CONFIG_FILE": str(tmp_path / "none"), **environ},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_hooks_are_registered_at_import_under_snap_start_only(tmp_path: Path) -> None:
    """In the real registry: one before, one after; with any other init type none, and nothing imported for it."""
    code = (
        "import json, sys, lambdakit\nloaded = 'snapshot_restore_py' in sys.modules\n"
        "import snapshot_restore_py as hooks\n"
        "print(json.dumps([loaded, len(hooks.get_before_snapshot()), len(hooks.get_after_restore())]))"
    )
    assert run(code, tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")[0] == [True, 1, 1]
    for kind in ("on-demand", "provisioned-concurrency", ""):
        assert run(code, tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE=kind)[0] == [False, 0, 0]


def test_without_the_package_there_is_a_warning(tmp_path: Path) -> None:
    """Importing lambdakit never fails for it."""
    code = "import json, sys\nsys.modules['snapshot_restore_py'] = None\nimport lambdakit\nprint(json.dumps('done'))"
    said, stderr = run(code, tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    assert (said, "snapshot_restore_py is not installed" in stderr) == ("done", True)


def test_values_are_dropped_before_the_snapshot(env: Environment, backend: MemoryBackend) -> None:
    """All of them, with results of cached functions, and errors that were kept; also what is fetched later in INIT."""
    made = []

    @lambdakit.cached
    def model() -> list[int]:
        made.append(1)
        return [1]

    lambdakit.get_secret("x")
    lambdakit.get_parameter("/y")
    model()
    snapshot()
    assert lambdakit.secret("x").state == "absent"
    assert lambdakit.parameter("/y").state == "absent"
    model()
    assert len(made) == 2
    lambdakit.get_secret("x")
    restore()
    assert lambdakit.secret("x").state == "absent"


def test_declared_values_wait_for_the_first_invocation(env: Environment, backend: MemoryBackend) -> None:
    """In INIT they would be in the snapshot; then they are fetched together, once. Functions run in INIT."""
    ran = []

    def connect() -> None:
        ran.append(len(backend.calls))

    @lambdakit.handler(
        preload=[lambdakit.secret("x"), lambdakit.secret("declared"), lambdakit.parameter("/y"), connect]
    )
    def handler(event: Any, context: Any) -> list[str]:
        return [lambdakit.secret("x").state, lambdakit.secret("declared").state, lambdakit.parameter("/y").state]

    assert (ran, backend.calls) == ([0], [])
    snapshot()
    restore()
    assert backend.calls == []
    assert handler({}, FakeContext()) == ["fresh"] * 3
    assert sorted(backend.calls) == [("parameter", "/y"), ("secrets", "x, declared")]
    handler({}, FakeContext())
    assert len(backend.calls) == 2


def test_the_start_kind_is_restored(env: Environment) -> None:
    """For the first invocation; the next one is warm. Time counts from the restore."""
    kinds = []

    @lambdakit.handler
    def handler(event: Any, context: Any) -> None:
        kinds.append((lambdakit.invocation().start_kind, lambdakit.is_cold_start()))

    snapshot()
    restore()
    handler({}, FakeContext())
    handler({}, FakeContext())
    assert kinds == [("restored", False), ("warm", False)]


def test_environments_of_one_snapshot_differ(env: Environment) -> None:
    """The id is that of the restored environment."""
    before = env.id
    restore()
    first = env.id
    restore()
    assert len({before, first, env.id}) == 3


def test_random_is_seeded_anew_unless_told_otherwise(env: Environment) -> None:
    """Two environments of one snapshot would draw the same numbers."""
    import random

    state = random.getstate()
    drawn = random.random()  # noqa: S311 - its state is the point

    def after(**options: Any) -> float:
        with lambdakit.use_environment(Environment(settings=SNAP_START)):
            lambdakit.handler(lambda event, context: None, **options)
            random.setstate(state)
            restore()
            return random.random()  # noqa: S311 - as above

    assert after(reseed=False) == drawn
    assert after() != drawn
    with pytest.raises(ConfigurationError, match="reseed='no': give True or False"):
        lambdakit.handler(reseed="no")  # type: ignore[call-overload]


def test_random_is_not_imported_for_it(tmp_path: Path) -> None:
    """Nor is ssl."""
    code = (
        "import json, sys\nfrom lambdakit._snap_start import after_restore\nafter_restore()\n"
        "print(json.dumps([name for name in ('random', 'ssl') if name in sys.modules]))"
    )
    assert run(code, tmp_path)[0] == []


def test_what_is_not_loaded_has_no_state_to_renew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in this process."""
    for name in ("random", "ssl"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    restore()
    assert {"random", "ssl"}.isdisjoint(sys.modules)


def test_functions_of_the_user_are_called_after_ours(
    env: Environment, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """In their order, with everything renewed; one that raises is logged by name and stops nobody."""
    said: list[Any] = []

    @lambdakit.on_restore
    def first() -> None:
        said.append(lambdakit.get_secret("x"))

    @lambdakit.on_restore
    def failing() -> None:
        raise RuntimeError("planted text")

    lambdakit.on_restore(lambda: said.append("last"))
    snapshot()
    assert said == []
    restore()
    assert said == ["1", "last"]
    assert [record.getMessage() for record in caplog.records] == [
        f"on_restore: {failing.__qualname__}: RuntimeError was raised"
    ]
    assert first.__name__ == "first"
    with pytest.raises(ConfigurationError, match="on_restore: give a function without arguments, not int"):
        lambdakit.on_restore(5)  # type: ignore[type-var]


def test_our_hooks_never_raise(tmp_path: Path) -> None:
    """What fails in them is logged: a hook that raises would end the environment."""
    code = """
import json, lambdakit, snapshot_restore_py as hooks
class Broken(lambdakit.Environment):
    def _renew(self): raise OSError("planted text")
    _become_another = _renew
with lambdakit.use_environment(Broken()):
    for hook in (*hooks.get_before_snapshot(), *hooks.get_after_restore()):
        hook[0](*hook[1], **hook[2]) if isinstance(hook, tuple) else hook()
print(json.dumps("survived"))
"""
    said, stderr = run(code, tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    assert said == "survived"
    assert stderr.count("SnapStart: not everything is closed before the snapshot: OSError was raised") == 1
    assert stderr.count("SnapStart: not everything is renewed after the restore: OSError was raised") == 1
    assert "planted" not in stderr


def test_clients_stay_the_same_objects(env: Environment) -> None:
    """User modules hold them."""
    client = lambdakit.client("dynamodb")
    snapshot()
    restore()
    assert lambdakit.client("dynamodb") is client


def test_the_hooks_of_this_process(env: Environment, caplog: pytest.LogCaptureFixture) -> None:
    """What is registered renews the environment that is in place then, and never raises."""
    import snapshot_restore_py as registry

    before, after = [*registry.get_before_snapshot()], [*registry.get_after_restore()]
    register()
    hooks = [*registry.get_before_snapshot()[len(before) :], *registry.get_after_restore()[len(after) :]]
    for registered, kept in ((registry._before_snapshot_registry, before), (registry._after_restore_registry, after)):
        del registered[len(kept) :]
    lambdakit.get_secret("x")
    first = env.id
    for hook, arguments, options in hooks:
        hook(*arguments, **options)
    assert (lambdakit.secret("x").state, env.id != first) == ("absent", True)

    class Broken(Environment):
        def _renew(self) -> None:
            raise OSError("planted text")

    with lambdakit.use_environment(Broken()):
        hooks[0][0](*hooks[0][1])
    assert [record.getMessage() for record in caplog.records] == [
        "SnapStart: not everything is closed before the snapshot: OSError was raised"
    ]


def test_without_the_package_nothing_is_registered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so."""
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)
    register()
    assert "snapshot_restore_py is not installed" in caplog.text
