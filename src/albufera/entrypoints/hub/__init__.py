"""A hub's pages, REST, and the counter where nodes hand their messages in."""
