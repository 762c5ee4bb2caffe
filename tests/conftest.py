"""A fresh environment for each test, no AWS settings of this machine, and moto's server over HTTP."""

from __future__ import annotations

import functools
import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore.session
import hypothesis
import pytest
from moto.server import ThreadedMotoServer

import lambdakit
from lambdakit._pytest import lambdakit_environment  # noqa: F401 - where coverage is measured, it is no plugin

hypothesis.settings.register_profile("default", deadline=None, max_examples=100)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=5_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

REGION = "eu-west-1"

# Each session of the SDK reads and parses its models anew, 85 of the 100 ms that a client takes. Tests make thousands
# of sessions, and are about other things: one loader for all of a process.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


@pytest.fixture(autouse=True)
def _collected(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test may leave open goes while its warnings are ignored: later they would be those of another test."""
    yield
    if any("ResourceWarning" in f"{mark.args}" for mark in request.node.iter_markers("filterwarnings")):
        gc.collect()


@pytest.fixture(autouse=True)
def _clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No AWS or lambdakit setting of this machine reaches a test; credentials are made up."""
    for name in [*os.environ]:
        if name.startswith(("AWS_", "LAMBDAKIT_", "_LAMBDA")) or name.endswith(("_CA_BUNDLE", "_PROXY", "_proxy")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/planted/credential")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)  # Lambda sets both; the SDK reads this one only
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def env(_clean_environ: None) -> Iterator[lambdakit.Environment]:
    """The environment of the test, with the machine's clock and the backend that the settings choose."""
    env = lambdakit.Environment()
    with lambdakit.use_environment(env):
        yield env
    env.close()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """moto's server on a free port of the loopback interface, for the session."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.session.Session]:
    """The SDKs of this process talk to moto; a plain boto3 session to prepare it with. Emptied after the test."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    yield boto3.session.Session()
    host, _, port = moto_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"POST /moto-api/reset HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        while connection.recv(4096):
            pass
