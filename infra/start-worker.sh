#!/bin/sh
# A worker of the stack: brings the work pool and the deployments up to date, and works. In a container it first names the
# stack's store as DVC remote; the store's keys are in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).
set -eu

if [ -n "${DVC_ENDPOINT:-}" ]; then
    dvc remote add --local --force stack s3://dvc
    dvc remote modify --local stack endpointurl "$DVC_ENDPOINT"
    dvc config --local core.remote stack
fi
presel deploy
exec presel worker --name "$WORKER_NAME" "$@"
