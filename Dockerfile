# One image for every process of the fleet; the command says which one it is.
# It holds git and Coalmine. An image with the program of your agents begins with `FROM` this one.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY routing routing
COPY harvest harvest
COPY tasks tasks
COPY console console
COPY coalmine coalmine
RUN python -m venv /opt/coalmine \
 && /opt/coalmine/bin/python -m pip install --no-cache-dir -c constraints.txt '.[flower]'

FROM python:3.13-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/*
# Other users than ours may be chosen when it is run, hence the open folders.
RUN useradd --uid 10001 --create-home coalmine \
 && install -d -m 1777 /fleet /var/lib/coalmine
COPY --from=build /opt/coalmine /opt/coalmine
ENV PATH=/opt/coalmine/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    COALMINE_AGENT__WORK_DIR=/var/lib/coalmine/work \
    COALMINE_FORGE__LOCAL__STATE=/var/lib/coalmine/forge
USER coalmine
# Settings are read from coalmine.toml here, if there is one.
WORKDIR /fleet
CMD ["coalmine", "doctor"]
