"""Runs migrations on the connection that `components.instructions.ledger.migration` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
