"""What a scale is computed from (`bench.scale_table`): measured numbers with their source, and assumptions named so."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, its unit and where it comes from.

    Attributes:
        value: the number.
        unit: of it.
        kind: measured, by the command in `source`; or assumed, for the reason there.
        source: where from.
    """

    value: float
    unit: str
    kind: Literal["measured", "assumed"]
    source: str


# Times of a core are processor time on the 2-core x86-64 machine with AVX2 of docs/measurements.md.
INGEST = Constant(6.7, "core ms an image", "measured", "bench.photographs: ingest, near duplicates")
INGEST_MEMORY = Constant(3.3, "kB an image", "measured", "bench.ingest_memory")
TABLES = Constant(0.1, "kB an image", "measured", "bench.ingest_memory, short names")
HASH_PAIRS = Constant(1.0, "thousand million a core s", "measured", "find_near_duplicates of 100,000 random hashes")
PIXELS = Constant(9.3, "core ms an image", "measured", "bench.photographs: decode, resize and crop for 224 pixels")
CLUSTER_20K = Constant(2.9, "core s", "measured", "bench.k_means: 20,000 x 768, k = 200, exchanges")
CLUSTER_80K = Constant(40.5, "core s", "measured", "bench.k_means: 80,000 x 768, k = 800, exchanges")
PRODUCTS = Constant(50, "GFLOPS a core", "measured", "faiss's product of vectors and centroids")
SELECT = Constant(0.25, "core ms an image", "measured", "bench.selection --tasks-shape llava-665k: select")
SELECT_MEMORY = Constant(6.8, "kB an image", "measured", "bench.selection --tasks-shape llava-665k: peak")
INSTRUCTION = Constant(0.0005, "USD", "assumed", "gpt-4.1-mini, $50 for 15 % of 665,000 images (README)")
PHOTOGRAPH = Constant(160, "kB", "assumed", "COCO's mean; the drawn photographs have 170")
GPU = Constant(300, "TFLOPS", "assumed", "a GPU of the H100 class at 30 % of its bfloat16 rate; bench.gpu measures it")
ENCODER = Constant(45, "GFLOP an image", "assumed", "arithmetic: DINOv2 base, 224 pixels, 257 tokens x 2 x 86 M")
VLM = Constant(7, "thousand million weights", "assumed", "LLaVA-1.5-7B")
TOKENS = Constant(800, "tokens a sample", "assumed", "576 of the image, the rest text as in LLaVA-665K")
WIDTH = Constant(768, "numbers a vector", "assumed", "DINOv2 base, float32")
CONSTANTS = {
    name: value for name, value in sorted(globals().items()) if isinstance(value, Constant)
}  # in the order of their names
