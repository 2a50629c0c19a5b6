"""How large the controls are that a run is measured beside."""


def control_size(name: str, *, training_set: int, pool: int) -> int:
    """Images of a control, drawn uniformly from the pool.

    Args:
        name: of the control, one of the parameter `baselines`.
        training_set: samples of the run's own training set.
        pool: samples of the pool.

    Returns:
        As many as the training set has, or the whole pool.
    """
    return {"random": training_set, "full": pool}[name]
