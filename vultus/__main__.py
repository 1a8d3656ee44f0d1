"""`python -m vultus` is `vultus`."""

from __future__ import annotations

import sys

from vultus.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
