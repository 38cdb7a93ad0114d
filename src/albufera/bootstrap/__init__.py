"""F6: the only place that picks backends and wires services: `node` for a node, `hub` for a hub.

They are two modules so that a hub's process never loads the code that handles images.
"""
