"""`python -m runner`: the same as the command `nybble`."""

from __future__ import annotations

import sys

from runner.cli import main

sys.exit(main())
