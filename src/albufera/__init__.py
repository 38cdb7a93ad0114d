"""Albufera: the open-source platform for cancer imaging repositories."""

__version__ = "0.1.0"
