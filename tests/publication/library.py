"""Published datasets for tests."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from albufera.catalogue.model import Dataset, Properties
from albufera.catalogue.query.expression import EVERYTHING
from albufera.governance.model import Role
from albufera.kernel.actor import Actor
from albufera.publication.disclosure import public_aggregate
from albufera.publication.model import PublicDataset, PublicVersion, Publisher
from tests.catalogue.lakes import Scan, cohort, fill
from tests.nodes import Town

PUBLISHER = Publisher("Test node", "https://node.example/")
PROPERTIES = Properties(
    name="Lung CT of Valencia",
    description="Chest CT of people who were screened, with lesions outlined by two readers.",
    purpose="Training of detection models",
    licence="CC-BY-4.0",
    contact="lung@node.example",
)


def steward(town: Town, project: str = "LUNG") -> Actor:
    """The steward of a project."""
    return town.people[project, Role.STEWARD]


def release(
    town: Town, properties: Properties = PROPERTIES, scans: Sequence[Scan] | None = None
) -> Dataset:
    """A released dataset of project LUNG, over a lake that is filled for it."""
    fill(town.node, "LUNG", cohort(20) if scans is None else scans)
    actor = steward(town)
    made = town.node.drafts.create(actor, "LUNG", properties, EVERYTHING)
    town.drain()
    return town.node.lifecycle.release(actor, made.dataset_id)


def publish(
    town: Town, properties: Properties = PROPERTIES, scans: Sequence[Scan] | None = None
) -> str:
    """A published dataset with its identifier, in the log; its id."""
    made = release(town, properties, scans)
    town.node.lifecycle.publish(steward(town), made.dataset_id)
    town.drain()
    return made.dataset_id


def publish_next(town: Town, dataset_id: str) -> str:
    """The next version of a dataset, published."""
    actor = steward(town)
    made = town.node.drafts.new_version(actor, dataset_id).dataset_id
    town.drain()
    town.node.lifecycle.release(actor, made)
    town.node.lifecycle.publish(actor, made)
    town.drain()
    return made


def invalidate(town: Town, dataset_id: str, reason: str = "A patient withdrew.") -> None:
    """Invalidate a dataset, and let the worker do what follows."""
    town.node.lifecycle.invalidate(steward(town), dataset_id, reason)
    town.drain()


def public_dataset(**changes: Any) -> PublicDataset:
    """A public dataset that no node made, for tests of formats."""
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    dataset_id = "ds-" + "0" * 26
    mine = PublicVersion(
        dataset_id, 1, "published", "albufera:node/abc", PUBLISHER.page(dataset_id), moment
    )
    made = PublicDataset(
        dataset_id=dataset_id,
        project_id="pr-" + "0" * 26,
        project="LUNG",
        project_name="Lung screening",
        publisher=PUBLISHER,
        version=1,
        state="published",
        name=PROPERTIES.name,
        description=PROPERTIES.description,
        purpose=PROPERTIES.purpose,
        licence=PROPERTIES.licence,
        contact=PROPERTIES.contact,
        aggregate=public_aggregate(AGGREGATE),
        root="a" * 64,
        manifest_sha256="b" * 64,
        manifest_size=1234,
        identifier="albufera:node/abc",
        released_at=moment,
        published_at=moment,
        invalidated_at=None,
        reason="",
        versions=(mine,),
    )
    return replace(made, **changes)


def version(number: int, state: str = "published") -> PublicVersion:
    """Another version of `public_dataset`."""
    dataset_id = "ds-" + str(number) * 26
    moment = datetime(2026, 3, number, tzinfo=UTC)
    return PublicVersion(
        dataset_id, number, state, f"albufera:node/v{number}", PUBLISHER.page(dataset_id), moment
    )


def crash(script: str, home: str, point: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process that dies at a crash point, as by kill -9."""
    environment = {**os.environ, "ALBUFERA_CRASH_AT": point, "ALBUFERA_HOME": home}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )


AGGREGATE: dict[str, Any] = {
    "subjects": 40, "studies": 44, "series": 90, "images": 9000, "bytes": 5_000_000,
    "age": {
        "min": 51, "max": 93, "unknown": 0,
        "bands": [
            {"from": 50, "label": "50–59", "subjects": 20, "sex": {"F": 10, "M": 10}},
            {"from": 60, "label": "60–69", "subjects": 17, "sex": {"F": 17}},
            {"from": 70, "label": "70–79", "subjects": 0, "sex": {}},
            {"from": 80, "label": "80–89", "subjects": 2, "sex": {"M": 2}},
            {"from": 90, "label": "90+", "subjects": 1, "sex": {"M": 1}},
        ],
    },
    "sex": [
        {"value": "F", "subjects": 27, "studies": 30, "series": 60},
        {"value": "M", "subjects": 13, "studies": 14, "series": 30},
    ],
    "modality": [{"value": "CT", "subjects": 40, "studies": 44, "series": 90}],
    "bodyPart": [{"value": "CHEST", "subjects": 40, "studies": 44, "series": 90}],
    "manufacturer": [
        {"value": "SIEMENS", "subjects": 37, "studies": 40, "series": 80},
        {"value": "", "subjects": 3, "studies": 4, "series": 10},
    ],
    "year": [{"value": 2019, "subjects": 40, "studies": 44, "series": 90}],
    "diagnosis": [{"value": "Adenocarcinoma", "subjects": 40}],
}  # fmt: skip
"""Aggregated metadata as the catalogue computes them."""
