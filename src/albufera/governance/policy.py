"""The policy: the rule table compiled to SQL, so that *may I?* and *which rows?* agree.

`which` gives the condition over a table's columns; `may` evaluates the very same condition over
the literal facts of one thing. There is no second implementation that could differ.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.governance.model import Role
from albufera.governance.records import grants, memberships
from albufera.governance.rules import RULES, VERBS, VIEW_VERBS, Relation, Rule, Who
from albufera.kernel import clock
from albufera.kernel.actor import Actor, ActorKind
from albufera.kernel.errors import FORBIDDEN, NOT_FOUND, NOT_SIGNED_IN
from albufera.kernel.policy import Columns, Thing

Condition = sa.ColumnElement[bool]
GranteeRelation = Callable[[Columns, Condition], Condition]
"""Given a kind's columns and *the grant is mine and active*, tells when a row is granted."""


class TablePolicy:
    """Answers from `RULES`.

    `grantee_relations` says, for kinds that are not datasets themselves, how a grant reaches them
    (series belong to datasets; that join is the catalogue's to know, and `bootstrap` brings it).
    """

    def __init__(self, grantee_relations: Mapping[str, GranteeRelation] | None = None) -> None:
        self._grantee = {"dataset": _grant_of_dataset, **(grantee_relations or {})}

    def which(self, actor: Actor, verb: str, columns: Columns) -> Condition:
        """Return the condition true for the rows to which `actor` may do `verb`."""
        if verb not in VERBS:
            raise KeyError(f"the policy knows no verb {verb!r}")
        if actor.kind is ActorKind.SYSTEM:
            return sa.true()
        kind, _, name = verb.partition(".")
        rules = [rule for rule in RULES if rule.kind == kind and name in rule.verbs]
        return sa.or_(sa.false(), *(self._compile(rule, actor, columns) for rule in rules))

    def may(self, connection: Connection, actor: Actor, verb: str, thing: Thing) -> bool:
        """Tell whether `actor` may do `verb` to `thing` now."""
        condition = self.which(actor, verb, _literals(thing))
        return bool(connection.scalar(sa.select(_as_integer(condition))))

    def require(self, connection: Connection, actor: Actor, verb: str, thing: Thing) -> None:
        """Raise `not-signed-in`, `not-found` or `forbidden` unless `actor` may."""
        if self.may(connection, actor, verb, thing):
            return
        view = VIEW_VERBS.get(thing.kind, f"{thing.kind}.view")
        if thing.id and view != verb and self.may(connection, actor, view, thing):
            if actor.kind is ActorKind.ANONYMOUS:
                raise NOT_SIGNED_IN()
            raise FORBIDDEN(
                f"You may see this {thing.kind}, but not “{verb.partition('.')[2]}” it."
            )
        if actor.kind is ActorKind.ANONYMOUS:
            raise NOT_SIGNED_IN()
        if thing.id:
            raise NOT_FOUND()
        raise FORBIDDEN(f"This needs the permission “{verb}”.")

    def allowed(self, connection: Connection, actor: Actor, thing: Thing) -> tuple[str, ...]:
        """Return the verbs that `actor` may do to `thing` now, in one query."""
        names = sorted({verb for verb in VERBS if verb.startswith(thing.kind + ".")})
        literals = _literals(thing)
        answers = connection.execute(
            sa.select(*(_as_integer(self.which(actor, verb, literals)) for verb in names))
        ).one()
        return tuple(
            verb.partition(".")[2] for verb, yes in zip(names, answers, strict=True) if yes
        )

    def _compile(self, rule: Rule, actor: Actor, columns: Columns) -> Condition:
        somebody = sa.or_(*(self._who(who, rule, actor, columns) for who in rule.who))
        conditions = [somebody]
        if rule.states:
            if columns.state is None:
                return sa.false()
            conditions.append(columns.state.in_(sorted(rule.states)))
        if rule.never_owner and columns.owner_id is not None:
            conditions.append(columns.owner_id != actor.user_id)
        return sa.and_(*conditions)

    def _who(self, who: Who, rule: Rule, actor: Actor, columns: Columns) -> Condition:
        if who is Relation.ANYONE:
            return sa.true()
        if actor.kind is ActorKind.ANONYMOUS:
            return sa.false()
        if isinstance(who, Role):
            return _has_role(actor, columns, who)
        match who:
            case Relation.SIGNED_IN:
                return sa.true()
            case Relation.OPERATOR:
                return sa.true() if actor.is_operator else sa.false()
            case Relation.MEMBER:
                return _has_role(actor, columns, *Role)
            case Relation.OWNER:
                owner = columns.owner_id
                return sa.false() if owner is None else owner == actor.user_id
            case Relation.GRANTEE:
                return self._granted(rule.kind, actor, columns)
            case _:
                raise ValueError(who)

    def _granted(self, kind: str, actor: Actor, columns: Columns) -> Condition:
        relation = self._grantee.get(kind)
        if relation is None or columns.id is None:
            return sa.false()
        moment = clock.now()
        mine = sa.and_(
            grants.c.user_id == actor.user_id,
            grants.c.revoked_at.is_(None),
            grants.c.starts_at <= moment,
            grants.c.ends_at > moment,
        )
        return relation(columns, mine)


def _grant_of_dataset(columns: Columns, mine: Condition) -> Condition:
    return sa.exists().where(grants.c.dataset_id == columns.id, mine).correlate_except(grants)


def _has_role(actor: Actor, columns: Columns, *roles: Role) -> Condition:
    if columns.project_id is None:
        return sa.false()
    return columns.project_id.in_(
        sa.select(memberships.c.project_id).where(
            memberships.c.user_id == actor.user_id,
            memberships.c.role.in_([role.value for role in roles]),
        )
    )


def _literals(thing: Thing) -> Columns:
    return Columns(
        id=_literal(thing.id),
        project_id=_literal(thing.project_id),
        owner_id=_literal(thing.owner_id),
        state=_literal(thing.state),
    )


def _literal(value: str | None) -> sa.ColumnElement[Any] | None:
    return None if value is None else sa.literal(value, sa.String)


def _as_integer(condition: Condition) -> sa.ColumnElement[int]:
    return sa.case((condition, 1), else_=0)
