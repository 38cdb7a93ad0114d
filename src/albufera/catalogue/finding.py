"""Finding the dataset that an id means, for a caller who may do something to it."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue import records
from albufera.catalogue.model import (
    DATASET_LIFE,
    DATASET_NOT_FOUND,
    DRAFT,
    EDITABLE,
    LIFE_VERBS,
    WITH_MANIFEST,
    Dataset,
)
from albufera.kernel.actor import Actor
from albufera.kernel.errors import NOT_FOUND, Refusal
from albufera.kernel.ids import is_id
from albufera.kernel.policy import Policy, Thing

PREFIX = "ds"
_NEED_MANIFEST = frozenset({"manifest", "list-series"})


def find_known(connection: Connection, dataset_id: str) -> Dataset:
    """Return a dataset by id, whoever asks. Raises `dataset-not-found`; takes any string."""
    found = records.find(connection, dataset_id) if is_id(dataset_id, PREFIX) else None
    if found is None:
        raise DATASET_NOT_FOUND()
    return found


def resolve(
    connection: Connection, policy: Policy, actor: Actor, dataset_id: str, verb: str
) -> Dataset:
    """Return a dataset to which the caller may do `verb`.

    Raises `dataset-not-found`, `forbidden`, `not-signed-in`.
    """
    dataset = find_known(connection, dataset_id)
    try:
        policy.require(connection, actor, verb, thing_of(dataset))
    except Refusal as refusal:
        if refusal.code == NOT_FOUND.code:
            raise DATASET_NOT_FOUND() from refusal
        raise
    return dataset


def resolve_held(
    connection: Connection, policy: Policy, actor: Actor, dataset_id: str, verb: str
) -> Dataset:
    """Return it as `resolve` does, held against other writers until this transaction ends."""
    if is_id(dataset_id, PREFIX):
        mine = records.datasets.c.dataset_id == dataset_id
        connection.execute(sa.select(records.datasets.c.state).where(mine).with_for_update())
    return resolve(connection, policy, actor, dataset_id, verb)


def thing_of(dataset: Dataset) -> Thing:
    """Return the facts that rules look at."""
    return Thing(
        "dataset",
        id=dataset.dataset_id,
        project_id=dataset.project_id,
        owner_id=dataset.created_by,
        state=dataset.state.value,
    )


def allowed_actions(
    connection: Connection, policy: Policy, actor: Actor, dataset: Dataset
) -> tuple[str, ...]:
    """Return what the caller may do to the dataset in its present state."""
    life = set(DATASET_LIFE.allowed(dataset.state))
    if dataset.next_id is not None:
        life.discard("new-version")
    verbs = []
    for verb in policy.allowed(connection, actor, thing_of(dataset)):
        fits = verb in life if verb in LIFE_VERBS else verb != "create"
        if fits and not (verb in _NEED_MANIFEST and dataset.state not in WITH_MANIFEST):
            verbs.append(verb)
    return tuple(verbs)


def editable(dataset: Dataset, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the properties that the caller may edit."""
    return EDITABLE if "edit" in allowed and dataset.state in DRAFT else ()
