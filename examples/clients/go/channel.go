package main

import (
	"crypto/rand"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// retries: what may be repeated is, since every mutating call has a request_id. The coordinator's own delay
// (grpc-retry-pushback-ms) goes before the backoff.
const retries = `{"methodConfig": [{
  "name": [{"service": "coordinator.processing.v1.ProcessingService"}],
  "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
  }
}]}`

// options of the connection; credentials.NewTLS instead of insecure where it crosses machines.
func options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 20 * time.Second}),
	}
}

func newID() string {
	return rand.Text()
}

// eachUpdate calls told with what a stream brings, until it ends.
func eachUpdate[Update any](stream grpc.ServerStreamingClient[Update], told func(*Update)) error {
	for {
		update, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		told(update)
	}
}
