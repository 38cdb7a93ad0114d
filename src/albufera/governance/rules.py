"""The one table of who may do what. Everything else about permission is derived from it.

A rule reads: *whoever is `who` may do `verbs` to a thing of `kind` that is in one of `states`*.
The permission matrix in the documentation is generated from this table, and a test walks every
role × verb × state through it.
"""

from dataclasses import dataclass
from enum import StrEnum

from albufera.governance.model import Role


class Relation(StrEnum):
    """Who somebody is to a thing, other than by a role in its project."""

    ANYONE = "anyone"
    SIGNED_IN = "signed-in user"
    MEMBER = "member of the project"
    OWNER = "owner"
    GRANTEE = "holder of a grant"
    OPERATOR = "operator"


Who = Role | Relation

ANY_STATE: frozenset[str] = frozenset()
OPEN = frozenset({"released", "published"})
KNOWN = frozenset({"released", "published", "invalidated"})


@dataclass(frozen=True)
class Rule:
    """One row of the table. `states` empty means any; `never_owner` asks for a second person."""

    kind: str
    verbs: tuple[str, ...]
    who: tuple[Who, ...]
    states: frozenset[str] = ANY_STATE
    never_owner: bool = False


_STEWARD = Role.STEWARD
_RESEARCHER = Role.RESEARCHER
_ADMINISTRATOR = Role.PROJECT_ADMINISTRATOR
_COMMITTEE = Role.COMMITTEE_MEMBER
_REVIEWER = Role.OUTPUT_REVIEWER
_AUDITOR = Role.AUDITOR
_OPERATOR = Relation.OPERATOR
_OWNER = Relation.OWNER
_GRANTEE = Relation.GRANTEE
_MEMBER = Relation.MEMBER

RULES: tuple[Rule, ...] = (
    # The node and its people.
    Rule("node", ("view", "administer", "join"), (_OPERATOR,)),
    Rule("user", ("create", "list", "disable", "set-password"), (_OPERATOR,)),
    Rule("user", ("set-password",), (_OWNER,)),
    # Projects.
    Rule("project", ("view",), (_MEMBER, _OPERATOR)),
    Rule("project", ("create",), (_OPERATOR,)),
    Rule("project", ("manage", "members"), (_ADMINISTRATOR, _OPERATOR)),
    # Taking studies in.
    Rule("ingest", ("submit",), (_STEWARD, _OPERATOR)),
    Rule("ingest", ("view",), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("ingest", ("cancel",), (_STEWARD, _OPERATOR)),
    # Studies and series of the lake. A grantee's series are those of the granted datasets.
    Rule("study", ("view",), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("series", ("view", "render"), (_STEWARD, _ADMINISTRATOR, _GRANTEE, _OPERATOR)),
    Rule("series", ("retrieve",), (_STEWARD, _OPERATOR)),
    Rule("series", ("count",), (_MEMBER, _GRANTEE, _OPERATOR)),
    # Clinical data.
    Rule("clinical", ("define-form",), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("clinical", ("load",), (_STEWARD, _OPERATOR)),
    Rule("clinical", ("view",), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("clinical", ("view-form",), (_MEMBER, _OPERATOR)),
    # Datasets.
    Rule("dataset", ("create",), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("dataset", ("view",), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("dataset", ("view",), (_MEMBER, _GRANTEE), states=KNOWN),
    Rule("dataset", ("view",), (Relation.ANYONE,), states=frozenset({"published"})),
    Rule("dataset", ("edit", "cancel", "retry"), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("dataset", ("release", "new-version"), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("dataset", ("publish",), (_ADMINISTRATOR, _STEWARD, _OPERATOR)),
    Rule("dataset", ("invalidate",), (_ADMINISTRATOR, _STEWARD, _OPERATOR)),
    Rule("dataset", ("verify",), (_STEWARD, _ADMINISTRATOR, _AUDITOR, _OPERATOR)),
    Rule("dataset", ("manifest",), (_STEWARD, _ADMINISTRATOR, _AUDITOR, _OPERATOR)),
    Rule("dataset", ("manifest",), (_MEMBER, _GRANTEE), states=KNOWN),
    Rule("dataset", ("list-series",), (_STEWARD, _ADMINISTRATOR, _OPERATOR)),
    Rule("dataset", ("list-series",), (_GRANTEE,), states=OPEN),
    Rule("dataset", ("apply",), (_MEMBER,), states=OPEN),
    Rule("dataset", ("apply",), (Relation.SIGNED_IN,), states=frozenset({"published"})),
    Rule("dataset", ("grant",), (_COMMITTEE, _OPERATOR), states=OPEN),
    Rule("dataset", ("use",), (_GRANTEE, _OPERATOR), states=OPEN),
    # Applications and grants.
    Rule("application", ("view",), (_OWNER, _COMMITTEE, _ADMINISTRATOR, _AUDITOR, _OPERATOR)),
    Rule("application", ("decide",), (_COMMITTEE, _OPERATOR), never_owner=True),
    Rule("application", ("withdraw",), (_OWNER,)),
    Rule("grant", ("view",), (_OWNER, _COMMITTEE, _ADMINISTRATOR, _AUDITOR, _OPERATOR)),
    Rule("grant", ("revoke",), (_COMMITTEE, _OPERATOR)),
    # Work beside the data. Logs may show what a program printed of the data.
    Rule("job", ("view", "cancel"), (_OWNER, _OPERATOR)),
    Rule("job", ("logs",), (_OWNER,)),
    Rule("job", ("egress",), (_OWNER,)),
    # The airlock: whoever asks never reviews.
    Rule("egress", ("view",), (_OWNER, _REVIEWER, _AUDITOR, _OPERATOR)),
    Rule("egress", ("inspect",), (_REVIEWER, _OPERATOR), never_owner=True),
    Rule("egress", ("review",), (_REVIEWER, _OPERATOR), never_owner=True),
    Rule("egress", ("fetch",), (_OWNER,), states=frozenset({"approved"})),
    # The trace: everybody sees what they did; auditors and administrators see their project.
    Rule("trace", ("view",), (_OWNER, _AUDITOR, _ADMINISTRATOR, _STEWARD, _OPERATOR)),
    Rule("trace", ("verify",), (_AUDITOR, _OPERATOR)),
    # The federation, seen from the hub.
    Rule("hub", ("enrol", "view-nodes", "suspend"), (_OPERATOR,)),
    Rule("hub", ("query",), (Relation.SIGNED_IN,)),
    Rule("query", ("view",), (_OWNER, _OPERATOR)),
)

VERBS: frozenset[str] = frozenset(f"{rule.kind}.{verb}" for rule in RULES for verb in rule.verbs)
"""Every verb that the policy knows, such as `dataset.release`."""

VIEW_VERBS = {
    "series": "series.view",
    "clinical": "clinical.view-form",
    "user": "user.list",
    "hub": "hub.query",
}
"""By what verb a thing of a kind is known to somebody, where that is not `<kind>.view`."""
