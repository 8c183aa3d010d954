#!/usr/bin/env bash
# Regenerates everything under generated/ from protos/. usage: protos/generate.sh TARGET_FOLDER [BIN_FOLDER]
# BIN_FOLDER holds the generators of requirements-proto.lock.
set -euo pipefail
target=$(mkdir -p "$1" && cd "$1" && pwd)
bin=$(cd "${2:-.venv-proto/bin}" && pwd)
cd "$(dirname "$0")"
export PATH="$bin:$PATH"
mapfile -t files < <(find coordinator -name '*.proto' | LC_ALL=C sort)
google=$(python -c 'import grpc_tools, pathlib; print(pathlib.Path(grpc_tools.__file__).parent / "_proto")')
rpc=$(python -c 'import google.rpc, pathlib; print(pathlib.Path(list(google.rpc.__path__)[0]).parent.parent)' 2>/dev/null || true)

rm -rf "$target/python" "$target/typings"
find "$target/csharp" -name '*.cs' -not -name '*Grpc.cs' -delete 2>/dev/null || true  # stubs are made by the C# build
mkdir -p "$target/python/coordinator" "$target/csharp" "$target/typings"

# From a descriptor set, so that json_name and the comments survive; it is shipped, for clients without reflection and
# for the descriptions of operations.
python -m grpc_tools.protoc -I . --include_imports --include_source_info \
  --descriptor_set_out="$target/python/coordinator/coordinator.binpb" "${files[@]}"
python -m grpc_tools.protoc --descriptor_set_in="$target/python/coordinator/coordinator.binpb" \
  --python_out="$target/python" --grpc_python_out="$target/python" \
  --mypy_out=quiet:"$target/python" --mypy_grpc_out=quiet:"$target/python" "${files[@]}"
for file in $(grep -L '^service' "${files[@]}"); do rm "$target/python/${file%.proto}"_pb2_grpc.py*; done
touch "$target/python/coordinator/py.typed"

# The stubs that googleapis-common-protos lacks a py.typed for.
python -m grpc_tools.protoc -I "$rpc" --mypy_out=quiet:"$target/typings" google/rpc/{status,error_details,code}.proto

# One call a file: two files of one name would overwrite each other.
for file in "${files[@]}"; do
  mkdir -p "$target/csharp/$(dirname "$file")"
  protoc -I . -I "$google" --csharp_out="$target/csharp/$(dirname "$file")" "$file"
done
