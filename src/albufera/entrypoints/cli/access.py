"""`application` and `grant`: asking for access, deciding, revoking."""

from datetime import UTC, datetime

import click

from albufera.entrypoints.cli.context import Commander, pass_commander

UNTIL = click.DateTime(["%Y-%m-%d"])
_APPLICATION = ("applicationId", "state", "applicant", "datasetId", "submittedAt", "purpose")
_GRANT = ("grantId", "state", "username", "datasetId", "endsAt", "conditions")


def _moment(until: datetime | None) -> str | None:
    return None if until is None else until.replace(tzinfo=UTC).isoformat()


@click.group()
def application() -> None:
    """Applications for access to datasets."""


@application.command("submit")
@click.argument("dataset")
@click.option("--purpose", required=True, help="What the dataset is wanted for.")
@pass_commander
def submit(commander: Commander, dataset: str, purpose: str) -> None:
    """Ask to use DATASET for a purpose."""
    body = {"purpose": purpose}
    commander.output.record(commander.client.post(f"datasets/{dataset}/applications", body))


@application.command("list")
@click.option("--to-decide", "scope", flag_value="to-decide", help="Those that wait for you.")
@click.option("--mine", "scope", flag_value="own", help="Those that you submitted.")
@pass_commander
def list_applications(commander: Commander, scope: str | None) -> None:
    """List the applications that you may see."""
    commander.output.table(commander.client.items("applications", scope=scope), _APPLICATION)


@application.command("show")
@click.argument("application_id", metavar="APPLICATION")
@pass_commander
def show(commander: Commander, application_id: str) -> None:
    """Show an application and what you may do to it."""
    commander.output.record(commander.client.get(f"applications/{application_id}"))


@application.command("approve")
@click.argument("application_id", metavar="APPLICATION")
@click.option("--reason", default="", help="Why.")
@click.option("--until", type=UNTIL, help="The last moment of the grant is the start of this day.")
@click.option("--conditions", default="", help="What the person must keep to.")
@pass_commander
def approve(
    commander: Commander, application_id: str, reason: str, until: datetime | None, conditions: str
) -> None:
    """Approve an application: the applicant holds a grant (a year, unless --until says else)."""
    body = {"reason": reason, "endsAt": _moment(until), "conditions": conditions}
    commander.output.record(commander.client.post(f"applications/{application_id}/approve", body))


@application.command("reject")
@click.argument("application_id", metavar="APPLICATION")
@click.option("--reason", required=True, help="Why; the applicant reads it.")
@pass_commander
def reject(commander: Commander, application_id: str, reason: str) -> None:
    """Reject an application."""
    body = {"reason": reason}
    commander.output.record(commander.client.post(f"applications/{application_id}/reject", body))


@application.command("withdraw")
@click.argument("application_id", metavar="APPLICATION")
@pass_commander
def withdraw(commander: Commander, application_id: str) -> None:
    """Take your own application back."""
    commander.output.record(commander.client.post(f"applications/{application_id}/withdraw"))


@click.group()
def grant() -> None:
    """Grants: who may use which dataset until when."""


@grant.command("list")
@click.option("--mine", "scope", flag_value="own", help="Those that you hold.")
@pass_commander
def list_grants(commander: Commander, scope: str | None) -> None:
    """List the grants that you may see."""
    commander.output.table(commander.client.items("grants", scope=scope), _GRANT)


@grant.command("give")
@click.argument("dataset")
@click.argument("username")
@click.option("--until", type=UNTIL, help="The grant ends at the start of this day.")
@click.option("--conditions", default="", help="What the person must keep to.")
@pass_commander
def give(
    commander: Commander, dataset: str, username: str, until: datetime | None, conditions: str
) -> None:
    """Give USERNAME access to DATASET without an application."""
    body = {
        "datasetId": dataset,
        "username": username,
        "endsAt": _moment(until),
        "conditions": conditions,
    }
    commander.output.record(commander.client.post("grants", body))


@grant.command("revoke")
@click.argument("grant_id", metavar="GRANT")
@pass_commander
def revoke(commander: Commander, grant_id: str) -> None:
    """End a grant now; nothing that runs under it goes on."""
    commander.output.record(commander.client.post(f"grants/{grant_id}/revoke"))


COMMANDS = (application, grant)
