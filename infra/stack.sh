#!/usr/bin/env bash
# The server stack as processes of this machine: PostgreSQL, object store, Prefect, MLflow and a worker.
#   infra/stack.sh start | stop | status | clean | upgrade | databases     (`make stack` and its like; docs/operations.md)
# PRESEL_STACK_FOLDER and PRESEL_STACK_*_PORT say what differs from the defaults; give every command the same.
set -euo pipefail
umask 077

export PRESEL_STACK_FOLDER=${PRESEL_STACK_FOLDER:-$PWD/.presel/stack}
export PRESEL_STACK_POSTGRESQL_PORT=${PRESEL_STACK_POSTGRESQL_PORT:-5433} PRESEL_STACK_OBJECTS_PORT=${PRESEL_STACK_OBJECTS_PORT:-9000}
export PRESEL_STACK_PREFECT_PORT=${PRESEL_STACK_PREFECT_PORT:-4200} PRESEL_STACK_MLFLOW_PORT=${PRESEL_STACK_MLFLOW_PORT:-5000}
export PRESEL_PROJECT=$PWD PATH=${PRESEL_BIN:-$PWD/.venv/bin}:$PATH
folder=$PRESEL_STACK_FOLDER
secrets=$folder/secrets.env
names="postgresql_admin postgresql_prefect postgresql_mlflow postgresql_ledger objects prefect mlflow mlflow_forms"
prefect_url=http://127.0.0.1:$PRESEL_STACK_PREFECT_PORT
mlflow_url=http://127.0.0.1:$PRESEL_STACK_MLFLOW_PORT
objects_url=http://127.0.0.1:$PRESEL_STACK_OBJECTS_PORT

die() {
    echo "stack: $*" >&2
    exit 1
}

ctl() { supervisorctl -c infra/supervisor.conf "$@"; }

runs() { ctl pid > /dev/null 2>&1; }

port_of() {
    local variable=PRESEL_STACK_${1^^}_PORT
    echo "${!variable}"
}

