"""The demonstration: a node with a project, people of every role, and the whole way walked once."""
