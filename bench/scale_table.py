"""The tables of docs/scale.md that say what 10^6 to 10^8 images take (`python -m bench.scale_table`)."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import scale_constants as measured
from components.selection.cluster_parts import LARGE, PART

POOLS = (10**6, 10**7, 10**8)
TASKS = 11  # of equal size; LLaVA-665K has as many
CORES, GPUS = 64, 8  # of the cluster whose hours are given
REFERENCE, PICKED = 0.05, 0.10  # of the pool; both are instructed and tuned on, 15 % together
REQUESTS = 10_000  # a minute that an endpoint allows
_PER_CLUSTER = 100  # images, as shipped
_PASSES = 3  # over all vectors of a task that is cut into parts: two rounds, and the last assignment


@dataclass(frozen=True, slots=True)
class Load:
    """What a stage takes.

    Attributes:
        core_hours: of CPU cores.
        gpu_hours: of GPUs.
        cores: that can share the work at most.
        serial_hours: that it takes beside those, however large the cluster: on the driver, or waiting for an endpoint.
        network: GB read by workers.
        memory: GB on the driver, or in one worker.
        storage: GB written.
        dollars: paid for instructions.
    """

    core_hours: float = 0.0
    gpu_hours: float = 0.0
    cores: int = CORES
    serial_hours: float = 0.0
    network: float = 0.0
    memory: float = 0.0
    storage: float = 0.0
    dollars: float = 0.0

    @property
    def hours(self) -> float:
        """On the cluster; what CPUs and GPUs do overlaps."""
        return max(self.core_hours / min(self.cores, CORES), self.gpu_hours / GPUS) + self.serial_hours


def _ingest(images: int) -> Load:
    pairs = TASKS * (images / TASKS) ** 2 / 2  # of perceptual hashes of one task
    return Load(
        core_hours=images * measured.INGEST.value / 3.6e6,
        serial_hours=pairs / (measured.HASH_PAIRS.value * 1e9) / 3600,
        network=images * measured.PHOTOGRAPH.value / 1e6,
        memory=images * measured.INGEST_MEMORY.value / 1e6,
        storage=images * measured.TABLES.value / 1e6,
    )


def _embed(images: int) -> Load:
    return Load(
        core_hours=images * measured.PIXELS.value / 3.6e6,
        gpu_hours=images * measured.ENCODER.value / measured.GPU.value / 3.6e6,
        network=images * measured.PHOTOGRAPH.value / 1e6,
        storage=images * measured.WIDTH.value * 4 / 1e9,
    )


def _buy(share: float) -> Callable[[int], Load]:
    def load(images: int) -> Load:
        return Load(
            serial_hours=share * images / REQUESTS / 60,
            network=share * images * measured.PHOTOGRAPH.value / 1e6,
            storage=share * images * 2 / 1e6,  # the request and the reply in the ledger, 2 kB
            dollars=share * images * measured.INSTRUCTION.value,
        )

    return load


def _model(share: float, operations: int) -> Callable[[int], Load]:
    """A stage of the 7B model: operations per weight and token, 2 forwards, 2 backwards, 2 computed again."""

    def load(images: int) -> Load:
        arithmetic = share * images * measured.TOKENS.value * operations * measured.VLM.value / 1e3  # TFLOP
        return Load(
            core_hours=share * images * measured.PIXELS.value / 3.6e6,
            gpu_hours=arithmetic / measured.GPU.value / 3600,
            network=share * images * measured.PHOTOGRAPH.value / 1e6,
        )

    return load


def _cluster(images: int) -> Load:
    size = images // TASKS
    one_pass = size * (size // _PER_CLUSTER) * measured.WIDTH.value * 2 / (measured.PRODUCTS.value * 1e9)  # core s
    if size > LARGE:
        seconds = size / PART * measured.CLUSTER_20K.value + _PASSES * one_pass
    else:
        seconds = measured.CLUSTER_80K.value * (size / 80_000) ** 2
    return Load(
        core_hours=TASKS * seconds / 3600,
        cores=TASKS,
        network=images * measured.WIDTH.value * 4 / 1e9,
        memory=4 * size * measured.WIDTH.value * 4 / 1e9,  # of a task: its vectors, and about three copies
    )


def _select(images: int) -> Load:
    return Load(
        core_hours=images * measured.SELECT.value / 3.6e6,
        cores=1,
        network=images * measured.WIDTH.value * 4 / 1e9,
        memory=images * measured.SELECT_MEMORY.value / 1e6,
    )


STAGES: dict[str, Callable[[int], Load]] = {
    "ingest": _ingest,
    "embed": _embed,
    "instruct the reference set": _buy(REFERENCE),
    "reference_tune": _model(REFERENCE, 6),
    "score": _model(REFERENCE, 2),
    "cluster": _cluster,
    "allocate, select": _select,
    "instruct the selection": _buy(PICKED),
    "tune": _model(REFERENCE + PICKED, 6),
}

THEN = {
    "ingest": "`ingest.near_duplicate_bits: -1`, as comparing hashes takes the square of a task; more CPU workers",
    "embed": "more GPU workers; more CPU workers where decoding holds the GPUs up",
    "instruct the reference set": "`batch`, which has no limit per minute; a smaller `reference.share`",
    "reference_tune": "a smaller `reference.share`: the importance of a task is a mean, which some thousands settle",
    "score": "as for `reference_tune`",
    "cluster": "finer tasks; larger `cluster.images_per_cluster`; GPUs, which take the passes over all vectors",
    "allocate, select": "a driver with more memory; the pool in parts",
    "instruct the selection": "`batch`; a smaller `--budget`: what a model gains flattens long before 10^6 samples",
    "tune": "a smaller `--budget`; more GPUs",
}


def tables() -> str:
    """The tables in Markdown."""
    loads = {images: {name: stage(images) for name, stage in STAGES.items()} for images in POOLS}
    heads = [f"10^{len(str(images)) - 1} images" for images in POOLS]
    rows = [[name, *(_cell(loads[images][name], loads[images][name].hours) for images in POOLS)] for name in STAGES]
    longest = {images: max(stages, key=lambda name: stages[name].hours) for images, stages in loads.items()}
    largest = {images: max(stages, key=lambda name: stages[name].memory) for images, stages in loads.items()}
    rows += [["**all**", *(_sums(list(loads[images].values())) for images in POOLS)]]
    rows += [["**longest**", *(longest[images] for images in POOLS)]]
    rows += [["**most memory**", *(largest[images] for images in POOLS)]]
    advice = [[name, THEN[name]] for name in STAGES]
    constants = [
        [name.lower().replace("_", " "), f"{one.value:,g} {one.unit}", one.kind, one.source]
        for name, one in measured.CONSTANTS.items()
    ]
    return "\n".join(
        [
            *_table(["stage", *heads], rows),
            "",
            *_table(["where it is the limit", "what to do"], advice),
            "",
            *_table(["constant", "value", "", "source"], constants),
        ]
    )


def _cell(load: Load, hours: float) -> str:
    parts = [f"{_number(hours)} h"]
    parts += [f"{_number(load.core_hours)} core h"] if load.core_hours else []
    parts += [f"{_number(load.gpu_hours)} GPU h"] if load.gpu_hours else []
    parts += [f"{_bytes(load.network)} read"] if load.network else []
    parts += [f"{_bytes(load.memory)} memory"] if load.memory else []
    parts += [f"{_bytes(load.storage)} written"] if load.storage else []
    parts += [f"${_number(load.dollars)}"] if load.dollars else []
    return ", ".join(parts)


def _sums(loads: Sequence[Load]) -> str:
    total = Load(
        core_hours=sum(load.core_hours for load in loads),
        gpu_hours=sum(load.gpu_hours for load in loads),
        network=sum(load.network for load in loads),
        memory=max(load.memory for load in loads),
        storage=sum(load.storage for load in loads),
        dollars=sum(load.dollars for load in loads),
    )
    return _cell(total, sum(load.hours for load in loads))


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


def _bytes(gigabytes: float) -> str:
    if gigabytes >= 1000:
        return f"{_number(gigabytes / 1000)} TB"
    return f"{_number(gigabytes)} GB" if gigabytes >= 1 else f"{_number(1000 * gigabytes)} MB"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"


def main() -> None:
    """Print them."""
    sys.stdout.write(tables() + "\n")


if __name__ == "__main__":
    main()
