package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	payload "coordinator.example/read-text/gen/coordinator/payload/v1"
	processing "coordinator.example/read-text/gen/coordinator/processing/v1"
)

// A message has at most 4 MiB: what is larger than inlineBytes goes as an artifact, in chunks of chunkBytes, the largest
// that the coordinator takes. uploadTime is the deadline of a whole upload.
const (
	inlineBytes = 1 << 20
	chunkBytes  = 1 << 20
	uploadTime  = 10 * time.Minute
)

// datum is content as a request has it: in the message, or as a reference to what was uploaded.
func datum(client processing.ProcessingServiceClient, content []byte) (*payload.Datum, error) {
	if len(content) <= inlineBytes {
		return &payload.Datum{Content: &payload.Datum_InlineBytes{InlineBytes: content}}, nil
	}
	artifact, err := upload(client, content)
	return &payload.Datum{Content: &payload.Datum_Artifact{Artifact: artifact}}, err
}

// upload stores content; the first chunk says what it will be, which the coordinator checks.
func upload(client processing.ProcessingServiceClient, content []byte) (*payload.Artifact, error) {
	ctx, cancel := context.WithTimeout(context.Background(), uploadTime)
	defer cancel()
	stream, err := client.PostProcessingArtifact(ctx)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(content)
	announced := &payload.Artifact{Digest: hex.EncodeToString(digest[:]), SizeBytes: int64(len(content))}
	for chunk := range slices.Chunk(content, chunkBytes) {
		if stream.Send(&processing.PostProcessingArtifactRequest{Artifact: announced, Data: chunk}) != nil {
			break // the coordinator has answered already; the answer says why
		}
		announced = nil
	}
	reply, err := stream.CloseAndRecv()
	return reply.GetArtifact(), err
}
