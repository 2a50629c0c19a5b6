-- One role and one database of its name per service; nobody else may connect to it. Done again, it gives the roles the
-- passwords that the environment holds now.
\set ON_ERROR_STOP on
\getenv prefect_password PREFECT_ROLE_PASSWORD
\getenv mlflow_password MLFLOW_ROLE_PASSWORD
\getenv ledger_password LEDGER_ROLE_PASSWORD
select format('create role %I', name) from unnest(array['prefect', 'mlflow', 'ledger']) as name
where not exists (select from pg_roles where rolname = name) \gexec
alter role prefect login password :'prefect_password';
alter role mlflow login password :'mlflow_password';
alter role ledger login password :'ledger_password';
select format('create database %I owner %I', name, name) from unnest(array['prefect', 'mlflow', 'ledger']) as name
where not exists (select from pg_database where datname = name) \gexec
revoke connect on database prefect, mlflow, ledger from public;
