"""Server-rendered pages, one module per domain. Every page works without JavaScript."""
