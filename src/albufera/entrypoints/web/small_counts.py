"""Counts of subjects on pages: hidden where so few may not be told."""

from collections.abc import Sequence

from albufera.bootstrap.node import Node
from albufera.catalogue.model import Dataset
from albufera.kernel.actor import Actor
from albufera.publication.disclosure import SMALL, public_total


def subjects_told(node: Node, actor: Actor, found: Sequence[Dataset]) -> dict[str, int | str]:
    """Return what the viewer is told of each dataset's number of subjects, by dataset id."""
    inside = node.catalogue.known_inside(actor, found)
    told: dict[str, int | str] = {}
    for dataset in found:
        total = dataset.counts.subjects
        known = total if dataset.dataset_id in inside else public_total(total)
        told[dataset.dataset_id] = f"fewer than {SMALL}" if known is None else known
    return told
