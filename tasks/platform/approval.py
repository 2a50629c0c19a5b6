"""What a stage that buys instructions will take, and what a person decides about it."""

from prefect import task

from components.compute.local import LocalEngine
from components.instructions.ledger.ledger import open_ledger
from components.instructions.open_provider import open_provider
from components.instructions.request import requests_for_samples
from components.instructions.spending.approval import Outlook, purchase_outlook, record_decision
from components.pool.manifest import read_images, read_samples
from tasks.platform.stage_context import CurationRun
from tasks.stages import find_stage


class PurchaseDeclinedError(RuntimeError):
    """A person said no to a purchase, or nobody said yes in time; everything bought is kept."""


@task(name="look_ahead", task_run_name="estimate {stage}", persist_result=False)
def look_ahead(run: CurationRun, stage: str) -> Outlook:
    """Estimate a purchase from the templates and the images' sizes; nothing is asked for.

    Args:
        run: the curation run.
        stage: name of the stage in dvc.yaml, with `@item`.
    """
    parameters, manifest = run.workspace.parameters(), run.workspace.artifact("manifest")
    own, purchase = parameters.instructions, parameters.purchase
    provider = open_provider(
        own,
        purchase,
        pixel_limit=parameters.ingest.pixel_limit,
        sources=parameters.sources,
        engine=LocalEngine(),
    )
    buys = find_stage(parameters.strategy, stage).declaration.buys
    assert buys is not None
    requests = requests_for_samples(read_samples(manifest), buys(run.workspace, stage.partition("@")[2]))
    images = read_images(manifest)
    with open_ledger(own.ledger) as ledger:
        return purchase_outlook(
            requests, images, provider=provider, ledger=ledger, parameters=own, purchase=purchase, run=run.label
        )


@task(name="decide", task_run_name="decide {stage}", persist_result=False)
def decide(run: CurationRun, stage: str, *, needed_usd: float, approved_usd: float) -> None:
    """Keep a person's decision in the ledger."""
    with open_ledger(run.workspace.parameters().instructions.ledger) as ledger:
        record_decision(ledger, run=run.label, stage=stage, needed_usd=needed_usd, approved_usd=approved_usd)
