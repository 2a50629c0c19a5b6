"""Which samples of a pool have no instruction, and what a strategy that reads them all says about it."""

from collections.abc import Sequence

import pyarrow as pa

from components.instructions.ledger.ledger import Ledger, find_entries
from components.instructions.provider import InstructionProvider
from components.instructions.request import InstructionRequest, identify_request, requests_for_samples
from components.text import dollars


def samples_without_instruction(samples: pa.Table, *, provider: InstructionProvider, ledger: Ledger) -> tuple[str, ...]:
    """Find the samples whose instruction would have to be obtained first; nothing is asked for.

    Args:
        samples: the pool, columns of `components.schemas.SAMPLES`.
        provider: who would be asked.
        ledger: what was bought before.

    Returns:
        Ids of the samples that the provider does not have at hand and that the ledger holds no answer for, sorted.
    """
    requests = requests_for_samples(samples, samples["sample_id"].to_pylist())
    wanted = [one for one, there in zip(requests, provider.at_hand(requests), strict=True) if not there]
    answered = _answered(wanted, provider, ledger)
    return tuple(request.sample_id for request in wanted if request.sample_id not in answered)


def samples_bought(samples: pa.Table, *, provider: InstructionProvider, ledger: Ledger) -> frozenset[str]:
    """Find the samples whose instruction this provider has written, or booked, as the ledger knows.

    Args:
        samples: columns of `components.schemas.SAMPLES`.
        provider: who would be asked; what another has written is another instruction.
        ledger: what was bought before.

    Returns:
        Sample ids.
    """
    return _answered(requests_for_samples(samples, samples["sample_id"].to_pylist()), provider, ledger)


def pool_refusal(*, strategy: str, missing: int, pool: int, price_usd: float, can_write: bool) -> str:
    """Say why a strategy that reads every instruction does not go on, and what to do.

    Args:
        strategy: its name.
        missing: samples without an instruction, at least 1.
        pool: samples.
        price_usd: dollars that they would cost together.
        can_write: whether the provider can obtain what is not there yet.

    Returns:
        One paragraph.
    """
    advice = (
        "Allow it with --annotate-pool"
        if can_write
        else "The provider cannot write them: with --annotate-pool they are left out, and the strategy chooses among "
        "the others. Or add them to instructions.annotations"
    )
    return (
        f"strategy {strategy} needs the instruction of every sample, and {missing:,} of {pool:,} have none. At "
        f"${price_usd / missing:,.4g} each they would cost {dollars(price_usd)}. {advice}, "
        "or use strategy presel, which needs instructions only for the images it chooses"
    )


def _answered(requests: Sequence[InstructionRequest], provider: InstructionProvider, ledger: Ledger) -> frozenset[str]:
    """Samples whose request, as the provider would put it, has its answer in the ledger."""
    identified = [identify_request(*pair) for pair in zip(requests, provider.specify(requests), strict=True)]
    entries = find_entries(ledger, [request.request_id for request in identified])
    return frozenset(
        request.request.sample_id
        for request in identified
        if request.request_id in entries and entries[request.request_id].state == "answered"
    )
