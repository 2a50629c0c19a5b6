"""The ledger's migrations, in Alembic's form."""
