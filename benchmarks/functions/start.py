"""What an environment has done since INIT ended: CPU time, and modules that it had to load."""

import sys
import time

_init = {}


def init_ends():
    """Called in the last line of a function's module."""
    _init.update(modules=frozenset(sys.modules), cpu_ms=time.process_time() * 1e3)


def since_init(value):
    """A function's answer, with what it took."""
    return {
        "value": value,
        "cpu_ms": time.process_time() * 1e3 - _init["cpu_ms"],
        "init_cpu_ms": _init["cpu_ms"],
        "modules": [name for name in sys.modules if name not in _init["modules"]],
    }
