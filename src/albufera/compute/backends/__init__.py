"""Backends of the compute ports: the local bubblewrap sandbox."""
