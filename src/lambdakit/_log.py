"""The one logger that lambdakit writes to."""

from __future__ import annotations


def warn(message: str, *arguments: object) -> None:
    """Log a warning to the logger ``lambdakit``; `arguments` are formatted into `message` as `logging` does it."""
    import logging  # 5 ms in a bare interpreter, nothing under the runtime client, which has it already

    logging.getLogger("lambdakit").warning(message, *arguments)
