"""`job`: commands run beside the data."""

import base64
from pathlib import Path
from typing import Any

import click

from albufera.compute.model import MAX_ATTACHED_BYTES, check_command
from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.entrypoints.plain import plain
from albufera.kernel.errors import INVALID

ENDED = {"finished", "failed", "cancelled"}
COLUMNS = ("jobId", "state", "reason", "owner", "command", "submittedAt")


@click.group()
def job() -> None:
    """Jobs: commands run beside the data, in a sandbox without network."""


@job.command("submit", context_settings={"ignore_unknown_options": True})
@click.option("--dataset", "datasets", multiple=True, required=True, help="A granted dataset.")
@click.option("--flavour", default="", help="What the job may use; `job flavours` lists them.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file to place in the working directory (repeatable).",
)
@click.option("--wait", is_flag=True, help="Wait for the end; exit 1 unless it finished.")
@click.argument("command", nargs=-1, required=True)
@pass_commander
def submit(
    commander: Commander,
    datasets: tuple[str, ...],
    flavour: str,
    files: tuple[Path, ...],
    wait: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND beside the data: `job submit --dataset D -- python analyse.py`.

    Words of the command that are relative paths of files here (such as analyse.py) are sent
    along, and lie in the working directory under the same paths.
    """
    check_command(command)
    attached = _attached(command, files)
    body = {
        "datasets": list(datasets),
        "command": list(command),
        "flavour": flavour,
        "files": [
            {"name": name, "contentBase64": base64.b64encode(path.read_bytes()).decode()}
            for name, path in attached.items()
        ],
    }
    made = commander.client.post("jobs", body)
    for name in attached:
        commander.output.say(f"Sent along: {name}")
    if wait:
        made = _wait(commander, made["jobId"])
    commander.output.record(made)
    if wait:
        _exit_as(made)


@job.command("list")
@click.option("--dataset", default=None, help="Only jobs on this dataset.")
@pass_commander
def list_jobs(commander: Commander, dataset: str | None) -> None:
    """List the jobs that you may see, newest first."""
    commander.output.table(commander.client.items("jobs", dataset=dataset), COLUMNS)


@job.command("flavours")
@pass_commander
def flavours(commander: Commander) -> None:
    """List the flavours; the first is used when none is named."""
    commander.output.table(
        commander.client.get("flavours"), ("name", "cpus", "memoryBytes", "seconds", "processes")
    )


@job.command("show")
@click.argument("job_id")
@pass_commander
def show(commander: Commander, job_id: str) -> None:
    """Show a job and what it left in /outputs."""
    found = commander.client.get(f"jobs/{job_id}")
    if "egress" in found["allowedActions"]:
        outputs = commander.client.get(f"jobs/{job_id}/outputs")["items"]
        named = [{**item, "path": plain(item["path"])} for item in outputs]
        found = {**found, "outputs": [f"{item['path']} ({item['size']} bytes)" for item in named]}
    commander.output.record(found)


@job.command("logs")
@click.argument("job_id")
@click.option("--follow", is_flag=True, help="Go on until the job has ended.")
@pass_commander
def logs(commander: Commander, job_id: str, follow: bool) -> None:
    """Print what a job printed."""
    offset, parts = 0, []

    def look() -> bool:
        nonlocal offset
        over = not follow or commander.client.get(f"jobs/{job_id}")["state"] in ENDED
        while True:
            part = commander.client.get(f"jobs/{job_id}/logs", offset=offset)
            if part["nextOffset"] == offset:
                return over
            offset = part["nextOffset"]
            parts.append(part["text"])
            if not commander.output.as_json:
                click.echo(plain(part["text"]), nl=False)

    commander.wait(look, bool)
    commander.output.document({"jobId": job_id, "text": "".join(parts)})


@job.command("cancel")
@click.argument("job_id")
@pass_commander
def cancel(commander: Commander, job_id: str) -> None:
    """End a job."""
    commander.client.post(f"jobs/{job_id}/cancel")
    commander.output.record(_wait(commander, job_id))


@job.command("wait")
@click.argument("job_id")
@pass_commander
def wait(commander: Commander, job_id: str) -> None:
    """Wait until a job has ended; exit 1 unless it finished."""
    ended = _wait(commander, job_id)
    commander.output.record(ended)
    _exit_as(ended)


def _attached(command: tuple[str, ...], files: tuple[Path, ...]) -> dict[str, Path]:
    """Return the files that go with a command, by their paths in the working directory.

    Raises `invalid-input` for those that are too large together, before they are read.
    """
    attached = {path.name: path for path in files}
    attached |= {Path(word).as_posix(): Path(word) for word in command if _is_file_here(word)}
    if sum(path.stat().st_size for path in attached.values()) > MAX_ATTACHED_BYTES:
        raise INVALID(
            f"The files that go with a job have at most {MAX_ATTACHED_BYTES} bytes together."
        )
    return attached


def _is_file_here(word: str) -> bool:
    """Tell whether a word is the relative path of a file below the present directory.

    A bare name of a program (`python`) is one too where there is such a file: the first word is
    looked up on the sandbox's PATH all the same.
    """
    path = Path(word)
    try:
        return not path.is_absolute() and ".." not in path.parts and path.is_file()
    except (OSError, ValueError):  # a word that is no path: too long, or with a NUL
        return False


def _wait(commander: Commander, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        found: dict[str, Any] = commander.client.get(f"jobs/{job_id}")
        return found

    ended: dict[str, Any] = commander.wait(look, lambda found: found["state"] in ENDED)
    return ended


def _exit_as(ended: dict[str, Any]) -> None:
    if ended["state"] != "finished":
        click.get_current_context().exit(1)


COMMANDS = (job,)
