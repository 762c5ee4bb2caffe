"""A function of ours, called in a fresh process."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

from .processes import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def call(function: Callable[..., Any], *, environ: Mapping[str, str], **arguments: Any) -> Any:
    """What a function of a module returns there; arguments and answer are JSON.

    Raises:
        ProcessFailedError: see `ask`.
    """
    question = {"function": f"{function.__module__}:{function.__qualname__}", "arguments": arguments}
    return ask(["-m", "benchmarks.elsewhere"], environ=environ, question=question)


def answer(question: dict[str, Any]) -> Any:
    """The other end of it."""
    module, _, function = question["function"].partition(":")
    return getattr(importlib.import_module(module), function)(**question["arguments"])


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))))
