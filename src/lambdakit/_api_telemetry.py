"""The public function that measures: it finds the environment and asks it."""

from __future__ import annotations

from . import _metric_terms as terms
from ._current import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsFloat


def metric(name: str, value: SupportsFloat, unit: str = "None") -> None:
    """Add a metric of yours to the line that tells CloudWatch of this invocation.

    The line is written at the end of the invocation, also if the handler raises. Several values of a name are all kept:
    CloudWatch has their number, sum, extremes and percentiles. Listeners find them under ``record["metrics"]``. Where
    nobody listens and no metrics are written (see ``@handler(metrics=...)`` and ``LAMBDAKIT_METRICS_NAMESPACE``), the
    arguments are checked and nothing else happens.

    Args:
        name: 1 to 255 printable ASCII characters, none of lambdakit's own metrics. CloudWatch charges for each name by
            the month: no ids, no names of customers.
        value: a finite number: int, float, or what becomes a float, such as a Decimal. True and False are none.
        unit: one of CloudWatch's: ``"Count"``, ``"Milliseconds"``, ``"Bytes"``, ... Default: ``"None"``, CloudWatch's
            own word for a number without a unit. The same for all values of a name in an invocation.

    Raises:
        ConfigurationError: an argument is none of these.
        LambdakitError: no invocation is running here.

    Thread-safe. Since 0.1.
    """
    env = environment()
    invocation = env.invocation()
    name, number, unit = terms.name(name), terms.value(value), terms.unit(unit)
    if (telemetry := env.made("telemetry")) is not None:  # else nobody watches
        telemetry.metric(invocation, name, number, unit)
