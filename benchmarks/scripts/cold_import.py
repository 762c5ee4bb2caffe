"""One fresh process of an import: what modules add to a process that has the runtime client already."""

import json
import sys
import time

import awslambdaric.bootstrap  # noqa: F401 - what Lambda's own process has loaded before the handler's module

before = frozenset(sys.modules)
cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
for name in sys.argv[1:]:
    __import__(name)
wall_ns, cpu_ns = time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns

after = [name for name in sys.modules if name not in before]
packages = {name.partition(".")[0] for name in after}
cached = [getattr(getattr(sys.modules[name], "__spec__", None), "cached", None) for name in after]
print(
    json.dumps(
        {
            "wall_ms": wall_ns / 1e6,
            "cpu_ms": cpu_ns / 1e6,
            "new": [name in after for name in sys.argv[1:]],
            "modules": len(after),
            "third_party": sorted(packages - sys.stdlib_module_names - {"lambdakit"}),
            "third_party_modules": sum(
                name.partition(".")[0] not in sys.stdlib_module_names | {"lambdakit"} for name in after
            ),
            "bytecode": sum(path is not None and __import__("os").path.exists(path) for path in cached),
        }
    )
)
