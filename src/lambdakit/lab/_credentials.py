"""The container endpoint: where an environment that carries no credentials in its variables gets them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from aiohttp import web

from ._environment import State

if TYPE_CHECKING:
    from ._environment import Environment

PATH = "/2021-04-23/credentials"  # Lambda's own
_LIFETIME_S = 6 * 3600


def answer(environment: Environment, token: str | None) -> web.Response:
    """What an environment gets for its token: made-up credentials, others after a restore than at the snapshot."""
    if token != environment.marker:
        return web.Response(status=403)
    part = "INIT" if environment.state in (State.INIT, State.SNAPSHOT) else "LAB0"
    body = {
        "AccessKeyId": f"ASIALOCAL{part}0000000",
        "SecretAccessKey": f"made-up-{part}",
        "Token": f"made-up-{part}",
        "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + _LIFETIME_S)),
    }
    return web.Response(body=json.dumps(body).encode(), content_type="application/json")
