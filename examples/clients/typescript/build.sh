#!/usr/bin/env bash
# Generates and builds. Needs Node and buf (`npm install -g @bufbuild/buf`, or that of .venv/bin).
set -euo pipefail
cd "$(dirname "$0")"
npm ci --no-progress
buf generate
npx tsc
