"""All benchmarks one after the other (`python -m bench --out FOLDER`): a table each on the terminal, and JSON."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import (
    gpu,
    greedy_mmd,
    influence,
    ingest_memory,
    instruction_relevance_score,
    k_means,
    neighbour_centrality,
    per_sample_gradients,
    photographs,
    recuration,
    selection,
    selection_memory,
)

BENCHMARKS: dict[str, Callable[[Sequence[str]], None]] = {
    "greedy_mmd": greedy_mmd.main,
    "influence": influence.main,
    "neighbour_centrality": neighbour_centrality.main,
    "per_sample_gradients": per_sample_gradients.main,
    "instruction_relevance_score": instruction_relevance_score.main,
    "k_means": k_means.main,
    "selection": selection.main,
    "selection_memory": selection_memory.main,
    "recuration": recuration.main,
    "ingest_memory": ingest_memory.main,
    "photographs": photographs.main,
    "gpu": gpu.main,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which; default: all")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), help="folder for the JSON files")
    options = parser.parse_args(arguments)
    for name in options.names or BENCHMARKS:
        sys.stdout.write(f"\n{name}\n")
        BENCHMARKS[name](["--out", str(options.out / f"{name}.json")])


if __name__ == "__main__":
    main()
