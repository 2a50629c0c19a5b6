"""The work itself: typed functions that know nothing of Prefect, DVC or MLflow."""
