"""`presel explain`: why a sample was or was not picked."""

from components.explain.explanation import explain_sample
from components.strategies.run_files import RunFiles
from tasks.platform.workspace import Workspace


def explain_in_workspace(workspace: Workspace, name: str) -> str:
    """Explain one sample of a finished run.

    Args:
        workspace: of the run.
        name: a sample id, a record id, an image path or the start of an image's sha256.

    Raises:
        ParameterError: the run has not selected yet.
        UnknownSampleError: nothing, or more than one sample, goes by that name.
    """
    return explain_sample(name, RunFiles(workspace.artifact, workspace.parameters())).text()
