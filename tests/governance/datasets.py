"""Real datasets for tests of access: selected from a small lake, built by the worker, released."""

from albufera.catalogue.model import Properties
from albufera.catalogue.query.language import parse
from albufera.governance.model import Role
from tests.catalogue.lakes import cohort, fill
from tests.nodes import Town


def release_dataset(town: Town, code: str = "LUNG", name: str = "Cohort") -> str:
    """Fill the project's lake, make a dataset of it, release it; return its id."""
    steward = town.people[code, Role.STEWARD]
    fill(town.node, code, cohort(3))
    made = town.node.drafts.create(steward, code, Properties(name), parse("modality = CT"))
    town.drain()
    town.node.lifecycle.release(steward, made.dataset_id)
    return made.dataset_id
