"""`dataset`: make, list, show, release, publish, invalidate, verify, version."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from albufera.catalogue.model import BUILD_FAILED, DATASET_NOT_FOUND, VERIFICATION_FAILED
from albufera.catalogue.selection import read_study_list
from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.kernel.errors import CONFLICT, INVALID

_AT_WORK = frozenset({"queued", "running"})
_MAX_LIST_BYTES = 32 * 1024 * 1024


@click.group()
def dataset() -> None:
    """Datasets: citable, verifiable selections of series."""


def _selection_options(command: Any) -> Any:
    for option in (
        click.option("--where", metavar="FILTER", help="A filter, such as 'modality = CT'."),
        click.option(
            "--studies",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A file of study ids or UIDs, one per line or as CSV.",
        ),
        click.option("--description", help="What it holds and how it came about."),
        click.option("--purpose", help="What it was made for."),
        click.option("--licence", help="SPDX identifier or address."),
        click.option("--contact", help="Whom to ask."),
        click.option("--no-wait", is_flag=True, help="Do not wait until the draft is made."),
    ):
        command = option(command)
    return command


@dataset.command("create")
@click.argument("name")
@click.option("--project", required=True, help="The project's code.")
@_selection_options
@pass_commander
def create(commander: Commander, /, name: str, project: str, no_wait: bool, **chosen: Any) -> None:
    """Make a draft dataset of what a filter selects, or of listed studies."""
    body = {"name": name, "project": project, **_body(chosen)}
    if not {"where", "studies"} & set(body):
        raise click.UsageError("Give --where FILTER or --studies FILE.")
    made = commander.client.post("datasets", body)
    _finish(commander, made if no_wait else _built(commander, made["id"]))


@dataset.command("new-version")
@click.argument("dataset_id", metavar="DATASET")
@click.option("--name", help="Another name.")
@_selection_options
@pass_commander
def new_version(
    commander: Commander, /, dataset_id: str, name: str | None, no_wait: bool, **chosen: Any
) -> None:
    """Make a draft that succeeds a dataset, by the same selection unless another is given."""
    body = {**_body(chosen), **({"name": name} if name else {})}
    made = commander.client.post(
        f"datasets/{dataset_id_of(commander, dataset_id)}/new-version", body
    )
    _finish(commander, made if no_wait else _built(commander, made["id"]))


@dataset.command("retry")
@click.argument("dataset_id", metavar="DATASET")
@click.option("--no-wait", is_flag=True, help="Do not wait until the draft is made.")
@pass_commander
def retry(commander: Commander, dataset_id: str, no_wait: bool) -> None:
    """Make a failed or cancelled draft again."""
    made = commander.client.post(f"datasets/{dataset_id_of(commander, dataset_id)}/retry")
    _finish(commander, made if no_wait else _built(commander, made["id"]))


@dataset.command("list")
@click.option("--project", help="Only of this project.")
@click.option("--state", help="Only in this state.")
@click.option("--search", "q", help="Words of name or description.")
@pass_commander
def list_datasets(
    commander: Commander, project: str | None, state: str | None, q: str | None
) -> None:
    """List the datasets that you may see, newest first."""
    found = commander.client.items("datasets", project=project, state=state, q=q)
    shown = [
        {**item, **{f"n{key.capitalize()}": value for key, value in item["counts"].items()}}
        for item in found
    ]
    if commander.output.as_json:
        commander.output.document(found)
        return
    columns = ("id", "name", "version", "state", "project", "nSubjects", "nSeries", "nImages")
    commander.output.table(shown, columns)


@dataset.command("show")
@click.argument("dataset_id", metavar="DATASET")
@pass_commander
def show(commander: Commander, dataset_id: str) -> None:
    """Show a dataset with its counts and aggregated metadata."""
    _finish(commander, commander.client.get(f"datasets/{dataset_id_of(commander, dataset_id)}"))


@dataset.command("release")
@click.argument("dataset_id", metavar="DATASET")
@pass_commander
def release(commander: Commander, dataset_id: str) -> None:
    """Make a ready draft immutable."""
    _act(commander, dataset_id, "release")


@dataset.command("publish")
@click.argument("dataset_id", metavar="DATASET")
@pass_commander
def publish(commander: Commander, dataset_id: str) -> None:
    """Show a released dataset's metadata to everybody, with a persistent identifier."""
    found = dataset_id_of(commander, dataset_id)
    commander.client.post(f"datasets/{found}/publish")
    commander.settle()
    _finish(commander, commander.client.get(f"datasets/{found}"))


@dataset.command("invalidate")
@click.argument("dataset_id", metavar="DATASET")
@click.option("--reason", required=True, help="Why; it stays visible with the dataset.")
@pass_commander
def invalidate(commander: Commander, dataset_id: str, reason: str) -> None:
    """End the use of a released or published dataset."""
    path = f"datasets/{dataset_id_of(commander, dataset_id)}/invalidate"
    _finish(commander, commander.client.post(path, {"reason": reason}))


