"""`python -m diffrt_aot`: the same as the command `diffrt-aot`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
