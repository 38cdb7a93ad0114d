"""What this node has published, in the words of the federation."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue.model import Dataset, DatasetState
from albufera.catalogue.query.expression import from_json
from albufera.catalogue.query.sql import EVERY_SERIES, compile_filter
from albufera.catalogue.records import DATASETS, dataset_series, datasets, to_dataset
from albufera.clinical.facts import has_diagnosis
from albufera.federation.expressions import Expression
from albufera.federation.messages import (
    MAX_VALUES,
    DatasetOffer,
    Share,
    TellCount,
    as_plain,
)
from albufera.federation.model import Told
from albufera.federation.node.disclosure import round_down
from albufera.kernel import clock
from albufera.lake.records import series, studies, subjects
