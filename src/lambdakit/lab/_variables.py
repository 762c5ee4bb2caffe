"""The environment variables of an execution environment, as Lambda sets them."""

from __future__ import annotations

import binascii
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ._functions import MANAGED, SNAP_START, python_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._functions import Function

CREDENTIALS_PATH = "/2021-04-23/credentials"  # of the container endpoint: Lambda's own


def variables(
    function: Function, *, version: str, init_type: str, runtime_api: str, region: str, marker: str
) -> dict[str, str]:
    """All environment variables; of this machine's only ``PATH`` is among them.

    The credentials are made up: they sign requests to local services. The function's own variables may replace them.

    Args:
        function: the deployed function.
        version: the version that runs.
        init_type: as in ``AWS_LAMBDA_INITIALIZATION_TYPE``.
        runtime_api: host and port of the Runtime API.
        region: the region that the function believes it is in.
        marker: identifies this environment.
    """
    common = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **_replaceable(init_type),
        **function.environment,
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(function.task_root),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{python_version(function.python)}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": init_type,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
    }
    if init_type == SNAP_START:
        return common | {  # no names of the log: they would be the same in every restored environment
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{runtime_api}{CREDENTIALS_PATH}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": marker,
        }
    if init_type == MANAGED:
        common["AWS_LAMBDA_MAX_CONCURRENCY"] = str(function.max_concurrency)
    return common | {
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{version}]{marker}",
    }


def _replaceable(init_type: str) -> dict[str, str]:
    """The variables that the function's own may replace."""
    if init_type == SNAP_START:
        return {}  # a snapshot must not contain credentials: they come from the container endpoint
    credentials = {
        "AWS_ACCESS_KEY_ID": "ASIALOCALLAB00000000",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_SESSION_TOKEN": "made-up",
    }
    return credentials | {"AWS_LAMBDA_LOG_FORMAT": "JSON"} if init_type == MANAGED else credentials


def leftover(environ: Mapping[str, str]) -> str | None:
    """The file that lambdakit leaves in an environment's ``/tmp`` for the next process of the same environment.

    On Lambda it ends with the environment; here ``/tmp`` is this machine's. See `previous_process_crashed`.
    """
    stream = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
    if not stream:
        return None
    name = f"lambdakit-{binascii.crc32(stream.encode()):08x}"
    file = str(Path(environ["LAMBDA_TASK_ROOT"], environ.get("TMPDIR") or "/tmp", name))  # noqa: S108 - Lambda's
    return None if "\n" in file else file  # no line for the guard
