#!/usr/bin/env bash
# Generates and builds. Needs Go and buf (`go install github.com/bufbuild/buf/cmd/buf`, or that of .venv/bin).
set -euo pipefail
cd "$(dirname "$0")"
buf generate
go vet .
go build -o bin/read-text .
