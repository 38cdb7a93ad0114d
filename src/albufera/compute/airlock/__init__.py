"""The airlock: the only way out. A request, a frozen copy, another person's review, a download."""
