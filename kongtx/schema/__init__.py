"""The metaschema: fields, types, checks, errors. Pure."""
