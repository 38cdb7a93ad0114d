"""The hub's pages and API. Nothing here can reach an image."""
