"""`ingest`: take files, folders and ZIPs in, and report how every file ended."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.ingest.model import INGEST_CANCELLED, INGEST_FAILED, NOTHING_TO_INGEST
from albufera.kernel.errors import Refusal

STATES = ("admitted", "duplicate", "quarantined", "refused")
SHOWN_ITEMS = 20
MAX_ITEMS = 1000
"""Files listed in one JSON document; `albufera ingest report` and the API page through all."""

UPLOAD_FILES = 200
UPLOAD_BYTES = 512 * 1024 * 1024
_TAKE = "take"


class IngestGroup(click.Group):
    """A group whose own arguments are paths, unless the first one names a subcommand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Send everything that is not a subcommand to the taking in of paths."""
        if args and args[0] not in (*self.commands, *self.get_help_option_names(ctx)):
            args = [_TAKE, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show both forms."""
        formatter.write_usage(ctx.command_path, "PATH... --project P [--collection C]")
        formatter.write_usage(ctx.command_path, "report [--project P] [--ingest ID]")


@click.group(cls=IngestGroup)
def ingest() -> None:
    """Take DICOM files in: de-identify them, check them, store them in the lake.

    PATHs are files, folders or ZIPs; DICOM is found by content. A file that is called like a
    subcommand is written ./report. Ends with how many files were admitted, duplicate,
    quarantined and refused, and why; exits 0 when the run reached its end, even if files were
    refused, and 1 when it failed or was cancelled. Running it again changes nothing that is in.
    """


@ingest.command(_TAKE, hidden=True)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--project", required=True, help="The project's code.")
@click.option("--collection", default="main", show_default=True)
@pass_commander
def take(commander: Commander, paths: tuple[Path, ...], project: str, collection: str) -> None:
    """Take files, folders and ZIPs in."""
    if commander.remote is None:
        runs = [_take_here(commander, paths, project, collection)]
    else:
        runs = _send(commander, paths, project, collection)
    _show(commander, runs)
    unfinished = [run for run in runs if run["state"] != "finished"]
    if unfinished:
        error = INGEST_CANCELLED if unfinished[0]["state"] == "cancelled" else INGEST_FAILED
        raise error(unfinished[0]["note"])


@ingest.command("report")
@click.option("--project", help="Only the runs of this project.")
@click.option("--ingest", "ingest_id", help="The files of this run; else of the newest one.")
@click.option("--state", type=click.Choice(STATES), help="Only the files in this state.")
@pass_commander
def report(
    commander: Commander, project: str | None, ingest_id: str | None, state: str | None
) -> None:
    """Say what was admitted, duplicate, quarantined and refused, and why."""
    client = commander.client
    runs = (
        [client.get(f"ingests/{ingest_id}")]
        if ingest_id
        else client.get("ingests", project=project, limit=50)["items"]
    )
    detail = _detail(commander, runs[0], state) if runs else None
    commander.output.document({"ingests": runs, "latest": detail})
    if commander.output.as_json:
        return
    shown = [
        {"ingest": run["ingestId"], "submitted": run["submittedAt"][:16], "state": run["state"],
         "by": run["submittedBy"], **run["counts"]}
        for run in runs
    ]  # fmt: skip
    commander.output.table(shown, ("ingest", "submitted", "by", "state", *STATES))
    if detail is not None:
        _say_why(commander, detail, SHOWN_ITEMS if state is None else MAX_ITEMS)


def _take_here(
    commander: Commander, paths: Sequence[Path], project: str, collection: str
) -> Mapping[str, Any]:
    def progress(done: int, total: int) -> None:
        commander.output.progress(done, total, "files")

    try:
        done = commander.node.ingests.ingest_paths(
            commander.actor, project, collection, paths, progress
        )
        ingest_id = done.ingest_id
    except Refusal as refusal:
        if refusal.error not in (INGEST_CANCELLED, INGEST_FAILED):
            raise
        ingest_id = str(refusal.facts["ingest"])
    run: Mapping[str, Any] = commander.client.get(f"ingests/{ingest_id}")
    return run


