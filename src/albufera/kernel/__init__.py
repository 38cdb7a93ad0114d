"""F0: what every domain stands on. Knows nothing of images, datasets or people's roles."""
