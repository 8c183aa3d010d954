"""The wire side of the Processing service: messages in, requests and replies out."""
