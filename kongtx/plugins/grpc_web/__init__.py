"""The grpc-web plugin."""
