#!/usr/bin/env bash
# Starts the coordinator and the web API in front of it, and tells where they are and how to read a page over REST.
# Ctrl-C, or the end of either, ends both. GRPC_PORT and REST_PORT choose the ports, STORE the folder of the store.
set -euo pipefail
cd "$(dirname "$0")/.."
grpc=127.0.0.1:${GRPC_PORT:-50051}
rest=127.0.0.1:${REST_PORT:-8080}
command -v dotnet >/dev/null || { echo "a .NET 10 SDK is needed on PATH" >&2; exit 1; }
if (: <>"/dev/tcp/${rest/://}") 2>/dev/null; then
  echo "something listens on $rest already: end it, or choose another port with REST_PORT" >&2
  exit 1
fi
scripts/dotnet.sh build orchestrator/Coordinator.Orchestrator -c Release -v quiet -nodeReuse:false -p:UseSharedCompilation=false
program=$PWD/orchestrator/artifacts/bin/Coordinator.Orchestrator/release

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
said=$(mktemp)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm "$said"' EXIT
trap exit INT TERM
still_run() { [ "$(jobs -rp | wc -l)" -eq "$1" ] || exit 1; }  # what ended has said why
.venv/bin/processing-service serve --listen "$grpc" --store "${STORE:-processing-store}" > >(tee "$said") &
until grep -q '^serving on' "$said"; do  # this one, not another that listens there
  still_run 1
  sleep 0.1
done
(cd "$program" && exec env Coordinator__Address="http://$grpc" Urls="http://$rest" \
  ASPNETCORE_ENVIRONMENT=Development Logging__LogLevel__Default=Warning dotnet Coordinator.Orchestrator.dll) &
until curl -sf "http://$rest/health/ready" >/dev/null; do
  still_run 2
  sleep 0.1
done
curl -sf -o /dev/null -X PUT -H 'Content-Type: application/yaml' --data-binary @examples/workflows/read-text.yaml \
  "http://$rest/api/processing/workflows/read-text"
cat <<LINES
coordinator: http://$grpc
web API:     http://$rest   (try it: http://$rest/scalar)

curl -s -F workflowId=read-text -F page=@examples/pages/04-photo.jpg http://$rest/api/processing/workflows/execute
LINES
wait -n
