from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from lambdakit.exceptions import MissingDependencyError
from lambdakit.lab import Lab
try:
    Lab()
except MissingDependencyError as error:
    print(error, type(error.__cause__).__name__, error.name)
"""


@pytest.mark.parametrize("package", ["aiohttp", "awslambdaric"])
def test_without_the_extra_the_error_names_it(package: str) -> None:
    """Importing the lab costs nothing; making one says what to install."""
    command = [sys.executable, "-c", f"MISSING = {package!r}\n{CODE}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    said = f"The lab needs {package}, which is not installed; install lambdakit[lab]"
    assert output == f"{said} ModuleNotFoundError {package}\n"
