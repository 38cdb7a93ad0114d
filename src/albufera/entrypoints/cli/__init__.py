"""The command line `albufera`, one module per domain."""
