"""F7: a protocol in, one service call out."""
