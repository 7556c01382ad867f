# One image for every process of the fleet; the command says which one it is.
# It holds git, bubblewrap and Coalmine. An image with the program of your agents begins with `FROM coalmine`.
ARG PYTHON_IMAGE=python:3.13.9-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# The release that is built, as its tag says it without the v; the sources here have no git.
ARG PROJECT_VERSION=
WORKDIR /src
COPY pyproject.toml hatch_build.py constraints.txt coalmine.example.toml README.md LICENSE ./
COPY routing routing
COPY harvest harvest
COPY tasks tasks
COPY console console
COPY coalmine coalmine
RUN python -m venv /opt/coalmine \
 && /opt/coalmine/bin/python -m pip install --no-cache-dir -c constraints.txt '.[flower]'

FROM ${PYTHON_IMAGE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap git libseccomp2 openssl \
 && rm -rf /var/lib/apt/lists/*
# Other users than ours may be chosen when it is run, hence the open folders, and a home for whichever it is.
RUN useradd --uid 10001 --home-dir /var/lib/coalmine/home coalmine \
 && install -d -m 1777 /fleet /var/lib/coalmine /var/lib/coalmine/home
COPY --from=build /opt/coalmine /opt/coalmine
ENV PATH=/opt/coalmine/bin:$PATH \
    HOME=/var/lib/coalmine/home \
    PYTHONUNBUFFERED=1 \
    COALMINE_AGENT__WORK_DIR=/var/lib/coalmine/work \
    COALMINE_FORGE__LOCAL__STATE=/var/lib/coalmine/forge
USER coalmine
# Settings are read from coalmine.toml here, if there is one.
WORKDIR /fleet
CMD ["coalmine", "doctor"]
