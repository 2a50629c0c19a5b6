"""What a strategy plans from, and its answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import pyarrow as pa

from components.instructions.spending.estimate import UnitCost
from components.parameters.parameters import Parameters
from components.selection.budget import parse_budget, resolve_budget
from components.storage import read_table
from components.strategies.run_files import RunFiles


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A pool, and what is known of it before a run.

    Attributes:
        run: parameters of the run, and what an earlier run left in the same folder.
        project: of the project's own run, which another run may learn from.
        samples: the pool, columns of `components.schemas.SAMPLES`.
        unit_costs: what one instruction of each task takes.
        find_bought: sample ids with an instruction in the ledger that the provider has written or booked.
        find_missing: sample ids without an instruction, at hand or in the ledger.
        spend_at_most_usd: dollars where a run stops buying; None where the provider asks for no money.
    """

    run: RunFiles
    project: RunFiles
    samples: pa.Table
    unit_costs: Mapping[str, UnitCost]
    find_bought: Callable[[], frozenset[str]]
    find_missing: Callable[[], frozenset[str]]
    spend_at_most_usd: float | None

    @property
    def parameters(self) -> Parameters:
        """Of the run."""
        return self.run.parameters

    @property
    def images(self) -> int:
        """What the budget comes to in images; may be more than the pool has.

        Raises:
            ValueError: the budget is not understood.
        """
        return resolve_budget(
            parse_budget(self.parameters.budget),
            pool_size=self.samples.num_rows,
            dollars_per_image=self.parameters.instructions.price_per_instruction_usd,
        )

    def earlier(self, name: str, schema: pa.Schema, *, alike: Sequence[str] = ()) -> pa.Table | None:
        """A table that an earlier run left; whether it fits today's pool is for the reader to see.

        Args:
            name: of the file, such as `clusters/clusters.parquet`.
            schema: of it.
            alike: parameters that must be the same in the project for its own run to be asked too.

        Returns:
            Of a run in the same folder, else of the project's own; None where there is none.
        """
        of_project = self.project.parameters
        is_alike = all(getattr(of_project, key) == getattr(self.parameters, key) for key in alike)
        for place in (self.run, self.project) if is_alike else (self.run,):
            if place.path(name).exists():
                return read_table(place.path(name), schema)
        return None


class Plan(Protocol):
    """What a run would do and buy, in the strategy's own numbers."""

    def text(self) -> str:
        """One line per task, then what the table does not say by itself."""
        ...


def plan_run(request: PlanRequest) -> Plan:
    """Work out what a run would do and buy, by `plan` of `components.strategies.NAME.plan`; nothing is bought.

    Raises:
        ValueError: the budget is not understood, or leaves nothing to select.
    """
    plan: Plan = import_module(f"components.strategies.{request.parameters.strategy}.plan").plan(request)
    return plan
