"""F1: clinical data: the e-form of a project, tables validated against it, records of subjects."""
