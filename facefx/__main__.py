"""`python -m facefx` is `facefx`."""

import sys

from facefx.cli import main

if __name__ == "__main__":
    sys.exit(main())