def _send(
    commander: Commander, paths: Sequence[Path], project: str, collection: str
) -> list[Mapping[str, Any]]:
    """Upload in parts; each part is a run of its own."""
    runs = []
    for part in _parts(_files(paths)):
        named = {f"file{number}": path for number, path in enumerate(part)}
        fields = {"project": project, "collection": collection}
        ingest_id = commander.client.send_files("ingests", named, fields)["ingestId"]

        def look(ingest_id: str = ingest_id) -> Any:
            run = commander.client.get(f"ingests/{ingest_id}")
            progress = run["progress"] or {"done": 0, "total": 0}
            commander.output.progress(progress["done"], progress["total"], "files")
            return run

        runs.append(commander.wait(look, _is_over))
    if not runs:
        raise NOTHING_TO_INGEST("No file was found there.")
    return runs


def _is_over(run: Mapping[str, Any]) -> bool:
    return run["state"] in ("finished", "failed", "cancelled")


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Regular files behind what was named; links inside folders are not followed."""
    for path in paths:
        if path.is_file():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                found = Path(folder) / name
                if stat.S_ISREG(found.lstat().st_mode):
                    yield found


def _parts(files: Iterable[Path]) -> Iterator[list[Path]]:
    part: list[Path] = []
    size = 0
    for path in files:
        if part and (len(part) >= UPLOAD_FILES or size + path.stat().st_size > UPLOAD_BYTES):
            yield part
            part, size = [], 0
        part.append(path)
        size += path.stat().st_size
    if part:
        yield part


def _detail(commander: Commander, run: Mapping[str, Any], state: str | None) -> dict[str, Any]:
    """A run with its reasons and its files: those that were not admitted first."""
    ingest_id = run["ingestId"]
    reasons = commander.client.get(f"ingests/{ingest_id}/reasons")
    wanted = [state] if state else ["refused", "quarantined", "duplicate", "admitted"]
    items: list[Any] = []
    for each in wanted:
        room = MAX_ITEMS - len(items)
        if room > 0:
            page = commander.client.get(
                f"ingests/{ingest_id}/items", state=each, limit=min(500, room)
            )
            items += page["items"]
    total = sum(run["counts"][each] for each in wanted)
    return {**run, "reasons": reasons, "items": items, "itemsOmitted": total - len(items)}


def _show(commander: Commander, runs: Sequence[Mapping[str, Any]]) -> None:
    details = [_detail(commander, run, None) for run in runs]
    counts = {state: sum(run["counts"][state] for run in runs) for state in STATES}
    items = [item for detail in details for item in detail["items"]][:MAX_ITEMS]
    commander.output.document(
        {
            "ingestId": runs[0]["ingestId"],
            "ingestIds": [run["ingestId"] for run in runs],
            "state": runs[-1]["state"],
            "counts": counts,
            "reasons": [reason for detail in details for reason in detail["reasons"]],
            "items": items,
            "itemsOmitted": sum(counts.values()) - len(items),
        }
    )
    if commander.output.as_json:
        return
    rows = [{"state": state, "files": str(counts[state])} for state in STATES]
    commander.output.table(rows, ("state", "files"))
    for detail in details:
        _say_why(commander, detail, SHOWN_ITEMS)
    if counts["refused"] or counts["quarantined"]:
        commander.output.say(
            "The run reached its end; the files above that were refused or quarantined are not "
            "in the lake."
        )


def _say_why(commander: Commander, detail: Mapping[str, Any], most: int) -> None:
    """The reasons, and the first files that were not admitted."""
    if detail["reasons"]:
        commander.output.say("")
        commander.output.table(detail["reasons"], ("state", "code", "count"))
        for reason in detail["reasons"]:
            commander.output.say(f"  {reason['code']}: {reason['reason']}")
    held = [item for item in detail["items"] if item["state"] != "admitted"][:most]
    if held:
        commander.output.say("")
        commander.output.table(held, ("path", "state", "code"))
        left = sum(detail["counts"][state] for state in STATES[1:]) - len(held)
        if left > 0:
            commander.output.say(f"and {left} more; --json, the API and the page list them.")


COMMANDS = (ingest,)
