#!/usr/bin/env bash
# dotnet, with all that it writes kept inside the cache of the checkout: `scripts/dotnet.sh ARGUMENTS`. Sourced, it gives
# a script those settings.
cache=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.cache
mkdir -p "$cache/tmp"
export DOTNET_CLI_HOME=$cache/dotnet NUGET_PACKAGES=$cache/nuget TMPDIR=$cache/tmp
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_EnableDiagnostics=0
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  exec dotnet "$@"
fi
