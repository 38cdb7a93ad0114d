"""Stores for the lake; only ``bootstrap`` and the tests import them."""
