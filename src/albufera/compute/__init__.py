"""Compute: batch jobs and sessions that run beside the data and carry nothing out."""
