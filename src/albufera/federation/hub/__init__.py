"""The hub's side. It holds metadata and rounded counts; it has no code for images at all."""
