"""How a route becomes entries of the index, in the order that Kong tries them. Pure."""
