"""The node's side: it pushes and polls, and decides alone what leaves it."""
