"""`egress`: asking that results leave, reviewing, fetching."""

from pathlib import Path

import click

from albufera.entrypoints.cli.context import Commander, pass_commander

COLUMNS = ("requestId", "state", "owner", "files", "alarms", "requestedAt")


@click.group()
def egress() -> None:
    """The airlock: results leave only after another person's review."""


@egress.command("request")
@click.argument("job_id", metavar="JOB")
@click.argument("paths", nargs=-1, required=True)
@click.option("--purpose", default="", help="What the files are, in a few words.")
@pass_commander
def request(commander: Commander, job_id: str, paths: tuple[str, ...], purpose: str) -> None:
    """Ask that PATHS of a job's outputs leave."""
    body = {"jobId": job_id, "paths": list(paths), "purpose": purpose}
    _show(commander, commander.client.post("egress-requests", body))


@egress.command("list")
@click.option("--state", type=click.Choice(["pending", "approved", "rejected"]))
@pass_commander
def list_requests(commander: Commander, state: str | None) -> None:
    """List the egress requests that you may see, newest first."""
    found = commander.client.items("egress-requests", state=state)
    if commander.output.as_json:
        commander.output.document(found)
        return
    rows = [
        {
            **item,
            "files": len(item["files"]),
            "alarms": sum(
                finding["severity"] == "alarm"
                for file in item["files"]
                for finding in file["findings"]
            ),
        }
        for item in found
    ]
    commander.output.table(rows, COLUMNS)


@egress.command("show")
@click.argument("request_id")
@pass_commander
def show(commander: Commander, request_id: str) -> None:
    """Show a request, its files and what was noticed in them."""
    _show(commander, commander.client.get(f"egress-requests/{request_id}"))


@egress.command("approve")
@click.argument("request_id")
@click.option("--reason", default="")
@pass_commander
def approve(commander: Commander, request_id: str, reason: str) -> None:
    """Let the files leave."""
    path = f"egress-requests/{request_id}/approve"
    _show(commander, commander.client.post(path, {"reason": reason}))


@egress.command("reject")
@click.argument("request_id")
@click.option("--reason", required=True)
@pass_commander
def reject(commander: Commander, request_id: str, reason: str) -> None:
    """Keep the files inside, with the reason."""
    path = f"egress-requests/{request_id}/reject"
    _show(commander, commander.client.post(path, {"reason": reason}))


@egress.command("fetch")
@click.argument("request_id")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the ZIP.")
@pass_commander
def fetch(commander: Commander, request_id: str, out: Path | None) -> None:
    """Download the approved files as one ZIP."""
    target = out or Path(f"{request_id[:40]}.zip".replace("/", "_"))
    content = commander.client.content(f"egress-requests/{request_id}/content")
    target.write_bytes(content)
    commander.output.document({"requestId": request_id, "file": str(target), "size": len(content)})
    commander.output.say(f"Wrote {target} ({len(content)} bytes).")


def _show(commander: Commander, found: dict[str, object]) -> None:
    if commander.output.as_json:
        commander.output.document(found)
        return
    files = found["files"]
    commander.output.record({**found, "files": len(files) if isinstance(files, list) else 0})
    for file in files if isinstance(files, list) else []:
        commander.output.say(f"  {file['path']}  {file['size']} bytes  {file['kind']}")
        for finding in file["findings"]:
            commander.output.say(f"    {finding['severity']}: {finding['sentence']}")


COMMANDS = (egress,)
