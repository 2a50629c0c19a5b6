"""`presel annotate`: what people have to write, handed out and brought back."""

from collections.abc import Iterator
from pathlib import Path

from components.instructions.ledger.ledger import open_ledger
from components.instructions.people.hand_out import HandOut, hand_out_to_people
from components.instructions.people.importing import PeopleImport, import_from_people
from components.instructions.people.provider import PeopleProvider
from components.instructions.request import IdentifiedRequest, identify_request, requests_for_samples
from components.parameters.parameters import ParameterError
from components.pool.manifest import read_samples
from components.strategies.load import load_strategy
from tasks.platform.declaration import makers
from tasks.platform.outdated_stages import outdated_stages
from tasks.platform.workspace import Workspace
from tasks.stages import declarations_of

_LABEL = "annotate"


def export_for_annotation(workspace: Workspace, folder: Path, *, again: bool, overwrite: bool) -> HandOut:
    """Hand out what a run wants people to write: the chosen samples that have no instruction.

    Args:
        workspace: of the run.
        folder: to write; must be empty or new unless `overwrite`.
        again: take earlier hand-outs of these samples back first.
        overwrite: write into a folder that holds something already.

    Raises:
        ParameterError: the run asks somebody else, or has not chosen anything yet.
        ExportError: the folder cannot be written.
    """
    parameters = workspace.parameters()
    if parameters.instructions.provider != "people":
        raise ParameterError(
            f"workspace {workspace.root} asks provider {parameters.instructions.provider}, not people; start "
            "`presel run --provider people` first, or name its workspace with --name"
        )
    with open_ledger(parameters.instructions.ledger) as ledger:
        return hand_out_to_people(
            ledger,
            _wanted(workspace),
            folder,
            run=_LABEL,
            pixel_limit=parameters.ingest.pixel_limit,
            again=again,
            overwrite=overwrite,
        )


def import_from_annotation(workspace: Workspace, file: Path) -> PeopleImport:
    """Take what people wrote into the ledger.

    Args:
        workspace: of the run; it says where the ledger is and what an instruction is booked at.
        file: Label Studio's export, or the filled-in table.

    Raises:
        WrittenFileError: the file is neither.
    """
    own = workspace.parameters().instructions
    with open_ledger(own.ledger) as ledger:
        return import_from_people(ledger, file, price_per_instruction_usd=own.price_per_instruction_usd, run=_LABEL)


def _wanted(workspace: Workspace) -> list[IdentifiedRequest]:
    manifest = workspace.artifact("manifest")
    chosen = set(_chosen(workspace)) if (manifest / "samples.parquet").exists() else set()
    if not chosen:
        raise ParameterError(
            f"workspace {workspace.root} has chosen nothing yet; start `presel run --provider people`, it says when "
            "people are needed"
        )
    requests = requests_for_samples(read_samples(manifest), chosen)
    provider = PeopleProvider(workspace.parameters().instructions)
    return [identify_request(*pair) for pair in zip(requests, provider.specify(requests), strict=True)]


def _chosen(workspace: Workspace) -> Iterator[str]:
    """Samples whose instructions the run wants, as far as it has chosen and the choice is up to date."""
    parameters, outdated = workspace.parameters(), set(outdated_stages(workspace))
    strategy, stages = load_strategy(parameters.strategy), declarations_of(parameters.strategy)
    for stage in (stage for stage in stages if stage.buys):
        assert stage.buys is not None
        for item in parameters.baselines if stage.each_baseline else ("",):
            paths = stage.reads_of(strategy)
            made = all(workspace.artifact(path.replace("${item}", item)).exists() for path in paths)
            if made and outdated.isdisjoint(maker.instance(item) for maker in makers(paths, stages)):
                yield from stage.buys(workspace, item)
