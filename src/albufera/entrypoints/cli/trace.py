"""`trace`: read the log, verify it, prove what is in it."""

import json
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.kernel.errors import INVALID, UNAVAILABLE
from albufera.trace.errors import LOG_TAMPERED, PROOF_INVALID
from albufera.trace.proof import MAX_PROOF_BYTES, InvalidProof, Verdict, read_proof
from albufera.trace.proof import verify as verify_proof

_COLUMNS = ("index", "at", "actor", "project", "verb", "about")
_MAX_NOTE_BYTES = 100_000
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def trace() -> None:
    """The log of everything that was done."""


@trace.command("log")
@click.option("--dataset", help="Only what was done to this dataset.")
@click.option("--about", help="Only what was done to the thing of this identifier.")
@click.option("--project", help="Only what was done in this project.")
@click.option("--user", help="Only what this person did.")
@click.option("--verb", help="Only this verb, for example dataset.released.")
@click.option("--since", type=click.DateTime(), help="Only from this moment on (UTC).")
@click.option("--limit", default=50, type=click.IntRange(1, 500), help="At most so many.")
@pass_commander
def log(commander: Commander, /, since: datetime | None, limit: int, **filters: str | None) -> None:
    """List the entries that you may see, the newest first."""
    moment = since.isoformat() if since else None
    page = commander.client.get("trace/entries", limit=limit, since=moment, **filters)
    shown = [{**entry, "about": _about(entry)} for entry in page["items"]]
    commander.output.table(page["items"] if commander.output.as_json else shown, _COLUMNS)


@trace.command("checkpoint")
@pass_commander
def checkpoint(commander: Commander) -> None:
    """Print the signed head of the log, to be kept elsewhere and compared with the log later."""
    if commander.remote is None:
        commander.node.trace.append()
    head = commander.client.get("trace/checkpoint")
    commander.output.document(head)
    if not commander.output.as_json:
        click.echo(head["note"], nl=False)


@trace.command("proof")
@click.option("--entry", "index", type=click.IntRange(0), help="The number of the entry.")
@click.option("--event", "event_id", help="The identifier of the event.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@pass_commander
def proof(commander: Commander, index: int | None, event_id: str | None, out: Path | None) -> None:
    """Export the proof that an entry is in the log."""
    if (index is None) == (event_id is None):
        raise click.UsageError("Name one entry, by --entry or by --event.")
    if event_id is not None:
        index = commander.client.get(f"trace/events/{event_id}")["index"]
    document = commander.client.get(f"trace/entries/{index}/proof")
    if out is None:
        click.echo(json.dumps(document, indent=2))
        return
    out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    commander.output.document({"entry": index, "file": str(out)})
    commander.output.say(f"The proof of entry {index} is in {out}.")
    commander.output.say(f"Anyone can check it offline: albufera trace verify --proof {out}")


@trace.command("verify")
@click.option("--proof", "proof_file", type=_FILE, help="Check this proof, offline.")
@click.option("--key", help="The log's key that you trust (a vkey, or a file that holds it).")
@click.option("--checkpoint", "kept", type=_FILE, help="Compare with a checkpoint kept earlier.")
@pass_commander
def verify(
    commander: Commander, proof_file: Path | None, key: str | None, kept: Path | None
) -> None:
    """Read the whole log again and check it; or check one proof, with no node at all."""
    if proof_file is not None:
        _check_proof(commander, proof_file, key)
        return
    if key is not None:
        raise click.UsageError("--key goes with --proof.")
    asked = commander.client.post("trace/verification", {"checkpoint": _read_note(kept)})
    path = f"trace/verification/{asked['verificationId']}"
    _report(commander, _follow(commander, path))


def _check_proof(commander: Commander, file: Path, key: str | None) -> None:
    with file.open("rb") as opened:
        data = opened.read(MAX_PROOF_BYTES + 1)
    try:
        verdict = verify_proof(read_proof(data), _read_key(key))
    except InvalidProof as problem:
        raise PROOF_INVALID(str(problem)) from None
    commander.output.document(_verdict(verdict))
    commander.output.say(f"The proof holds: {verdict.entry.verb} of {verdict.entry.at}.")
    for sentence in verdict.proven:
        commander.output.say(f"  proven    {sentence}")
    for sentence in verdict.unproven:
        commander.output.say(f"  unproven  {sentence}")


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "valid": True,
        "trusted": verdict.trusted,
        "entry": verdict.entry.document(),
        "treeSize": verdict.checkpoint.size,
        "root": verdict.checkpoint.root.hex(),
        "key": verdict.key.vkey,
        "fingerprint": verdict.key.fingerprint,
        "proven": list(verdict.proven),
        "unproven": list(verdict.unproven),
    }


def _read_key(key: str | None) -> str | None:
    """The key that was given: the vkey itself, or the first line of the file that has it."""
    if key is None or "+" in key:
        return key
    try:
        with Path(key).open(encoding="utf-8") as file:
            return file.readline(1000).strip()
    except (OSError, UnicodeDecodeError):
        raise INVALID(f"{key} is neither a key nor a file that can be read.") from None


def _read_note(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_NOTE_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        raise INVALID(f"{file} is not a checkpoint.") from None


def _follow(commander: Commander, path: str) -> Any:
    """Wait for a verification, drawing its progress; on a local home it runs in this process."""

    def look() -> Any:
        seen = commander.client.get(path)
        commander.output.progress(seen["done"], seen["total"], "entries read")
        return seen

    def over(seen: Any) -> bool:
        return bool(seen["state"] != "running")

    def rest(_seen: Any) -> None:
        time.sleep(0.1)

    if commander.remote is not None:
        return commander.client.wait(look, over, rest)
    worker = commander.node.worker()
    thread = threading.Thread(target=worker.run_forever)
    thread.start()
    try:
        return commander.client.wait(look, over, rest)
    finally:
        worker.stop()
        thread.join()


def _report(commander: Commander, seen: dict[str, Any]) -> None:
    commander.output.document(seen)
    report = seen["report"]
    if report is None:
        raise UNAVAILABLE(f"The verification did not come to an end: {seen['note']}")
    if not report["totalFindings"]:
        commander.output.say(
            f"The log is intact: {report['entries']} entries, {report['checkpoints']} signed "
            f"checkpoints, root {report['root']}."
        )
        return
    found = [finding["sentence"] for finding in report["findings"]]
    raise LOG_TAMPERED(f"{report['totalFindings']} findings.", errors=found)


def _about(entry: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in entry["subjects"].items())


COMMANDS = (trace,)
