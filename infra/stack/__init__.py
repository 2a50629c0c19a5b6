"""The server stack as local processes: PostgreSQL, object store, Prefect, MLflow and a worker."""
