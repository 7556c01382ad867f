#!/bin/sh
# Installs the agent programs that `tests/real` runs, at the versions that were recorded.
# Usage: tests/real/install.sh [FOLDER]   (default: $REAL_PROGRAMS, else .real)
set -eu
folder=${1:-${REAL_PROGRAMS:-.real}}
mkdir -p "$folder"
# No install scripts: the programs come as optional packages for this platform.
exec npm install --prefix "$folder" --no-audit --no-fund --no-save --ignore-scripts --loglevel error \
    @anthropic-ai/claude-code@2.1.329 \
    @openai/codex@0.169.0 \
    @google/gemini-cli@0.61.0 \
    opencode-ai@1.18.33
