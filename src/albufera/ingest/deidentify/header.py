"""The cleaned header as a pydicom data set that can be read without warnings or surprises."""

from threading import Lock

from pydicom.charset import encode_string  # noqa: F401

_SETTINGS = Lock()
