"""Loading one table: rows are read, compared with what is stored, and written in batches."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from albufera.clinical import records
from albufera.clinical.events import RecordsWritten, TableLoaded
from albufera.clinical.model import Form, LoadReport, Problem, Record
from albufera.clinical.ports import ProjectDirectory, SubjectNames, SubjectRegister
from albufera.clinical.statements import Layout, Named, Statement, Tally, merge, read_statement
from albufera.clinical.tables.reading import End, TableReader
from albufera.kernel.actor import Actor
from albufera.kernel.canonical import digest
from albufera.kernel.database import Database
from albufera.kernel.ids import new_id
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work

BATCH = 500
"""Rows that are compared and written in one transaction."""


class Loading:
    """One loading of one table by one actor into one project. Used once."""

    def __init__(
        self,
        database: Database,
        projects: ProjectDirectory,
        names: SubjectNames,
        register: SubjectRegister,
        actor: Actor,
        code: str,
        project_id: str,
        form: Form,
    ) -> None:
        self.database = database
        self.projects = projects
        self.names = names
        self.register = register
        self.actor = actor
        self.code = code
        self.project_id = project_id
        self.form = form
        self.load_id = new_id("ld")
        self.tally = Tally()
        self._first_lines: dict[str, int] = {}

    def run(self, reader: TableReader, layout: Layout) -> LoadReport:
        """Read the table to its end and return the report."""
        for warning in layout.warnings:
            self.tally.warn(warning)
        batch: list[Statement] = []
        for row in reader.rows():
            if isinstance(row, End):
                self.tally.stop(Problem(row.line, "", row.problem))
                break
            self.tally.rows += 1
            said = self._once(read_statement(row, layout, self._named), layout)
            if isinstance(said, list):
                self.tally.reject(said)
                continue
            batch.append(said)
            if len(batch) == BATCH:
                self._write(batch)
                batch = []
        if batch:
            self._write(batch)
        return self._finish(reader.digest())

    def _named(self, key: str) -> Named:
        if self.names.is_pseudonym(key.upper()):
            return Named(key.upper(), None)
        pseudonym = self.names.pseudonym(self.project_id, key)
        return Named(pseudonym, self.names.day_shift(self.project_id, key))

    def _once(self, said: Statement | list[Problem], layout: Layout) -> Statement | list[Problem]:
        """Refuse a second row about the same subject, whatever it says."""
        if isinstance(said, list):
            return said
        line = self._first_lines.setdefault(said.subject, said.line)
        if line == said.line:
            return said
        text = f"row {line} is about the same subject: a table has one row per subject."
        return [Problem(said.line, layout.key_name, text)]

    def _write(self, batch: Sequence[Statement]) -> None:
        """Compare a batch with what is stored and write what differs, in one transaction."""
        with unit_of_work(self.database, self.actor) as work:
            self.projects.resolve(work.connection, self.actor, self.code, "clinical.load")
            records.form_of(work.connection, self.project_id, self.form.version, lock=True)
            changed, new = self._compare(work, batch)
            records.write_records(work.connection, self.project_id, changed)
            if changed:
                work.record(self._written(changed, new))
        self.tally.new += new
        self.tally.updated += len(changed) - new

    def _compare(self, work: UnitOfWork, batch: Sequence[Statement]) -> tuple[list[Record], int]:
        """Return the records that change, and how many of them are new."""
        subjects = [statement.subject for statement in batch]
        stored = records.records_named(work.connection, self.project_id, subjects)
        changed: list[Record] = []
        new = 0
        for statement in self._mind_unknown(work.connection, batch):
            before = stored.get(statement.subject)
            values = merge(statement, self.form, before)
            if isinstance(values, list):
                self.tally.reject(values)
                continue
            content = digest({"form": self.form.version, "values": values})
            if before is not None and before.digest == content:
                self.tally.unchanged += 1
                continue
            new += before is None
            version = self.form.version
            changed.append(Record(statement.subject, version, values, content, work.now()))
        return changed, new

    def _mind_unknown(
        self, connection: Connection, batch: Sequence[Statement]
    ) -> Sequence[Statement]:
        """Warn of subjects without images; their rows are stored all the same."""
        names = [statement.subject for statement in batch]
        known = self.register.known(connection, self.project_id, names)
        for statement in batch:
            if statement.subject not in known:
                self.tally.unknown_subjects += 1
                text = f"no images of this subject yet; it is {statement.subject} here."
                self.tally.warn(Problem(statement.line, "", text))
        return batch

    def _written(self, changed: Sequence[Record], new: int) -> RecordsWritten:
        return RecordsWritten(
            project_id=self.project_id,
            load_id=self.load_id,
            form_version=self.form.version,
            new=new,
            updated=len(changed) - new,
            records_digest=digest([record.digest for record in changed]),
        )

    def _finish(self, file_digest: str) -> LoadReport:
        tally = self.tally
        with unit_of_work(self.database, self.actor) as work:
            event = TableLoaded(
                project_id=self.project_id,
                load_id=self.load_id,
                form_version=self.form.version,
                file_digest=file_digest,
                rows=tally.rows,
                new=tally.new,
                updated=tally.updated,
                unchanged=tally.unchanged,
                rejected=tally.rejected,
            )
            work.record(event)
        return tally.report(self.form.version, file_digest)
