"""Backends of identity's ports."""
