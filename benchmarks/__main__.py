"""Run every benchmark, one after another; exit 1 when any of them missed a goal or failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.lib import parser, say


def main() -> int:
    """Run each as a process of its own, so that none inherits another's memory."""
    names = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    reader = parser(__doc__)
    reader.add_argument("names", nargs="*", metavar="NAME", help=f"only these, of: {', '.join(names)}")
    chosen = reader.parse_args()
    if unknown := set(chosen.names) - set(names):
        reader.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    failed = []
    for name in chosen.names or names:
        say(f"== {name}")
        command = [sys.executable, "-m", f"benchmarks.bench_{name}", *(["--short"] if chosen.short else [])]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    say(f"missed or failed: {', '.join(failed)}" if failed else "nothing missed, nothing failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
