"""The filter language: concepts, expressions, text and SQL."""
