#!/usr/bin/env bash
# Generates and builds; Maven fetches protoc and the plugin of grpc-java.
set -euo pipefail
cd "$(dirname "$0")"
mvn -B -ntp -q process-classes