@dataset.command("cancel")
@click.argument("dataset_id", metavar="DATASET")
@pass_commander
def cancel(commander: Commander, dataset_id: str) -> None:
    """Give a draft up; it can be retried."""
    _act(commander, dataset_id, "cancel")


@dataset.command("verify")
@click.argument("dataset_id", metavar="DATASET")
@pass_commander
def verify(commander: Commander, dataset_id: str) -> None:
    """Read every byte of a dataset again and prove its Merkle root."""
    path = f"datasets/{dataset_id_of(commander, dataset_id)}"
    commander.client.post(f"{path}/verify")

    def over(seen: Any) -> bool:
        check = seen["verification"] or {"state": "queued"}
        progress = check.get("progress")
        if progress:
            commander.output.progress(progress["done"], progress["total"], progress["note"])
        return check["state"] not in _AT_WORK

    seen = commander.wait(lambda: commander.client.get(path), over)
    outcome = seen["verification"]
    commander.output.document({"id": seen["id"], **outcome})
    for problem in outcome["problems"] or []:
        commander.output.say(f"{problem['kind']}: {problem['path']}: {problem['detail']}")
    if not outcome["passed"]:
        raise VERIFICATION_FAILED(
            f"{seen['name']}: {outcome['corrupt'] or 0} corrupt, {outcome['missing'] or 0} "
            f"missing, {outcome['extra'] or 0} extra of {outcome['files'] or 0} files."
        )
    commander.output.say(
        f"{seen['name']} version {seen['version']}: {outcome['files']} files, {outcome['bytes']} "
        f"bytes read; root {outcome['root']} proved."
    )


@dataset.command("export-metadata")
@click.argument("dataset_id", metavar="DATASET")
@click.option("--format", "form", type=click.Choice(["json"]), default="json")
@pass_commander
def export_metadata(commander: Commander, dataset_id: str, form: str) -> None:  # noqa: ARG001
    """Print the metadata as one document: counts, never persons."""
    found = commander.client.get(f"datasets/{dataset_id_of(commander, dataset_id)}/metadata")
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))


@dataset.command("manifest")
@click.argument("dataset_id", metavar="DATASET")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
@pass_commander
def manifest(commander: Commander, dataset_id: str, output: Path | None) -> None:
    """Print (or write) the canonical manifest, byte for byte."""
    content = commander.client.content(f"datasets/{dataset_id_of(commander, dataset_id)}/manifest")
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    output.write_bytes(content)
    commander.output.document({"path": str(output), "bytes": len(content)})
    commander.output.say(f"Written to {output}.")


def dataset_id_of(commander: Commander, given: str) -> str:
    """Return the id that is meant: an id, or the name of a dataset (its newest version)."""
    if given.startswith("ds-"):
        return given
    found = commander.client.get("datasets", name=given, limit=500)["items"]
    newest = [item for item in found if item["nextId"] is None]
    if not newest:
        raise DATASET_NOT_FOUND(f"You can see no dataset named {given!r}.")
    if len(newest) > 1:
        ids = ", ".join(item["id"] for item in newest)
        raise CONFLICT(f"Several datasets are named {given!r}: {ids}. Name one by its id.")
    return str(newest[0]["id"])


def _body(chosen: dict[str, Any]) -> dict[str, Any]:
    body = {key: value for key, value in chosen.items() if value is not None and key != "studies"}
    if chosen["studies"] is not None:
        body["studies"] = list(read_study_list(_read(chosen["studies"])).names)
    return body


def _read(path: Path) -> str:
    if path.stat().st_size > _MAX_LIST_BYTES:
        raise INVALID(f"{path} is too large to be a list of studies.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise INVALID(f"{path} is not a text file.") from None


def _built(commander: Commander, dataset_id: str) -> Any:
    """Wait until the draft is made; draw its progress. Raises `dataset-build-failed`."""

    def over(seen: Any) -> bool:
        progress = seen["progress"]
        if progress:
            commander.output.progress(progress["done"], progress["total"], progress["note"])
        return bool(seen["state"] != "creating")

    seen = commander.wait(lambda: commander.client.get(f"datasets/{dataset_id}"), over)
    if seen["state"] == "failed":
        raise BUILD_FAILED(f"{seen['name']} ({dataset_id}): {seen['note']}")
    return seen


def _act(commander: Commander, dataset_id: str, verb: str) -> None:
    _finish(
        commander, commander.client.post(f"datasets/{dataset_id_of(commander, dataset_id)}/{verb}")
    )


def _finish(commander: Commander, seen: dict[str, Any]) -> None:
    if commander.output.as_json:
        commander.output.document(seen)
        return
    root = (seen["manifest"] or {}).get("root")
    shown = {
        "id": seen["id"], "name": seen["name"], "project": seen["project"],
        "version": seen["version"], "state": seen["state"], "pid": seen["pid"],
        "filter": (seen["selection"] or {}).get("where"), **seen["counts"], "root": root,
        "licence": seen["licence"], "allowed": seen["allowedActions"],
    }  # fmt: skip
    commander.output.record(shown)


COMMANDS = (dataset,)
