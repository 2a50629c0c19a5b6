"""What stages stand on: declaration and runner, DVC, MLflow, registry, run archive."""
