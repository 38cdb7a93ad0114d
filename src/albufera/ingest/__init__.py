"""Ingest: receive, de-identify, check, admit or quarantine."""
