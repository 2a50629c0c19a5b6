"""One stage alone, as dvc.yaml calls it: `python -m flows.stage NAME`, in the workspace's folder."""

import logging
import os
import sys
from pathlib import Path

from components.errors import UserError
from flows.environment import check_code, configure_environment, find_project_root


def main(arguments: list[str]) -> int:
    """Run the stage named by the only argument; its exit code is the process's."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m flows.stage NAME[@ITEM]   (in a workspace's folder)\n")
        return 2
    folder = Path.cwd()
    root = find_project_root(folder)
    # No flow runs here, so no server is needed to look up where results are kept.
    os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
    check_code(root)
    configure_environment(root)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("presel").setLevel(logging.INFO)

    # Imported here: the tasks import Prefect, which reads the environment that was configured just now.
    from flows.pipeline import pipeline_text
    from tasks.platform.workspace import Workspace
    from tasks.stages import stages_of

    name, place = arguments[0], Workspace(str(folder.relative_to(root)))
    strategy = place.parameters().strategy
    # DVC compares what dvc.yaml names. A module that a stage imports since it was written is not in it, and a later
    # change of that module would be missed; the stage that imports it runs now, so it is noticed here.
    if place.pipeline_file.read_text(encoding="utf-8") != pipeline_text(strategy, Path(place.root)):
        sys.stderr.write(
            f"{place.pipeline_file} is not what the stages of strategy {strategy} declare now: "
            f"run `presel {'pipeline --write' if place.root == '.' else 'run'}`, which writes it again, and then this\n"
        )
        return 2
    stages = {stage.name: stage for stage in stages_of(strategy)}
    stage = stages.get(name.partition("@")[0])
    if stage is None:
        sys.stderr.write(f"no stage {name!r}; there are {', '.join(stages)}\n")
        return 2
    stage.run_for_dvc(place, name)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.stderr.write(f"presel: {error}\n")
        sys.exit(2)
