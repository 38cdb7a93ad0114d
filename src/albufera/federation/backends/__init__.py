"""How a node reaches a hub: over HTTPS, or within one process."""
