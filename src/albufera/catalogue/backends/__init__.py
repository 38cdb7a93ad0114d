"""What the catalogue's ports stand on; picked by `bootstrap` alone."""
