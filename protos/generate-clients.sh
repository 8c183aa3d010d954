#!/usr/bin/env bash
# Generates Go, Java and TypeScript into out/clients/ by protos/buf.gen.yaml, with plugins as the examples pin them.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in go mvn npm; do
  command -v "$tool" >/dev/null || { echo "$tool is not on PATH, and protos/buf.gen.yaml wants go, mvn and npm" >&2; exit 3; }
done
version=$(sed -n 's|.*<grpc.plugin.version>\(.*\)</grpc.plugin.version>.*|\1|p' examples/clients/java/pom.xml)
case "$(uname -s)-$(uname -m)" in
  Linux-aarch64) system=linux-aarch_64 ;;
  Darwin-*) system=osx-aarch_64 ;;
  *) system=linux-x86_64 ;;
esac
mvn -B -ntp -q org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
  -Dartifact="io.grpc:protoc-gen-grpc-java:$version:exe:$system" \
  -DoutputDirectory="$PWD/.cache/generators" -Dmdep.stripVersion=true -Dmdep.stripClassifier=true
chmod +x .cache/generators/protoc-gen-grpc-java.exe
test -x examples/clients/typescript/node_modules/.bin/protoc-gen-es || (cd examples/clients/typescript && npm ci --no-progress)
"${1:-.venv/bin}/buf" generate --template protos/buf.gen.yaml
echo "generated into out/clients/{go,java,typescript}"
