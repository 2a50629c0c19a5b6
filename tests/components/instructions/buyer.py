"""A process that buys, to be killed: `python -m tests.components.instructions.buyer LEDGER ENDPOINT FOLDER COUNT`."""

import logging
import sys
from pathlib import Path

from components.instructions import purchase_loop
from components.instructions.buy import buy_instructions
from components.instructions.endpoint import provider as endpoint_provider
from components.instructions.endpoint.provider import openai_provider
from components.instructions.ledger.ledger import open_ledger
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, draw_requests


def main(ledger_url: str, endpoint: str, folder: str, count: str) -> None:
    """Buy; exits with 0 when every request has its answer."""
    logging.basicConfig(level=logging.WARNING)
    requests = draw_requests(Path(folder) / "images", int(count))
    parameters = instruction_parameters(
        provider="openai", model="test-model", prompts=str(Path(folder) / "prompts"), repairs=10
    )
    purchase = purchase_parameters(base_url=endpoint, prices=[PRICE], timeout_seconds=0.8)
    purchase_loop.ATTEMPTS = 20
    endpoint_provider.BACKOFF_SECONDS, endpoint_provider.LONGEST_BACKOFF_SECONDS = 0.01, 0.05
    provider = openai_provider(parameters, purchase, pixel_limit=10**6)
    with open_ledger(ledger_url) as ledger:
        bought = buy_instructions(requests, provider=provider, ledger=ledger, run="test")
    sys.exit(0 if bought.instructions.num_rows == len(requests) else 3)


if __name__ == "__main__":
    main(*sys.argv[1:])
