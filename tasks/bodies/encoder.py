"""Which vectors a run reads: those of its encoder."""

from components.models.embedding.vector_store import encoder_fingerprint
from components.parameters.parameters import Parameters

# What names the vectors; beside these the encoder's snapshot, `inputs/encoder.json`.
ENCODER_PARAMETERS = ("encoder.model", "encoder.revision", "encoder.dtype")


def vectors_key(parameters: Parameters) -> str:
    """Under which the vectors of a run are stored."""
    encoder = parameters.encoder
    return encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype)
