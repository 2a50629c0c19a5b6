"""Scores of an earlier curation that still hold: same reference model, same instruction."""

import pyarrow as pa
import pyarrow.compute as pc


def scores_that_hold(scores: pa.Table, scored: pa.Table, instructions: pa.Table) -> pa.Table:
    """Keep the scores of samples whose instruction is the same as when they were scored.

    Args:
        scores: SCORES of the earlier curation, made with the reference model that is in use now.
        scored: INSTRUCTIONS that they were made with.
        instructions: INSTRUCTIONS of the reference set now.

    Returns:
        SCORES, rows in their order.
    """
    before = dict(zip(scored["sample_id"].to_pylist(), scored["turns"].to_pylist(), strict=True))
    now = dict(zip(instructions["sample_id"].to_pylist(), instructions["turns"].to_pylist(), strict=True))
    same = [sample_id for sample_id, turns in now.items() if before.get(sample_id) == turns]
    return scores.filter(pc.is_in(scores["sample_id"], value_set=pa.array(same, pa.string())))


def join_scores(kept: pa.Table, added: pa.Table) -> pa.Table:
    """Scores of both, sorted by sample_id."""
    return pa.concat_tables([kept, added]).sort_by("sample_id").combine_chunks()
