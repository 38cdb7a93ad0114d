"""Registrars: where identifiers are registered."""
