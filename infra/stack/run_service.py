"""Become one service: `python -m infra.stack.run_service NAME`; the supervisor calls it.

Secrets are read here, so they are in no configuration file of the supervisor and on no command line.
"""

import os
import sys
from pathlib import Path

from flows.environment import find_project_root
from infra.stack.passwords import passwords_of
from infra.stack.services import PROGRAMS
from infra.stack.settings import settings_from_environment


def main(name: str) -> None:
    """Replace this process by the service's."""
    settings = settings_from_environment(find_project_root(Path.cwd()))
    program = PROGRAMS[name](settings, passwords_of(settings.folder))
    os.execve(program.command[0], program.command, os.environ | program.environment)  # noqa: S606 -- no shell


if __name__ == "__main__":
    main(sys.argv[1])
