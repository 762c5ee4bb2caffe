"""The public function that a hook of pings calls."""

from __future__ import annotations

from ._ping import ANSWERED
from ._warmup_options import environments
from .exceptions import LambdakitError


def fan_out(n: int) -> None:
    """Have the ping that is being answered keep `n` environments of this function, this one included.

    For ``@handler(warmup=Warmup(max_concurrency=20), on_ping=...)``, where the hook knows how many are wanted now: by
    the hour, or by a parameter. When the hook has returned, the ping is passed on to ``n - 1`` other environments of
    the alias or version that was invoked. If the ping asks for a number too, the larger one counts; neither goes
    beyond ``max_concurrency``. A ping that was passed on, or says ``"test": true``, goes no further, and this does
    nothing in it. Outside Lambda nothing is invoked.

    Args:
        n: how many environments, 1 or more.

    Raises:
        ConfigurationError: `n` is no such number, or the handler has no ``max_concurrency``.
        LambdakitError: no ping is being answered here.

    Since 0.1.
    """
    wanted = environments(n)
    ping = ANSWERED.get()
    if ping is None:
        raise LambdakitError(
            "fan_out: no ping is being answered here: call this from the function that is given as on_ping= to "
            "@lambdakit.handler"
        )
    ping.want(wanted)
