"""Where the acme plugin keeps accounts, proofs and certificates."""
