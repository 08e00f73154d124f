"""The store, its connectors, migrations and declarative configuration."""
