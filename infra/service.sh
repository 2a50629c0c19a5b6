#!/usr/bin/env bash
# Become one service of the stack (infra/supervisor.conf), or with more words a command in its environment:
#   infra/service.sh mlflow mlflow db upgrade postgresql+psycopg://
# Secrets are read here and stand in no configuration and on no command line. infra/compose.yaml says the same for
# containers.
set -euo pipefail
# shellcheck source=/dev/null
. "$PRESEL_STACK_FOLDER/secrets.env"
name=$1
shift

case $name in
objects) # rclone's S3 server: a bucket is a folder, an object a file, written under another name and renamed
    export RCLONE_CONFIG=/dev/null RCLONE_AUTH_KEY="\"presel,${objects:?}\""
    command=(rclone serve s3 "$PRESEL_STACK_FOLDER/objects" --addr "127.0.0.1:$PRESEL_STACK_OBJECTS_PORT" --log-level NOTICE)
    ;;
prefect)
    database=prefect:${postgresql_prefect:?}@127.0.0.1:$PRESEL_STACK_POSTGRESQL_PORT/prefect
    export PREFECT_HOME=$PRESEL_STACK_FOLDER/prefect PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://$database
    export PREFECT_SERVER_API_AUTH_STRING=presel:${prefect:?} PREFECT_API_AUTH_STRING=presel:$prefect
    export PREFECT_SERVER_UI_API_URL=http://127.0.0.1:$PRESEL_STACK_PREFECT_PORT/api
    export PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT=false DO_NOT_TRACK=1
    command=(prefect server start --host 127.0.0.1 --port "$PRESEL_STACK_PREFECT_PORT")
    ;;
mlflow) # accounts on; artifacts go through it to the object store
    export PGHOST=127.0.0.1 PGPORT=$PRESEL_STACK_POSTGRESQL_PORT PGUSER=mlflow PGDATABASE=mlflow PGPASSWORD=${postgresql_mlflow:?}
    export MLFLOW_AUTH_CONFIG_PATH=$PWD/infra/mlflow-accounts.ini MLFLOW_AUTH_ADMIN_USERNAME=presel
    export MLFLOW_AUTH_ADMIN_PASSWORD=${mlflow:?} MLFLOW_FLASK_SERVER_SECRET_KEY=${mlflow_forms:?}
    export MLFLOW_S3_ENDPOINT_URL=http://127.0.0.1:$PRESEL_STACK_OBJECTS_PORT
    export AWS_ACCESS_KEY_ID=presel AWS_SECRET_ACCESS_KEY=${objects:?} AWS_DEFAULT_REGION=us-east-1
    # The store returns the checksum of a whole object with each part of it, which clients would refuse.
    export AWS_REQUEST_CHECKSUM_CALCULATION=when_required AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
    # Background jobs serve the evaluation of text models, which nothing here uses.
    export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
    command=(mlflow server --app-name basic-auth --workers 2 --host 127.0.0.1 --port "$PRESEL_STACK_MLFLOW_PORT"
        --backend-store-uri postgresql+psycopg:// --serve-artifacts --artifacts-destination s3://mlflow)
    ;;
worker)
    # shellcheck source=/dev/null
    . "$PRESEL_STACK_FOLDER/client.env"
    export WORKER_NAME=local
    command=(sh infra/start-worker.sh)
    ;;
*)
    echo "service.sh: no service $name; there are objects, prefect, mlflow, worker" >&2
    exit 2
    ;;
esac

if (($#)); then command=("$@"); fi
exec "${command[@]}"
