"""`python -m lambdakit`: the same as the command `lambdakit`."""

from __future__ import annotations

import sys

from lambdakit.cli import main

sys.exit(main())
