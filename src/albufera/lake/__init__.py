"""The lake: immutable, de-identified series."""
