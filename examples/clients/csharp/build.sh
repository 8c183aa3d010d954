#!/usr/bin/env bash
# Generates and builds; Grpc.Tools brings protoc and its plugin.
set -euo pipefail
cd "$(dirname "$0")"
dotnet restore --locked-mode -nodeReuse:false
dotnet build --no-restore -c Release -o bin -nodeReuse:false
