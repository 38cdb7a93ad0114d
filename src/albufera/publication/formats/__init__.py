"""The public metadata of a dataset in the words of others: schema.org, DataCite, BibTeX."""
