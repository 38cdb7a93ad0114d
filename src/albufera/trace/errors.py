"""What the trace refuses, and what it reports as broken."""

from albufera.kernel.errors import define

ENTRY_NOT_FOUND = define(
    "trace-entry-not-found",
    404,
    "There is no such entry in the log, or none that you may know of.",
    "`albufera trace log` lists the entries that you may see.",
)
LOG_EMPTY = define(
    "trace-log-empty",
    404,
    "The log has no entry yet.",
    "Wait a moment: the worker takes waiting events into the log.",
)
TILE_NOT_FOUND = define(
    "trace-tile-not-found",
    404,
    "The log has no such tile.",
    "Read `/trace/checkpoint` for the size of the log; tiles up to that size exist.",
)
LOG_TAMPERED = define(
    "trace-tampered",
    409,
    "The log was changed other than by appending to it.",
    "Keep the database as it is, tell the operator and the auditors, and compare with a backup.",
)
PROOF_INVALID = define(
    "proof-invalid",
    422,
    "The proof does not prove its entry.",
    "Fetch the proof again from the node, and the log's key from somewhere else than the proof.",
)
VERIFICATION_NOT_FOUND = define(
    "verification-not-found",
    404,
    "The log was not verified yet.",
    "Start a verification with `albufera trace verify`.",
)