check_settings() {
    local name port taken=" "
    for name in postgresql objects prefect mlflow; do
        port=$(port_of $name)
        if ! [[ $port =~ ^[0-9]{4,5}$ ]] || ((port < 1024 || port > 65535)); then
            die "PRESEL_STACK_${name^^}_PORT is '$port'; allowed is a port from 1024 to 65535"
        fi
        [[ $taken != *" $port "* ]] || die "two services would have port $port; change one of the PRESEL_STACK_*_PORT"
        taken+="$port "
    done
    ((${#folder} <= 84)) || die "the path $folder is too long for a socket; set PRESEL_STACK_FOLDER to a shorter one"
}

# PostgreSQL's programs, of the version that wrote the data when there is some; it refuses to run as root.
find_postgresql() {
    local version
    version=$(cat "$folder/postgresql/data/PG_VERSION" 2> /dev/null ||
        for bin in /usr/lib/postgresql/*/bin; do basename "${bin%/bin}"; done | sort -n | tail -n 1)
    export PRESEL_STACK_POSTGRESQL=/usr/lib/postgresql/$version/bin
    if [ ! -x "$PRESEL_STACK_POSTGRESQL/postgres" ] && [ ! -e "$folder/postgresql/data" ] && command -v postgres > /dev/null; then
        PRESEL_STACK_POSTGRESQL=$(dirname "$(readlink -f "$(command -v postgres)")")
    fi
    [ -x "$PRESEL_STACK_POSTGRESQL/postgres" ] || [ ! -e "$folder/postgresql/data" ] ||
        die "$folder/postgresql/data was written by PostgreSQL $version, which is not installed; install it, or restore a back-up into a new folder (docs/operations.md)"
    [ -x "$PRESEL_STACK_POSTGRESQL/postgres" ] ||
        die "no PostgreSQL server is installed (Debian, Ubuntu: apt-get install postgresql)"
    PRESEL_STACK_USER=$(id -un)
    export PRESEL_STACK_USER PRESEL_STACK_POSTGRESQL_USER=$PRESEL_STACK_USER
    if [ "$(id -u)" = 0 ]; then
        export PRESEL_STACK_POSTGRESQL_USER=postgres
        id -u postgres > /dev/null 2>&1 ||
            die "PostgreSQL does not run as root, and there is no user postgres; call this as an ordinary user"
    fi
}

as_postgresql() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

# One password per account, drawn once; letters, digits, - and _ only, so that they need no quoting anywhere.
draw_secrets() {
    local name odd
    touch "$secrets"
    [[ $(ls -l "$secrets") == -rw-------* ]] || die "$secrets can be read by others; chmod 600 $secrets, and draw new passwords"
    odd=$(grep -vE "^(${names// /|})=[A-Za-z0-9_-]+$" "$secrets" || true)
    [ -z "$odd" ] || die "$secrets: '${odd%%=*}' is not NAME=PASSWORD with letters, digits, - and _ only, and one of $names"
    for name in $names; do
        grep -q "^$name=" "$secrets" || echo "$name=$(python -c 'import secrets; print(secrets.token_urlsafe(24))')" >> "$secrets"
    done
    # shellcheck source=/dev/null
    . "$secrets"
}

create_cluster() {
    local data=$folder/postgresql/data
    [ ! -e "$data" ] || return 0
    mkdir -p "$folder/postgresql"
    rm -rf "$data.partial"
    printf %s "${postgresql_admin:?}" > "$folder/postgresql/password"
    if [ "$(id -u)" = 0 ]; then
        chown postgres: "$folder/postgresql" "$folder/postgresql/password"
        as_postgresql test -x "$folder/postgresql" ||
            die "PostgreSQL runs as user postgres, who may not enter $folder; call this as an ordinary user, or set PRESEL_STACK_FOLDER to a folder below one that all may enter"
    fi
    as_postgresql "$PRESEL_STACK_POSTGRESQL/initdb" --pgdata "$data.partial" --username presel --auth scram-sha-256 \
        --pwfile "$folder/postgresql/password" --encoding UTF8 --locale C > "$folder/logs/initdb.log" 2>&1 ||
        die "initdb failed: $(cat "$folder/logs/initdb.log")"
    rm "$folder/postgresql/password"
    mv "$data.partial" "$data"
}

# What users, back-ups and DVC need to reach the stack; all of it for the owner's eyes.
write_client_files() {
    mkdir -p "$folder/client"
    echo "127.0.0.1:$PRESEL_STACK_POSTGRESQL_PORT:ledger:ledger:${postgresql_ledger:?}" > "$folder/client/pgpass"
    # The store keeps the checksum of a whole object and returns it with each part. DVC compares its own hashes.
    printf '%s\n' '[default]' request_checksum_calculation=when_required response_checksum_validation=when_required > "$folder/client/s3-settings"
    printf 'export %q\n' "PREFECT_API_URL=$prefect_url/api" "PREFECT_API_AUTH_STRING=presel:${prefect:?}" \
        "MLFLOW_TRACKING_URI=$mlflow_url" MLFLOW_TRACKING_USERNAME=presel "MLFLOW_TRACKING_PASSWORD=${mlflow:?}" \
        PGHOST=127.0.0.1 "PGPORT=$PRESEL_STACK_POSTGRESQL_PORT" PGUSER=ledger PGDATABASE=ledger \
        "PGPASSFILE=$folder/client/pgpass" > "$folder/client.env"
    printf 'export %q\n' "PRESEL_STACK_FOLDER=$folder" PGHOST=127.0.0.1 "PGPORT=$PRESEL_STACK_POSTGRESQL_PORT" PGUSER=presel \
        "PGPASSWORD=${postgresql_admin:?}" > "$folder/admin.env"
}

prepare() {
    mkdir -p "$folder"
    chmod 711 "$folder" # PostgreSQL's own user has to pass through it; what is in it others may not read
    mkdir -p "$folder/logs" "$folder/objects/mlflow" "$folder/objects/dvc"
    draw_secrets
    find_postgresql
    create_cluster
    write_client_files
    runs || (
        # Settings of other servers, or of this stack's clients, are not those of its servers.
        for name in $(compgen -e | grep -E '^(PREFECT_|MLFLOW_|DVC_|PG|AWS_|RCLONE_)'); do unset "$name"; done
        supervisord -c infra/supervisor.conf
    ) || die "the supervisor did not start (log: $folder/logs/supervisor.log)"
    await supervisor 20 runs
    serve 60 postgresql
    PREFECT_ROLE_PASSWORD=${postgresql_prefect:?} MLFLOW_ROLE_PASSWORD=${postgresql_mlflow:?} LEDGER_ROLE_PASSWORD=$postgresql_ledger \
        PGPASSWORD=$postgresql_admin "$PRESEL_STACK_POSTGRESQL/psql" --no-psqlrc --quiet --host 127.0.0.1 \
        --port "$PRESEL_STACK_POSTGRESQL_PORT" --username presel --dbname postgres --file infra/postgresql-roles.sql > /dev/null
}

# Start services side by side and wait until each answers.
serve() {
    local seconds=$1 name
    shift
    for name in "$@"; do
        ctl status "$name" 2> /dev/null | grep -qE 'RUNNING|STARTING' && continue
        if [ "$name" != worker ] && (exec 3<> "/dev/tcp/127.0.0.1/$(port_of "$name")") 2> /dev/null; then
            die "port $(port_of "$name") of $name is in use; end what listens there (ss -ltnp names it) or set PRESEL_STACK_${name^^}_PORT to a free port"
        fi
        ctl start "$name" > /dev/null & # returns only when it has stayed up for a second
    done
    wait
    for name in "$@"; do await "$name" "$seconds" is_healthy "$name"; done
}

await() {
    local name=$1 seconds=$2 state=
    shift 2
    local ends=$((SECONDS + seconds))
    until "$@" > /dev/null 2>&1; do
        state=$(ctl status "$name" 2> /dev/null | awk '{print $2}')
        if [[ $state =~ ^(FATAL|EXITED|STOPPED|UNKNOWN)$ ]] || ((SECONDS > ends)); then
            tail -n 15 "$folder/logs/$name.log" >&2 || true
            die "$name does not answer (${state:-not there}); above is the end of $folder/logs/$name.log"
        fi
        sleep 0.5
    done
    [ "$name" = supervisor ] || echo "$name answers"
}

is_healthy() {
    case $1 in
    postgresql) "$PRESEL_STACK_POSTGRESQL/pg_isready" --quiet --host 127.0.0.1 --port "$PRESEL_STACK_POSTGRESQL_PORT" ;;
    objects) answers "$objects_url" 400 ;; # what it says to a request without a signature
    prefect) answers "$prefect_url/api/ready" 200 ;;
    mlflow) answers "$mlflow_url/health" 200 ;;
    worker) worker_is_online ;;
    esac
}

answers() {
    python -c 'import sys, httpx; sys.exit(httpx.get(sys.argv[1], timeout=5, trust_env=False).status_code != int(sys.argv[2]))' "$@"
}

worker_is_online() {
    PASSWORD=$prefect python -c 'if True:
        import os, sys, httpx
        found = httpx.post(sys.argv[1], json={}, auth=("presel", os.environ["PASSWORD"]), timeout=5, trust_env=False).json()
        sys.exit(not any(one["name"] == "local" and one["status"] == "ONLINE" for one in found))
    ' "$prefect_url/api/work_pools/presel/workers/filter"
}

# The stack's bucket is the DVC remote of this checkout while it runs (.dvc/config.local, which git ignores).
connect_dvc() {
    local there
    there=$(dvc config --local core.remote 2> /dev/null || true)
    if [ -n "$there" ] && [ "$there" != stack ]; then
        echo "the DVC remote stays as .dvc/config.local has it: $there"
        return
    fi
    # Not by `dvc remote modify`: everyone may read a command line.
    OBJECTS_KEY=${objects:?} python - "$objects_url" "$folder/client/s3-settings" << 'END'
import os, sys
from dvc.config import Config

with Config(".dvc").edit("local") as local:
    local.setdefault("core", {})["remote"] = "stack"
    local.setdefault("remote", {})["stack"] = {
        "url": "s3://dvc",
        "endpointurl": sys.argv[1],
        "region": "us-east-1",
        "configpath": sys.argv[2],
        "access_key_id": "presel",
        "secret_access_key": os.environ["OBJECTS_KEY"],
    }
END
    chmod 600 .dvc/config.local
    echo "the DVC remote of this checkout is the stack's, until it is stopped (.dvc/config.local)"
}

start() {
    prepare
    serve 240 objects prefect mlflow
    serve 240 worker
    connect_dvc
    cat << END

Prefect     $prefect_url/login   log in with presel:PASSWORD (line prefect= of $secrets)
MLflow      $mlflow_url   the same (line mlflow=)
use it      source $folder/client.env
            presel run --params conf/stack.yaml   (the ledger on PostgreSQL too)
logs        $folder/logs
stop        make stack-stop   (everything is kept)
END
}

stop() {
    if [ "$(dvc config --local core.remote 2> /dev/null || true)" = stack ]; then
        dvc remote remove --quiet --local stack
    fi
    find_postgresql
    runs || { echo "nothing runs"; return; }
    local process
    process=$(ctl pid)
    ctl shutdown > /dev/null
    while kill -0 "$process" 2> /dev/null; do sleep 0.2; done
    echo stopped
}

check_stopped() {
    find_postgresql
    ! runs || die "the stack runs; stop it first (make stack-stop)"
}

check_settings
case ${1:-} in
start) start ;;
stop) stop ;;
status)
    find_postgresql
    runs || { echo "nothing runs"; exit 1; }
    ctl status # exit code 3 unless all run
    ;;
clean)
    check_stopped
    rm -rf "$folder"
    ;;
upgrade) # only PostgreSQL runs meanwhile
    check_stopped
    prepare
    trap stop EXIT
    bash infra/service.sh mlflow mlflow db upgrade postgresql+psycopg://
    bash infra/service.sh mlflow python -m mlflow.server.auth db upgrade --url postgresql+psycopg://
    bash infra/service.sh prefect prefect server database upgrade --yes
    ;;
databases) # PostgreSQL alone, with the empty databases that a back-up is restored into
    prepare
    ;;
*) die "usage: infra/stack.sh start | stop | status | clean | upgrade | databases" ;;
esac
