#!/bin/sh
# A worker in a container: names the stack's store as DVC remote, brings pool and deployments up to date, and works.
# Keys of the store are in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).
set -eu

dvc remote add --local --force stack s3://dvc
dvc remote modify --local stack endpointurl "$DVC_ENDPOINT"
dvc config --local core.remote stack

template=infra/work_pools/process.json
if [ -f "$template" ]; then
    set -- --base-job-template "$template"
else
    set --
fi
python -m infra.prefect_in_project work-pool create presel --type process --overwrite "$@"
if [ -f prefect.yaml ]; then
    python -m infra.prefect_in_project --no-prompt deploy --all
fi
exec python -m infra.prefect_in_project worker start --pool presel --type process --name "${WORKER_NAME:-compose}" \
    --install-policy never --with-healthcheck
