#!/usr/bin/env bash
# Prints the path of grpcurl; builds it, once, where there is Go. Exit code 3 where there is neither.
set -euo pipefail

version=v1.9.4
folder="${XDG_CACHE_HOME:-$HOME/.cache}/processing-coordinator/grpcurl"

if [ ! -x "$folder/grpcurl" ]; then
  if ! command -v go >/dev/null; then
    echo "grpcurl is not here, and there is no Go to build it with" >&2
    exit 3
  fi
  echo "building grpcurl $version, which takes some minutes the first time" >&2
  mkdir -p "$folder"
  # built beside its place and moved, so that two who build at once do not use half a file
  made=$(mktemp -d "$folder/build.XXXXXX")
  trap 'rm -rf "$made"' EXIT
  GOBIN="$made" go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version" >&2
  mv "$made/grpcurl" "$folder/grpcurl"
fi
echo "$folder/grpcurl"
