-- One role and one database of its name per service; nobody else may connect to it. Run once, on an empty cluster.
\set ON_ERROR_STOP on
\getenv prefect_password PREFECT_ROLE_PASSWORD
\getenv mlflow_password MLFLOW_ROLE_PASSWORD
\getenv ledger_password LEDGER_ROLE_PASSWORD
create role prefect login password :'prefect_password';
create role mlflow login password :'mlflow_password';
create role ledger login password :'ledger_password';
create database prefect owner prefect;
create database mlflow owner mlflow;
create database ledger owner ledger;
revoke connect on database prefect, mlflow, ledger from public;
