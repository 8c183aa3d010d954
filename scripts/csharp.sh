#!/usr/bin/env bash
# The C# half: `scripts/csharp.sh check`, `test`, `test-slow`, or `stubs FOLDER`. Without a .NET 10 SDK, or without a NuGet
# source in reach, it says in one line what it did not do, and ends well.
set -euo pipefail
cd "$(dirname "$0")/.."
task=$1
version=$(dotnet --version 2>/dev/null || echo 0)
if [ "${version%%.*}" -lt 10 ]; then
  echo "NOT DONE: the C# half of make $task (no .NET 10 SDK on PATH)"
  exit 0
fi
source scripts/dotnet.sh
alone=(-nodeReuse:false -p:UseSharedCompilation=false)  # no server stays behind
solution=orchestrator/Coordinator.slnx

restore() {
  local said
  if said=$(dotnet restore "$solution" --locked-mode "${alone[@]}" 2>&1); then return; fi
  if grep -q NU1301 <<< "$said"; then
    echo "NOT DONE: the C# half of make $task (no NuGet source in reach)"
    exit 0
  fi
  echo "$said" >&2
  exit 1
}

build() {
  restore
  dotnet build "$solution" --no-restore -v:q "${alone[@]}"
}

run() {
  build
  for tests in orchestrator/*.Tests; do
    name=$(basename "$tests")
    echo "== $name"
    "orchestrator/artifacts/bin/$name/debug/$name" -noColor "$@"
  done
}

case $task in
  check)
    build
    dotnet format "$solution" --no-restore --verify-no-changes
    ;;
  test) run -trait- speed=slow ;;
  test-slow) run -trait speed=slow ;;
  stubs)  # generates messages and stubs by the tool of the build
    restore
    folder=$(mkdir -p "$2" && cd "$2" && pwd)
    dotnet msbuild orchestrator/Coordinator.Contract -t:Protobuf_Compile -v:q -nodeReuse:false -p:GeneratedFolder="$folder"
    ;;
  *) echo "usage: scripts/csharp.sh check|test|test-slow|stubs FOLDER" >&2; exit 2 ;;
esac
