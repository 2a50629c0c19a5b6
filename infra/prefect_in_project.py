"""A `prefect` command in the project's environment: `python -m infra.prefect_in_project worker start --pool presel`.

The flows that a worker starts then find every tool's state where `presel` on the command line keeps it, so both share
one cache. Variables that are set already stay as they are.
"""

import os
import sys
from pathlib import Path

from flows.environment import configure_environment, find_project_root


def main(arguments: list[str]) -> None:
    """Become `prefect` with these arguments."""
    configure_environment(find_project_root(Path.cwd()))
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])  # noqa: S606 -- no shell


if __name__ == "__main__":
    main(sys.argv[1:])
