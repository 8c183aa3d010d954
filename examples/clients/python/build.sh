#!/usr/bin/env bash
# Generates with grpcio-tools, in an environment of its own. PYTHON names a Python of 3.11 or newer.
set -euo pipefail
cd "$(dirname "$0")"
test -x .venv/bin/python || "${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
mapfile -t files < <(cd ../../../protos && find coordinator -name '*.proto')
mkdir -p gen
.venv/bin/python -m grpc_tools.protoc -I ../../../protos --python_out=gen --grpc_python_out=gen "${files[@]}"
