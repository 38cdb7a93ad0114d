"""Takes files in from a process of its own, for tests that limit or kill it.

python -m tests.ingest.child HOME PATH…   prints the run's end and the peak of memory as JSON.
"""

import json
import resource
import sys
from pathlib import Path

from albufera.bootstrap.node import local_operator, open_node
from albufera.kernel.pages import PageRequest
from albufera.settings import Settings

ADDRESS_SPACE = 2 * 2**30


def main(home: str, *paths: str) -> None:
    """Take the paths in as the operator."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    node = open_node(Settings(home=Path(home)))
    actor = local_operator(node).actor()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ingest = node.ingests.ingest_paths(
        actor, "LUNG", "main", [Path(path) for path in paths], lambda done, total: None
    )
    items = node.ingests.items(actor, ingest.ingest_id, None, PageRequest(limit=500)).items
    told = {
        "state": ingest.state.value,
        "counts": {state.value: count for state, count in ingest.counts.items()},
        "ends": {item.path: item.code or item.state.value for item in items},
        "grownMebibytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
    }
    node.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
