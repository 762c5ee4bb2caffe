"""Sessions: lint, types, tests (what CI runs), soak (long rounds, every Python), guard, bench, docs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|venv"  # uv resolves these in seconds, pip in minutes; either will do
nox.options.sessions = ["lint", "types", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
# Where pyenv keeps the Pythons, its shims find them only if they are named.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
if found := [path.name for python in PYTHONS for path in sorted(PYENV.glob(f"{python}.*"))]:
    os.environ.setdefault("PYENV_VERSION", ":".join(found))
# Newer ones that are installed, and those that a variable names by their paths, separated as in PATH. What is not here
# is skipped, in CI too.
NEWEST = int(PYTHONS[-1].partition(".")[2])
PYTHONS += [f"3.{minor}" for minor in range(NEWEST + 1, NEWEST + 4) if shutil.which(f"python3.{minor}")]
PYTHONS += [str(Path(path).absolute()) for path in os.environ.get("LAMBDAKIT_PYTHONS", "").split(os.pathsep) if path]
nox.options.error_on_missing_interpreters = False
# Byte code present, as in a deployed package; an AWS account or a proxy of this machine must not leak into a test.
CLEAN = {"PYTHONDONTWRITEBYTECODE": None} | {k: None for k in os.environ if k.startswith(("AWS_", "LAMBDAKIT_"))}


def install(session: nox.Session, *groups: str, extras: str = "sdk,lab") -> None:
    """The wheel, as users get it, with some groups of development dependencies."""
    names = [name for group in groups for name in nox.project.dependency_groups(PROJECT, group)]
    session.install("--quiet", f".[{extras}]" if extras else ".", *names)


@nox.session
def lint(session: nox.Session) -> None:
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    install(session, "types")
    session.install("--quiet", "httpx", "nox", "pytest", "requests", "rich")  # whose types ours are made of
    session.run("mypy")
    session.run("basedpyright", "--pythonpath", str(Path(session.bin) / "python"))


@nox.session
def tests(session: nox.Session) -> None:
    """What CI runs, on the Python that runs nox, with 100 % branch coverage; each process takes whole files."""
    install(session, "tests")
    # The plugin of the package itself would import it before its lines are counted.
    coverage = [] if session.posargs else ["-p", "no:lambdakit", "--cov", "--cov-report=term-missing:skip-covered"]
    processes = ["-n", "3", "--dist", "loadfile"]  # of two cores a third is spent waiting
    session.run("python", "-m", "pytest", "-m", "not soak", *processes, *coverage, *session.posargs, env=CLEAN)


@nox.session(python=PYTHONS)
def soak(session: nox.Session) -> None:
    """Everything, with thousands of generated examples, on every Python that is found or named."""
    install(session, "tests")
    # Of two cores a third is spent waiting; a file whose rounds take ten minutes is shared by all processes.
    processes = ["-n", "3", "--dist", "worksteal"]
    session.run("python", "-m", "pytest", *processes, *session.posargs, env=CLEAN | {"HYPOTHESIS_PROFILE": "soak"})


@nox.session(python=PYTHONS)
def guard(session: nox.Session) -> None:
    """Show what lambdakit costs in modules, calls, instructions and memory, beside what it may."""
    install(session)
    session.install("--quiet", "trustme")
    session.run("python", "tests/guard/guard.py", env=CLEAN)


@nox.session
def bare(session: nox.Session) -> None:
    """Works without boto3, proved by running without boto3."""
    install(session, extras="")
    session.install("--quiet", "pytest")
    session.run("python", "-m", "pytest", "--noconftest", "tests/bare", *session.posargs, env=CLEAN)


@nox.session
def bench(session: nox.Session) -> None:
    """The main job: what lambdakit is worth, cold and warm, on embedded servers."""
    install(session, "bench")
    arguments = session.posargs or ["--quick"]
    session.run("python", "-m", "benchmarks", *arguments, env=CLEAN)


@nox.session
def docs(session: nox.Session) -> None:
    install(session, "docs", extras="")
    session.run("mkdocs", "build", "--strict", "--site-dir", str(Path(session.create_tmp()) / "site"))
