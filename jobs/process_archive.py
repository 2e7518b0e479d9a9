"""An archive as a Ray job: every video of SRC into DST, on the cluster that runs this.

    ray job submit --address http://127.0.0.1:8265 -- \
        python jobs/process_archive.py s3://bucket/in s3://bucket/out --effect solid

Takes what `facefx archive run` takes. Submitted again it goes on from where it stood. `ray job submit`
itself knows success and failure only: the last line says which exit code it was.
"""

from __future__ import annotations

import sys

from facefx.cli import main as facefx

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run the archive on the cluster that this process is part of; return the exit code."""
    code = facefx(["archive", "run", *arguments, "--runner", "ray", "--address", "auto"])
    sys.stdout.write(f"exit={code}\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
