"""The processes of a node: the master, its engines, and the workers that it starts."""
