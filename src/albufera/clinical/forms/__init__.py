"""E-forms: reading a JSON Schema into variables, and the forms that ship with the product."""

from importlib import resources

from albufera.clinical.forms.reading import read_form

__all__ = ["demonstration_form", "read_form"]


def demonstration_form() -> bytes:
    """Return the JSON Schema of the demonstration e-form (lung cancer)."""
    return resources.files(__package__).joinpath("lung.json").read_bytes()
