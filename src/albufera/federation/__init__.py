"""Many nodes as one: a hub that lists what they publish and asks them questions."""
