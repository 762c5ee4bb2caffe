"""`python -m lambdakit`: the same as the command `lambdakit`."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
