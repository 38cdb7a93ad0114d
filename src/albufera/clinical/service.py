"""Verbs of clinical data: define the e-form, load a table, show the records."""

from collections.abc import Sequence
from typing import BinaryIO

from sqlalchemy.exc import IntegrityError

from albufera.clinical import records
from albufera.clinical.events import FormDefined
from albufera.clinical.forms.reading import read_form
from albufera.clinical.loading import Loading
from albufera.clinical.model import (
    FORM_NOT_FOUND,
    Completeness,
    Form,
    LoadReport,
    Record,
)
from albufera.clinical.ports import ProjectDirectory, SubjectNames, SubjectRegister
from albufera.clinical.statements import lay_out
from albufera.clinical.tables.reading import TableReader
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import CONFLICT
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Columns, Policy, Thing
from albufera.kernel.unit_of_work import unit_of_work


class ClinicalService:
    """E-forms and clinical records of projects."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        projects: ProjectDirectory,
        names: SubjectNames,
        register: SubjectRegister,
    ) -> None:
        self.database = database
        self.policy = policy
        self.projects = projects
        self.names = names
        self.register = register

    def define_form(self, actor: Actor, code: str, content: bytes) -> Form:
        """Make the JSON Schema in `content` the project's e-form, as a new version.

        The form that is in force already changes nothing. Records keep the version that validated
        them. Raises `form-refused`, `project-not-found`, `forbidden`.
        """
        with self.database.read() as connection:
            self.projects.resolve(connection, actor, code, "clinical.define-form")
        form = read_form(content)
        try:
            return self._add_form(actor, code, form)
        except IntegrityError:
            raise CONFLICT("Somebody else defined a form just now: look at it first.") from None

    def form(self, actor: Actor, code: str, version: int | None = None) -> Form:
        """Return a version of the e-form, the present one when none is named. `form-not-found`."""
        with self.database.read() as connection:
            project = self.projects.resolve(connection, actor, code, "clinical.view-form")
            form = records.form_of(connection, project.project_id, version)
        if form is None:
            raise FORM_NOT_FOUND()
        return form

    def allowed(self, actor: Actor, code: str) -> Sequence[str]:
        """Return what the caller may do to the project's clinical data, such as `load`."""
        with self.database.read() as connection:
            project = self.projects.resolve(connection, actor, code, "clinical.view-form")
            thing = Thing("clinical", project_id=project.project_id)
            return self.policy.allowed(connection, actor, thing)

    def records(self, actor: Actor, code: str, request: PageRequest) -> Page[Record]:
        """Return records by subject (pseudonyms). Raises `project-not-found`, `forbidden`."""
        table = records.clinical_records
        visible = self.policy.which(actor, "clinical.view", Columns(project_id=table.c.project_id))
        with self.database.read() as connection:
            project = self.projects.resolve(connection, actor, code, "clinical.view")
            query = table.select().where(table.c.project_id == project.project_id, visible)
            if request.after:
                query = query.where(table.c.subject_name > request.after)
            rows = connection.execute(query.order_by(table.c.subject_name).limit(request.limit + 1))
            items = [records.to_record(row) for row in rows]
        return cut(items, request, lambda record: record.subject)

    def completeness(self, actor: Actor, code: str) -> Sequence[Completeness]:
        """Return for each variable of the present form how many records have a value."""
        with self.database.read() as connection:
            project = self.projects.resolve(connection, actor, code, "clinical.view")
            form = records.form_of(connection, project.project_id)
            count = records.count_records(connection, project.project_id)
            filled = records.filled(connection, project.project_id)
        variables = form.variables if form is not None else ()
        return [Completeness(v.name, v.title, filled.get(v.name, 0), count) for v in variables]

    def load(self, actor: Actor, code: str, stream: BinaryIO, key: str = "") -> LoadReport:
        """Load a CSV table, row by row; good rows are stored whatever is wrong with others.

        `key` names the column of the subject (original identifier or pseudonym); empty: `subject`
        or `patient_id`. Rows are written in batches, each with its event; when the work is cut
        off, loading the same file again completes it. Raises `table-refused`, `form-not-found`,
        `project-not-found`, `forbidden`.
        """
        with self.database.read() as connection:
            project_id = self.projects.resolve(connection, actor, code, "clinical.load").project_id
            form = records.form_of(connection, project_id)
        if form is None:
            raise FORM_NOT_FOUND("The project has no e-form yet, so no table can be checked.")
        reader = TableReader(stream)
        layout = lay_out(reader, form, key)
        loading = Loading(
            self.database, self.projects, self.names, self.register, actor, code, project_id, form
        )
        return loading.run(reader, layout)

    def _add_form(self, actor: Actor, code: str, form: Form) -> Form:
        with unit_of_work(self.database, actor) as work:
            project = self.projects.resolve(work.connection, actor, code, "clinical.define-form")
            present = records.form_of(work.connection, project.project_id, lock=True)
            if present is not None and present.digest == form.digest:
                return present
            version = present.version + 1 if present is not None else 1
            numbered = Form(
                version, form.title, form.description, form.variables, form.schema, form.digest,
                work.now(),
            )  # fmt: skip
            records.add_form(work.connection, project.project_id, numbered, work.now())
            event = FormDefined(
                project_id=project.project_id, form_version=version, form_digest=form.digest
            )
            work.record(event)
        return numbered
