"""`study`: what is in the lake."""

import click

from albufera.entrypoints.cli.context import Commander, pass_commander

MAX_LISTED = 500


@click.group()
def study() -> None:
    """Studies of the lake."""


@study.command("list")
@click.option("--project", help="The project's code.")
@click.option("--collection", help="A collection of the project.")
@click.option("--subject", help="A subject's pseudonym.")
@click.option("--modality", help="Only studies with series of this modality (CT, MR, …).")
@click.option("--text", help="Words of a description or a body part.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, MAX_LISTED))
@pass_commander
def list_studies(
    commander: Commander,
    project: str | None,
    collection: str | None,
    subject: str | None,
    modality: str | None,
    text: str | None,
    limit: int,
) -> None:
    """List studies, newest first."""
    page = commander.client.get(
        "studies",
        project=project,
        collection=collection,
        subject=subject,
        modality=modality,
        q=text,
        limit=limit,
    )
    columns = ("studyId", "subject", "date", "modalities", "seriesCount", "instanceCount")
    commander.output.table(page["items"], columns)


@study.command("show")
@click.argument("study_id")
@pass_commander
def show(commander: Commander, study_id: str) -> None:
    """Show a study and its series."""
    found = commander.client.get(f"studies/{study_id}")
    commander.output.document(found)
    if commander.output.as_json:
        return
    listed = found.pop("series")
    found.pop("allowedActions")
    commander.output.record(found)
    commander.output.say("")
    columns = ("seriesId", "modality", "bodyPart", "description", "instanceCount")
    commander.output.table(listed, columns)


COMMANDS = (study,)
