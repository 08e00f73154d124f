"""The grpc-gateway plugin."""
