"""Alembic migrations: the steps from one version's tables to the next."""
